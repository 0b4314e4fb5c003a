"""Positions in the audit trail of a SQLite store."""

import asyncio
from pathlib import Path

import pytest

from nameplate.errors import StoreError
from nameplate.stores.sqlite import SqliteStore
from nameplate.stores.sqlite_audit import parse_position
from nameplate.testing.store_samples import NOW, sample_session


@pytest.mark.parametrize(("position", "expected"), [("", 0), ("0", 0), ("7", 7), (f"{2**63 - 1}", 2**63 - 1)])
def test_a_position_is_the_id_of_an_event(position: str, expected: int) -> None:
    assert parse_position(position) == expected


@pytest.mark.parametrize("position", ["-1", "+1", "1.5", "1e3", "0x1", "1_0", "1 ", "\n1", "１", "²", "1" * 20, "None"])
def test_what_is_no_decimal_number_is_no_position(position: str) -> None:
    with pytest.raises(StoreError):
        parse_position(position)


def test_a_position_is_never_used_again_not_even_after_a_restart(tmp_path: Path) -> None:
    async def write_read_sweep(number: int) -> list[str]:
        store = await SqliteStore.open(str(tmp_path / "store.sqlite"))
        await store.record_session(sample_session(f"{number}"), replaces=None)
        positions = [position for position, _ in await store.load_audit_events()]
        assert await store.sweep(0, limit=10, audit_before=NOW + 1) == 1
        await store.aclose()
        return positions

    assert [asyncio.run(write_read_sweep(number)) for number in range(3)] == [["1"], ["2"], ["3"]]
