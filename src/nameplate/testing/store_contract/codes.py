"""The store contract: a code is spent once, and a grant is ended once."""
# ruff: noqa: S101  (a contract suite asserts)

from collections import Counter
from dataclasses import replace

from nameplate.ports.store import Store
from nameplate.ports.verdicts import AssertionReplayed, Redeemed, Replayed, Unknown
from nameplate.protocol.audit import AuditEvent
from nameplate.protocol.client_proof import ClientProof
from nameplate.secret import hash_bearer_value
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names, race
from nameplate.testing.store_samples import (
    NOW,
    PROOF,
    approve_sample,
    redeem_sample,
    sample_code,
    sample_grant,
    sample_refresh_token,
)

__all__ = ["CodeContract", "redeem"]

CODE = sample_code()
GRANT = sample_grant()
HELD = sample_grant(auth_method="none")  # as it is once its client got a token
REPLAY_REVOKES_AFTER_SECONDS = 10


async def redeem(
    store: Store, *, name: str = "one", now: int = NOW, with_refresh_token: bool = True, proof: ClientProof = PROOF
) -> Redeemed | Replayed | AssertionReplayed | Unknown:
    """The verdict on a redemption of the code named ``one``, with a refresh token of the given name."""
    return await store.redeem_code(
        CODE.code_hash,
        refresh_token=sample_refresh_token(name) if with_refresh_token else None,
        proof=proof,
        now=now,
        replay_revokes_after_seconds=REPLAY_REVOKES_AFTER_SECONDS,
    )


class CodeContract(StoreFixtures):
    """``load_code``, ``redeem_code``, ``burn_code`` and ``revoke_grant``."""

    async def test_a_code_comes_back_with_its_grant(self, store: Store) -> None:
        grant = sample_grant(scope=(), username="alice")
        code = sample_code(issues_refresh_token=False)
        await approve_sample(store, grant=grant, code=code)
        assert await store.load_code(code.code_hash) == (code, grant)

    async def test_a_code_that_was_never_issued_is_unknown(self, store: Store) -> None:
        assert await store.load_code(CODE.code_hash) == Unknown()
        assert await redeem(store) == Unknown()
        await store.burn_code(CODE.code_hash, NOW)
        assert await load_audit_names(store) == []

    async def test_a_redeemed_code_brings_grant_and_refresh_token(self, store: Store) -> None:
        await approve_sample(store)
        assert await redeem(store, now=NOW + 3) == Redeemed(HELD)
        assert await store.load_refresh_token(sample_refresh_token().token_hash) == (sample_refresh_token(), HELD)
        assert await store.load_code(CODE.code_hash) == (replace(CODE, spent_at=NOW + 3), HELD)

    async def test_a_grant_remembers_how_its_client_proved_itself(self, store: Store) -> None:
        await approve_sample(store)
        proof = ClientProof(auth_method="private_key_jwt", client_keys='["ünïque"]')
        proven = sample_grant(auth_method="private_key_jwt", client_keys='["ünïque"]')
        assert await redeem(store, proof=proof) == Redeemed(proven)
        assert await store.load_code(CODE.code_hash) == (replace(CODE, spent_at=NOW), proven)
        assert await redeem(store, name="two", proof=PROOF) == Replayed(grant_revoked=False)
        assert await store.load_grant(GRANT.id) == proven, "only what got a token counts"

    async def test_a_code_can_be_redeemed_without_a_refresh_token(self, store: Store) -> None:
        await approve_sample(store)
        assert await redeem(store, with_refresh_token=False) == Redeemed(HELD)
        assert await store.load_refresh_token(sample_refresh_token().token_hash) == Unknown()

    async def test_of_competing_redemptions_exactly_one_counts(self, store: Store, replica: Store) -> None:
        await approve_sample(store)
        verdicts = await race(store, replica, lambda handle, number: redeem(handle, name=f"{number}"))
        assert Counter(verdicts) == {Redeemed(HELD): 1, Replayed(grant_revoked=False): 49}
        hashes = [sample_refresh_token(f"{number}").token_hash for number in range(50)]
        found = [number for number in range(50) if await store.load_refresh_token(hashes[number]) != Unknown()]
        assert found == [verdicts.index(Redeemed(HELD))], "only the winner's refresh token may exist"
        names = Counter(await load_audit_names(store))
        assert names == {"authorization.approved": 1, "code.redeemed": 1, "code.replayed": 49}

    async def test_a_code_is_over_from_its_expiry_on(self, store: Store) -> None:
        await approve_sample(store)
        assert await redeem(store, now=CODE.expires_at) == Unknown()
        assert await redeem(store, now=CODE.expires_at + 1) == Unknown()
        assert await redeem(store, now=CODE.expires_at - 1) == Redeemed(HELD)

    async def test_a_replay_within_the_allowance_revokes_nothing(self, store: Store) -> None:
        await approve_sample(store)
        await redeem(store)
        late = NOW + REPLAY_REVOKES_AFTER_SECONDS
        assert await redeem(store, name="two", now=late) == Replayed(grant_revoked=False)
        assert await store.load_code(CODE.code_hash) == (replace(CODE, spent_at=NOW), HELD)
        assert await store.load_refresh_token(sample_refresh_token("two").token_hash) == Unknown()

    async def test_a_later_replay_revokes_what_the_code_bought(self, store: Store) -> None:
        await approve_sample(store)
        await redeem(store)
        late = NOW + REPLAY_REVOKES_AFTER_SECONDS + 1
        assert await redeem(store, now=late) == Replayed(grant_revoked=True)
        revoked = replace(HELD, revoked_at=late)
        assert await store.load_code(CODE.code_hash) == (replace(CODE, spent_at=NOW), revoked)
        assert await store.load_refresh_token(sample_refresh_token().token_hash) == (sample_refresh_token(), revoked)
        assert await redeem(store, now=late + 1) == Unknown()
        assert (await load_audit_names(store))[1:] == ["code.redeemed", "code.replayed", "grant.revoked"]
        assert (await store.load_audit_events())[-1][1].detail, "it says why"

    async def test_competing_replays_revoke_the_grant_once(self, store: Store, replica: Store) -> None:
        await redeem_sample(store)
        verdicts = await race(store, replica, lambda handle, _: redeem(handle, now=NOW + 3600))
        assert Counter(verdicts) == {Replayed(grant_revoked=True): 1, Unknown(): 49}
        assert (await load_audit_names(store)).count("grant.revoked") == 1

    async def test_a_replay_is_recognised_a_day_after_the_code_expired(self, store: Store) -> None:
        await redeem_sample(store)
        late = NOW + 86399
        await store.sweep(late, limit=100)
        assert await redeem(store, now=late) == Replayed(grant_revoked=True)

    async def test_the_code_of_a_revoked_grant_is_unknown(self, store: Store) -> None:
        await approve_sample(store)
        await store.revoke_grant(GRANT.id, reason="test", now=NOW)
        assert await redeem(store) == Unknown()
        assert await store.load_code(CODE.code_hash) == (CODE, replace(GRANT, revoked_at=NOW))

    async def test_the_code_of_an_expired_grant_is_unknown_spent_or_not(self, store: Store) -> None:
        await approve_sample(store, grant=sample_grant(expires_at=NOW + 30))
        assert await redeem(store, now=NOW + 30) == Unknown()
        assert isinstance(await redeem(store, now=NOW + 29), Redeemed)
        assert await redeem(store, now=NOW + 30) == Unknown()

    async def test_a_burned_code_buys_nothing(self, store: Store) -> None:
        await approve_sample(store)
        await store.burn_code(CODE.code_hash, NOW + 1)
        assert await redeem(store, now=NOW + 2) == Replayed(grant_revoked=False)
        assert await store.load_refresh_token(sample_refresh_token().token_hash) == Unknown()
        assert await store.load_code(CODE.code_hash) == (replace(CODE, spent_at=NOW + 1), GRANT)
        assert (await load_audit_names(store))[1:] == ["code.burned", "code.replayed"]

    async def test_burning_a_spent_code_changes_nothing(self, store: Store) -> None:
        await redeem_sample(store)
        await store.burn_code(CODE.code_hash, NOW + 30)
        await store.burn_code(hash_bearer_value("no code"), NOW + 30)
        assert await store.load_code(CODE.code_hash) == (replace(CODE, spent_at=NOW), HELD)
        assert (await load_audit_names(store))[1:] == ["code.redeemed"]

    async def test_a_code_cannot_be_both_burned_and_redeemed(self, store: Store, replica: Store) -> None:
        await approve_sample(store)

        async def burn_or_redeem(handle: Store, number: int) -> object:
            return await (redeem(handle) if number % 4 < 2 else handle.burn_code(CODE.code_hash, NOW))

        await race(store, replica, burn_or_redeem)
        names = await load_audit_names(store)
        assert names.count("code.burned") + names.count("code.redeemed") == 1

    async def test_a_grant_is_revoked_once(self, store: Store, replica: Store) -> None:
        await approve_sample(store)
        verdicts = await race(
            store, replica, lambda handle, _: handle.revoke_grant(GRANT.id, reason="signed_out", now=NOW + 7)
        )
        assert Counter(verdicts) == {True: 1, False: 49}
        assert await store.load_code(CODE.code_hash) == (CODE, replace(GRANT, revoked_at=NOW + 7))
        assert await store.revoke_grant(GRANT.id, reason="signed_out", now=NOW + 8) is False
        event = AuditEvent(
            name="grant.revoked",
            at=NOW + 7,
            client_id=GRANT.client_id,
            subject=GRANT.subject,
            grant_id=GRANT.id,
            detail="signed_out",
        )
        assert [event for _, event in await store.load_audit_events()][1:] == [event]

    async def test_only_a_living_grant_can_be_revoked(self, store: Store) -> None:
        await approve_sample(store)
        assert await store.revoke_grant("no grant", reason="test", now=NOW) is False
        assert await store.revoke_grant(GRANT.id, reason="test", now=GRANT.expires_at) is False
        assert await store.load_code(CODE.code_hash) == (CODE, GRANT)
        assert await store.revoke_grant(GRANT.id, reason="test", now=GRANT.expires_at - 1) is True
