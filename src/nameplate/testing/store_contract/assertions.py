"""The store contract: a client's assertion is used once, whatever it was used for."""
# ruff: noqa: S101  (a contract suite asserts)

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import Store
from nameplate.ports.verdicts import AssertionReplayed, Redeemed, Repeated, Replayed, Reused, Rotated, Unknown
from nameplate.protocol.audit import AuditEvent
from nameplate.protocol.client_proof import ClientProof
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names, race
from nameplate.testing.store_contract.codes import redeem
from nameplate.testing.store_contract.tokens import rotate
from nameplate.testing.store_samples import (
    NOW,
    approve_sample,
    redeem_sample,
    sample_assertion,
    sample_code,
    sample_grant,
    sample_refresh_token,
)

__all__ = ["AssertionContract", "prove"]

USE = sample_assertion()
REPLAYED = AuditEvent(name="assertion.replayed", at=NOW, client_id=USE.client_id)
PROVEN = sample_grant(auth_method="private_key_jwt", client_keys="keys")


def prove(name: str = "one") -> ClientProof:
    """The proof of a client by the assertion of this name."""
    return ClientProof(auth_method="private_key_jwt", client_keys="keys", assertion=sample_assertion(name))


USES: dict[str, Callable[[Store], Awaitable[object]]] = {
    "record_assertion": lambda store: store.record_assertion(USE, NOW),
    "redeem_code": lambda store: redeem(store, proof=prove()),
    "rotate_refresh_token": lambda store: rotate(store, "one", "two", proof=prove()),
}


class AssertionContract(StoreFixtures):
    """``record_assertion``, and the proofs of ``redeem_code`` and ``rotate_refresh_token``."""

    async def test_an_assertion_is_used_once(self, store: Store) -> None:
        assert await store.record_assertion(USE, NOW) is True
        assert await store.record_assertion(sample_assertion("two"), NOW) is True
        assert await load_audit_names(store) == []
        assert await store.record_assertion(USE, NOW) is False
        assert await store.record_assertion(replace(USE, kept_until=NOW + 900), NOW) is False
        assert [event for _, event in await store.load_audit_events()] == [REPLAYED, REPLAYED]

    async def test_of_competing_uses_exactly_one_counts(self, store: Store, replica: Store) -> None:
        verdicts = await race(store, replica, lambda handle, _: handle.record_assertion(USE, NOW))
        assert Counter(verdicts) == {True: 1, False: 49}
        assert await load_audit_names(store) == ["assertion.replayed"] * 49

    @pytest.mark.parametrize("first", USES.values(), ids=USES.keys())
    async def test_an_assertion_that_was_used_for_one_thing_is_used_for_all(
        self, store: Store, first: Callable[[Store], Awaitable[object]]
    ) -> None:
        await first(store)
        assert await store.record_assertion(USE, NOW) is False
        assert await redeem(store, proof=prove()) == AssertionReplayed()
        assert await rotate(store, "one", "two", proof=prove()) == AssertionReplayed()
        assert (await load_audit_names(store))[-3:] == ["assertion.replayed"] * 3

    async def test_one_assertion_redeems_one_code_however_many_callers_have_one(
        self, store: Store, replica: Store
    ) -> None:
        await asyncio.gather(*(approve_sample(store, f"{number}") for number in range(50)))

        async def redeem_own(handle: Store, number: int) -> object:
            token = sample_refresh_token(f"{number}", grant_id=f"grant {number}")
            return await handle.redeem_code(
                sample_code(f"{number}").code_hash,
                refresh_token=token,
                proof=prove(),
                now=NOW,
                replay_revokes_after_seconds=10,
            )

        verdicts = await race(store, replica, redeem_own)
        assert verdicts.count(AssertionReplayed()) == 49
        [winner] = [number for number in range(50) if isinstance(verdicts[number], Redeemed)]
        for number in range(50):
            found = await store.load_code(sample_code(f"{number}").code_hash)
            assert isinstance(found, tuple)
            assert (found[0].spent_at is not None) == (number == winner), "a refused code is not spent"
            token = await store.load_refresh_token(sample_refresh_token(f"{number}").token_hash)
            assert (token != Unknown()) == (number == winner)
        names = Counter(await load_audit_names(store))
        assert names == {"authorization.approved": 50, "code.redeemed": 1, "assertion.replayed": 49}

    async def test_one_assertion_rotates_one_token_however_many_callers_have_one(
        self, store: Store, replica: Store
    ) -> None:
        await asyncio.gather(*(redeem_sample(store, f"{number}") for number in range(50)))
        verdicts = await race(
            store, replica, lambda handle, number: rotate(handle, f"{number}", f"next {number}", proof=prove())
        )
        assert verdicts.count(AssertionReplayed()) == 49
        [winner] = [number for number in range(50) if isinstance(verdicts[number], Rotated)]
        for number in range(50):
            found = await store.load_refresh_token(sample_refresh_token(f"next {number}").token_hash)
            assert (found != Unknown()) == (number == winner)

    async def test_competing_callers_with_one_code_and_one_assertion_get_one_token(
        self, store: Store, replica: Store
    ) -> None:
        await approve_sample(store)
        verdicts = await race(store, replica, lambda handle, n: redeem(handle, name=f"{n}", proof=prove()))
        assert Counter(verdicts) == {Redeemed(PROVEN): 1, AssertionReplayed(): 49}
        names = Counter(await load_audit_names(store))
        assert names == {"authorization.approved": 1, "code.redeemed": 1, "assertion.replayed": 49}

    async def test_a_replay_spends_no_code_and_is_no_replay_of_one(self, store: Store) -> None:
        await approve_sample(store)
        await store.record_assertion(USE, NOW)
        assert await redeem(store, proof=prove()) == AssertionReplayed()
        assert await store.load_code(sample_code().code_hash) == (sample_code(), sample_grant())
        assert await redeem(store, proof=prove("two")) == Redeemed(PROVEN)
        assert await redeem(store, now=NOW + 3600, proof=prove()) == AssertionReplayed()
        assert await store.load_grant(PROVEN.id) == PROVEN, "a code that comes back with a replay ends nothing"
        events = [event for _, event in await store.load_audit_events()]
        assert [event.name for event in events][2] == "code.redeemed"
        assert [events[1], *events[3:]] == [REPLAYED, replace(REPLAYED, at=NOW + 3600)]

    async def test_a_replay_rotates_no_token_and_is_no_reuse_of_one(self, store: Store) -> None:
        await redeem_sample(store)
        await store.record_assertion(USE, NOW)
        assert await rotate(store, "one", "two", proof=prove()) == AssertionReplayed()
        one, held = sample_refresh_token("one"), sample_grant(auth_method="none")
        assert await store.load_refresh_token(one.token_hash) == (one, held)
        assert await store.load_refresh_token(sample_refresh_token("two").token_hash) == Unknown()
        assert await rotate(store, "one", "two", proof=prove("two")) == Rotated(PROVEN)
        assert await rotate(store, "one", "three", now=NOW + 3600, proof=prove()) == AssertionReplayed()
        assert await store.load_grant(PROVEN.id) == PROVEN, "a token that comes back with a replay ends nothing"
        assert await rotate(store, "one", "three", proof=prove("three")) == Repeated(b"two", NOW)

    async def test_an_assertion_is_used_up_whatever_becomes_of_the_code(self, store: Store) -> None:
        assert await redeem(store, proof=prove("unknown")) == Unknown()
        await approve_sample(store)
        assert await redeem(store, now=NOW + 60, proof=prove("expired")) == Unknown()
        assert isinstance(await redeem(store, proof=prove("redeemed")), Redeemed)
        assert await redeem(store, proof=prove("replayed")) == Replayed(grant_revoked=False)
        assert await redeem(store, now=NOW + 11, proof=prove("revoking")) == Replayed(grant_revoked=True)
        assert await redeem(store, proof=prove("revoked")) == Unknown()
        for name in ("unknown", "expired", "redeemed", "replayed", "revoking", "revoked"):
            assert await store.record_assertion(sample_assertion(name), NOW) is False, name
        assert "assertion.replayed" not in (await load_audit_names(store))[:-6]

    async def test_an_assertion_is_used_up_whatever_becomes_of_the_token(self, store: Store) -> None:
        assert await rotate(store, "one", "two", proof=prove("unknown")) == Unknown()
        await redeem_sample(store)
        late = sample_refresh_token().expires_at
        assert await rotate(store, "one", "two", now=late, proof=prove("expired")) == Unknown()
        assert isinstance(await rotate(store, "one", "two", proof=prove("rotated")), Rotated)
        assert isinstance(await rotate(store, "one", "two", proof=prove("repeated")), Repeated)
        assert isinstance(await rotate(store, "one", "two", now=NOW + 999, proof=prove("reused")), Reused)
        assert await rotate(store, "one", "two", proof=prove("revoked")) == Unknown()
        for name in ("unknown", "expired", "rotated", "repeated", "reused", "revoked"):
            assert await store.record_assertion(sample_assertion(name), NOW) is False, name

    async def test_what_cannot_be_stored_uses_up_no_assertion(self, store: Store) -> None:
        await redeem_sample(store)
        await approve_sample(store, "two")
        with pytest.raises(StoreError):
            await store.redeem_code(
                sample_code("two").code_hash,
                refresh_token=sample_refresh_token("one"),
                proof=prove(),
                now=NOW,
                replay_revokes_after_seconds=10,
            )
        assert await store.record_assertion(USE, NOW) is True

    async def test_the_sweep_leaves_the_use_of_an_assertion_until_it_cannot_be_accepted_anyway(
        self, store: Store
    ) -> None:
        await store.record_assertion(USE, NOW)
        await store.record_assertion(sample_assertion("longer", kept_until=USE.kept_until + 1), NOW)
        assert await store.sweep(USE.kept_until - 1, limit=100) == 0
        assert await store.record_assertion(USE, NOW) is False
        assert await store.sweep(USE.kept_until, limit=100) == 1
        assert await store.record_assertion(USE, NOW) is True
        assert await store.record_assertion(sample_assertion("longer"), NOW) is False
