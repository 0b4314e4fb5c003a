"""The store contract: documents of approved clients, shared by replicas, and budgets that are spent together."""
# ruff: noqa: S101  (a contract suite asserts)

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from nameplate.ports.store import Spending, Store, StoredDocument
from nameplate.ports.verdicts import Unknown
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names, race
from nameplate.testing.store_samples import NOW, redeem_sample, sample_document, sample_grant

__all__ = ["DocumentContract"]

DAY = 86400
DOCUMENT = sample_document()
CLIENT_ID = DOCUMENT.client_id


def later(seconds: int, **changes: Any) -> StoredDocument:
    """The document as it was fetched again."""
    return sample_document(
        fetched_at=NOW + seconds, fresh_until=NOW + seconds + 600, last_good_until=NOW + seconds + 600 + DAY, **changes
    )


class DocumentContract(StoreFixtures):
    """``load_document``, ``record_document``, ``record_document_refusal``, the sweep of documents, ``spend_all``."""

    async def test_a_document_comes_back_as_it_was_stored_at_every_replica(self, store: Store, replica: Store) -> None:
        assert await store.load_document(CLIENT_ID) == Unknown()
        empty = sample_document("empty", body=b"", headers=())
        for document in (DOCUMENT, empty):
            await store.record_document(document)
            assert await replica.load_document(document.client_id) == document
        assert await store.load_document(CLIENT_ID.upper()) == Unknown()
        assert await load_audit_names(store) == []

    async def test_a_later_document_replaces_the_one_before(self, store: Store) -> None:
        await store.record_document(DOCUMENT)
        for document in (replace(DOCUMENT, body=b"same second"), later(5, body=b"", headers=()), later(9)):
            await store.record_document(document)
            assert await store.load_document(CLIENT_ID) == document

    async def test_an_earlier_document_replaces_nothing(self, store: Store) -> None:
        await store.record_document(later(5))
        await store.record_document(DOCUMENT)
        assert await store.load_document(CLIENT_ID) == later(5)

    async def test_of_competing_replicas_the_latest_document_stays(self, store: Store, replica: Store) -> None:
        await race(store, replica, lambda handle, number: handle.record_document(later(number * 7 % 50)))
        assert await store.load_document(CLIENT_ID) == later(49)

    async def test_only_the_first_refusal_since_the_last_good_document_counts(self, store: Store) -> None:
        await store.record_document(DOCUMENT)
        for seconds in (700, 4300, 9000):
            await store.record_document_refusal(CLIENT_ID, NOW + seconds)
            assert await store.load_document(CLIENT_ID) == replace(DOCUMENT, refused_at=NOW + 700)
        await store.record_document(later(9001))
        assert await store.load_document(CLIENT_ID) == later(9001)
        await store.record_document_refusal(CLIENT_ID, NOW + 9700)
        assert await store.load_document(CLIENT_ID) == later(9001, refused_at=NOW + 9700)

    async def test_a_replica_that_is_late_undoes_nothing_that_came_since(self, store: Store, replica: Store) -> None:
        await store.record_document(DOCUMENT)
        await store.record_document_refusal(CLIENT_ID, NOW + 700)
        await replica.record_document(later(650))
        assert await store.load_document(CLIENT_ID) == later(650, refused_at=NOW + 700)
        await store.record_document(later(800))
        await replica.record_document_refusal(CLIENT_ID, NOW + 750)
        assert await store.load_document(CLIENT_ID) == later(800)

    async def test_a_document_that_is_handed_back_does_not_bring_its_refusal_along(self, store: Store) -> None:
        await store.record_document(replace(DOCUMENT, refused_at=NOW + 1))
        assert await store.load_document(CLIENT_ID) == DOCUMENT

    async def test_a_refusal_is_remembered_without_a_document_too(self, store: Store) -> None:
        await store.record_document_refusal(CLIENT_ID, NOW + 700)
        found = await store.load_document(CLIENT_ID)
        assert isinstance(found, StoredDocument)
        assert (found.body, found.headers, found.refused_at) == (b"", (), NOW + 700)
        assert max(found.fetched_at, found.fresh_until, found.last_good_until) < NOW
        await store.record_document(DOCUMENT)
        assert await store.load_document(CLIENT_ID) == replace(DOCUMENT, refused_at=NOW + 700), "it came before"
        await store.record_document(later(701))
        assert await store.load_document(CLIENT_ID) == later(701)

    async def test_the_sweep_leaves_a_document_for_as_long_as_it_may_stand_in(self, store: Store) -> None:
        await store.record_document(DOCUMENT)
        assert await store.sweep(DOCUMENT.last_good_until - 1, limit=100) == 0
        assert await store.load_document(CLIENT_ID) == DOCUMENT
        assert await store.sweep(DOCUMENT.last_good_until, limit=100) == 1
        assert await store.load_document(CLIENT_ID) == Unknown()

    async def test_the_sweep_leaves_the_document_of_a_client_with_a_live_grant(self, store: Store) -> None:
        grant = sample_grant()
        await redeem_sample(store)
        await store.record_document(DOCUMENT)
        await store.record_document_refusal(CLIENT_ID, NOW + 700)
        await store.record_document(sample_document("other"))
        for now in (DOCUMENT.last_good_until, grant.expires_at - 1):
            await store.sweep(now, limit=100)
            assert await store.load_document(CLIENT_ID) == replace(DOCUMENT, refused_at=NOW + 700)
            assert await store.load_document(sample_document("other").client_id) == Unknown()
        await store.sweep(grant.expires_at, limit=100)
        assert await store.load_document(CLIENT_ID) == Unknown()

    async def test_a_document_goes_within_two_days_of_its_last_grant(self, store: Store) -> None:
        await redeem_sample(store)
        await store.record_document(DOCUMENT)
        await store.sweep(DOCUMENT.last_good_until, limit=100)
        await store.revoke_grant(sample_grant().id, reason="test", now=DOCUMENT.last_good_until + 1)
        await store.sweep(DOCUMENT.last_good_until + 2 * DAY, limit=100)
        assert await store.load_document(CLIENT_ID) == Unknown()

    async def test_budgets_are_spent_together_or_not_at_all(self, store: Store) -> None:
        spendings = [
            Spending(budget="one", cost=1, capacity=3, refill_per_second=0.0),
            Spending(budget="two", cost=2, capacity=5, refill_per_second=1.0),
        ]
        verdicts = [await store.spend_all(spendings, now=NOW) for _ in range(3)]
        assert verdicts == [None, None, "two"]
        assert await store.spend("one", 1, capacity=3, refill_per_second=0.0, now=NOW), "nothing was taken for nothing"
        assert await store.spend_all(spendings, now=NOW + 10) == "one"
        assert await store.spend("two", 5, capacity=5, refill_per_second=1.0, now=NOW + 10)
        assert await store.spend_all([], now=NOW) is None

    @pytest.mark.parametrize("order", [1, -1])
    async def test_competing_callers_never_spend_more_together_than_there_is(
        self, store: Store, replica: Store, order: int
    ) -> None:
        spendings = [
            Spending(budget="wide", cost=1, capacity=40, refill_per_second=0.0),
            Spending(budget="narrow", cost=3, capacity=70, refill_per_second=0.0),
        ][::order]
        verdicts = await race(store, replica, lambda handle, _: handle.spend_all(spendings, now=NOW))
        assert Counter(verdicts) == {None: 23, "narrow": 27}
        assert await store.spend("wide", 17, capacity=40, refill_per_second=0.0, now=NOW)
        assert not await store.spend("wide", 1, capacity=40, refill_per_second=0.0, now=NOW)
