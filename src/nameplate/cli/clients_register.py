"""``nameplate clients register``: a client for which the operator vouches."""

import asyncio
import time
from pathlib import Path

from nameplate.cli.admin import AdminOptions, open_admin
from nameplate.cli.output import print_error, print_facts, print_json, print_line
from nameplate.errors import ConfigurationError, RegistrationError, StoreError
from nameplate.ports.verdicts import Full
from nameplate.protocol.client_metadata import ClientMetadata

__all__ = ["register_command"]

_OPTIONS = AdminOptions()
_SHOWN = ("client_id", "client_secret", "client_name", "redirect_uris", "token_endpoint_auth_method", "scope")


def register_command(file: Path, /, *, options: AdminOptions = _OPTIONS) -> None:
    """Register a client, and print its client_id and secret. The secret is shown this once.

    It stays until it is removed, and the consent page says that you registered it: a person will believe its name. Its
    scope, if it has one, is a limit.

    Parameters
    ----------
    file
        The client's metadata as JSON, as it would be sent to the registration endpoint (RFC 7591):
        {"client_name": "Robot", "redirect_uris": ["https://robot.example.com/callback"]}. A client without a secret
        says "token_endpoint_auth_method": "none".
    """
    asyncio.run(_register(file, options))


async def _register(file: Path, options: AdminOptions) -> None:
    from nameplate.protocol.registration import build_registration_answer, needs_secret, parse_registration
    from nameplate.server.parts import build_policy
    from nameplate.server.register import build_registered_client, new_client_id, new_client_secret

    body = _read_file(file)
    async with open_admin(options.config) as (settings, store):
        try:
            client = parse_registration(body, new_client_id(), build_policy(settings), known_by="operator")
        except RegistrationError as error:
            raise ConfigurationError(str(file), f"{error.description.rstrip('.')}.") from error
        secret = new_client_secret() if needs_secret(client) else None
        registered = build_registered_client(client, secret, now=int(time.time()), lifetime_seconds=None)
        limit = settings.registration.max_clients  # on those that expire: this one finds its place in any case
        if isinstance(await store.record_client(registered, limit=limit, now=registered.created_at), Full):
            raise StoreError("the store keeps no more clients")
    _print(client, build_registration_answer(client, secret=secret, issued_at=registered.created_at), options)


def _read_file(file: Path) -> bytes:
    """The file, or so much of it that one can see that it is too long."""
    from nameplate.protocol.registration import MAX_REGISTRATION_BYTES

    try:
        with file.open("rb") as opened:
            return opened.read(MAX_REGISTRATION_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(str(file), f"it cannot be read: {error.strerror}.") from None


def _print(client: ClientMetadata, answer: dict[str, object], options: AdminOptions) -> None:
    for warning in client.warnings:
        print_error(warning)
    if options.json:
        print_json(answer)
        return
    print_facts({name: value for name, value in answer.items() if name in _SHOWN})
    if "client_secret" in answer:
        print_line("Keep the secret now: it is not shown again, and only its hash is kept here.")
