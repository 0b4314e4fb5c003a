"""Whoever owns a network has one budget, however many addresses are in it."""

from collections.abc import Iterable
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.source_networks import SourceBudget, list_source_networks


@pytest.mark.parametrize(
    ("host", "networks"),
    [
        ("203.0.113.9", [("203.0.113.9", 1), ("203.0.113.0/24", 4)]),
        ("::ffff:203.0.113.9", [("203.0.113.9", 1), ("203.0.113.0/24", 4)]),
        (
            "2001:db8:1:2233:3:4:5:6",
            [("2001:db8:1:2233::/64", 1), ("2001:db8:1:2200::/56", 2), ("2001:db8:1::/48", 4)],
        ),
        ("fe80::1%eth0", [("fe80::/64", 1), ("fe80::/56", 2), ("fe80::/48", 4)]),
        ("unix:" + "x" * 200, [("unix:" + "x" * 59, 1)]),
        ("", [("", 1)]),
    ],
)
def test_a_peer_is_counted_with_its_networks(host: str, networks: list[tuple[str, int]]) -> None:
    assert [(each.name, each.width) for each in list_source_networks(host)] == networks


def count_uses(budget: SourceBudget, hosts: Iterable[str], now: float = 0.0) -> int:
    return sum(budget.spend(host, now) is None for host in hosts)


def test_one_address_has_a_burst_and_then_a_rate() -> None:
    budget = SourceBudget(burst=5, per_second=0.5)
    assert count_uses(budget, ["203.0.113.9"] * 9) == 5
    assert budget.spend("203.0.113.9", 0.0) == 2
    assert count_uses(budget, ["203.0.113.9"] * 9, 2.0) == 1
    assert count_uses(budget, ["198.51.100.1"] * 9, 2.0) == 5


@pytest.mark.parametrize(("step", "uses"), [(1, 5), (2**64, 10), (2**72, 20)])
def test_more_addresses_of_one_network_do_not_give_more(step: int, uses: int) -> None:
    budget, first = SourceBudget(burst=5, per_second=1), int(IPv6Address("2001:db8::"))
    count = min(200, 2**80 // step)
    assert count_uses(budget, (str(IPv6Address(first + number * step)) for number in range(count))) == uses


def test_a_refused_use_takes_nothing_from_the_network_around() -> None:
    budget = SourceBudget(burst=5, per_second=1)
    assert count_uses(budget, ["2001:db8:0:1::1"] * 100) == 5
    assert count_uses(budget, ["2001:db8:0:2::1"] * 100) == 5


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 2)), max_size=80))
def test_no_order_of_uses_gives_an_address_more_than_burst_and_rate(steps: list[tuple[int, float]]) -> None:
    budget, now, used = SourceBudget(burst=3, per_second=1), 0.0, [0, 0, 0, 0]
    for number, gap in steps:
        now += gap
        used[number] += budget.spend(f"203.0.113.{number}", now) is None
    assert all(each <= 3 + now + 1e-6 for each in used)
    assert sum(used) <= 12 + 4 * now + 1e-6
