"""The store contract: a refresh token has one successor, an honest repeat its answer, and a thief ends the grant."""
# ruff: noqa: S101  (a contract suite asserts)

from collections import Counter
from dataclasses import replace

import pytest

from nameplate.ports.store import Store
from nameplate.ports.verdicts import AssertionReplayed, Repeated, Reused, Rotated, Unknown
from nameplate.protocol.audit import AuditEvent
from nameplate.protocol.client_proof import ClientProof
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names, race
from nameplate.testing.store_samples import (
    NOW,
    PROOF,
    redeem_sample,
    sample_grant,
    sample_refresh_token,
    sample_rotation,
)

__all__ = ["RefreshTokenContract", "rotate"]

GRANT = sample_grant(auth_method="none")
ONE = sample_refresh_token("one")
REPEAT_SECONDS = sample_rotation().repeat_seconds


async def rotate(
    store: Store, name: str, successor: str, *, now: int = NOW, repeat_limit: int = 10, proof: ClientProof = PROOF
) -> Rotated | Repeated | Reused | AssertionReplayed | Unknown:
    """The verdict on replacing the refresh token ``name`` by ``successor``, whose answer is its name."""
    rotation = sample_rotation(name, successor, repeat_limit=repeat_limit, proof=proof)
    return await store.rotate_refresh_token(rotation, now)


class RefreshTokenContract(StoreFixtures):
    """``load_refresh_token`` and ``rotate_refresh_token``."""

    async def test_a_refresh_token_is_replaced_by_its_successor(self, store: Store) -> None:
        await redeem_sample(store)
        assert await rotate(store, "one", "two", now=NOW + 5) == Rotated(GRANT)
        two = sample_refresh_token("two")
        assert await store.load_refresh_token(ONE.token_hash) == (replace(ONE, rotated_at=NOW + 5), GRANT)
        assert await store.load_refresh_token(two.token_hash) == (two, GRANT)

    async def test_a_refresh_token_that_was_never_issued_is_unknown(self, store: Store) -> None:
        assert await store.load_refresh_token(ONE.token_hash) == Unknown()
        assert await rotate(store, "one", "two") == Unknown()
        assert await store.load_refresh_token(sample_refresh_token("two").token_hash) == Unknown()

    async def test_a_chain_of_rotations_stays_within_its_grant(self, store: Store) -> None:
        await redeem_sample(store)
        for number, (name, successor) in enumerate([("one", "two"), ("two", "three"), ("three", "four")]):
            assert await rotate(store, name, successor, now=NOW + number) == Rotated(GRANT)
        rotated = AuditEvent(
            name="refresh_token.rotated",
            at=NOW,
            client_id=GRANT.client_id,
            subject=GRANT.subject,
            grant_id=GRANT.id,
        )
        events = [event for _, event in await store.load_audit_events()][2:]
        assert events == [replace(rotated, at=NOW + number, detail=f"{number}") for number in range(3)]

    async def test_a_grant_remembers_how_its_client_proved_itself_last(self, store: Store) -> None:
        await redeem_sample(store)
        proof = ClientProof(auth_method="private_key_jwt", client_keys="a")
        proven = replace(GRANT, auth_method="private_key_jwt", client_keys="a")
        assert await rotate(store, "one", "two", proof=proof) == Rotated(proven)
        assert await rotate(store, "one", "two", proof=PROOF) == Repeated(b"two", NOW)
        assert await store.load_grant(GRANT.id) == proven, "a repeat changes nothing of the grant"
        assert await rotate(store, "two", "three", proof=replace(proof, client_keys="b")) == Rotated(
            replace(proven, client_keys="b")
        )
        assert await rotate(store, "three", "four", proof=PROOF) == Rotated(GRANT)
        assert await store.load_refresh_token(sample_refresh_token("four").token_hash) == (
            sample_refresh_token("four"),
            GRANT,
        )

    async def test_of_competing_rotations_one_counts_and_the_others_get_its_answer(
        self, store: Store, replica: Store
    ) -> None:
        await redeem_sample(store)
        verdicts = await race(
            store, replica, lambda handle, number: rotate(handle, "one", f"successor {number}", repeat_limit=49)
        )
        winner = verdicts.index(Rotated(GRANT))
        repeated = Repeated(f"successor {winner}".encode(), NOW)
        assert Counter(verdicts) == {Rotated(GRANT): 1, repeated: 49}
        hashes = [sample_refresh_token(f"successor {number}").token_hash for number in range(50)]
        found = [number for number in range(50) if await store.load_refresh_token(hashes[number]) != Unknown()]
        assert found == [winner], "there must never be a second successor"
        names = Counter(await load_audit_names(store))
        assert (names["refresh_token.rotated"], names["refresh_token.repeated"]) == (1, 49)

    async def test_competing_repeats_above_the_limit_end_the_grant_once(self, store: Store, replica: Store) -> None:
        await redeem_sample(store)
        verdicts = await race(
            store, replica, lambda handle, number: rotate(handle, "one", f"successor {number}", repeat_limit=10)
        )
        kinds = Counter(type(verdict) for verdict in verdicts)
        assert kinds == {Rotated: 1, Repeated: 10, Reused: 1, Unknown: 38}
        assert (await load_audit_names(store)).count("grant.revoked") == 1

    async def test_a_repeat_gets_the_first_answer_and_its_instant(self, store: Store) -> None:
        await redeem_sample(store)
        await rotate(store, "one", "two", now=NOW + 5)
        last = NOW + 5 + REPEAT_SECONDS
        assert await rotate(store, "one", "three", now=last) == Repeated(b"two", NOW + 5)
        assert await store.load_refresh_token(sample_refresh_token("three").token_hash) == Unknown()

    async def test_a_sweep_within_the_time_for_repeats_takes_no_answer_away(self, store: Store) -> None:
        await redeem_sample(store)
        await rotate(store, "one", "two")
        await store.sweep(NOW + REPEAT_SECONDS, limit=100)
        assert await rotate(store, "one", "three", now=NOW + REPEAT_SECONDS) == Repeated(b"two", NOW)

    async def test_a_repeat_after_its_time_is_a_theft(self, store: Store) -> None:
        await redeem_sample(store)
        await rotate(store, "one", "two")
        assert await rotate(store, "one", "three", now=NOW + REPEAT_SECONDS + 1) == Reused(GRANT.id)

    async def test_a_repeat_above_the_limit_is_a_theft(self, store: Store) -> None:
        await redeem_sample(store)
        await rotate(store, "one", "two", repeat_limit=2)
        verdicts = [await rotate(store, "one", "three", repeat_limit=2) for _ in range(3)]
        assert verdicts == [Repeated(b"two", NOW), Repeated(b"two", NOW), Reused(GRANT.id)]

    async def test_a_repeat_after_the_successor_was_used_is_a_theft(self, store: Store) -> None:
        await redeem_sample(store)
        await rotate(store, "one", "two")
        await rotate(store, "two", "three", now=NOW + 1)
        assert await rotate(store, "one", "four", now=NOW + 2) == Reused(GRANT.id)

    async def test_a_theft_ends_everything_that_the_grant_bought(self, store: Store) -> None:
        await redeem_sample(store)
        await rotate(store, "one", "two")
        late = NOW + 3600
        assert await rotate(store, "one", "three", now=late) == Reused(GRANT.id)
        two = sample_refresh_token("two")
        assert await store.load_refresh_token(two.token_hash) == (two, replace(GRANT, revoked_at=late))
        assert await rotate(store, "two", "three", now=late) == Unknown()
        assert await rotate(store, "one", "three", now=late) == Unknown()
        assert await store.load_refresh_token(sample_refresh_token("three").token_hash) == Unknown()
        events = [event for _, event in await store.load_audit_events()][3:]
        reused = AuditEvent(
            name="refresh_token.reused",
            at=late,
            client_id=GRANT.client_id,
            subject=GRANT.subject,
            grant_id=GRANT.id,
        )
        assert events[0] == reused
        assert replace(events[1], detail="") == replace(reused, name="grant.revoked")
        assert events[1].detail, "it says why"
        assert len(events) == 2

    @pytest.mark.parametrize("rotated", [False, True])
    async def test_a_refresh_token_is_over_from_its_expiry_on(self, store: Store, *, rotated: bool) -> None:
        await redeem_sample(store, refresh_token=sample_refresh_token(expires_at=NOW + 60))
        if rotated:
            await rotate(store, "one", "two")
        assert await rotate(store, "one", "three", now=NOW + 60) == Unknown()
        verdict = await rotate(store, "one", "three", now=NOW + 59)
        assert verdict == (Repeated(b"two", NOW) if rotated else Rotated(GRANT))

    async def test_the_refresh_token_of_a_revoked_grant_is_unknown(self, store: Store) -> None:
        await redeem_sample(store)
        await store.revoke_grant(GRANT.id, reason="test", now=NOW)
        assert await rotate(store, "one", "two") == Unknown()
        assert await store.load_refresh_token(ONE.token_hash) == (ONE, replace(GRANT, revoked_at=NOW))

    async def test_the_refresh_token_of_an_expired_grant_is_unknown(self, store: Store) -> None:
        await redeem_sample(store, grant=sample_grant(expires_at=NOW + 100))
        assert await rotate(store, "one", "two", now=NOW + 100) == Unknown()
        assert await rotate(store, "one", "two", now=NOW + 99) == Rotated(replace(GRANT, expires_at=NOW + 100))
