"""Budgets, slots and the circuit breaker, by themselves."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import Busy, ConfigurationError, Unreachable
from nameplate.fetch import DocumentOptions
from nameplate.fetch.budgets import CircuitBreaker, FetchBudget, Slots


def spend(budget: FetchBudget, host: str, now: float, *, source: str = "", known: bool = False) -> bool:
    try:
        budget.spend(host, source=source, known=known, now=now)
    except Busy:
        return False
    return True


def test_a_host_is_asked_a_burst_and_then_at_a_rate() -> None:
    budget = FetchBudget(DocumentOptions(host_burst=5, host_per_second=2.0))
    assert [spend(budget, "a.example", 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [spend(budget, "a.example", 1.0) for _ in range(3)] == [True, True, False]
    assert spend(budget, "b.example", 1.0)


def test_the_wait_that_is_named_is_long_enough() -> None:
    budget = FetchBudget(DocumentOptions(host_burst=1, host_per_second=0.1))
    budget.spend("a.example", source="", known=False, now=0.0)
    with pytest.raises(Busy) as busy:
        budget.spend("a.example", source="", known=False, now=1.0)
    assert busy.value.retry_after_seconds == 9
    budget.spend("a.example", source="", known=False, now=10.0)


def test_a_share_of_the_total_is_kept_for_known_clients() -> None:
    budget = FetchBudget(DocumentOptions(total_burst=8, total_per_second=1.0, reserved_share=0.25))
    assert sum(spend(budget, f"h{n}.example", 0.0) for n in range(20)) == 6
    assert sum(spend(budget, f"k{n}.example", 0.0, known=True) for n in range(20)) == 2


def test_a_refused_fetch_takes_nothing_from_either_bucket() -> None:
    budget = FetchBudget(DocumentOptions(host_burst=1, host_per_second=0.001, total_burst=4, reserved_share=0.0))
    assert [spend(budget, "a.example", 0.0) for _ in range(10)].count(True) == 1
    assert [spend(budget, f"h{n}.example", 0.0) for n in range(5)].count(True) == 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=60))
def test_no_order_of_fetches_exceeds_burst_plus_rate(steps: list[tuple[str, float]]) -> None:
    options = DocumentOptions(host_burst=3, host_per_second=1.0, total_burst=100)
    budget, now, granted = FetchBudget(options), 0.0, {"a": 0, "b": 0, "c": 0}
    for host, pause in steps:
        now += pause
        granted[host] += spend(budget, host, now)
        assert granted[host] <= 3 + now + 1e-6


def test_a_clock_that_jumps_back_refills_nothing() -> None:
    budget = FetchBudget(DocumentOptions(host_burst=1, host_per_second=1.0))
    assert spend(budget, "a.example", 1000.0)
    assert not spend(budget, "a.example", 10.0)
    assert spend(budget, "a.example", 11.0)


def test_a_source_is_charged_for_strangers_only() -> None:
    budget = FetchBudget(DocumentOptions(source_burst=2, source_per_second=0.5))
    assert [spend(budget, f"h{n}.example", 0.0, source="192.0.2.1") for n in range(4)] == [True, True, False, False]
    assert spend(budget, "h.example", 0.0, source="192.0.2.2")
    assert spend(budget, "h.example", 0.0, source="192.0.2.1", known=True)
    assert spend(budget, "h.example", 0.0), "a caller that names no source"
    assert [spend(budget, "h.example", 2.0, source="192.0.2.1") for _ in range(2)] == [True, False]


def test_what_is_given_back_can_be_spent_again_and_is_no_more_than_there_was() -> None:
    budget = FetchBudget(DocumentOptions(source_burst=1, host_burst=1, total_burst=1, reserved_share=0.0))
    assert [spend(budget, "a.example", 0.0, source="s") for _ in range(2)] == [True, False]
    for _ in range(3):
        budget.give_back("a.example", source="s", now=0.0)
    assert [spend(budget, "a.example", 0.0, source="s") for _ in range(2)] == [True, False]


def test_slots_are_bounded_per_site_and_in_all_with_a_reserve() -> None:
    slots = Slots(DocumentOptions(total_at_once=4, site_at_once=2, reserved_share=0.25))
    with ExitStack() as evil, ExitStack() as others:
        for host in ("a.evil.example", "b.evil.example"):
            evil.enter_context(slots.hold(host, known=False))
        with pytest.raises(Busy), slots.hold("c.evil.example", known=False):
            pass
        others.enter_context(slots.hold("www.other.example", known=False))
        with pytest.raises(Busy), slots.hold("www.third.test", known=False):
            pass
        with slots.hold("www.third.test", known=True), pytest.raises(Busy), slots.hold("www.fourth.test", known=True):
            pass
        evil.close()
        with slots.hold("c.evil.example", known=False):
            pass
    assert not slots._sites


def test_a_host_that_cannot_be_reached_is_left_alone_then_tried_once() -> None:
    breaker = CircuitBreaker(DocumentOptions(breaker_failures=3, breaker_seconds=10.0))
    for _ in range(3):
        breaker.check("a.example", 443, 0.0)
        breaker.record_failure("a.example", 443, 0.0)
    for now in (0.0, 9.9):
        with pytest.raises(Unreachable):
            breaker.check("a.example", 443, now)
    breaker.check("b.example", 443, 0.0)
    breaker.check("a.example", 8443, 0.0)
    breaker.check("a.example", 443, 10.0)
    with pytest.raises(Unreachable):  # the trial is under way
        breaker.check("a.example", 443, 10.0)
    breaker.record_contact("a.example", 443)
    breaker.check("a.example", 443, 10.0)


def test_each_failed_trial_doubles_the_pause_up_to_a_limit() -> None:
    breaker = CircuitBreaker(DocumentOptions(breaker_failures=1, breaker_seconds=10.0, breaker_max_seconds=35.0))
    now = 0.0
    for pause in (10.0, 20.0, 35.0, 35.0):
        breaker.check("a.example", 443, now)
        breaker.record_failure("a.example", 443, now)
        with pytest.raises(Unreachable):
            breaker.check("a.example", 443, now + pause - 0.1)
        now += pause


def test_what_is_remembered_about_hosts_is_bounded() -> None:
    budget = FetchBudget(DocumentOptions(total_burst=10**6, total_per_second=1e6))
    breaker = CircuitBreaker(DocumentOptions(breaker_failures=1))
    for number in range(5000):
        budget.spend(f"h{number}.example", source=f"s{number}", known=False, now=0.0)
        breaker.record_failure(f"h{number}.example", 443, 0.0)
    assert len(budget._hosts) == len(budget._sources) == len(breaker._circuits) == 4096


def test_options_that_cannot_work_are_refused() -> None:
    for options in (
        {"reserved_share": 1.0},
        {"other_entries": 0},
        {"failure_seconds": -1},
        {"breaker_seconds": float("nan")},
    ):
        with pytest.raises(ConfigurationError, match=rf"documents\.{next(iter(options))}"):
            DocumentOptions(**options)
