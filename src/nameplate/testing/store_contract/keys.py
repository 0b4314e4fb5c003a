"""The store contract: the keys that sign, on whose succession replicas agree."""
# ruff: noqa: S101  (a contract suite asserts)

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import Store, StoredSigningKey
from nameplate.protocol.audit import AuditEvent
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names, race
from nameplate.testing.store_samples import NOW, sample_signing_key

__all__ = ["KeyContract"]

ONE = sample_signing_key("one")
TWO = sample_signing_key("two", created_at=NOW + 5, active_from=NOW + 600)
CREATED = AuditEvent(name="signing_key.created", at=NOW, detail=ONE.kid)


async def load_keys(store: Store) -> list[StoredSigningKey]:
    """All keys."""
    return list(await store.load_signing_keys())


class KeyContract(StoreFixtures):
    """``record_signing_key``, ``load_``, ``reseal_``, ``withdraw_`` and ``drop_``."""

    async def test_a_key_comes_back_as_it_was_stored_at_every_replica(self, store: Store, replica: Store) -> None:
        assert await load_keys(store) == []
        for latest, key in ((None, ONE), (ONE.kid, replace(TWO, sealed_jwk=b"", withdrawn_at=NOW + 6))):
            [stored, *_] = await store.record_signing_key(key, latest=latest)
            [loaded, *_] = await load_keys(replica)
            assert stored == loaded == key
        assert [event for _, event in await store.load_audit_events()] == [
            CREATED,
            replace(CREATED, at=TWO.created_at, detail=TWO.kid),
        ]

    async def test_the_keys_are_in_the_order_in_which_they_sign_the_latest_first(self, store: Store) -> None:
        await store.record_signing_key(TWO, latest=None)
        await store.record_signing_key(ONE, latest=TWO.kid)
        three = sample_signing_key("three", created_at=NOW - 5, active_from=NOW + 900)
        assert list(await store.record_signing_key(three, latest=TWO.kid)) == [three, TWO, ONE]
        assert await load_keys(store) == [three, TWO, ONE]

    @pytest.mark.parametrize("latest", [None, TWO.kid, "no kid", ""])
    async def test_a_key_that_follows_another_than_the_latest_is_not_stored(
        self, store: Store, latest: str | None
    ) -> None:
        await store.record_signing_key(ONE, latest=None)
        three = sample_signing_key("three", active_from=NOW + 1200)
        assert list(await store.record_signing_key(three, latest=latest)) == [ONE]
        assert await load_keys(store) == [ONE]
        assert await load_audit_names(store) == ["signing_key.created"]

    async def test_a_key_that_waits_for_its_time_and_one_that_was_withdrawn_can_be_the_latest(
        self, store: Store
    ) -> None:
        await store.record_signing_key(ONE, latest=None)
        await store.record_signing_key(TWO, latest=ONE.kid)
        three = sample_signing_key("three", active_from=NOW + 1200)
        assert three not in await store.record_signing_key(three, latest=ONE.kid)
        await store.withdraw_signing_key(TWO.kid, NOW)
        assert three in await store.record_signing_key(three, latest=TWO.kid)

    async def test_a_first_key_is_first_only_where_there_is_none(self, store: Store) -> None:
        assert list(await store.record_signing_key(ONE, latest="no kid")) == []
        assert await load_audit_names(store) == []
        assert list(await store.record_signing_key(ONE, latest=None)) == [ONE]

    async def test_competing_replicas_agree_on_one_signing_key(self, store: Store, replica: Store) -> None:
        answers = await race(
            store,
            replica,
            lambda handle, number: handle.record_signing_key(sample_signing_key(f"{number}"), latest=None),
        )
        [key, *others] = await load_keys(replica)
        assert others == []
        assert all(list(answer) == [key] for answer in answers)
        assert [event for _, event in await store.load_audit_events()] == [replace(CREATED, detail=key.kid)]

    async def test_competing_replicas_agree_on_one_successor(self, store: Store, replica: Store) -> None:
        await store.record_signing_key(ONE, latest=None)

        async def succeed(handle: Store, number: int) -> Sequence[StoredSigningKey]:
            key = sample_signing_key(f"{number}", active_from=NOW + 600 + number)
            return await handle.record_signing_key(key, latest=ONE.kid)

        answers = await race(store, replica, succeed)
        [successor, *others] = await load_keys(replica)
        assert others == [ONE]
        assert all(list(answer) == [successor, ONE] for answer in answers)
        assert await load_audit_names(store) == ["signing_key.created"] * 2

    async def test_one_kid_cannot_be_stored_twice(self, store: Store) -> None:
        await store.record_signing_key(ONE, latest=None)
        with pytest.raises(StoreError):
            await store.record_signing_key(replace(ONE, active_from=NOW + 600), latest=ONE.kid)
        assert await load_keys(store) == [ONE]

    async def test_a_key_is_sealed_anew_only_over_what_was_there(self, store: Store) -> None:
        await store.record_signing_key(ONE, latest=None)
        await store.record_signing_key(TWO, latest=ONE.kid)
        assert await store.reseal_signing_key("no kid", before=ONE.sealed_jwk, after=b"new") is False
        assert await store.reseal_signing_key(ONE.kid, before=TWO.sealed_jwk, after=b"new") is False
        assert await load_keys(store) == [TWO, ONE]
        assert await store.reseal_signing_key(ONE.kid, before=ONE.sealed_jwk, after=b"\0new\xff") is True
        assert await store.reseal_signing_key(ONE.kid, before=ONE.sealed_jwk, after=b"late") is False
        assert await load_keys(store) == [TWO, replace(ONE, sealed_jwk=b"\0new\xff")]
        assert await load_audit_names(store) == ["signing_key.created"] * 2

    async def test_of_competing_replicas_one_seals_a_key_anew(self, store: Store, replica: Store) -> None:
        await store.record_signing_key(ONE, latest=None)
        verdicts = await race(
            store,
            replica,
            lambda handle, number: handle.reseal_signing_key(ONE.kid, before=ONE.sealed_jwk, after=bytes([number])),
        )
        assert Counter(verdicts) == {True: 1, False: 49}
        assert await load_keys(store) == [replace(ONE, sealed_jwk=bytes([verdicts.index(True)]))]

    async def test_a_key_is_withdrawn_once_and_stays(self, store: Store, replica: Store) -> None:
        await store.record_signing_key(ONE, latest=None)
        await store.record_signing_key(TWO, latest=ONE.kid)
        assert await store.withdraw_signing_key("no kid", NOW) is False
        verdicts = await race(store, replica, lambda handle, number: handle.withdraw_signing_key(ONE.kid, NOW + number))
        assert Counter(verdicts) == {True: 1, False: 49}
        withdrawn_at = NOW + verdicts.index(True)
        assert await load_keys(store) == [TWO, replace(ONE, withdrawn_at=withdrawn_at)]
        withdrawn = AuditEvent(name="signing_key.withdrawn", at=withdrawn_at, detail=ONE.kid)
        assert [event for _, event in await store.load_audit_events()][2:] == [withdrawn]

    async def test_a_key_is_dropped_once_and_gone(self, store: Store, replica: Store) -> None:
        await store.record_signing_key(ONE, latest=None)
        await store.record_signing_key(TWO, latest=ONE.kid)
        await store.withdraw_signing_key(ONE.kid, NOW)
        assert await store.drop_signing_key("no kid", NOW) is False
        verdicts = await race(store, replica, lambda handle, number: handle.drop_signing_key(ONE.kid, NOW + number))
        assert Counter(verdicts) == {True: 1, False: 49}
        assert await load_keys(store) == [TWO]
        retired = AuditEvent(name="signing_key.retired", at=NOW + verdicts.index(True), detail=ONE.kid)
        assert [event for _, event in await store.load_audit_events()][3:] == [retired]
        assert await store.withdraw_signing_key(ONE.kid, NOW) is False
        assert await store.drop_signing_key(TWO.kid, NOW) is True
        assert list(await store.record_signing_key(ONE, latest=None)) == [ONE], "there is none at all again"

    async def test_the_sweep_leaves_every_key(self, store: Store) -> None:
        await store.record_signing_key(ONE, latest=None)
        await store.withdraw_signing_key(ONE.kid, NOW)
        assert await store.sweep(NOW + 10**9, limit=100) == 0
        assert await load_keys(store) == [replace(ONE, withdrawn_at=NOW)]
