"""The store contract: the audit trail is read in order, without a gap, and as narrowly as one likes."""
# ruff: noqa: S101  (a contract suite asserts)

import asyncio
from collections.abc import Sequence

import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import Store
from nameplate.protocol.audit import AuditEvent, AuditFilter
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names
from nameplate.testing.store_samples import (
    NOW,
    approve_sample,
    sample_assertion,
    sample_client,
    sample_grant,
    sample_session,
)

__all__ = ["AuditContract"]

OTHER_CLIENT = "https://other.example/client.json"

# Of the events that ``write_all`` writes, by their order; the fifth is from before the others.
FILTERS: dict[str, tuple[AuditFilter, list[int]]] = {
    "all": (AuditFilter(), [0, 1, 2, 3, 4, 5]),
    "names": (AuditFilter(names=("session.started", "grant.revoked")), [0, 3, 4]),
    "no such name": (AuditFilter(names=("code.burned",)), []),
    "client": (AuditFilter(client_id=OTHER_CLIENT), [2, 3]),
    "subject": (AuditFilter(subject="sub-of-bob"), [2, 3, 4]),
    "grant": (AuditFilter(grant_id="grant two"), [2, 3]),
    "since": (AuditFilter(since=NOW + 2), [2, 3, 5]),
    "until": (AuditFilter(until=NOW + 1), [0, 1, 4]),
    "since and until": (AuditFilter(since=NOW + 1, until=NOW + 2), [1, 2]),
    "from the beginning of time": (AuditFilter(since=0, until=0), []),
    "since the future": (AuditFilter(since=NOW + 10**6), []),
    "several": (AuditFilter(names=("grant.revoked",), subject="sub-of-bob", since=NOW), [3]),
    "no pattern": (AuditFilter(subject="sub%"), []),
}


async def write_all(store: Store) -> None:
    """Let six things happen."""
    await store.record_session(sample_session(), replaces=None)
    await store.record_client(sample_client(), limit=10, now=NOW + 1)
    other = sample_grant("two", client_id=OTHER_CLIENT, subject="sub-of-bob")
    await approve_sample(store, "two", grant=other, now=NOW + 2)
    await store.revoke_grant(other.id, reason="test", now=NOW + 3)
    await store.record_session(sample_session("two", subject="sub-of-bob", signed_in_at=NOW - 60), replaces=None)
    await store.record_assertion(sample_assertion(), NOW)
    await store.record_assertion(sample_assertion(), NOW + 4)


async def write_sessions(store: Store, numbers: Sequence[int], *, at: int = NOW) -> None:
    """Let sessions start, whose subjects are these numbers."""
    sessions = [sample_session(f"{number}", subject=f"{number}", signed_in_at=at) for number in numbers]
    await asyncio.gather(*(store.record_session(session, replaces=None) for session in sessions))


class AuditContract(StoreFixtures):
    """``load_audit_events`` and the sweep of events."""

    async def test_audit_events_come_in_order_a_page_at_a_time(self, store: Store) -> None:
        assert list(await store.load_audit_events()) == []
        for number in range(5):
            await write_sessions(store, [number])
        whole = await store.load_audit_events()
        assert [event.subject for _, event in whole] == ["0", "1", "2", "3", "4"]
        positions = [position for position, _ in whole]
        assert len(set(positions)) == 5
        assert "" not in positions
        assert list(await store.load_audit_events(limit=2)) == list(whole[:2])
        assert list(await store.load_audit_events(after=positions[1], limit=2)) == list(whole[2:4])
        assert list(await store.load_audit_events(after=positions[3])) == list(whole[4:])
        assert list(await store.load_audit_events(after=positions[4])) == []

    async def test_an_event_is_read_at_every_replica_as_soon_as_it_was_written(
        self, store: Store, replica: Store
    ) -> None:
        position = ""
        for number in range(20):
            await write_sessions(store, [number])
            [(position, event)] = await replica.load_audit_events(after=position)
            assert event == AuditEvent(name="session.started", at=NOW, subject=f"{number}")

    @pytest.mark.parametrize(("which", "expected"), FILTERS.values(), ids=FILTERS.keys())
    async def test_events_are_read_as_narrowly_as_they_are_asked_for(
        self, store: Store, which: AuditFilter, expected: list[int]
    ) -> None:
        await write_all(store)
        whole = await store.load_audit_events()
        assert len(whole) == 6
        narrowed = [whole[number] for number in expected]
        assert list(await store.load_audit_events(which)) == narrowed
        assert list(await store.load_audit_events(which, limit=1)) == narrowed[:1]
        for number, (position, _) in enumerate(narrowed):
            assert list(await store.load_audit_events(which, after=position)) == narrowed[number + 1 :]

    @pytest.mark.parametrize("position", ["no position", " 1", "١", "9" * 400, "\0"])
    async def test_what_is_no_position_is_refused(self, store: Store, position: str) -> None:
        await write_all(store)
        with pytest.raises(StoreError):
            await store.load_audit_events(after=position)

    async def test_whoever_reads_on_misses_nothing_that_was_being_written(self, store: Store, replica: Store) -> None:
        writers = asyncio.gather(
            *(
                write_sessions((store, replica)[number % 2], range(number * 20, number * 20 + 20))
                for number in range(10)
            )
        )
        seen: list[str] = []
        position, is_done = "", False
        while not is_done:
            is_done = writers.done()
            while page := await replica.load_audit_events(after=position, limit=7):
                seen += [event.subject for _, event in page]
                position = page[-1][0]
            await asyncio.sleep(0)
        await writers
        assert sorted(seen, key=int) == [f"{number}" for number in range(200)], "each event once, and none missed"
        assert seen == [event.subject for _, event in await store.load_audit_events()], "and always in one order"

    async def test_events_stay_unless_the_sweep_is_told_otherwise(self, store: Store) -> None:
        await write_all(store)
        events = await load_audit_names(store)
        await store.sweep(NOW, limit=100)
        await store.sweep(NOW, limit=100, audit_before=NOW - 60)
        assert await load_audit_names(store) == events

    async def test_the_sweep_forgets_events_from_before_an_instant(self, store: Store) -> None:
        await write_all(store)
        whole = await store.load_audit_events()
        assert await store.sweep(0, limit=100, audit_before=NOW + 2) == 3
        assert list(await store.load_audit_events()) == [whole[2], whole[3], whole[5]]
        assert await store.sweep(0, limit=100, audit_before=NOW + 2) == 0
        deleted = [await store.sweep(0, limit=2, audit_before=NOW + 10) for _ in range(3)]
        assert deleted == [2, 1, 0]
        assert list(await store.load_audit_events()) == []

    async def test_a_reader_whose_events_were_swept_reads_on_where_he_was(self, store: Store, replica: Store) -> None:
        await write_sessions(store, range(5))
        positions = [position for position, _ in await store.load_audit_events()]
        await store.sweep(0, limit=100, audit_before=NOW + 1)
        assert list(await store.load_audit_events(after=positions[2])) == []
        await write_sessions(replica, [5, 6], at=NOW + 1)
        for position in ("", *positions):
            events = await store.load_audit_events(after=position)
            assert sorted(event.subject for _, event in events) == ["5", "6"]
