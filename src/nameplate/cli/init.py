"""``nameplate init``: a configuration that works as it is, to be changed from there."""

import json
import os
import secrets
import shlex
from pathlib import Path
from string import Template

from rich.console import Console
from rich.text import Text

from nameplate.errors import ConfigurationError
from nameplate.upstream.local_accounts import hash_password

__all__ = ["init"]

_FILE = Template("""\
# The configuration of a nameplate authorization server. Start it with: nameplate serve --config FILE
# Every setting, with its meaning: docs/configuration.md

# The server's URL as clients see it. On a real host: "https://auth.example.com". Plain http works on this machine only.
issuer = "http://127.0.0.1:8080"
listen = "127.0.0.1:8080"
# Behind a reverse proxy, its address, so that sign-in attempts are counted by the real client:
# trusted_proxies = ["10.0.0.5"]

[store]
url = "sqlite:///nameplate.sqlite3"

# Who may sign in. A new hash: nameplate accounts hash-password
[[accounts]]
username = $username
password_hash = "$password_hash"
display_name = ""
groups = []

# The MCP servers that tokens are issued for, each by the URL that clients use.
[[resources]]
identifier = "http://127.0.0.1:8000/mcp"
name = "My MCP server"
scopes = [
    { name = "tools:read", description = "Read with the tools of this server" },
    { name = "tools:write", description = "Change things with the tools of this server" },
]

[cimd]
enabled = true
# Narrows which redirect URIs documents may use:
# allowed_client_redirect_uris = ["https://claude.ai/api/mcp/auth_callback", "http://127.0.0.1:*/callback"]

[tokens]
access_token_seconds = 600
refresh_token_seconds = 2592000
""")


def init(path: Path = Path("nameplate.toml"), *, username: str = "me") -> None:
    """Write a configuration file that works at once, with one account and a fresh password.

    Parameters
    ----------
    path
        Where to write it. An existing file is never overwritten.
    username
        The name of the account.
    """
    if not str(path).isprintable():
        raise ConfigurationError("path", "choose a name that can be shown.")
    if not (username.isprintable() and 1 <= len(username) <= 128):
        raise ConfigurationError("--username", "1 to 128 characters that can be shown.")
    password = secrets.token_urlsafe(12)
    # A JSON string without control characters is a TOML string.
    text = _FILE.substitute(username=json.dumps(username, ensure_ascii=False), password_hash=hash_password(password))
    _write_private(path, text)
    console = Console(highlight=False)
    console.print(Text.assemble("Wrote ", (str(path), "bold"), "."), soft_wrap=True)
    console.print(
        Text.assemble("Account: ", (username, "bold"), "   Password: ", (password, "bold"), "   (shown this once)"),
        soft_wrap=True,
    )
    console.print(Text(f"Next:    nameplate serve --config {shlex.quote(str(path))}"), soft_wrap=True)


def _write_private(path: Path, text: str) -> None:
    try:
        # Nobody else may read it, not even for the moment between creating it and writing it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError("path", f"{path} exists; it was left as it is.") from None
    except OSError as error:
        raise ConfigurationError("path", f"{path} cannot be written: {error.strerror}.") from None
