"""A burst, then a rate: never more, whatever the order of uses and the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.token_bucket import TokenBuckets


def count_uses(buckets: TokenBuckets, key: str, now: float, tries: int) -> int:
    used = 0
    for _ in range(tries):
        if buckets.find_wait(key, now):
            return used
        buckets.take(key, now)
        used += 1
    return used


def test_a_burst_is_followed_by_a_rate() -> None:
    buckets = TokenBuckets(burst=10, per_second=2)
    assert count_uses(buckets, "a", 1000.0, 50) == 10
    assert count_uses(buckets, "a", 1000.4, 50) == 0
    assert count_uses(buckets, "a", 1001.0, 50) == 2
    assert count_uses(buckets, "b", 1001.0, 50) == 10
    assert count_uses(buckets, "a", 2000.0, 50) == 10


def test_the_wait_that_is_named_is_long_enough_and_a_check_alone_uses_nothing() -> None:
    buckets = TokenBuckets(burst=1, per_second=0.1)
    buckets.take("a", 0.0)
    for _ in range(3):
        assert buckets.find_wait("a", 2.5) == pytest.approx(7.5)
    assert buckets.find_wait("a", 10.0) == 0.0


def test_a_reserve_is_left_alone() -> None:
    buckets = TokenBuckets(burst=3, per_second=1)
    buckets.take("a", 0.0)
    assert buckets.find_wait("a", 0.0, reserve=1.0) == 0.0
    assert buckets.find_wait("a", 0.0, reserve=2.0) == pytest.approx(1.0)


def test_what_is_given_back_is_no_more_than_was_taken() -> None:
    buckets = TokenBuckets(burst=2, per_second=1)
    buckets.give_back("a", 0.0)
    buckets.take("a", 0.0)
    for _ in range(3):
        buckets.give_back("a", 0.0)
    assert count_uses(buckets, "a", 0.0, 9) == 2


def test_a_clock_that_is_set_back_refills_nothing_and_blocks_for_no_longer_than_a_burst() -> None:
    buckets = TokenBuckets(burst=2, per_second=1)
    assert count_uses(buckets, "a", 5000.0, 9) == 2
    assert count_uses(buckets, "a", 100.0, 9) == 0
    assert count_uses(buckets, "a", 102.0, 9) == 2


@given(gaps=st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0, 3.0]), max_size=60))
def test_no_order_of_uses_exceeds_burst_plus_rate(gaps: list[float]) -> None:
    buckets, now, used = TokenBuckets(burst=3, per_second=2), 0.0, 0
    for gap in gaps:
        now += gap
        used += count_uses(buckets, "a", now, 1)
    assert used <= 3 + 2 * now + 1e-6


def test_what_is_remembered_is_bounded() -> None:
    buckets = TokenBuckets(burst=1, per_second=1)
    for number in range(10_000):
        buckets.take(f"{number}.example", 0.0)
    assert len(buckets) == 4096
    assert count_uses(buckets, "0.example", 0.0, 2) == 1  # forgotten
    assert count_uses(buckets, "9999.example", 0.0, 2) == 0
