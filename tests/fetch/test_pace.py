"""A burst, then a rate: never more, whatever the order of uses and the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import Busy
from nameplate.fetch.pace import Pace


def count_uses(pace: Pace, key: str, now: float, tries: int) -> int:
    used = 0
    for _ in range(tries):
        try:
            pace.check(key, now)
        except Busy:
            return used
        pace.spend(key, now)
        used += 1
    return used


def test_a_burst_is_followed_by_a_rate() -> None:
    pace = Pace("host", burst=10, per_second=2)
    assert count_uses(pace, "a", 1000.0, 50) == 10
    assert count_uses(pace, "a", 1000.4, 50) == 0
    assert count_uses(pace, "a", 1001.0, 50) == 2
    assert count_uses(pace, "b", 1001.0, 50) == 10
    assert count_uses(pace, "a", 2000.0, 50) == 10


def test_the_wait_that_is_named_is_long_enough_and_a_check_alone_uses_nothing() -> None:
    pace = Pace("host", burst=1, per_second=0.1)
    pace.spend("a", 0.0)
    for _ in range(3):
        with pytest.raises(Busy) as busy:
            pace.check("a", 2.5)
        assert busy.value.retry_after_seconds == 8
    pace.check("a", 2.5 + 8)


def test_a_clock_that_is_set_back_refills_nothing_and_blocks_for_no_longer_than_a_burst() -> None:
    pace = Pace("host", burst=2, per_second=1)
    assert count_uses(pace, "a", 5000.0, 9) == 2
    assert count_uses(pace, "a", 100.0, 9) == 0
    assert count_uses(pace, "a", 102.0, 9) == 2


@given(gaps=st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0, 3.0]), max_size=60))
def test_no_order_of_uses_exceeds_burst_plus_rate(gaps: list[float]) -> None:
    pace, now, used = Pace("host", burst=3, per_second=2), 0.0, 0
    for gap in gaps:
        now += gap
        used += count_uses(pace, "a", now, 1)
    assert used <= 3 + 2 * now + 1e-6


def test_what_is_remembered_is_bounded() -> None:
    pace = Pace("host", burst=1, per_second=1)
    for number in range(10_000):
        pace.spend(f"{number}.example", 0.0)
    assert count_uses(pace, "0.example", 0.0, 2) == 1  # forgotten
    assert count_uses(pace, "9999.example", 0.0, 2) == 0
