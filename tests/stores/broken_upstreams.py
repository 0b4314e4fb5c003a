"""Stores that make one mistake each with what signing in at an identity provider leaves in them."""

import asyncio
import sqlite3
from dataclasses import replace
from typing import Any

from nameplate.ports.store import StoredUpstreamTokens
from nameplate.ports.verdicts import Full, Recorded, Unknown
from nameplate.protocol.grant import Grant
from nameplate.protocol.upstream_attempt import UpstreamAttempt
from nameplate.stores import sqlite_upstreams
from nameplate.stores.sqlite import SqliteStore

__all__ = [
    "ChecksThenLeases",
    "ChecksThenTakes",
    "CountsThenBegins",
    "DropsByTheClock",
    "DropsTheTokensOfWhatEnded",
    "ForgetsThePerson",
    "KeepsTheLastTokens",
    "KeepsTheLease",
    "LeasesForEver",
    "LeasesWhatIsOver",
    "LeasesWhateverIsThere",
    "ProlongsTheLease",
    "ReplacesBlindly",
    "TakesItFromEverybody",
    "TurnsTheNewestAway",
]


class ForgetsThePerson(SqliteStore):
    """Keeps of a grant what it kept when people had accounts here only."""

    async def approve_authorization(self, id_hash: bytes, browser_hash: bytes, *, grant: Grant, **given: Any) -> Any:
        grant = replace(grant, upstream="", person="")
        return await super().approve_authorization(id_hash, browser_hash, grant=grant, **given)


class KeepsTheLastTokens(SqliteStore):
    """Stores the tokens when the approval was judged, whatever was judged."""

    async def approve_authorization(
        self, id_hash: bytes, browser_hash: bytes, *, upstream_tokens: bytes | None = None, **given: Any
    ) -> Any:
        verdict = await super().approve_authorization(id_hash, browser_hash, upstream_tokens=b"", **given)
        store = "UPDATE upstream_tokens SET sealed = ?"
        await self._writer.run(lambda connection: connection.execute(store, (upstream_tokens,)))
        return verdict


class ChecksThenTakes(SqliteStore):
    """Reads the attempt, then deletes it: two callers may read before either deletes."""

    async def take_upstream_attempt(self, state_hash: bytes, browser_hash: bytes, now: int) -> Any:
        select = "SELECT upstream, sealed_memory, created_at, expires_at FROM upstream_attempts"
        row = self._read(lambda connection: connection.execute(select).fetchone())
        await asyncio.sleep(0)
        await super().take_upstream_attempt(state_hash, browser_hash, now)
        return row and UpstreamAttempt(
            state_hash=state_hash,
            browser_hash=browser_hash,
            upstream=row[0],
            sealed_memory=row[1],
            approved_subject="",
            created_at=row[2],
            expires_at=row[3],
        )


class TakesItFromEverybody(SqliteStore):
    """Ends the attempt whose state is known, and looks at the browser after that."""

    async def take_upstream_attempt(self, state_hash: bytes, browser_hash: bytes, now: int) -> Any:
        select = "SELECT browser_hash FROM upstream_attempts WHERE state_hash = ?"
        delete = "DELETE FROM upstream_attempts WHERE state_hash = ?"

        def take(connection: sqlite3.Connection) -> object:
            row = connection.execute(select, (state_hash,)).fetchone()
            if row == (browser_hash,):
                return sqlite_upstreams.take_upstream_attempt(
                    connection, state_hash=state_hash, browser_hash=browser_hash, now=now
                )
            connection.execute(delete, (state_hash,))
            return Unknown()

        return await self._writer.run(take)


class TurnsTheNewestAway(SqliteStore):
    """Refuses an attempt where the oldest one should give way."""

    async def record_upstream_attempt(self, attempt: UpstreamAttempt, *, limit: int) -> Recorded | Full:
        count = "SELECT count(*) FROM upstream_attempts WHERE browser_hash = ?"
        kept = self._read(lambda connection: connection.execute(count, (attempt.browser_hash,)).fetchone()[0])
        return Full() if kept >= limit else await super().record_upstream_attempt(attempt, limit=limit)


class DropsByTheClock(SqliteStore):
    """Takes the attempt with the lowest instant for the oldest."""

    async def record_upstream_attempt(self, attempt: UpstreamAttempt, *, limit: int) -> Recorded | Full:
        delete = """
        DELETE FROM upstream_attempts WHERE id IN (
            SELECT id FROM upstream_attempts WHERE browser_hash = ? ORDER BY created_at DESC LIMIT -1 OFFSET ?
        )
        """
        verdict = await super().record_upstream_attempt(attempt, limit=10**6)
        await self._writer.run(lambda connection: connection.execute(delete, (attempt.browser_hash, limit)))
        return verdict


class CountsThenBegins(SqliteStore):
    """Counts the attempts of a browser and makes room where it must, then records: all count before any records."""

    begun = 0

    async def record_upstream_attempt(self, attempt: UpstreamAttempt, *, limit: int) -> Recorded | Full:
        counted = self.begun
        await asyncio.sleep(0)
        self.begun += 1
        return await super().record_upstream_attempt(attempt, limit=10**6 if counted < limit else limit)


class ChecksThenLeases(SqliteStore):
    """Reads whether somebody refreshes, then begins: two callers may read before either begins."""

    async def lease_upstream_refresh(self, grant_id: str, *, version: int, now: int, until: int) -> bool:
        select = "SELECT leased_until FROM upstream_tokens"
        [leased_until] = self._read(lambda connection: connection.execute(select).fetchone())
        await super().lease_upstream_refresh(grant_id, version=version, now=now, until=until)
        return bool(leased_until <= now)


class LeasesForEver(SqliteStore):
    """Waits for a replica that is gone."""

    async def lease_upstream_refresh(self, grant_id: str, *, version: int, now: int, until: int) -> bool:
        return await super().lease_upstream_refresh(grant_id, version=version, now=now, until=10**12)


class ProlongsTheLease(SqliteStore):
    """Lets whoever asks move the end of the lease."""

    async def lease_upstream_refresh(self, grant_id: str, *, version: int, now: int, until: int) -> bool:
        is_mine = await super().lease_upstream_refresh(grant_id, version=version, now=now, until=until)
        prolong = "UPDATE upstream_tokens SET leased_until = ?"
        await self._writer.run(lambda connection: connection.execute(prolong, (until,)))
        return is_mine


class LeasesWhateverIsThere(SqliteStore):
    """Leases the tokens of a grant, not the version that the caller knows."""

    async def lease_upstream_refresh(self, grant_id: str, *, version: int, now: int, until: int) -> bool:
        found = await self.load_upstream_tokens(grant_id)
        version = found.version if isinstance(found, StoredUpstreamTokens) else version
        return await super().lease_upstream_refresh(grant_id, version=version, now=now, until=until)


class LeasesWhatIsOver(SqliteStore):
    """Looks at the tokens alone, not at their grant."""

    async def lease_upstream_refresh(self, grant_id: str, *, version: int, now: int, until: int) -> bool:
        lease = "UPDATE upstream_tokens SET leased_until = ? WHERE version = ? AND leased_until <= ?"
        cursor = await self._writer.run(lambda connection: connection.execute(lease, (until, version, now)))
        return cursor.rowcount == 1


class ReplacesBlindly(SqliteStore):
    """Replaces whatever tokens are there."""

    async def replace_upstream_tokens(self, grant_id: str, *, version: int, sealed: bytes, now: int) -> bool:
        def replace_any(connection: sqlite3.Connection) -> bool:
            found = sqlite_upstreams.load_upstream_tokens(connection, grant_id=grant_id)
            known = found.version if isinstance(found, StoredUpstreamTokens) else version
            return sqlite_upstreams.replace_upstream_tokens(
                connection, grant_id=grant_id, version=known, sealed=sealed, now=now
            )

        return await self._writer.run(replace_any)


class KeepsTheLease(SqliteStore):
    """Stores the new tokens, and lets others wait for the end of the lease."""

    async def replace_upstream_tokens(self, grant_id: str, *, version: int, sealed: bytes, now: int) -> bool:
        select, lease = "SELECT leased_until FROM upstream_tokens", "UPDATE upstream_tokens SET leased_until = ?"
        row = self._read(lambda connection: connection.execute(select).fetchone())
        is_done = await super().replace_upstream_tokens(grant_id, version=version, sealed=sealed, now=now)
        await self._writer.run(lambda connection: connection.execute(lease, row))
        return is_done


class DropsTheTokensOfWhatEnded(SqliteStore):
    """Deletes the tokens with the revocation: nobody can hand them back to the provider."""

    async def revoke_grant(self, grant_id: str, *, reason: str, now: int) -> bool:
        is_ended = await super().revoke_grant(grant_id, reason=reason, now=now)
        await self._writer.run(lambda connection: connection.execute("DELETE FROM upstream_tokens"))
        return is_ended
