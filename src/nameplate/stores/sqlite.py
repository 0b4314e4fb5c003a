"""The store in one SQLite file: nothing else to install, durable, and safe for several processes on one machine.

Reads run on the event loop's thread: one by a unique index takes a few microseconds, less than handing it to a
thread. Writes go through one thread that commits in groups (``sqlite_writer``). What each method does lies beside
its statements, in the other ``sqlite_…`` modules.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from nameplate.errors import StoreError
from nameplate.ports.store import (
    AlreadyAnswered,
    Approved,
    ChallengeSpent,
    Denied,
    Full,
    Recorded,
    Redeemed,
    Repeated,
    Replayed,
    Reused,
    Rotated,
    Spending,
    Store,
    StoredDocument,
    StoredSigningKey,
    Unknown,
)
from nameplate.protocol.audit import AuditEvent
from nameplate.protocol.grant import AuthorizationCode, Grant, PendingAuthorization, RefreshToken, Session
from nameplate.stores import (
    sqlite_audit,
    sqlite_authorizations,
    sqlite_budgets,
    sqlite_codes,
    sqlite_documents,
    sqlite_grants,
    sqlite_keys,
    sqlite_people,
    sqlite_refresh_tokens,
)
from nameplate.stores.sqlite_file import (
    REFUSALS,
    connect_reader,
    connect_writer,
    describe_failure,
    keep_private,
    make_durable,
    parse_database_path,
    take_short_naps,
)
from nameplate.stores.sqlite_schema import check_schema, migrate
from nameplate.stores.sqlite_sweep import SWEEPS
from nameplate.stores.sqlite_writer import SqliteWriter

__all__ = ["SqliteStore"]

_T = TypeVar("_T")

# At some 30 µs a row, a transaction of the sweep holds up other writers for a few milliseconds.
_SWEPT_AT_ONCE = 100


class SqliteStore(Store):
    """``ports.store.Store`` over one file. Begin with ``await SqliteStore.open(path_or_url)``, end with ``aclose``."""

    def __init__(self, reader: sqlite3.Connection, writer: SqliteWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path_or_url: str) -> Self:
        """Open the store, making the file (mode 0600) and its tables where they are missing. Its directory must exist.

        ``path_or_url`` is a path, or ``sqlite:///relative/path`` (three slashes), or ``sqlite:////absolute/path``
        (four). A file that others may read is tightened to mode 0600. Raises ``StoreError`` where that or writing
        cannot be done, and for a file that is no SQLite database, belongs to another program, or was written by a
        newer version.
        """
        reader, writer = await asyncio.to_thread(_connect, parse_database_path(path_or_url))
        return cls(reader, SqliteWriter(writer))

    async def record_authorization(self, pending: PendingAuthorization, *, limit: int) -> Recorded | Full:
        return await self._writer.run(partial(sqlite_authorizations.record_authorization, pending=pending, limit=limit))

    async def load_authorization(
        self, id_hash: bytes, browser_hash: bytes, now: int
    ) -> PendingAuthorization | AlreadyAnswered | Unknown:
        load = sqlite_authorizations.load_authorization
        return self._read(partial(load, id_hash=id_hash, browser_hash=browser_hash, now=now))

    async def is_challenge_spent(self, client_id: str, code_challenge: str) -> bool:
        is_spent = sqlite_authorizations.is_challenge_spent
        return self._read(partial(is_spent, client_id=client_id, code_challenge=code_challenge))

    async def approve_authorization(
        self, id_hash: bytes, browser_hash: bytes, *, grant: Grant, code: AuthorizationCode, now: int
    ) -> Approved | AlreadyAnswered | ChallengeSpent | Unknown:
        approve = sqlite_authorizations.approve_authorization
        return await self._writer.run(
            partial(approve, id_hash=id_hash, browser_hash=browser_hash, grant=grant, code=code, now=now)
        )

    async def deny_authorization(
        self, id_hash: bytes, browser_hash: bytes, *, subject: str, now: int
    ) -> Denied | AlreadyAnswered | Unknown:
        deny = sqlite_authorizations.deny_authorization
        return await self._writer.run(
            partial(deny, id_hash=id_hash, browser_hash=browser_hash, subject=subject, now=now)
        )

    async def load_code(self, code_hash: bytes) -> tuple[AuthorizationCode, Grant] | Unknown:
        return self._read(partial(sqlite_codes.load_code, code_hash=code_hash))

    async def redeem_code(
        self, code_hash: bytes, *, refresh_token: RefreshToken | None, now: int, replay_revokes_after_seconds: int
    ) -> Redeemed | Replayed | Unknown:
        return await self._writer.run(
            partial(
                sqlite_codes.redeem_code,
                code_hash=code_hash,
                refresh_token=refresh_token,
                now=now,
                replay_revokes_after_seconds=replay_revokes_after_seconds,
            )
        )

    async def burn_code(self, code_hash: bytes, now: int) -> None:
        await self._writer.run(partial(sqlite_codes.burn_code, code_hash=code_hash, now=now))

    async def load_refresh_token(self, token_hash: bytes) -> tuple[RefreshToken, Grant] | Unknown:
        return self._read(partial(sqlite_refresh_tokens.load_refresh_token, token_hash=token_hash))

    async def rotate_refresh_token(
        self,
        token_hash: bytes,
        *,
        successor: RefreshToken,
        sealed_answer: bytes,
        now: int,
        repeat_seconds: int,
        repeat_limit: int,
    ) -> Rotated | Repeated | Reused | Unknown:
        rotation = sqlite_refresh_tokens.Rotation(
            token_hash=token_hash,
            successor=successor,
            sealed_answer=sealed_answer,
            now=now,
            repeat_seconds=repeat_seconds,
            repeat_limit=repeat_limit,
        )
        return await self._writer.run(partial(sqlite_refresh_tokens.rotate_refresh_token, rotation=rotation))

    async def revoke_grant(self, grant_id: str, *, reason: str, now: int) -> bool:
        return await self._writer.run(partial(sqlite_grants.revoke_grant, grant_id=grant_id, reason=reason, now=now))

    async def record_subject(self, upstream_issuer: str, upstream_subject: str, *, candidate: str, now: int) -> str:
        person = (upstream_issuer, upstream_subject)
        # Nearly everybody has been here before, and what is recorded never changes.
        known = self._read(partial(sqlite_people.load_subject, person=person))
        if known is not None:
            return known
        record = sqlite_people.record_subject
        return await self._writer.run(partial(record, person=person, candidate=candidate, now=now))

    async def record_session(self, session: Session, *, replaces: bytes | None) -> None:
        await self._writer.run(partial(sqlite_people.record_session, session=session, replaces=replaces))

    async def load_session(self, id_hash: bytes, now: int) -> Session | Unknown:
        return self._read(partial(sqlite_people.load_session, id_hash=id_hash, now=now))

    async def end_session(self, id_hash: bytes, now: int) -> None:
        await self._writer.run(partial(sqlite_people.end_session, id_hash=id_hash, now=now))

    async def spend(self, budget: str, cost: int, *, capacity: int, refill_per_second: float, now: float) -> bool:
        take = partial(
            sqlite_budgets.spend,
            budget=budget,
            cost=cost,
            capacity=capacity,
            refill_per_second=refill_per_second,
            now=now,
        )
        return await self._writer.run(take)

    async def spend_all(self, spendings: Sequence[Spending], *, now: float) -> str | None:
        return await self._writer.run(partial(sqlite_budgets.spend_all, spendings=spendings, now=now))

    async def load_document(self, client_id: str) -> StoredDocument | Unknown:
        return self._read(partial(sqlite_documents.load_document, client_id=client_id))

    async def record_document(self, document: StoredDocument) -> None:
        await self._writer.run(partial(sqlite_documents.record_document, document=document))

    async def record_document_refusal(self, client_id: str, now: int) -> None:
        refuse = sqlite_documents.record_document_refusal
        await self._writer.run(partial(refuse, client_id=client_id, now=now))

    async def record_signing_key(self, key: StoredSigningKey) -> Sequence[StoredSigningKey]:
        return await self._writer.run(partial(sqlite_keys.record_signing_key, key=key))

    async def load_signing_keys(self) -> Sequence[StoredSigningKey]:
        return self._read(sqlite_keys.load_signing_keys)

    async def load_audit_events(self, *, after_id: int = 0, limit: int = 1000) -> Sequence[tuple[int, AuditEvent]]:
        return self._read(partial(sqlite_audit.load_events, after_id=after_id, limit=limit))

    async def sweep(self, now: int, *, limit: int) -> int:
        deleted = 0
        for sweep_some in SWEEPS:
            more = True
            while more and deleted < limit:
                at_once = min(_SWEPT_AT_ONCE, limit - deleted)
                swept = await self._writer.run(partial(sweep_some, now=now, limit=at_once))
                deleted += swept.deleted
                more = swept.examined == at_once
        return deleted

    async def check(self) -> None:
        written = await self._writer.run(_count_check)
        if self._read(_load_checks) < written:
            raise StoreError("the store does not read what it wrote")

    async def aclose(self) -> None:
        # Only the last connection to close can tidy the -wal and -shm files away, and only if it may write.
        self._reader.close()
        await self._writer.aclose()

    def _read(self, load: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return load(self._reader)
        except REFUSALS as error:
            raise StoreError(f"the store cannot read: {error}") from error


def _connect(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """A reader and a writer of the file, whose tables are up to date."""
    writer = connect_writer(path)
    try:
        check_schema(writer)  # before anything is changed in a file that may not be ours
        keep_private(path)
        make_durable(writer)
        migrate(writer)
        take_short_naps(writer)
        return connect_reader(path), writer
    except sqlite3.Error as error:
        writer.close()
        raise StoreError(f"cannot use {path}: {describe_failure(path, error)}") from error
    except StoreError:
        writer.close()
        raise


def _count_check(connection: sqlite3.Connection) -> int:
    connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'checks'")
    return _load_checks(connection)


def _load_checks(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM counters WHERE name = 'checks'").fetchone()[0])
