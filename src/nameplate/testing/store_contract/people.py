"""The store contract: who people are, their sessions, and budgets."""
# ruff: noqa: S101  (a contract suite asserts)

from collections import Counter

import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import Store, StoredSubject
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.audit import AuditEvent
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names, race
from nameplate.testing.store_samples import NOW, sample_session

__all__ = ["PersonContract"]

ISSUER = "https://idp.example"
SESSION = sample_session(credential_digest="digest of a password", upstream="corp", person='{"name":"Älice"}')


class PersonContract(StoreFixtures):
    """``record_subject``, ``list_subjects``, the sessions and ``spend``."""

    async def test_a_person_keeps_the_subject_recorded_first(self, store: Store) -> None:
        assert await store.record_subject(ISSUER, "alice", candidate="sub-1", now=NOW) == "sub-1"
        assert await store.record_subject(ISSUER, "alice", candidate="sub-2", now=NOW + 1) == "sub-1"

    async def test_a_person_is_known_by_issuer_and_subject_byte_for_byte(self, store: Store) -> None:
        people = [(ISSUER, "alice"), (ISSUER, "Alice"), (ISSUER + "/", "alice"), ("", ISSUER + "alice")]
        for number, person in enumerate(people):
            assert await store.record_subject(*person, candidate=f"sub-{number}", now=NOW) == f"sub-{number}"

    async def test_competing_sign_ins_of_one_person_get_one_subject(self, store: Store, replica: Store) -> None:
        subjects = await race(
            store, replica, lambda handle, n: handle.record_subject(ISSUER, "alice", candidate=f"sub-{n}", now=NOW)
        )
        assert len(set(subjects)) == 1
        assert await store.record_subject(ISSUER, "alice", candidate="late", now=NOW) == subjects[0]

    async def test_the_sweep_forgets_nobody(self, store: Store) -> None:
        await store.record_subject(ISSUER, "alice", candidate="sub-1", now=NOW)
        assert await store.sweep(NOW + 10**9, limit=100, audit_before=NOW + 10**9) == 0
        assert await store.record_subject(ISSUER, "alice", candidate="sub-2", now=NOW + 10**9) == "sub-1"

    async def test_two_people_never_share_a_subject(self, store: Store) -> None:
        await store.record_subject(ISSUER, "alice", candidate="sub-1", now=NOW)
        with pytest.raises(StoreError):
            await store.record_subject(ISSUER, "bob", candidate="sub-1", now=NOW)

    async def test_a_session_comes_back_until_it_expires(self, store: Store) -> None:
        await store.record_session(SESSION, replaces=None)
        assert await store.load_session(SESSION.id_hash, NOW) == SESSION
        assert await store.load_session(SESSION.id_hash, SESSION.expires_at - 1) == SESSION
        assert await store.load_session(SESSION.id_hash, SESSION.expires_at) == Unknown()
        assert await store.load_session(sample_session("two").id_hash, NOW) == Unknown()

    async def test_a_session_ends_the_one_that_it_replaces(self, store: Store) -> None:
        two = sample_session("two", signed_in_at=NOW + 5)
        await store.record_session(SESSION, replaces=sample_session("never began").id_hash)
        await store.record_session(two, replaces=SESSION.id_hash)
        assert await store.load_session(SESSION.id_hash, NOW) == Unknown()
        assert await store.load_session(two.id_hash, NOW) == two
        assert await load_audit_names(store) == ["session.started", "session.ended", "session.started"]

    async def test_a_session_that_cannot_start_ends_no_other(self, store: Store) -> None:
        await store.record_session(SESSION, replaces=None)
        await store.record_session(sample_session("two"), replaces=None)
        with pytest.raises(StoreError):
            await store.record_session(sample_session("two"), replaces=SESSION.id_hash)
        assert await store.load_session(SESSION.id_hash, NOW) == SESSION

    async def test_a_session_ends_once(self, store: Store, replica: Store) -> None:
        await store.record_session(SESSION, replaces=None)
        await race(store, replica, lambda handle, _: handle.end_session(SESSION.id_hash, NOW + 9))
        assert await store.load_session(SESSION.id_hash, NOW) == Unknown()
        assert [event for _, event in await store.load_audit_events()] == [
            AuditEvent(name="session.started", at=NOW, subject=SESSION.subject),
            AuditEvent(name="session.ended", at=NOW + 9, subject=SESSION.subject),
        ]

    async def test_a_person_is_signed_out_everywhere(self, store: Store) -> None:
        others = sample_session("others", subject="sub-of-bob")
        over = sample_session("over", expires_at=NOW + 9)
        for session in (SESSION, sample_session("two"), over, others):
            await store.record_session(session, replaces=None)
        assert await store.end_sessions(SESSION.subject, NOW + 9) == 2
        for session in (SESSION, sample_session("two")):
            assert await store.load_session(session.id_hash, NOW) == Unknown()
        assert await store.load_session(others.id_hash, NOW) == others
        assert await store.end_sessions(SESSION.subject, NOW + 9) == 0
        assert await store.end_sessions("nobody", NOW) == 0
        ended = AuditEvent(name="session.ended", at=NOW + 9, subject=SESSION.subject)
        assert [event for _, event in await store.load_audit_events()][4:] == [ended, ended]

    async def test_competing_callers_end_each_session_once(self, store: Store, replica: Store) -> None:
        for number in range(10):
            await store.record_session(sample_session(f"{number}"), replaces=None)
        ended = await race(store, replica, lambda handle, _: handle.end_sessions(SESSION.subject, NOW))
        assert sum(ended) == 10
        assert (await load_audit_names(store)).count("session.ended") == 10

    async def test_everybody_who_signed_in_is_listed_a_page_at_a_time(self, store: Store) -> None:
        assert list(await store.list_subjects()) == []
        people = [("z", NOW), ("Ünï", NOW - 5), ("a", NOW + 5)]
        for name, now in people:
            await store.record_subject(ISSUER, name, candidate=f"sub-of-{name}", now=now)
        await store.record_subject(ISSUER, "z", candidate="sub-2", now=NOW + 9)
        whole = await store.list_subjects()
        assert [subject for _, subject in whole] == [
            StoredSubject(subject=f"sub-of-{name}", upstream_issuer=ISSUER, upstream_subject=name, created_at=now)
            for name, now in people
        ]
        numbers = [number for number, _ in whole]
        assert numbers == sorted(set(numbers))
        assert list(await store.list_subjects(limit=1)) == list(whole[:1])
        assert list(await store.list_subjects(after=numbers[0], limit=1)) == list(whole[1:2])
        assert list(await store.list_subjects(after=numbers[2])) == []

    async def test_a_budget_starts_full_and_gives_no_more_than_it_holds(self, store: Store) -> None:
        async def spend(cost: int) -> bool:
            return await store.spend("budget", cost, capacity=10, refill_per_second=1.0, now=NOW)

        assert [await spend(4), await spend(4), await spend(4)] == [True, True, False]
        assert [await spend(2), await spend(1)] == [True, False], "a refused spending must take nothing"

    async def test_a_cost_above_the_capacity_is_never_paid(self, store: Store) -> None:
        for now in (NOW, NOW + 1e9):
            assert not await store.spend("budget", 11, capacity=10, refill_per_second=1.0, now=now)
        assert await store.spend("budget", 10, capacity=10, refill_per_second=1.0, now=NOW)

    async def test_what_was_spent_can_be_given_back_but_never_above_the_capacity(self, store: Store) -> None:
        async def spend(cost: int) -> bool:
            return await store.spend("budget", cost, capacity=10, refill_per_second=1.0, now=NOW)

        assert [await spend(10), await spend(1), await spend(-3)] == [True, False, True]
        assert [await spend(4), await spend(3)] == [False, True]
        assert [await spend(-10), await spend(-10), await spend(-10)] == [True, True, True]
        assert [await spend(11), await spend(10), await spend(1)] == [False, True, False]

    async def test_a_budget_refills_with_time_up_to_its_capacity(self, store: Store) -> None:
        async def spend(cost: int, seconds: float) -> bool:
            return await store.spend("budget", cost, capacity=10, refill_per_second=0.5, now=NOW + seconds)

        assert await spend(10, 0)
        assert [await spend(1, 1.5), await spend(1, 2), await spend(1, 3.5)] == [False, True, False]
        assert [await spend(10, 1000), await spend(1, 1000)] == [True, False]

    async def test_a_clock_that_is_behind_neither_refills_a_budget_nor_delays_it(self, store: Store) -> None:
        async def spend(cost: int, seconds: float) -> bool:
            return await store.spend("budget", cost, capacity=10, refill_per_second=1.0, now=NOW + seconds)

        assert await spend(8, 100)
        assert [await spend(1, 0), await spend(2, 0)] == [True, False]
        assert [await spend(3, 101), await spend(2, 101)] == [False, True]

    async def test_budgets_are_apart(self, store: Store) -> None:
        for name in ("one", "two", "ONE"):
            assert await store.spend(name, 1, capacity=1, refill_per_second=1.0, now=NOW)

    async def test_a_budget_that_does_not_refill_stays_spent(self, store: Store) -> None:
        assert await store.spend("budget", 1, capacity=1, refill_per_second=0.0, now=NOW)
        await store.sweep(NOW + 10**9, limit=100)
        assert not await store.spend("budget", 1, capacity=1, refill_per_second=0.0, now=NOW + 10**9)

    async def test_competing_callers_never_spend_more_than_there_is(self, store: Store, replica: Store) -> None:
        verdicts = await race(
            store, replica, lambda handle, _: handle.spend("budget", 3, capacity=70, refill_per_second=0.1, now=NOW)
        )
        assert Counter(verdicts) == {True: 23, False: 27}
