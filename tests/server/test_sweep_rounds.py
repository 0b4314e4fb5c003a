"""The sweep of a running server: what it is told to keep, and for how long."""

from pathlib import Path

import pytest

from nameplate.server.parts import SWEEP_ROWS_AT_ONCE, sweep_some
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_samples import NOW, sample_session

DAY = 86400


@pytest.mark.anyio
async def test_audit_events_are_kept_for_as_long_as_the_operator_says(tmp_path: Path) -> None:
    store = await SqliteStore.open(str(tmp_path / "store"))
    try:
        await store.record_session(sample_session("old"), replaces=None)
        await store.record_session(sample_session("new", signed_in_at=NOW + DAY), replaces=None)
        assert await sweep_some(store, NOW + 7 * DAY, audit_seconds=7 * DAY)
        assert [event.at for _, event in await store.load_audit_events()] == [NOW, NOW + DAY]
        assert await sweep_some(store, NOW + 7 * DAY + 1, audit_seconds=7 * DAY)
        assert [event.at for _, event in await store.load_audit_events()] == [NOW + DAY]
    finally:
        await store.aclose()


@pytest.mark.anyio
async def test_a_round_that_finds_much_to_do_says_that_it_is_not_done(tmp_path: Path) -> None:
    store = await SqliteStore.open(str(tmp_path / "store"))
    try:
        for number in range(SWEEP_ROWS_AT_ONCE + 1):
            await store.record_session(sample_session(str(number)), replaces=None)
        assert not await sweep_some(store, NOW + DAY, audit_seconds=400 * DAY)
        assert await sweep_some(store, NOW + DAY, audit_seconds=400 * DAY)
    finally:
        await store.aclose()
