"""One play: servers are started, acts are played while processes die, and at the end everything is held together."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nameplate.protocol.audit import AuditEvent
from nameplate.stores.open import open_store
from nameplate.testing.document_host import run_document_host
from soak.actors import Scene, build_clients
from soak.checker import find_contradictions
from soak.ledger import Ledger
from soak.servers import Servers, run_servers

__all__ = ["Outcome", "Play", "play_and_check"]

_KILL_EVERY_SECONDS = (2.0, 6.0)
_SAY_EVERY_SECONDS = 30
_EVENTS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What to play. ``store`` is ``sqlite``, or the URL of a PostgreSQL database."""

    directory: Path
    store: str
    seconds: float
    processes: int
    at_once: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it. ``contradictions`` is empty where all is well."""

    ledger: Ledger
    events: list[AuditEvent]
    kills: int
    contradictions: list[str]

    @property
    def summary(self) -> str:
        """A line about what happened."""
        grants, answers = len(self.ledger.grants), sum(self.ledger.answers.values())
        rotations = sum(grant.rotations for grant in self.ledger.grants.values())
        return (
            f"{answers} answers, {grants} grants, {rotations} refreshes, {len(self.events)} events, "
            f"{self.kills} kills: {len(self.contradictions) or 'no'} contradictions"
        )


async def play_and_check(play: Play, *, say: Callable[[str], None]) -> Outcome:
    """Play it. Raises ``RuntimeError`` where a server does not start or ends badly."""
    async with _open_store_url(play) as store_url, run_document_host(play.directory) as host:
        ledger = Ledger()
        async with run_servers(play.directory, host, store_url, play.processes) as servers:
            rng = random.Random(play.seed)
            clients = await build_clients(host, servers.http[0])
            scene = Scene(servers, clients, ledger, rng)
            await _play(scene, servers, play, ledger, say)
            for grant in list(ledger.grants.values()):
                await scene.check_end(grant)
        events = await _load_events(store_url)
    return Outcome(
        ledger=ledger, events=events, kills=servers.kills, contradictions=find_contradictions(ledger, events)
    )


async def _play(scene: Scene, servers: Servers, play: Play, ledger: Ledger, say: Callable[[str], None]) -> None:
    ends_at = time.monotonic() + play.seconds
    rng = random.Random(play.seed + 1)

    async def act() -> None:
        while time.monotonic() < ends_at:
            await scene.play()

    async def kill() -> None:
        while (left := ends_at - time.monotonic()) > 0:
            await asyncio.sleep(min(left, rng.uniform(*_KILL_EVERY_SECONDS)))
            number = rng.randrange(len(servers))
            servers.kill(number)
            await servers.start(number)

    async def report() -> None:
        while (left := ends_at - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _SAY_EVERY_SECONDS))
            say(
                f"{max(0.0, ends_at - time.monotonic()):.0f} s left, {len(ledger.grants)} grants, {servers.kills} kills"
            )

    await asyncio.gather(kill(), report(), *(act() for _ in range(play.at_once)))


async def _load_events(store_url: str) -> list[AuditEvent]:
    store = await open_store(store_url)
    try:
        events: list[AuditEvent] = []
        position = ""
        while read := await store.load_audit_events(after=position, limit=_EVENTS_AT_ONCE):
            events.extend(event for _, event in read)
            position = read[-1][0]
        return events
    finally:
        await store.aclose()


@asynccontextmanager
async def _open_store_url(play: Play) -> AsyncIterator[str]:
    if play.store == "sqlite":
        yield f"sqlite:///{play.directory / 'nameplate.sqlite3'}"
        return
    import asyncpg

    schema = f"nameplate_soak_{secrets.token_hex(4)}"
    try:
        yield f"{play.store}{'&' if '?' in play.store else '?'}schema={schema}"
    finally:
        connection = await asyncpg.connect(play.store)
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await connection.close()
