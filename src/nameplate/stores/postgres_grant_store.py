"""``ports.store.GrantStore`` over PostgreSQL. What each method does lies beside its statements."""

from collections.abc import Sequence

from nameplate.ports.store import GrantFilter, GrantStore, Rotation
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
from nameplate.protocol.client_proof import AssertionUse, ClientProof
from nameplate.protocol.grant import AuthorizationCode, Grant, PendingAuthorization, RefreshToken
from nameplate.stores import (
    postgres_assertions,
    postgres_authorizations,
    postgres_codes,
    postgres_grants,
    postgres_refresh_tokens,
)
from nameplate.stores.postgres_handle import PostgresHandle

__all__ = ["PostgresGrantStore"]


class PostgresGrantStore(PostgresHandle, GrantStore):
    """From the question on the consent page to the last refresh."""

    async def record_authorization(self, pending: PendingAuthorization, *, limit: int) -> Recorded | Full:
        return await postgres_authorizations.record_authorization(self._pool, pending, limit=limit)

    async def load_authorization(
        self, id_hash: bytes, browser_hash: bytes, now: int
    ) -> PendingAuthorization | AlreadyAnswered | Unknown:
        return await postgres_authorizations.load_authorization(self._pool, id_hash, browser_hash, now)

    async def is_challenge_spent(self, client_id: str, code_challenge: str) -> bool:
        return await postgres_authorizations.is_challenge_spent(self._pool, client_id, code_challenge)

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
        return await postgres_authorizations.approve_authorization(
            self._pool, (id_hash, browser_hash), grant=grant, code=code, now=now, upstream_tokens=upstream_tokens
        )

    async def deny_authorization(
        self, id_hash: bytes, browser_hash: bytes, *, subject: str, now: int
    ) -> Denied | AlreadyAnswered | Unknown:
        deny = postgres_authorizations.deny_authorization
        return await deny(self._pool, id_hash, browser_hash, subject=subject, now=now)

    async def load_code(self, code_hash: bytes) -> tuple[AuthorizationCode, Grant] | Unknown:
        return await postgres_codes.load_code(self._pool, code_hash)

    async def redeem_code(
        self,
        code_hash: bytes,
        *,
        refresh_token: RefreshToken | None,
        proof: ClientProof,
        now: int,
        replay_revokes_after_seconds: int,
    ) -> Redeemed | Replayed | AssertionReplayed | Unknown:
        return await postgres_codes.redeem_code(
            self._pool,
            code_hash,
            refresh_token=refresh_token,
            proof=proof,
            now=now,
            replay_revokes_after_seconds=replay_revokes_after_seconds,
        )

    async def burn_code(self, code_hash: bytes, now: int) -> None:
        await postgres_codes.burn_code(self._pool, code_hash, now)

    async def load_refresh_token(self, token_hash: bytes) -> tuple[RefreshToken, Grant] | Unknown:
        return await postgres_refresh_tokens.load_refresh_token(self._pool, token_hash)

    async def rotate_refresh_token(
        self, rotation: Rotation, now: int
    ) -> Rotated | Repeated | Reused | AssertionReplayed | Unknown:
        return await postgres_refresh_tokens.rotate_refresh_token(self._pool, rotation, now)

    async def record_assertion(self, use: AssertionUse, now: int) -> bool:
        return await postgres_assertions.record_assertion(self._pool, use, now)

    async def load_grant(self, grant_id: str) -> Grant | Unknown:
        return await postgres_grants.load_grant(self._pool, grant_id)

    async def load_revocations(self, resource: str, *, since: int) -> Sequence[tuple[str, int]]:
        return await postgres_grants.load_revocations(self._pool, resource, since=since)

    async def list_grants(self, which: GrantFilter, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, Grant]]:
        return await postgres_grants.list_grants(self._pool, which, after=after, limit=limit)

    async def revoke_grant(self, grant_id: str, *, reason: str, now: int) -> bool:
        return await postgres_grants.revoke_grant(self._pool, grant_id, reason=reason, now=now)
