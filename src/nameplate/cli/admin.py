"""What the administration commands share: the configuration, the store, the options that all of them take."""

import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar
from urllib.parse import urlsplit

from cyclopts import Parameter

from nameplate.errors import ConfigurationError, StoreError
from nameplate.ports.store import GrantFilter, GrantStore, Store
from nameplate.protocol.display import exact_text
from nameplate.protocol.grant import Grant

if TYPE_CHECKING:  # it takes long to import, and what only parses a command line does not need it
    from nameplate.server.settings import Settings

__all__ = [
    "BY_OPERATOR",
    "PLAIN_HELP",
    "AdminOptions",
    "DestructiveOptions",
    "Numbered",
    "confirm",
    "confirm_by_word",
    "describe_store",
    "find_grants",
    "open_admin",
    "read_pages",
    "revoke_grants",
]

BY_OPERATOR = "grant.revoked_by_operator"
"""The reason that the audit trail keeps for a grant that a command ended."""

PLAIN_HELP = Parameter(show_default=False)
"""For the help of these commands, whose defaults say nothing."""

_DEFAULT_FILE = Path("nameplate.toml")
_PAGE = 500

_T_co = TypeVar("_T_co", covariant=True)
_T = TypeVar("_T")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class AdminOptions:
    """Options of every administration command."""

    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None
    """The configuration file of the server; by default nameplate.toml in this folder, if there is one."""
    json: Annotated[bool, Parameter(negative="")] = False
    """One JSON object a line, for programs."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DestructiveOptions(AdminOptions):
    """Options of commands that end something."""

    yes: Annotated[bool, Parameter(negative="")] = False
    """Do it without asking. Needed where there is no terminal to ask on."""


class Numbered(Protocol[_T_co]):
    """A list in the store that is read page by page."""

    def __call__(self, *, after: int, limit: int) -> Awaitable[Sequence[tuple[int, _T_co]]]:
        """The entries behind the number ``after``, each with its own."""
        ...


@asynccontextmanager
async def open_admin(config: Path | None) -> AsyncIterator[tuple["Settings", Store]]:
    """The settings that ``nameplate serve`` would have, and the store that they name.

    ``config`` is the TOML file; None is ``nameplate.toml`` in the working directory where there is one, else the
    environment alone. A server may be running on the store. Raises ``ConfigurationError``, and ``StoreError`` where
    the store cannot be opened or, for SQLite, does not exist yet.
    """
    from nameplate.server.settings import load_settings
    from nameplate.stores.open import open_store

    settings = load_settings(_find_config(config))
    _check_existence(settings.store.url)
    store = await open_store(settings.store.url)
    try:
        yield settings, store
    finally:
        await store.aclose()


def _find_config(config: Path | None) -> Path | None:
    if config is None and _DEFAULT_FILE.is_file():
        return _DEFAULT_FILE
    if config is None and "NAMEPLATE_ISSUER" not in os.environ:
        raise ConfigurationError(
            "--config", "name the configuration of the server: there is no nameplate.toml in this folder."
        )
    return config


def _check_existence(url: str) -> None:
    """Opening would make the store. It would then belong to whoever types commands, and not to the server's user."""
    from nameplate.stores.sqlite_file import parse_database_path

    if not url.startswith("sqlite:"):
        return
    path = parse_database_path(url)
    if not path.is_file() or _is_empty(path):
        raise StoreError(f"there is no store {path} (yet): the server makes it when it first starts")


def _is_empty(path: Path) -> bool:
    """Whether there is no table in the file; False where that cannot be told, which opening it tells better."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_schema").fetchone()[0])
    except sqlite3.Error:
        return False


def describe_store(url: str) -> str:
    """Which store it is, for people: the path of the file, or host and database. No user, no password."""
    from nameplate.stores.sqlite_file import parse_database_path

    if url.startswith("sqlite:"):
        return str(parse_database_path(url))
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


async def read_pages(load: Numbered[_T]) -> AsyncIterator[_T]:
    """All entries of a list, in its order."""
    after = 0
    while page := await load(after=after, limit=_PAGE):
        for after, entry in page:  # noqa: B007  (the last number is where the next page begins)
            yield entry


async def find_grants(store: GrantStore, which: GrantFilter) -> AsyncIterator[Grant]:
    """All grants that the filter lets pass, the oldest first."""

    async def load(*, after: int, limit: int) -> Sequence[tuple[int, Grant]]:
        return await store.list_grants(which, after=after, limit=limit)

    async for grant in read_pages(load):
        yield grant


async def revoke_grants(store: GrantStore, which: GrantFilter) -> int:
    """End all grants that the filter lets pass; how many this call ended."""
    ended = 0
    async for grant in find_grants(store, which):
        ended += await store.revoke_grant(grant.id, reason=BY_OPERATOR, now=int(time.time()))
    return ended


def confirm(question: str, options: DestructiveOptions, store_url: str) -> bool:
    """Whether the person at the terminal says yes. The question may hold strangers' text.

    Whoever keeps several configurations reads which store it is about. Raises ``ConfigurationError`` where nobody can
    be asked.
    """
    return options.yes or _ask(f"{describe_store(store_url)}: {question} [y/N]").lower() in ("y", "yes")


def confirm_by_word(question: str, word: str, options: DestructiveOptions, store_url: str) -> bool:
    """The same for what should not be done by somebody who is in the habit of saying yes: the word has to be typed."""
    return options.yes or _ask(f"{describe_store(store_url)}: {question} Type {word} to do it:") == word


def _ask(question: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigurationError("--yes", "there is no terminal to ask on: give --yes to do it without being asked.")
    print(f"{exact_text(question)} ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip()
    if not answer:
        print(file=sys.stderr)
    return answer
