"""The store in a PostgreSQL database: durable, and shared by any number of replicas.

Everything lies in one schema (``nameplate``, or what the URL says), so the database may hold other things too. What
changes something is one statement, mostly the call of a function that the migration made: one round trip, one
transaction, and the rules of a verdict in one place. What each method does lies beside its statements, in the other
``postgres_…`` modules.
"""

from collections.abc import Sequence

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
    postgres_audit,
    postgres_budgets,
    postgres_clients,
    postgres_documents,
    postgres_keys,
    postgres_people,
    postgres_sweep,
    postgres_upstreams,
)
from nameplate.stores.postgres_grant_store import PostgresGrantStore

__all__ = ["PostgresStore"]


class PostgresStore(PostgresGrantStore, Store):
    """``ports.store.Store`` over PostgreSQL. Begin with ``await PostgresStore.open(url)``, end with ``aclose``."""

    async def record_subject(self, upstream_issuer: str, upstream_subject: str, *, candidate: str, now: int) -> str:
        person = (upstream_issuer, upstream_subject)
        return await postgres_people.record_subject(self._pool, person, candidate=candidate, now=now)

    async def record_session(self, session: Session, *, replaces: bytes | None) -> None:
        await postgres_people.record_session(self._pool, session, replaces=replaces)

    async def load_session(self, id_hash: bytes, now: int) -> Session | Unknown:
        return await postgres_people.load_session(self._pool, id_hash, now)

    async def end_session(self, id_hash: bytes, now: int) -> None:
        await postgres_people.end_session(self._pool, id_hash, now)

    async def end_sessions(self, subject: str, now: int) -> int:
        return await postgres_people.end_sessions(self._pool, subject, now)

    async def list_subjects(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, StoredSubject]]:
        return await postgres_people.list_subjects(self._pool, after=after, limit=limit)

    async def record_upstream_attempt(self, attempt: UpstreamAttempt, *, limit: int) -> Recorded | Full:
        return await postgres_upstreams.record_upstream_attempt(self._pool, attempt, limit=limit)

    async def take_upstream_attempt(
        self, state_hash: bytes, browser_hash: bytes, now: int
    ) -> UpstreamAttempt | Unknown:
        return await postgres_upstreams.take_upstream_attempt(self._pool, state_hash, browser_hash, now)

    async def load_upstream_tokens(self, grant_id: str) -> StoredUpstreamTokens | Unknown:
        return await postgres_upstreams.load_upstream_tokens(self._pool, grant_id)

    async def lease_upstream_refresh(self, grant_id: str, *, version: int, now: int, until: int) -> bool:
        lease = postgres_upstreams.lease_upstream_refresh
        return await lease(self._pool, grant_id, version=version, now=now, until=until)

    async def replace_upstream_tokens(self, grant_id: str, *, version: int, sealed: bytes, now: int) -> bool:
        replace = postgres_upstreams.replace_upstream_tokens
        return await replace(self._pool, grant_id, version=version, sealed=sealed, now=now)

    async def spend(self, budget: str, cost: int, *, capacity: int, refill_per_second: float, now: float) -> bool:
        return await postgres_budgets.spend(
            self._pool, budget, cost, capacity=capacity, refill_per_second=refill_per_second, now=now
        )

    async def spend_all(self, spendings: Sequence[Spending], *, now: float) -> str | None:
        return await postgres_budgets.spend_all(self._pool, spendings, now=now)

    async def load_document(self, client_id: str) -> StoredDocument | Unknown:
        return await postgres_documents.load_document(self._pool, client_id)

    async def record_document(self, document: StoredDocument) -> None:
        await postgres_documents.record_document(self._pool, document)

    async def record_document_refusal(self, client_id: str, now: int) -> None:
        await postgres_documents.record_document_refusal(self._pool, client_id, now)

    async def record_client(self, client: RegisteredClient, *, limit: int, now: int) -> Recorded | Full:
        return await postgres_clients.record_client(self._pool, client, limit=limit, now=now)

    async def load_client(self, client_id: str) -> RegisteredClient | Unknown:
        return await postgres_clients.load_client(self._pool, client_id)

    async def list_clients(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, RegisteredClient]]:
        return await postgres_clients.list_clients(self._pool, after=after, limit=limit)

    async def remove_client(self, client_id: str, now: int) -> int | None:
        return await postgres_clients.remove_client(self._pool, client_id, now)

    async def record_signing_key(self, key: StoredSigningKey, *, latest: str | None) -> Sequence[StoredSigningKey]:
        return await postgres_keys.record_signing_key(self._pool, key, latest=latest)

    async def load_signing_keys(self) -> Sequence[StoredSigningKey]:
        return await postgres_keys.load_signing_keys(self._pool)

    async def reseal_signing_key(self, kid: str, *, before: bytes, after: bytes) -> bool:
        return await postgres_keys.reseal_signing_key(self._pool, kid, before=before, after=after)

    async def withdraw_signing_key(self, kid: str, now: int) -> bool:
        return await postgres_keys.withdraw_signing_key(self._pool, kid, now)

    async def drop_signing_key(self, kid: str, now: int) -> bool:
        return await postgres_keys.drop_signing_key(self._pool, kid, now)

    async def load_audit_events(
        self,
        which: AuditFilter = AuditFilter(),  # noqa: B008  (frozen)
        *,
        after: str = "",
        limit: int = 1000,
    ) -> Sequence[tuple[str, AuditEvent]]:
        return await postgres_audit.load_events(self._pool, which, after=after, limit=limit)

    async def sweep(self, now: int, *, limit: int, audit_before: int = 0) -> int:
        return await postgres_sweep.sweep(self._pool, now, limit=limit, audit_before=audit_before)
