"""``nameplate clients``: the programs that people use, registered here or known by a document."""

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated

from cyclopts import App, Parameter

from nameplate.cli.admin import (
    PLAIN_HELP,
    AdminOptions,
    DestructiveOptions,
    confirm,
    find_grants,
    open_admin,
    read_pages,
    revoke_grants,
)
from nameplate.cli.clients_register import register_command
from nameplate.cli.grants import print_grants, read_client_name
from nameplate.cli.output import (
    build_moment,
    count,
    format_time,
    print_error,
    print_facts,
    print_json,
    print_line,
    print_table,
)
from nameplate.errors import ClientMetadataError
from nameplate.ports.store import GrantFilter, GrantStore, Store, StoredDocument
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.client_id import ClientIdPolicy, is_client_id_url
from nameplate.protocol.client_metadata import ClientMetadata, parse_client_metadata, parse_snapshot
from nameplate.protocol.display import plain_text
from nameplate.protocol.registered_client import RegisteredClient

__all__ = ["clients"]

clients = App(name="clients", help="The programs that people use.", default_parameter=PLAIN_HELP)

_OPTIONS = AdminOptions()
_ASKING = DestructiveOptions()
_BY_DOCUMENT = "document"
_REMOVED = "removed"

ClientId = Annotated[str, Parameter(name="CLIENT_ID", allow_leading_hyphen=True)]


@dataclass(slots=True, kw_only=True)
class _Entry:
    """A line of the list. ``registered`` is None for a client that is known by its document, or was forgotten."""

    client_id: str
    registered: RegisteredClient | None = None
    name: str = ""
    live_grants: int = 0

    @property
    def known_by(self) -> str:
        if self.registered is None:
            return _find_absent(self.client_id)
        return _read_snapshot(self.registered.metadata)[1]

    @property
    def registered_at(self) -> int | None:
        return None if self.registered is None else self.registered.created_at

    @property
    def forgotten_at(self) -> int | None:
        return None if self.registered is None else self.registered.expires_at


clients.command(register_command, name="register")


@clients.command(name="list")
def list_command(*, options: AdminOptions = _OPTIONS) -> None:
    """List clients: those that are registered, and those known by a document for which a grant lives.

    A document needs no registration: what is known of such clients is what people allowed them.
    """
    asyncio.run(_list(options))


@clients.command(name="show")
def show_command(client_id: ClientId, /, *, options: AdminOptions = _OPTIONS) -> int:
    """Show a client: who stands for it, what it may do, its live grants."""
    return asyncio.run(_show(client_id, options))


@clients.command(name="remove")
def remove_command(client_id: ClientId, /, *, options: DestructiveOptions = _ASKING) -> int:
    """Forget a registered client, and end all its grants. Of a client known by a document, end the grants.

    Whoever has a document may come again: it needs no registration.
    """
    return asyncio.run(_remove(client_id, options))


@clients.command(name="revoke")
def revoke_command(client_id: ClientId, /, *, options: DestructiveOptions = _ASKING) -> int:
    """End all grants of a client. It stays known, and may ask anew."""
    return asyncio.run(_revoke(client_id, options))


async def _list(options: AdminOptions) -> None:
    async with open_admin(options.config) as (_settings, store):
        entries = {
            client.client_id: _Entry(
                client_id=client.client_id, registered=client, name=_read_snapshot(client.metadata)[0]
            )
            async for client in read_pages(store.list_clients)
        }
        # The store has no list of documents' clients; it has what was allowed them.
        async for grant in find_grants(store, GrantFilter(live_at=int(time.time()))):
            entry = entries.setdefault(grant.client_id, _Entry(client_id=grant.client_id))
            entry.live_grants += 1
            entry.name = entry.name or read_client_name(grant)
    if options.json:
        for entry in entries.values():
            print_json(_build_entry(entry))
        return
    columns = ("CLIENT", "CALLS ITSELF", "KNOWN BY", "LIVE GRANTS", "REGISTERED", "FORGOTTEN")
    print_table(columns, map(_build_row, entries.values()), nothing="There are no clients yet.")


def _build_entry(entry: _Entry) -> dict[str, object]:
    return {
        "client_id": entry.client_id,
        "client_name": entry.name,
        "known_by": entry.known_by,
        "live_grants": entry.live_grants,
        **build_moment("registered", entry.registered_at),
        **build_moment("forgotten", entry.forgotten_at),
    }


def _build_row(entry: _Entry) -> tuple[str, ...]:
    return (
        entry.client_id,
        plain_text(entry.name),
        entry.known_by,
        str(entry.live_grants),
        format_time(entry.registered_at),
        format_time(entry.forgotten_at),
    )


def _find_absent(client_id: str) -> str:
    """By what a client is known that has grants, and neither registration nor document in the store."""
    return _BY_DOCUMENT if is_client_id_url(client_id) else _REMOVED


def _read_snapshot(text: str) -> tuple[str, str]:
    """What a registered client calls itself, and who registered it."""
    try:
        metadata = parse_snapshot(text)
    except ClientMetadataError:
        return "", "?"
    return metadata.client_name or "", metadata.known_by


async def _show(client_id: str, options: AdminOptions) -> int:
    from nameplate.server.settings_checks import build_private_hosts

    live = GrantFilter(client_id=client_id, live_at=int(time.time()))
    async with open_admin(options.config) as (settings, store):
        registered, document = await store.load_client(client_id), await store.load_document(client_id)
        live_grants = await _count_grants(store, live)
        if isinstance(registered, RegisteredClient):
            facts = _build_registered(registered)
        elif isinstance(document, StoredDocument):
            facts = _build_document(document, ClientIdPolicy(private_hosts=build_private_hosts(settings)))
        elif live_grants:
            facts = {"client_id": client_id, "known_by": _find_absent(client_id)}
        else:
            return _refuse_unknown(client_id)
        if options.json:
            print_json(facts | {"live_grants": live_grants})
            return 0
        print_facts(facts)
        if live_grants:
            print_line("")
            await print_grants(store, live, options)
    return 0


def _build_registered(client: RegisteredClient) -> dict[str, object]:
    facts: dict[str, object] = {"client_id": client.client_id}
    try:
        facts |= _build_metadata(parse_snapshot(client.metadata))
    except ClientMetadataError as error:
        facts["problem"] = str(error)
    return {
        **facts,
        "has_secret": client.secret_hash is not None,
        **build_moment("registered", client.created_at),
        **build_moment("forgotten", client.expires_at),
    }


def _build_document(document: StoredDocument, policy: ClientIdPolicy) -> dict[str, object]:
    facts: dict[str, object] = {"client_id": document.client_id, "known_by": _BY_DOCUMENT}
    try:
        if document.body:
            metadata = parse_client_metadata(
                document.client_id, document.body, require_client_name=False, policy=policy
            )
            facts |= _build_metadata(metadata)
    except ClientMetadataError as error:
        facts["problem"] = str(error)
    return {
        **facts,
        **build_moment("fetched", document.fetched_at),
        **build_moment("fresh_until", document.fresh_until),
        **build_moment("last_good_until", document.last_good_until),
        **build_moment("refused", document.refused_at),
    }


def _build_metadata(metadata: ClientMetadata) -> dict[str, object]:
    return {
        "known_by": metadata.known_by,
        "client_name": metadata.client_name or "",
        "redirect_uris": list(metadata.redirect_uris),
        "grant_types": list(metadata.grant_types),
        "scope": None if metadata.scope is None else list(metadata.scope),
        "auth_methods": list(metadata.auth_methods),
        "jwks_uri": metadata.jwks_uri,
        "has_jwks": metadata.jwks is not None,
        "warnings": list(metadata.warnings),
    }


async def _remove(client_id: str, options: DestructiveOptions) -> int:
    async with open_admin(options.config) as (settings, store):
        if isinstance(await store.load_client(client_id), Unknown):
            return await _end_grants(client_id, store, options, settings.store.url)
        live = GrantFilter(client_id=client_id, live_at=int(time.time()))
        grants = count(await _count_grants(store, live), "grant")
        if not confirm(f"Forget {client_id}, and end {grants} of it?", options, settings.store.url):
            return 1
        ended = await store.remove_client(client_id, int(time.time()))
    if ended is None:
        return _refuse_unknown(client_id)
    if options.json:
        print_json({"client_id": client_id, "removed": True, "ended": ended})
    else:
        print_line(f"Forgot {client_id}, and ended {count(ended, 'grant')} of it.")
    return 0


async def _revoke(client_id: str, options: DestructiveOptions) -> int:
    async with open_admin(options.config) as (settings, store):
        return await _end_grants(client_id, store, options, settings.store.url)


async def _end_grants(client_id: str, store: Store, options: DestructiveOptions, store_url: str) -> int:
    """End the grants of a client, which stays known."""
    live = GrantFilter(client_id=client_id, live_at=int(time.time()))
    found = await _count_grants(store, live)
    if not found and not await _is_known(client_id, store):
        return _refuse_unknown(client_id)
    if found and not confirm(f"End {count(found, 'grant')} of {client_id}?", options, store_url):
        return 1
    ended = await revoke_grants(store, live)
    if options.json:
        print_json({"client_id": client_id, "removed": False, "ended": ended})
    else:
        print_line(f"Ended {count(ended, 'grant')} of {client_id}. It may ask again.")
    return 0


async def _is_known(client_id: str, store: Store) -> bool:
    known = await store.load_client(client_id), await store.load_document(client_id)
    return not all(isinstance(each, Unknown) for each in known)


async def _count_grants(store: GrantStore, which: GrantFilter) -> int:
    return len([grant.id async for grant in find_grants(store, which)])


def _refuse_unknown(client_id: str) -> int:
    print_error("there is no client ", (client_id, "bold"))
    return 1
