"""``nameplate accounts``: people with a password of this server's own."""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

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
from nameplate.cli.grants import print_grants
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
from nameplate.errors import ConfigurationError
from nameplate.ports.store import GrantFilter, Store, StoredSubject
from nameplate.upstream.local_accounts import LOCAL_ISSUER, MAX_PASSWORD_BYTES, hash_password

if TYPE_CHECKING:
    from nameplate.server.settings import AccountSettings, Settings

__all__ = ["accounts"]

accounts = App(name="accounts", help="People: local accounts, and whoever signed in.", default_parameter=PLAIN_HELP)

_OPTIONS = AdminOptions()
_ASKING = DestructiveOptions()

User = Annotated[str, Parameter(name="USER", allow_leading_hyphen=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """Somebody who is declared in the configuration, signed in once, or both."""

    declared: "AccountSettings | None"
    signed_in: StoredSubject | None

    @property
    def username(self) -> str:
        """What the person types here; empty for one who signs in elsewhere."""
        if self.declared is not None:
            return self.declared.username
        is_local = self.signed_in is not None and self.signed_in.upstream_issuer == LOCAL_ISSUER
        return self.signed_in.upstream_subject if self.signed_in is not None and is_local else ""

    @property
    def subject(self) -> str:
        """The sub; empty for one who never signed in."""
        return "" if self.signed_in is None else self.signed_in.subject


@accounts.command(name="list")
def list_command(*, options: AdminOptions = _OPTIONS) -> None:
    """List people: the accounts of the configuration, and everybody who ever signed in."""
    asyncio.run(_list(options))


@accounts.command(name="show")
def show_command(user: User, /, *, options: AdminOptions = _OPTIONS) -> int:
    """Show a person and the live grants.

    Parameters
    ----------
    user
        The username, or the sub that tokens carry.
    """
    return asyncio.run(_show(user, options))


@accounts.command(name="sign-out")
def sign_out_command(
    user: User,
    /,
    *,
    with_grants: Annotated[bool, Parameter(name="--grants", negative="")] = False,
    options: DestructiveOptions = _ASKING,
) -> int:
    """Sign a person out of all browsers. What was allowed to clients stays, without --grants.

    Parameters
    ----------
    user
        The username, or the sub that tokens carry.
    with_grants
        End all grants of the person too.
    """
    return asyncio.run(_sign_out(user, options, with_grants=with_grants))


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


async def _find_people(settings: "Settings", store: Store) -> list[_Person]:
    """Declared accounts in their order, then the others in the order in which they first came."""
    declared = {account.username: account for account in settings.accounts}
    known: dict[str, StoredSubject] = {}
    others = []
    async for subject in read_pages(store.list_subjects):
        if subject.upstream_issuer == LOCAL_ISSUER and subject.upstream_subject in declared:
            known[subject.upstream_subject] = subject
        else:
            others.append(_Person(declared=None, signed_in=subject))
    own = [_Person(declared=account, signed_in=known.get(name)) for name, account in declared.items()]
    return own + others


async def _find_person(user: str, settings: "Settings", store: Store) -> _Person | None:
    """Whom a username means, else whom a ``sub`` means."""
    people = await _find_people(settings, store)
    named = next((person for person in people if person.username == user), None)
    return named or next((person for person in people if person.subject == user), None)


def _build_person(person: _Person) -> dict[str, object]:
    declared, signed_in = person.declared, person.signed_in
    return {
        "username": person.username,
        "declared": declared is not None,
        "display_name": "" if declared is None else declared.display_name,
        "groups": [] if declared is None else list(declared.groups),
        "subject": person.subject,
        "upstream_issuer": "" if signed_in is None else signed_in.upstream_issuer,
        "upstream_subject": "" if signed_in is None else signed_in.upstream_subject,
        **build_moment("first_signed_in", None if signed_in is None else signed_in.created_at),
    }


async def _list(options: AdminOptions) -> None:
    async with open_admin(options.config) as (settings, store):
        people = await _find_people(settings, store)
        live = GrantFilter(live_at=int(time.time()))
        grants = Counter([grant.subject async for grant in find_grants(store, live)])
    if options.json:
        for person in people:
            print_json(_build_person(person) | {"live_grants": grants[person.subject]})
        return
    columns = ("USER", "SUB", "DECLARED", "GROUPS", "LIVE GRANTS", "FIRST SIGNED IN")
    rows = [_build_row(person, grants[person.subject]) for person in people]
    print_table(columns, rows, nothing="There is nobody.")


def _build_row(person: _Person, live_grants: int) -> tuple[str, ...]:
    declared, signed_in = person.declared, person.signed_in
    elsewhere = "" if signed_in is None else f"{signed_in.upstream_subject} at {signed_in.upstream_issuer}"
    return (
        person.username or elsewhere,
        person.subject,
        "yes" if declared is not None else "no",
        "" if declared is None else " ".join(declared.groups),
        str(live_grants),
        format_time(None if signed_in is None else signed_in.created_at),
    )


async def _show(user: str, options: AdminOptions) -> int:
    async with open_admin(options.config) as (settings, store):
        person = await _find_person(user, settings, store)
        if person is None:
            return _refuse_unknown(user)
        facts = _build_person(person)
        live = GrantFilter(subject=person.subject, live_at=int(time.time()))
        live_grants = 0
        if person.subject:
            live_grants = len([grant.id async for grant in find_grants(store, live)])
        if options.json:
            print_json(facts | {"live_grants": live_grants})
            return 0
        print_facts(facts)
        if live_grants:
            print_line("")
            await print_grants(store, live, options)
    return 0


async def _sign_out(user: str, options: DestructiveOptions, *, with_grants: bool) -> int:
    async with open_admin(options.config) as (settings, store):
        person = await _find_person(user, settings, store)
        if person is None:
            return _refuse_unknown(user)
        sessions = ended = 0
        if person.subject:  # else nobody signed in
            live = GrantFilter(subject=person.subject, live_at=int(time.time()))
            grants = len([grant.id async for grant in find_grants(store, live)]) if with_grants else 0
            also = f", and end {count(grants, 'grant')}" if with_grants else ""
            if not confirm(f"Sign {user} out everywhere{also}?", options, settings.store.url):
                return 1
            sessions = await store.end_sessions(person.subject, int(time.time()))
            ended = await revoke_grants(store, live) if with_grants else 0
    if options.json:
        print_json({"subject": person.subject, "sessions_ended": sessions, "grants_ended": ended})
    else:
        print_line(f"Ended {count(sessions, 'session')} and {count(ended, 'grant')} of {user}.")
    return 0


def _refuse_unknown(user: str) -> int:
    print_error("there is nobody called ", (user, "bold"))
    return 1
