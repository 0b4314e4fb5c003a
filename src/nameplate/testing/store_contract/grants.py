"""The store contract: what is granted can be listed, and what was revoked is known for a day."""
# ruff: noqa: S101  (a contract suite asserts)

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from nameplate.ports.store import GrantFilter, Store
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.grant import Grant
from nameplate.testing.store_contract.base import StoreFixtures, race
from nameplate.testing.store_contract.codes import redeem
from nameplate.testing.store_contract.tokens import rotate
from nameplate.testing.store_samples import NOW, approve_sample, redeem_sample, sample_grant

__all__ = ["GrantContract"]

DAY = 86400
GRANT = sample_grant()
OTHER_CLIENT, OTHER_RESOURCE = "https://other.example/client.json", "https://other.example/mcp"

# In the order in which they are made.
MADE = (
    sample_grant("a", username="alice"),
    sample_grant("b", username="bob", subject="sub-of-bob", expires_at=NOW + 60),
    sample_grant("c", username="alice", client_id=OTHER_CLIENT, created_at=NOW - 5),
    sample_grant("d", username="Alice", resource=OTHER_RESOURCE),
    sample_grant("e", username="bob", subject="sub-of-bob", client_id=OTHER_CLIENT, resource=OTHER_RESOURCE),
)

FILTERS: dict[str, tuple[GrantFilter, str]] = {
    "all": (GrantFilter(), "abcde"),
    "client": (GrantFilter(client_id=OTHER_CLIENT), "ce"),
    "subject": (GrantFilter(subject="sub-of-bob"), "be"),
    "username": (GrantFilter(username="alice"), "ac"),
    "resource": (GrantFilter(resource=OTHER_RESOURCE), "de"),
    "live": (GrantFilter(live_at=NOW + 59), "abcde"),
    "live when one has expired": (GrantFilter(live_at=NOW + 60), "acde"),
    "several": (GrantFilter(client_id=OTHER_CLIENT, subject="sub-of-bob", username="bob", live_at=NOW), "e"),
    "none": (GrantFilter(client_id=OTHER_CLIENT, username="Alice"), ""),
    "no pattern": (GrantFilter(username="%"), ""),
}


async def make_all(store: Store) -> None:
    """Approve all of ``MADE``."""
    for grant in MADE:
        await approve_sample(store, grant.id.removeprefix("grant "), grant=grant)


def name_all(listed: Sequence[tuple[int, Grant]]) -> str:
    """The names of the listed grants, one letter each."""
    return "".join(grant.id.removeprefix("grant ") for _, grant in listed)


class GrantContract(StoreFixtures):
    """``load_grant``, ``list_grants``, ``load_revocations`` and the sweep of grants."""

    async def test_a_grant_comes_back_live_revoked_or_expired(self, store: Store) -> None:
        assert await store.load_grant(GRANT.id) == Unknown()
        await make_all(store)
        for grant in MADE:
            assert await store.load_grant(grant.id) == grant
        await store.revoke_grant("grant a", reason="test", now=NOW + 7)
        assert await store.load_grant("grant a") == replace(MADE[0], revoked_at=NOW + 7)
        assert await store.load_grant("GRANT A") == Unknown()

    @pytest.mark.parametrize(("which", "names"), FILTERS.values(), ids=FILTERS.keys())
    async def test_grants_are_listed_as_they_are_asked_for(self, store: Store, which: GrantFilter, names: str) -> None:
        await make_all(store)
        assert name_all(await store.list_grants(which)) == names
        assert [grant for _, grant in await store.list_grants(which)] == [
            grant for grant in MADE if grant.id.removeprefix("grant ") in names
        ]

    async def test_grants_come_in_the_order_in_which_they_were_made_a_page_at_a_time(self, store: Store) -> None:
        assert list(await store.list_grants(GrantFilter())) == []
        await make_all(store)
        whole = await store.list_grants(GrantFilter())
        numbers = [number for number, _ in whole]
        assert numbers == sorted(set(numbers))
        for which, names in ((GrantFilter(), "abcde"), (GrantFilter(username="alice"), "ac")):
            pages, after = "", 0
            while page := await store.list_grants(which, after=after, limit=1):
                assert len(page) == 1
                pages, after = pages + name_all(page), page[0][0]
            assert pages == names
        assert list(await store.list_grants(GrantFilter(), limit=2)) == list(whole[:2])
        assert list(await store.list_grants(GrantFilter(), after=numbers[2])) == list(whole[3:])

    async def test_a_revoked_grant_is_listed_among_all_and_not_among_the_live(self, store: Store) -> None:
        await make_all(store)
        await store.revoke_grant("grant c", reason="test", now=NOW + 7)
        listed = dict(await store.list_grants(GrantFilter())).values()
        assert replace(MADE[2], revoked_at=NOW + 7) in listed
        assert name_all(await store.list_grants(GrantFilter(live_at=NOW + 7))) == "abde"
        assert name_all(await store.list_grants(GrantFilter(live_at=NOW + 6))) == "abcde"

    async def test_revocations_are_told_for_one_resource_from_an_instant_on(self, store: Store) -> None:
        await make_all(store)
        for seconds, name in enumerate("abd"):
            await store.revoke_grant(f"grant {name}", reason="test", now=NOW + seconds)
        revoked = [("grant a", NOW), ("grant b", NOW + 1)]
        for since, expected in ((0, revoked), (NOW, revoked), (NOW + 1, revoked[1:]), (NOW + 2, [])):
            assert sorted(await store.load_revocations(GRANT.resource, since=since)) == expected
        assert list(await store.load_revocations(OTHER_RESOURCE, since=NOW)) == [("grant d", NOW + 2)]
        assert list(await store.load_revocations("https://mcp.example", since=0)) == []

    async def test_whatever_ends_a_grant_is_told(self, store: Store) -> None:
        await redeem_sample(store)
        await redeem(store, now=NOW + 11)
        for name in ("two", "three"):
            await redeem_sample(store, name)
        await rotate(store, "two", "next")
        await rotate(store, "two", "other", now=NOW + 999)
        await store.remove_client("no client", NOW)
        expected = [("grant one", NOW + 11), ("grant two", NOW + 999)]
        assert sorted(await store.load_revocations(GRANT.resource, since=NOW)) == expected

    async def test_of_competing_ends_of_a_grant_the_one_that_counts_is_told(self, store: Store, replica: Store) -> None:
        await approve_sample(store)
        verdicts = await race(
            store, replica, lambda handle, number: handle.revoke_grant(GRANT.id, reason="test", now=NOW + number)
        )
        assert Counter(verdicts) == {True: 1, False: 49}
        revocations = [(GRANT.id, NOW + verdicts.index(True))]
        assert list(await replica.load_revocations(GRANT.resource, since=NOW)) == revocations

    @pytest.mark.parametrize("expires_at", [NOW + 2 * DAY + 1, NOW + 90 * DAY])
    async def test_a_revoked_grant_is_known_for_a_day_though_nothing_refers_to_it(
        self, store: Store, expires_at: int
    ) -> None:
        await approve_sample(store, grant=sample_grant(expires_at=expires_at))
        revoked_at = NOW + 2 * DAY
        await store.revoke_grant(GRANT.id, reason="test", now=revoked_at)
        for now in (revoked_at, revoked_at + DAY - 1):
            await store.sweep(now, limit=100)
            assert await store.load_grant(GRANT.id) == sample_grant(expires_at=expires_at, revoked_at=revoked_at)
            assert list(await store.load_revocations(GRANT.resource, since=NOW)) == [(GRANT.id, revoked_at)]
        assert await store.sweep(revoked_at + DAY, limit=100) == 1
        assert await store.load_grant(GRANT.id) == Unknown()
        assert list(await store.load_revocations(GRANT.resource, since=NOW)) == []
        assert list(await store.list_grants(GrantFilter())) == []

    async def test_a_grant_that_expired_goes_once_nothing_refers_to_it(self, store: Store) -> None:
        await approve_sample(store, "short", grant=sample_grant("short", expires_at=NOW + 60))
        await approve_sample(store, "long", grant=sample_grant("long", expires_at=NOW + 2 * DAY))
        await store.sweep(NOW + DAY - 1, limit=100)
        assert name_all(await store.list_grants(GrantFilter())) == "shortlong"
        await store.sweep(NOW + DAY, limit=100)
        assert name_all(await store.list_grants(GrantFilter())) == "long"
        await store.sweep(NOW + 2 * DAY - 1, limit=100)
        assert name_all(await store.list_grants(GrantFilter())) == "long"
        await store.sweep(NOW + 2 * DAY, limit=100)
        assert name_all(await store.list_grants(GrantFilter())) == ""
