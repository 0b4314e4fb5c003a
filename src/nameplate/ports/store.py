"""What the authorization server needs of a store.

Each method is one sentence of the protocol and one transaction, which also records the audit event of what it did;
those that decide something answer with a verdict. There is no get, put or delete: single use cannot be built on one. A
method that has returned is durable. ``now`` is epoch seconds; what has an ``expires_at`` is over from that second on.
Whatever ends a grant also records ``grant.revoked``, whose detail says why. Anything the store cannot do raises
``StoreError``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nameplate.ports.verdicts import (
    AlreadyAnswered,
    Approved,
    AssertionReplayed,
    ChallengeSpent,
    Denied,
    Full,
    Recorded,
    Redeemed,
    Repeated,
    Replayed,
    Reused,
    Rotated,
    Unknown,
)
from nameplate.protocol.audit import AuditEvent, AuditFilter
from nameplate.protocol.client_proof import AssertionUse, ClientProof
from nameplate.protocol.grant import AuthorizationCode, Grant, PendingAuthorization, RefreshToken, Session
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.protocol.upstream_attempt import UpstreamAttempt

__all__ = [
    "AuditStore",
    "BudgetStore",
    "ClientStore",
    "DocumentStore",
    "GrantFilter",
    "GrantStore",
    "KeyStore",
    "PersonStore",
    "Rotation",
    "Spending",
    "Store",
    "StoredDocument",
    "StoredSigningKey",
    "StoredSubject",
    "StoredUpstreamTokens",
    "UpstreamStore",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSigningKey:
    """A signing key as it lies in the store.

    ``sealed_jwk`` is the private key in JWK JSON form, encrypted. The key is published from ``created_at`` on and signs
    from ``active_from`` on, until a later one does. ``withdrawn_at`` is set where the operator no longer trusts it.
    """

    kid: str
    sealed_jwk: bytes
    created_at: int
    active_from: int
    withdrawn_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSubject:
    """Whom a ``sub`` of ours stands for."""

    subject: str
    upstream_issuer: str
    upstream_subject: str
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpstreamTokens:
    """An identity provider's tokens as they lie with a grant, encrypted. ``version`` changes whenever they do."""

    sealed: bytes
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFilter:
    """Which grants to list. What is empty or None does not narrow. ``live_at``: neither revoked nor expired then."""

    client_id: str = ""
    subject: str = ""
    username: str = ""
    resource: str = ""
    live_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """The document of a client that somebody approved, as it came, and whether its host took it back since.

    ``body`` is empty where the host forbids keeping it, or where none came before the first refusal. ``headers`` are
    the fields of the answer that say how long it may be used and how to ask for it again (names in lower case).
    ``last_good_until`` is when it may no longer stand in for a document that cannot be had. ``refused_at`` is when the
    host first refused the client since (404, 410, a document that breaks a rule).
    """

    client_id: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    fetched_at: int
    fresh_until: int
    last_good_until: int
    refused_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What is to be taken from the token bucket named ``budget``; see ``BudgetStore.spend``."""

    budget: str
    cost: int
    capacity: int
    refill_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What ``rotate_refresh_token`` is asked to do, and how far it may go in forgiving a repeat."""

    token_hash: bytes
    successor: RefreshToken
    sealed_answer: bytes
    proof: ClientProof
    repeat_seconds: int
    repeat_limit: int


class GrantStore(Protocol):
    """From the question on the consent page to the last refresh."""

    async def record_authorization(self, pending: PendingAuthorization, *, limit: int) -> Recorded | Full:
        """Keep a request until the person answers. ``limit`` caps how many are kept at once, answered and expired ones
        included until swept.
        """
        ...

    async def load_authorization(
        self, id_hash: bytes, browser_hash: bytes, now: int
    ) -> PendingAuthorization | AlreadyAnswered | Unknown:
        """The request that waits under this id in this browser, unless it expired or was answered."""
        ...

    async def is_challenge_spent(self, client_id: str, code_challenge: str) -> bool:
        """Whether this client already got a code for this challenge (as far back as codes are kept)."""
        ...

    async def approve_authorization(
        self,
        id_hash: bytes,
        browser_hash: bytes,
        *,
        grant: Grant,
        code: AuthorizationCode,
        now: int,
        upstream_tokens: bytes | None = None,
    ) -> Approved | AlreadyAnswered | ChallengeSpent | Unknown:
        """Consume the pending authorization and record grant and code, all or nothing. ``authorization.approved``,
        with the first 16 hexadecimal digits of ``id_hash`` as its detail.

        ``upstream_tokens`` are the identity provider's, encrypted, to be kept with the grant as version 1.

        A registered client that expires is kept until ``grant.expires_at`` at the least, or a day less; ``Unknown`` is
        the answer too where it was removed meanwhile.

        Only ``Approved`` changes anything: where the challenge is spent, the pending authorization stays unanswered.
        """
        ...

    async def deny_authorization(
        self, id_hash: bytes, browser_hash: bytes, *, subject: str, now: int
    ) -> Denied | AlreadyAnswered | Unknown:
        """Consume the pending authorization without granting anything. ``authorization.denied``, with the detail of
        ``authorization.approved``.
        """
        ...

    async def load_code(self, code_hash: bytes) -> tuple[AuthorizationCode, Grant] | Unknown:
        """The code, spent or expired or not, with its grant, revoked or not, for 24 hours after the code's issue."""
        ...

    async def redeem_code(
        self,
        code_hash: bytes,
        *,
        refresh_token: RefreshToken | None,
        proof: ClientProof,
        now: int,
        replay_revokes_after_seconds: int,
    ) -> Redeemed | Replayed | AssertionReplayed | Unknown:
        """Spend the code, once over all replicas, and record the first refresh token with it. ``code.redeemed``.

        The grant remembers ``proof``. Its assertion, if any, is used up whatever becomes of the code; where it was used
        before, the answer is ``AssertionReplayed`` and nothing else happens.

        A code spent before is ``Replayed`` (``code.replayed``), even after it expired; when it was spent more than
        ``replay_revokes_after_seconds`` ago, its grant is revoked in the same transaction. Codes that expired unspent,
        and codes of revoked or expired grants, are ``Unknown``.
        """
        ...

    async def burn_code(self, code_hash: bytes, now: int) -> None:
        """Spend the code without an answer: somebody presented it with the wrong verifier, client or redirect URI.
        ``code.burned``. Nothing happens to a code that was spent before.
        """
        ...

    async def load_refresh_token(self, token_hash: bytes) -> tuple[RefreshToken, Grant] | Unknown:
        """The refresh token, rotated or not, with its grant, revoked or not."""
        ...

    async def rotate_refresh_token(
        self, rotation: Rotation, now: int
    ) -> Rotated | Repeated | Reused | AssertionReplayed | Unknown:
        """Replace a refresh token by ``successor``, once over all replicas, and keep ``sealed_answer`` for repeats of
        the old one. The grant remembers ``proof``, whose assertion is treated as by ``redeem_code``.

        A token rotated no more than ``repeat_seconds`` ago, fewer than ``repeat_limit`` times repeated, whose successor
        was not used yet, is ``Repeated``. Any other second use is ``Reused`` and revokes the grant. Expired tokens and
        tokens of revoked or expired grants are ``Unknown``. ``refresh_token.rotated`` (its detail is the token's number
        in the grant, from 0), ``.repeated``, ``.reused``.
        """
        ...

    async def record_assertion(self, use: AssertionUse, now: int) -> bool:
        """Use up an assertion in a request that changes nothing else. False where it was used before
        (``assertion.replayed``).
        """
        ...

    async def load_grant(self, grant_id: str) -> Grant | Unknown:
        """The grant, revoked or expired or not, until it is swept."""
        ...

    async def load_revocations(self, resource: str, *, since: int) -> Sequence[tuple[str, int]]:
        """Id and ``revoked_at`` of each grant for ``resource`` that was revoked at ``since`` or later, in no
        particular order. They are known for 24 hours at least.
        """
        ...

    async def list_grants(self, which: GrantFilter, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, Grant]]:
        """Grants in the order in which they were made, each with its increasing number; those behind ``after``."""
        ...

    async def revoke_grant(self, grant_id: str, *, reason: str, now: int) -> bool:
        """End a grant with all it bought. True where this call ended it, not an earlier one. ``grant.revoked``."""
        ...


class PersonStore(Protocol):
    """Who signed in."""

    async def record_subject(self, upstream_issuer: str, upstream_subject: str, *, candidate: str, now: int) -> str:
        """Our stable ``sub`` for this person: the one recorded first, by whichever replica."""
        ...

    async def record_session(self, session: Session, *, replaces: bytes | None) -> None:
        """Start a session, end the one it replaces, in one step (session fixation). ``session.started``, ``.ended``."""
        ...

    async def load_session(self, id_hash: bytes, now: int) -> Session | Unknown:
        """The session, unless it expired or ended."""
        ...

    async def end_session(self, id_hash: bytes, now: int) -> None:
        """Sign out. ``session.ended``."""
        ...

    async def end_sessions(self, subject: str, now: int) -> int:
        """Sign a person out everywhere; how many sessions that ended. ``session.ended`` for each."""
        ...

    async def list_subjects(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, StoredSubject]]:
        """Everybody who ever signed in, each with an increasing number; those behind ``after``."""
        ...


class UpstreamStore(Protocol):
    """Browsers on their way to an identity provider, and what it issued for a grant."""

    async def record_upstream_attempt(self, attempt: UpstreamAttempt, *, limit: int) -> Recorded | Full:
        """Keep what has to be known when the browser comes back. ``limit`` caps how many of one browser are kept: the
        oldest of them give way; ``Full`` is the answer only where ``limit`` is 0.
        """
        ...

    async def take_upstream_attempt(
        self, state_hash: bytes, browser_hash: bytes, now: int
    ) -> UpstreamAttempt | Unknown:
        """The attempt, once over all replicas; ``Unknown`` for every later call, in another browser, and once it
        expired. A call from another browser leaves it as it is.
        """
        ...

    async def load_upstream_tokens(self, grant_id: str) -> StoredUpstreamTokens | Unknown:
        """The tokens kept with a grant, revoked or not, until the grant is swept."""
        ...

    async def lease_upstream_refresh(self, grant_id: str, *, version: int, now: int, until: int) -> bool:
        """Become the one, over all replicas, who refreshes these tokens, until ``until`` at the latest. False where
        they have another version meanwhile, where somebody else is at it, and where the grant is over.
        """
        ...

    async def replace_upstream_tokens(self, grant_id: str, *, version: int, sealed: bytes, now: int) -> bool:
        """Put new tokens in the place of this version, and end the lease. False, and nothing done, where they have
        another version. ``upstream_tokens.refreshed``.
        """
        ...


class BudgetStore(Protocol):
    """How often somebody may try something."""

    async def spend(self, budget: str, cost: int, *, capacity: int, refill_per_second: float, now: float) -> bool:
        """Take ``cost`` from the token bucket named ``budget`` (created full). False, and nothing taken, where too
        little is left. A negative cost gives back what was taken; the bucket never holds more than ``capacity``.
        """
        ...

    async def spend_all(self, spendings: Sequence[Spending], *, now: float) -> str | None:
        """Take from several buckets, all or nothing. The name of the first in which too little is left, else None."""
        ...


class DocumentStore(Protocol):
    """Documents of clients that somebody approved: replicas share them, a restart keeps them."""

    async def load_document(self, client_id: str) -> StoredDocument | Unknown:
        """What is stored of the client's document."""
        ...

    async def record_document(self, document: StoredDocument) -> None:
        """Keep the document, unless a later one is there (``fetched_at``). It ends a refusal that came before it; its
        own ``refused_at`` does not count.
        """
        ...

    async def record_document_refusal(self, client_id: str, now: int) -> None:
        """The host refused the client. Only the first time since the last good document counts."""
        ...


class ClientStore(Protocol):
    """Clients that are registered here, because they have no document."""

    async def record_client(self, client: RegisteredClient, *, limit: int, now: int) -> Recorded | Full:
        """Register a client. ``limit`` caps how many with an ``expires_at`` are kept at once. ``client.registered``.

        At the limit one of those that would be forgotten soonest, without a live grant, gives way
        (``client.removed``). ``Full`` where none was found.
        """
        ...

    async def load_client(self, client_id: str) -> RegisteredClient | Unknown:
        """The client, until it is removed or swept."""
        ...

    async def list_clients(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, RegisteredClient]]:
        """Registered clients in the order in which they came, each with its increasing number; those behind
        ``after``.
        """
        ...

    async def remove_client(self, client_id: str, now: int) -> int | None:
        """Forget a registered client and revoke its grants (reason ``client.removed``): how many, None where there is
        no such client. ``client.removed``.
        """
        ...


class KeyStore(Protocol):
    """The keys that sign access tokens. Lists of them are in the order of ``active_from``, the latest first."""

    async def record_signing_key(self, key: StoredSigningKey, *, latest: str | None) -> Sequence[StoredSigningKey]:
        """Store ``key``, if the ``kid`` of the one with the latest ``active_from`` is still ``latest`` (None: there is
        none at all); answer with all keys, whichever replica made them. ``signing_key.created``.
        """
        ...

    async def load_signing_keys(self) -> Sequence[StoredSigningKey]:
        """All keys."""
        ...

    async def reseal_signing_key(self, kid: str, *, before: bytes, after: bytes) -> bool:
        """Replace ``sealed_jwk``, if it still is ``before``."""
        ...

    async def withdraw_signing_key(self, kid: str, now: int) -> bool:
        """Mark a key as no longer trusted. False where it was before, or is unknown. ``signing_key.withdrawn``."""
        ...

    async def drop_signing_key(self, kid: str, now: int) -> bool:
        """Forget a key for good. False where it is unknown. ``signing_key.retired``."""
        ...


class AuditStore(Protocol):
    """What happened. Events are written in the transaction of what they tell."""

    async def load_audit_events(
        self,
        which: AuditFilter = AuditFilter(),  # noqa: B008  (frozen)
        *,
        after: str = "",
        limit: int = 1000,
    ) -> Sequence[tuple[str, AuditEvent]]:
        """Events behind the position ``after`` (empty: from the first), each with its own position.

        Whoever reads on from the last position that he got misses no event, whatever was being committed meanwhile.
        Raises ``StoreError`` for a position that is none, or lies behind every event that was ever recorded.
        """
        ...


class Store(
    GrantStore, PersonStore, UpstreamStore, BudgetStore, DocumentStore, ClientStore, KeyStore, AuditStore, Protocol
):
    """The whole store, as the authorization server is given it."""

    async def sweep(self, now: int, *, limit: int, audit_before: int = 0) -> int:
        """Delete at most ``limit`` rows that nothing can need any more; the number deleted.

        Kept are: pending authorizations, upstream attempts, refresh tokens, sessions and uses of assertions until they
        expire, answered or rotated ones too; codes for 24 hours after their issue; budgets until they are full again;
        grants until they ended and nothing refers to them, and revoked ones for 24 hours; documents until they can no
        longer stand in and no live grant is their client's; registered clients until they expire and no live grant is
        theirs (``client.removed``); audit events from before ``audit_before`` go; subjects and signing keys stay.
        """
        ...

    async def read_clock(self) -> float | None:
        """The store's own clock, in epoch seconds; None where it has none but that of this machine."""
        ...

    async def check(self) -> None:
        """Prove that the store can read and commit right now; ``StoreError`` where it cannot."""
        ...

    async def aclose(self) -> None:
        """Finish what was accepted, then let go of every resource."""
        ...
