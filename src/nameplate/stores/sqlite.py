"""The store in one SQLite file: nothing else to install, durable, and safe for several processes on one machine.

What each method does lies beside its statements, in the other ``sqlite_…`` modules.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial

from nameplate.errors import StoreError
from nameplate.ports.store import (
    Spending,
    Store,
    StoredDocument,
    StoredSigningKey,
    StoredSubject,
    StoredUpstreamTokens,
)
from nameplate.ports.verdicts import Full, Recorded, Unknown
from nameplate.protocol.audit import AuditEvent, AuditFilter
from nameplate.protocol.grant import Session
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.protocol.upstream_attempt import UpstreamAttempt
from nameplate.stores import (
    sqlite_audit,
    sqlite_budgets,
    sqlite_clients,
    sqlite_documents,
    sqlite_keys,
    sqlite_people,
    sqlite_upstreams,
)
from nameplate.stores.sqlite_grant_store import SqliteGrantStore
from nameplate.stores.sqlite_sweep import build_sweeps, give_back_pages

__all__ = ["SqliteStore"]

# At some 30 µs a row, a transaction of the sweep holds up other writers for a few milliseconds.
_SWEPT_AT_ONCE = 100


class SqliteStore(SqliteGrantStore, Store):
    """``ports.store.Store`` over one file. Begin with ``await SqliteStore.open(path_or_url)``, end with ``aclose``."""

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

    async def end_sessions(self, subject: str, now: int) -> int:
        return await self._writer.run(partial(sqlite_people.end_sessions, subject=subject, now=now))

    async def list_subjects(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, StoredSubject]]:
        return await self._lister.list(sqlite_people.SUBJECTS, after=after, limit=limit)

    async def record_upstream_attempt(self, attempt: UpstreamAttempt, *, limit: int) -> Recorded | Full:
        record = sqlite_upstreams.record_upstream_attempt
        return await self._writer.run(partial(record, attempt=attempt, limit=limit))

    async def take_upstream_attempt(
        self, state_hash: bytes, browser_hash: bytes, now: int
    ) -> UpstreamAttempt | Unknown:
        take = sqlite_upstreams.take_upstream_attempt
        return await self._writer.run(partial(take, state_hash=state_hash, browser_hash=browser_hash, now=now))

    async def load_upstream_tokens(self, grant_id: str) -> StoredUpstreamTokens | Unknown:
        return self._read(partial(sqlite_upstreams.load_upstream_tokens, grant_id=grant_id))

    async def lease_upstream_refresh(self, grant_id: str, *, version: int, now: int, until: int) -> bool:
        lease = sqlite_upstreams.lease_upstream_refresh
        return await self._writer.run(partial(lease, grant_id=grant_id, version=version, now=now, until=until))

    async def replace_upstream_tokens(self, grant_id: str, *, version: int, sealed: bytes, now: int) -> bool:
        replace = sqlite_upstreams.replace_upstream_tokens
        return await self._writer.run(partial(replace, grant_id=grant_id, version=version, sealed=sealed, now=now))

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

    async def record_client(self, client: RegisteredClient, *, limit: int, now: int) -> Recorded | Full:
        return await self._writer.run(partial(sqlite_clients.record_client, client=client, limit=limit, now=now))

    async def load_client(self, client_id: str) -> RegisteredClient | Unknown:
        return self._read(partial(sqlite_clients.load_client, client_id=client_id))

    async def list_clients(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, RegisteredClient]]:
        return await self._lister.list(sqlite_clients.CLIENTS, after=after, limit=limit)

    async def remove_client(self, client_id: str, now: int) -> int | None:
        return await self._writer.run(partial(sqlite_clients.remove_client, client_id=client_id, now=now))

    async def record_signing_key(self, key: StoredSigningKey, *, latest: str | None) -> Sequence[StoredSigningKey]:
        return await self._writer.run(partial(sqlite_keys.record_signing_key, key=key, latest=latest))

    async def load_signing_keys(self) -> Sequence[StoredSigningKey]:
        return self._read(sqlite_keys.load_signing_keys)

    async def reseal_signing_key(self, kid: str, *, before: bytes, after: bytes) -> bool:
        return await self._writer.run(partial(sqlite_keys.reseal_signing_key, kid=kid, before=before, after=after))

    async def withdraw_signing_key(self, kid: str, now: int) -> bool:
        return await self._writer.run(partial(sqlite_keys.withdraw_signing_key, kid=kid, now=now))

    async def drop_signing_key(self, kid: str, now: int) -> bool:
        return await self._writer.run(partial(sqlite_keys.drop_signing_key, kid=kid, now=now))

    async def load_audit_events(
        self,
        which: AuditFilter = AuditFilter(),  # noqa: B008  (frozen)
        *,
        after: str = "",
        limit: int = 1000,
    ) -> Sequence[tuple[str, AuditEvent]]:
        listing, position = sqlite_audit.build_event_listing(which), sqlite_audit.parse_position(after)
        if position:
            await self._lister.run(partial(sqlite_audit.check_position, position=position))
        if which.since is not None:
            start = await self._lister.run(partial(sqlite_audit.find_start, since=which.since))
            if start is None:
                return []
            position = max(position, start - 1)
        return await self._lister.list(listing, after=position, limit=limit)

    async def sweep(self, now: int, *, limit: int, audit_before: int = 0) -> int:
        deleted = 0
        for sweep_some in build_sweeps(now=now, audit_before=audit_before):
            more = True
            while more and deleted < limit:
                at_once = min(_SWEPT_AT_ONCE, limit - deleted)
                swept = await self._writer.run(partial(sweep_some, limit=at_once))
                deleted += swept.deleted
                more = swept.examined == at_once
        await self._writer.run(give_back_pages)
        return deleted

    async def check(self) -> None:
        written = await self._writer.run(_count_check)
        if self._read(_load_checks) < written:
            raise StoreError("the store does not read what it wrote")


def _count_check(connection: sqlite3.Connection) -> int:
    connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'checks'")
    return _load_checks(connection)


def _load_checks(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM counters WHERE name = 'checks'").fetchone()[0])
