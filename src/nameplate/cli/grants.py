"""``nameplate grants``: what people allowed to clients."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import App, Parameter

from nameplate.cli.admin import (
    BY_OPERATOR,
    PLAIN_HELP,
    AdminOptions,
    DestructiveOptions,
    confirm,
    find_grants,
    open_admin,
    revoke_grants,
)
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
from nameplate.errors import ClientMetadataError, ConfigurationError
from nameplate.ports.store import GrantFilter, Store
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.client_metadata import parse_snapshot
from nameplate.protocol.grant import Grant

__all__ = ["build_grant", "describe_state", "grants", "print_grants", "read_client_name"]

grants = App(name="grants", help="What people allowed to clients.", default_parameter=PLAIN_HELP)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class WhichGrants:
    """Narrows the grants; several options must all hold."""

    client: str = ""
    """The client id."""
    user: Annotated[str, Parameter(allow_leading_hyphen=True)] = ""
    """The username of a local account."""
    subject: Annotated[str, Parameter(allow_leading_hyphen=True)] = ""
    """The sub of a person."""
    resource: str = ""
    """The identifier of a resource."""

    def build_filter(self, *, live_at: int | None) -> GrantFilter:
        """The same, as the store takes it."""
        from nameplate.ports.store import GrantFilter

        return GrantFilter(
            client_id=self.client,
            username=self.user,
            subject=self.subject,
            resource=self.resource,
            live_at=live_at,
        )


_ALL = WhichGrants()
_OPTIONS = AdminOptions()
_ASKING = DestructiveOptions()


@grants.command(name="list")
def list_command(
    *,
    which: WhichGrants = _ALL,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    options: AdminOptions = _OPTIONS,
) -> None:
    """List live grants, the oldest first.

    Parameters
    ----------
    every
        List those too that were revoked or have expired, as far as they are still kept.
    """
    asyncio.run(_list(which, options, every=every))


@grants.command(name="show")
def show_command(grant_id: Annotated[str, Parameter(name="GRANT_ID")], /, *, options: AdminOptions = _OPTIONS) -> int:
    """Show one grant.

    Parameters
    ----------
    grant_id
        The id, as grants list shows it.
    """
    return asyncio.run(_show(grant_id, options))


@grants.command(name="revoke")
def revoke_command(
    *grant_ids: Annotated[str, Parameter(name="GRANT_ID")],
    which: WhichGrants = _ALL,
    options: DestructiveOptions = _ASKING,
) -> int:
    """End grants: the refresh tokens that they bought are dead at once.

    Access tokens last until they expire, unless the resource server asks or follows revocations.

    Parameters
    ----------
    grant_ids
        The ids of grants. Or name none, and say which by the options.
    """
    if bool(grant_ids) == (which != _ALL):
        raise ConfigurationError("GRANT_ID", "name either grants, or which ones by --client, --user and the like.")
    work = _revoke_named(grant_ids, options) if grant_ids else _revoke_filtered(which, options)
    return asyncio.run(work)


def read_client_name(grant: Grant) -> str:
    """What the client called itself when the grant was made; empty where it said nothing."""
    try:
        return parse_snapshot(grant.client_metadata).client_name or ""
    except ClientMetadataError:
        return ""


def describe_state(grant: Grant, now: int) -> str:
    """One word."""
    if grant.revoked_at is not None:
        return "revoked"
    return "live" if now < grant.expires_at else "expired"


def build_grant(grant: Grant, now: int) -> dict[str, object]:
    """A grant as programs get it."""
    return {
        "id": grant.id,
        "state": describe_state(grant, now),
        "client_id": grant.client_id,
        "client_name": read_client_name(grant),
        "subject": grant.subject,
        "username": grant.username,
        "resource": grant.resource,
        "scope": list(grant.scope),
        "auth_method": grant.auth_method,
        **build_moment("created", grant.created_at),
        **build_moment("expires", grant.expires_at),
        **build_moment("revoked", grant.revoked_at),
    }


async def print_grants(store: Store, which: GrantFilter, options: AdminOptions) -> None:
    """All grants that the filter lets pass."""
    now = int(time.time())
    if options.json:
        async for grant in find_grants(store, which):
            print_json(build_grant(grant, now))
        return
    rows = [_build_row(grant, now) async for grant in find_grants(store, which)]
    columns = ("ID", "STATE", "CLIENT", "USER", "RESOURCE", "SCOPE", "CREATED")
    print_table(columns, rows, nothing="There are no such grants.")


def _build_row(grant: Grant, now: int) -> tuple[str, ...]:
    return (
        grant.id,
        describe_state(grant, now),
        grant.client_id,
        grant.username or grant.subject,
        grant.resource,
        " ".join(grant.scope),
        format_time(grant.created_at),
    )


async def _list(which: WhichGrants, options: AdminOptions, *, every: bool) -> None:
    async with open_admin(options.config) as (_settings, store):
        await print_grants(store, which.build_filter(live_at=None if every else int(time.time())), options)


async def _show(grant_id: str, options: AdminOptions) -> int:
    async with open_admin(options.config) as (_settings, store):
        grant = await store.load_grant(grant_id)
    if isinstance(grant, Unknown):
        return _refuse_unknown(grant_id)
    facts = build_grant(grant, int(time.time()))
    if options.json:
        print_json(facts | {"client_metadata": _read_metadata(grant)})
    else:
        print_facts(facts)
        print_line(f"What happened to it: nameplate audit --since 0 --grant {grant.id}")
    return 0


def _read_metadata(grant: Grant) -> Any:
    try:
        return json.loads(grant.client_metadata)
    except ValueError:
        return None


async def _revoke_named(grant_ids: tuple[str, ...], options: DestructiveOptions) -> int:
    status = 0
    async with open_admin(options.config) as (settings, store):
        if not confirm(f"End {count(len(grant_ids), 'grant')}?", options, settings.store.url):
            return 1
        for grant_id in grant_ids:
            if isinstance(await store.load_grant(grant_id), Unknown):
                status = _refuse_unknown(grant_id)
                continue
            ended = await store.revoke_grant(grant_id, reason=BY_OPERATOR, now=int(time.time()))
            if options.json:
                print_json({"id": grant_id, "ended": ended})
            else:
                print_line(f"Ended {grant_id}." if ended else f"{grant_id} had ended before.")
    return status


async def _revoke_filtered(which: WhichGrants, options: DestructiveOptions) -> int:
    async with open_admin(options.config) as (settings, store):
        live = which.build_filter(live_at=int(time.time()))
        found = [grant.client_id async for grant in find_grants(store, live)]
        clients = count(len(set(found)), "client")
        question = f"End {count(len(found), 'grant')} of {clients}?"
        if found and not confirm(question, options, settings.store.url):
            return 1
        ended = await revoke_grants(store, live) if found else 0
    if options.json:
        print_json({"ended": ended})
    else:
        print_line(f"Ended {count(ended, 'grant')}.")
    return 0


def _refuse_unknown(grant_id: str) -> int:
    print_error("there is no grant ", (grant_id, "bold"))
    return 1
