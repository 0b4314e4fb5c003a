"""``ports.store.GrantStore`` over a SQLite file. What each method does lies beside its statements."""

from collections.abc import Sequence
from functools import partial

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
    sqlite_assertions,
    sqlite_authorizations,
    sqlite_codes,
    sqlite_grants,
    sqlite_refresh_tokens,
)
from nameplate.stores.sqlite_handle import SqliteHandle

__all__ = ["SqliteGrantStore"]


class SqliteGrantStore(SqliteHandle, GrantStore):
    """From the question on the consent page to the last refresh."""

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
        self,
        id_hash: bytes,
        browser_hash: bytes,
        *,
        grant: Grant,
        code: AuthorizationCode,
        now: int,
        upstream_tokens: bytes | None = None,
    ) -> Approved | AlreadyAnswered | ChallengeSpent | Unknown:
        return await self._writer.run(
            partial(
                sqlite_authorizations.approve_authorization,
                request=(id_hash, browser_hash),
                grant=grant,
                code=code,
                now=now,
                upstream_tokens=upstream_tokens,
            )
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
        self,
        code_hash: bytes,
        *,
        refresh_token: RefreshToken | None,
        proof: ClientProof,
        now: int,
        replay_revokes_after_seconds: int,
    ) -> Redeemed | Replayed | AssertionReplayed | Unknown:
        return await self._writer.run(
            partial(
                sqlite_codes.redeem_code,
                code_hash=code_hash,
                refresh_token=refresh_token,
                proof=proof,
                now=now,
                replay_revokes_after_seconds=replay_revokes_after_seconds,
            )
        )

    async def burn_code(self, code_hash: bytes, now: int) -> None:
        await self._writer.run(partial(sqlite_codes.burn_code, code_hash=code_hash, now=now))

    async def load_refresh_token(self, token_hash: bytes) -> tuple[RefreshToken, Grant] | Unknown:
        return self._read(partial(sqlite_refresh_tokens.load_refresh_token, token_hash=token_hash))

    async def rotate_refresh_token(
        self, rotation: Rotation, now: int
    ) -> Rotated | Repeated | Reused | AssertionReplayed | Unknown:
        rotate = sqlite_refresh_tokens.rotate_refresh_token
        return await self._writer.run(partial(rotate, rotation=rotation, now=now))

    async def record_assertion(self, use: AssertionUse, now: int) -> bool:
        return await self._writer.run(partial(sqlite_assertions.record_assertion, use=use, now=now))

    async def load_grant(self, grant_id: str) -> Grant | Unknown:
        return self._read(partial(sqlite_grants.load_grant, grant_id=grant_id))

    async def load_revocations(self, resource: str, *, since: int) -> Sequence[tuple[str, int]]:
        return await self._lister.run(partial(sqlite_grants.load_revocations, resource=resource, since=since))

    async def list_grants(self, which: GrantFilter, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, Grant]]:
        return await self._lister.list(sqlite_grants.build_grant_listing(which), after=after, limit=limit)

    async def revoke_grant(self, grant_id: str, *, reason: str, now: int) -> bool:
        return await self._writer.run(partial(sqlite_grants.revoke_grant, grant_id=grant_id, reason=reason, now=now))
