"""``nameplate keys``: the keys that sign access tokens, those that encrypt the store, and secrets to hand out."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from nameplate.cli.admin import (
    PLAIN_HELP,
    AdminOptions,
    DestructiveOptions,
    confirm,
    confirm_by_word,
    open_admin,
)
from nameplate.cli.output import (
    build_moment,
    count,
    format_time,
    print_error,
    print_json,
    print_line,
    print_table,
)
from nameplate.errors import StoreError
from nameplate.protocol.display import exact_text
from nameplate.secret import hash_bearer_value
from nameplate.vault import Vault, generate_encryption_key, read_key_id

if TYPE_CHECKING:
    from nameplate.ports.store import StoredSigningKey
    from nameplate.protocol.signing_keys import KeyPolicy

__all__ = ["keys"]

keys = App(
    name="keys",
    help="The keys that sign access tokens, and those that encrypt them in the store.",
    default_parameter=PLAIN_HELP,
)

_OPTIONS = AdminOptions()
_ASKING = DestructiveOptions()


@keys.command(name="list")
def list_command(*, options: AdminOptions = _OPTIONS) -> None:
    """List the signing keys, the latest first."""
    asyncio.run(_list(options))


@keys.command(name="rotate")
def rotate_command(
    *,
    at_once: Annotated[bool, Parameter(name="--at-once", negative="")] = False,
    options: AdminOptions = _OPTIONS,
) -> None:
    """Have a new signing key take over, once it is known everywhere: ``keys.publish_ahead_seconds`` from now.

    The server does so by itself, every ``keys.rotate_seconds``.

    Parameters
    ----------
    at_once
        For emergencies: do not wait. Whoever fetched the keys a moment ago refuses the tokens of the new one until
        he fetches them again.
    """
    asyncio.run(_rotate(options, at_once=at_once))


@keys.command(name="withdraw")
def withdraw_command(
    kid: Annotated[str, Parameter(name="KID", allow_leading_hyphen=True)],
    /,
    *,
    unreadable: Annotated[bool, Parameter(negative="")] = False,
    options: DestructiveOptions = _ASKING,
) -> int:
    """Trust a signing key no more: it signs nothing from now on, and is not published. Its tokens are then refused.

    Where no other key could sign, a new one is made first, and signs at once.

    Parameters
    ----------
    kid
        The key, as keys list shows it.
    unreadable
        Do it though this command cannot open the key. Only for one whose encryption key is lost to all servers.
    """
    return asyncio.run(_withdraw(kid, options, unreadable=unreadable))


@keys.command(name="reseal")
def reseal_command(*, options: AdminOptions = _OPTIONS) -> int:
    """Encrypt everything in the store that is encrypted anew, under the first of the encryption keys.

    The others are needed no more after that, except for older backups of the store.
    """
    return asyncio.run(_reseal(options))


@keys.command(name="generate-encryption-key")
def generate_encryption_key_command(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print a new key for ``store.encryption_keys``, or for a line of ``store.encryption_key_file``.

    Parameters
    ----------
    json
        As a JSON object, for programs.
    """
    key = generate_encryption_key()
    if json:
        print_json({"encryption_key": key})
    else:
        print(key)


@keys.command(name="generate-secret")
def generate_secret_command(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print a new secret for a resource server, and the hash of it for ``[[resource_servers]]``.

    Parameters
    ----------
    json
        As a JSON object, for programs.
    """
    secret = secrets.token_urlsafe(32)
    secret_hash = f"sha256:{hash_bearer_value(secret).hex()}"
    if json:
        print_json({"secret": secret, "secret_hash": secret_hash})
    else:
        print_line("Secret: ", (secret, "bold"), "   (for the resource server; shown this once)")
        print_line(f'secret_hash = "{secret_hash}"')


async def _list(options: AdminOptions) -> None:
    from nameplate.server.encryption_keys import find_vault
    from nameplate.server.signing_keys import build_key_policy

    async with open_admin(options.config) as (settings, store):
        rows = await store.load_signing_keys()
        vault, policy = find_vault(settings.store), build_key_policy(settings)
    entries = [_build_entry(row, rows, policy, vault) for row in rows]
    if options.json:
        for entry in entries:
            print_json(entry)
        return
    columns = ("KID", "STATE", "SIGNS FROM", "NEEDED UNTIL", "ENCRYPTED UNDER")
    table = [
        (
            row.kid,
            str(entry["state"]),
            format_time(row.active_from),
            format_time(_find_end(row, rows, policy)),
            f"{entry['encryption_key']} ({entry['encryption']})",
        )
        for row, entry in zip(rows, entries, strict=True)
    ]
    print_table(columns, table, nothing="There is no key yet: the server makes one when it first starts.")


def _build_entry(
    row: "StoredSigningKey", rows: "Sequence[StoredSigningKey]", policy: "KeyPolicy", vault: Vault | None
) -> dict[str, object]:
    from nameplate.protocol.signing_keys import find_state

    return {
        "kid": row.kid,
        "state": find_state(rows, row, int(time.time())),
        **build_moment("created", row.created_at),
        **build_moment("active_from", row.active_from),
        **build_moment("withdrawn", row.withdrawn_at),
        **build_moment("needed_until", _find_end(row, rows, policy)),
        "encryption_key": read_key_id(row.sealed_jwk),
        "encryption": _describe_encryption(row, vault),
    }


def _find_end(row: "StoredSigningKey", rows: "Sequence[StoredSigningKey]", policy: "KeyPolicy") -> int | None:
    from nameplate.protocol.signing_keys import find_retirement

    return find_retirement(rows, row.kid, policy)


def _describe_encryption(row: "StoredSigningKey", vault: Vault | None) -> str:
    """Whether the key lies under the first of the encryption keys, under an older one, or cannot be opened."""
    from nameplate.server.signing_keys import open_signing_key

    try:
        if vault is not None:
            open_signing_key(row, vault)
            return "current" if vault.is_current(row.sealed_jwk) else "older"
    except StoreError:
        pass
    return "unreadable"


async def _rotate(options: AdminOptions, *, at_once: bool) -> None:
    from nameplate.server.clock_check import build_clock_check
    from nameplate.server.encryption_keys import open_vault
    from nameplate.server.key_changes import rotate_at_once, schedule_rotation
    from nameplate.server.signing_keys import build_key_policy

    async with open_admin(options.config) as (settings, store):
        await build_clock_check(store, time.time)()
        vault, now = await open_vault(settings.store, store), int(time.time())
        if at_once:
            change = await rotate_at_once(store, vault, now)
        else:
            change = await schedule_rotation(store, vault, build_key_policy(settings), now)
    key = change.key
    if options.json:
        print_json({"kid": key.kid, "made": change.is_new, **build_moment("active_from", key.active_from)})
    elif at_once:
        print_line("Made ", (key.kid, "bold"), ", which signs as soon as the running servers have read it.")
        _tell_delay("refuses its tokens")
    else:
        made = "Made " if change.is_new else "There is a new key already: "
        print_line(made, (key.kid, "bold"), f", which signs from {format_time(key.active_from)} on.")


def _confirm_withdrawal(row: "StoredSigningKey", vault: Vault, options: DestructiveOptions, store_url: str) -> bool:
    """Who cannot open the key is told what it costs if only he cannot."""
    if _describe_encryption(row, vault) != "unreadable":
        question = f"Withdraw the signing key {row.kid}? The tokens that it signed are refused then."
        return confirm(question, options, store_url)
    lacking, given = read_key_id(row.sealed_jwk) or "whose name is damaged", vault.key_ids[0]
    cost = (
        f"this command lacks the encryption key {lacking}. If a running server has it, nothing is lost: give this "
        "command the server's environment instead. Otherwise every access token that the signing key signed is refused "
        f"from now on. A signing key that is made in its place lies under the encryption key {given}: servers that "
        "lack that one cannot open it, and are not ready until they are restarted with it."
    )
    return confirm_by_word(cost, row.kid, options, store_url)


async def _withdraw(kid: str, options: DestructiveOptions, *, unreadable: bool) -> int:
    from nameplate.server.encryption_keys import open_vault
    from nameplate.server.key_changes import withdraw_key
    from nameplate.server.signing_keys import open_signing_key

    async with open_admin(options.config) as (settings, store):
        row = next((row for row in await store.load_signing_keys() if row.kid == kid), None)
        if row is None:
            print_error("there is no signing key ", (exact_text(kid), "bold"))
            return 1
        vault = await open_vault(settings.store, store)
        if not unreadable:
            # Else a key made in its place would lie under one that the servers do not have.
            open_signing_key(row, vault)
        if not _confirm_withdrawal(row, vault, options, settings.store.url):
            return 1
        change = await withdraw_key(store, vault, kid, int(time.time()))
    if options.json:
        print_json({"kid": kid, "signing": change.key.kid, "made": change.is_new})
        return 0
    signer = "a new key signs now, " if change.is_new else "now signs "
    print_line("Withdrew ", (kid, "bold"), f"; {signer}", (change.key.kid, "bold"), ".")
    _tell_delay("believes its tokens")
    return 0


def _tell_delay(consequence: str) -> None:
    from nameplate.server.signing_keys import JWKS_SECONDS, REFRESH_SECONDS

    print_line(f"Running servers notice within {REFRESH_SECONDS} seconds.")
    print_line(
        f"Whoever fetched the keys before {consequence} until he fetches them again; caches may keep them for "
        f"{JWKS_SECONDS} seconds."
    )


async def _reseal(options: AdminOptions) -> int:
    from nameplate.server.encryption_keys import open_vault
    from nameplate.server.key_changes import reseal_keys
    from nameplate.server.upstream_resealing import reseal_upstream_tokens

    async with open_admin(options.config) as (settings, store):
        vault = await open_vault(settings.store, store)
        result = await reseal_keys(store, vault)
        tokens = await reseal_upstream_tokens(store, vault, int(time.time()))
    current = vault.key_ids[0]
    if options.json:
        facts = {"encryption_key": current, "resealed": result.resealed, "current": result.current}
        upstream_tokens = {"resealed": tokens.resealed, "current": tokens.current, "unreadable": len(tokens.unreadable)}
        print_json({**facts, "unreadable": list(result.unreadable), "upstream_tokens": upstream_tokens})
    else:
        already = f"; {result.current} did so before" if result.current else ""
        print_line(f"Encrypted {count(result.resealed, 'signing key')} anew, to lie under {current}{already}.")
        if tokens.resealed:
            print_line(f"The identity providers' tokens of {count(tokens.resealed, 'grant')} were encrypted anew, too.")
    for kid in result.unreadable:
        print_error("the signing key ", (kid, "bold"), " cannot be opened by any of the encryption keys")
    for grant_id in tokens.unreadable:
        print_error("the identity provider's tokens of the grant ", (grant_id, "bold"), " cannot be encrypted anew")
    return 1 if result.unreadable or tokens.unreadable else 0
