"""``nameplate accounts``: people with a password of this server's own."""

import sys
from getpass import getpass

from cyclopts import App

from nameplate.errors import ConfigurationError
from nameplate.upstream.local_accounts import MAX_PASSWORD_BYTES, hash_password

__all__ = ["accounts"]

accounts = App(name="accounts", help="Local accounts.")


@accounts.command(name="hash-password")
def hash_password_command() -> None:
    """Print the hash of a password, for ``password_hash`` in the configuration.

    Asks for it twice, or reads one line from standard input where that is no terminal.
    """
    print(hash_password(_read_password()))


def _read_password() -> str:
    if not sys.stdin.isatty():
        try:
            # As UTF-8 whatever the locale, because that is what a browser sends.
            password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise ConfigurationError("password", "standard input is not UTF-8.") from None
    else:
        password = _ask("Password: ")
        if password != _ask("Once more: "):
            raise ConfigurationError("password", "the two are not the same.")
    if len(password) < 8:
        raise ConfigurationError("password", "use at least 8 characters (NIST SP 800-63B §5.1.1.2).")
    if len(password.encode(errors="surrogatepass")) > MAX_PASSWORD_BYTES:
        raise ConfigurationError("password", f"use at most {MAX_PASSWORD_BYTES} bytes.")
    return password


def _ask(prompt: str) -> str:
    try:
        return getpass(prompt)
    except (EOFError, KeyboardInterrupt) as ended:
        print(file=sys.stderr)  # the prompt still stands on the line
        if isinstance(ended, EOFError):
            raise ConfigurationError("password", "nothing was typed.") from None
        raise
