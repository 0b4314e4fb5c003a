"""How often and how much at once the fetcher may be used: token buckets, slots and a circuit breaker.

All of them refuse at once and queue nothing. They know no clock: ``now`` is an argument, in seconds from anywhere.
"""

import asyncio
import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nameplate.errors import Busy, Unreachable
from nameplate.fetch.options import DocumentOptions
from nameplate.ports.store import BudgetStore, Spending
from nameplate.protocol.token_bucket import REMEMBERED_KEYS, TokenBuckets

__all__ = ["CircuitBreaker", "FetchBudget", "SharedBudget", "Slots", "check_bucket", "find_site"]

# How many fetches are paid for in one write, and how small a part of the whole budget that has to be.
_PAID_AT_ONCE = 16
_SMALL_PART = 25


def find_site(host: str) -> str:
    """The last two labels of a host name: roughly who owns it, closely enough to bound what one owner can hold."""
    return ".".join(host.rsplit(".", 2)[-2:])


def check_bucket(what: str, wait: float) -> None:
    """Raise ``Busy`` where the next token comes only after ``wait`` seconds. ``what`` says whose budget it is."""
    if wait:
        raise Busy(f"the {what} budget is spent", retry_after_seconds=max(1, math.ceil(wait)))


class FetchBudget:
    """Fetches by this process: for each source and each target host, and in all.

    *Known* clients (they hold a grant) may use the reserved share of the total, and no source is charged for them.
    """

    def __init__(self, options: DocumentOptions) -> None:
        # Pushing a spent bucket out takes more fetches than the total budget allows while it would refill anyway.
        self._sources = TokenBuckets(burst=options.source_burst, per_second=options.source_per_second)
        self._hosts = TokenBuckets(burst=options.host_burst, per_second=options.host_per_second)
        self._total = TokenBuckets(burst=options.total_burst, per_second=options.total_per_second)
        self._reserve = options.total_burst * options.reserved_share

    def spend(self, host: str, *, source: str, known: bool, now: float) -> None:
        """Take one fetch from each bucket, or raise ``Busy`` and take nothing. ``source`` is empty where none is."""
        buckets = self._list_buckets(host, source if not known else "")
        for what, kind, key in buckets:
            reserve = self._reserve if kind is self._total and not known else 0.0
            check_bucket(what, kind.find_wait(key, now, reserve=reserve))
        for _, kind, key in buckets:
            kind.take(key, now)

    def give_back(self, host: str, *, source: str, now: float) -> None:
        """Undo the ``spend`` of a fetch for a stranger that did not take place."""
        for _, kind, key in self._list_buckets(host, source):
            kind.give_back(key, now)

    def _list_buckets(self, host: str, source: str) -> list[tuple[str, TokenBuckets, str]]:
        sources = [("source", self._sources, source)] if source else []
        return [*sources, ("host", self._hosts, host), ("total", self._total, "")]


class SharedBudget:
    """The same three for strangers' documents, in the store: replicas share them, and a restart does not refill them.

    What known clients need is not counted here, so that strangers cannot take it from them. A write costs as much as a
    good part of a fetch, so some fetches are paid for at once where the budgets are large.
    """

    def __init__(self, store: BudgetStore, options: DocumentOptions) -> None:
        self._store = store
        self._options = options
        self._prepaid: OrderedDict[str, int] = OrderedDict()
        self._paying = asyncio.Lock()

    async def spend(self, host: str, *, source: str, now: float) -> None:
        """Take one fetch from each bucket, or raise ``Busy`` and take nothing."""
        spendings = self._build_spendings(host, source)
        if self._take_prepaid(spendings):
            return
        async with self._paying:  # a crowd pays once, and not each for itself
            while not self._take_prepaid(spendings):
                await self._pay([each for each in spendings if each.budget not in self._prepaid], now)

    def _build_spendings(self, host: str, source: str) -> list[Spending]:
        options = self._options
        strangers_burst = max(1, int(options.total_burst * (1 - options.reserved_share)))
        spendings = [
            _build_spending(f"fetch:host:{host}", options.host_burst, options.host_per_second),
            _build_spending("fetch:total", strangers_burst, options.total_per_second),
        ]
        if source:
            name = f"fetch:source:{source}"
            spendings.append(_build_spending(name, options.source_burst, options.source_per_second))
        return spendings

    def _take_prepaid(self, spendings: list[Spending]) -> bool:
        if not all(each.budget in self._prepaid for each in spendings):
            return False
        for each in spendings:
            self._prepaid[each.budget] -= 1
            if not self._prepaid[each.budget]:
                del self._prepaid[each.budget]
        return True

    async def _pay(self, spendings: list[Spending], now: float) -> None:
        refused = await self._store.spend_all(spendings, now=now)
        for each in spendings:
            if each.budget == refused:
                wait = max(1, math.ceil(each.cost / each.refill_per_second))
                raise Busy(f"the shared budget {refused} is spent", retry_after_seconds=wait)
        self._prepaid.update({each.budget: each.cost for each in spendings})
        while len(self._prepaid) > REMEMBERED_KEYS:
            self._prepaid.popitem(last=False)


def _build_spending(budget: str, burst: int, per_second: float) -> Spending:
    cost = max(1, min(_PAID_AT_ONCE, burst // _SMALL_PART))
    return Spending(budget=budget, cost=cost, capacity=burst, refill_per_second=per_second)


class Slots:
    """Fetches at once, per site and in all, with a share of all for known clients: tar-pits cannot fill that."""

    def __init__(self, options: DocumentOptions) -> None:
        self._site_at_once = options.site_at_once
        self._total_at_once = options.total_at_once
        self._strangers_at_once = max(1, int(options.total_at_once * (1 - options.reserved_share)))
        self._sites: Counter[str] = Counter()

    @contextmanager
    def hold(self, host: str, *, known: bool) -> Iterator[None]:
        """A slot, for as long as the block lasts. Raises ``Busy`` where there is none."""
        site = find_site(host)
        if self._sites.total() >= (self._total_at_once if known else self._strangers_at_once):
            raise Busy("too many fetches at once", retry_after_seconds=1)
        if self._sites[site] >= self._site_at_once:
            raise Busy("too many fetches at once from one site", retry_after_seconds=1)
        self._sites[site] += 1
        try:
            yield
        finally:
            self._sites[site] -= 1
            if not self._sites[site]:
                del self._sites[site]


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    paused_until: float = 0.0


class CircuitBreaker:
    """Leaves a host's port alone that could not be reached several times in a row. Only transport failures count.

    By port, because otherwise a client identifier with a closed port would shut out the clients on the open one.
    """

    def __init__(self, options: DocumentOptions) -> None:
        self._options = options
        self._circuits: OrderedDict[tuple[str, int], _Circuit] = OrderedDict()

    def check(self, host: str, port: int, now: float) -> None:
        """Raise ``Unreachable`` while the port is left alone; once the pause is over, let one trial through.

        ``Unreachable`` and not ``Busy``, which would tell an outsider a dead port (it counts) from a refused address
        (it does not).
        """
        circuit = self._circuits.get((host, port))
        if circuit is None or circuit.failures < self._options.breaker_failures:
            return
        if now < circuit.paused_until:
            raise Unreachable(f"not tried: {circuit.failures} transport failures in a row")
        circuit.paused_until = now + self._options.breaker_seconds

    def record_failure(self, host: str, port: int, now: float) -> None:
        """The port could not be reached."""
        circuit = self._circuits.setdefault((host, port), _Circuit())
        self._circuits.move_to_end((host, port))
        circuit.failures += 1
        doublings = min(max(0, circuit.failures - self._options.breaker_failures), 16)
        pause = min(self._options.breaker_seconds * 2**doublings, self._options.breaker_max_seconds)
        circuit.paused_until = now + pause
        if len(self._circuits) > REMEMBERED_KEYS:
            self._circuits.popitem(last=False)

    def record_contact(self, host: str, port: int) -> None:
        """The port answered, whatever it said."""
        self._circuits.pop((host, port), None)
