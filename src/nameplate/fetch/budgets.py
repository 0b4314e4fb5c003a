"""How often and how much at once the fetcher may be used: token buckets, slots and a circuit breaker.

All of them refuse at once and queue nothing. They know no clock: ``now`` is an argument, in seconds from anywhere.
"""

import math
from collections import Counter, OrderedDict
from dataclasses import dataclass

from nameplate.errors import Busy, Unreachable
from nameplate.fetch.options import DocumentOptions

__all__ = ["CircuitBreaker", "FetchBudget", "Slots", "find_site"]

_REMEMBERED_HOSTS = 4096


def find_site(host: str) -> str:
    """The last two labels of a host name: roughly who owns it, closely enough to bound what one owner can hold."""
    return ".".join(host.rsplit(".", 2)[-2:])


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float

    def fill(self, capacity: float, per_second: float, now: float) -> None:
        elapsed = max(0.0, now - self.filled_at)
        self.tokens = min(capacity, self.tokens + elapsed * per_second)
        self.filled_at = now


class FetchBudget:
    """Fetches per target host and in all. Only ``known`` clients (they hold a grant) may use the reserved share."""

    def __init__(self, options: DocumentOptions) -> None:
        self._options = options
        self._total = _Bucket(float(options.total_burst), 0.0)
        self._hosts: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, host: str, *, known: bool, now: float) -> None:
        """Take one fetch from both buckets, or raise ``Busy`` and take nothing."""
        options = self._options
        bucket = self._find_host(host, now)
        bucket.fill(options.host_burst, options.host_per_second, now)
        self._total.fill(options.total_burst, options.total_per_second, now)
        self._check("host", bucket.tokens, 0.0, options.host_per_second)
        reserve = 0.0 if known else options.total_burst * options.reserved_share
        self._check("total", self._total.tokens, reserve, options.total_per_second)
        bucket.tokens -= 1
        self._total.tokens -= 1

    def _find_host(self, host: str, now: float) -> _Bucket:
        bucket = self._hosts.get(host)
        if bucket is None:
            bucket = self._hosts[host] = _Bucket(float(self._options.host_burst), now)
            if len(self._hosts) > _REMEMBERED_HOSTS:
                # Pushing a spent bucket out takes more fetches than the total budget allows while it would refill
                # anyway.
                self._hosts.popitem(last=False)
        self._hosts.move_to_end(host)
        return bucket

    def _check(self, which: str, tokens: float, reserve: float, per_second: float) -> None:
        missing = 1 + reserve - tokens
        if missing > 0:
            raise Busy(f"the {which} budget is spent", retry_after_seconds=max(1, math.ceil(missing / per_second)))


class Slots:
    """Fetches at once, per site and in all, with a share of all for known clients: tar-pits cannot fill that."""

    def __init__(self, options: DocumentOptions) -> None:
        self._site_at_once = options.site_at_once
        self._total_at_once = options.total_at_once
        self._strangers_at_once = max(1, int(options.total_at_once * (1 - options.reserved_share)))
        self._sites: Counter[str] = Counter()

    def check(self, host: str, *, known: bool) -> None:
        """Raise ``Busy`` where there is no slot."""
        limit = self._total_at_once if known else self._strangers_at_once
        if self._sites.total() >= limit:
            raise Busy("too many fetches at once", retry_after_seconds=1)
        if self._sites[find_site(host)] >= self._site_at_once:
            raise Busy("too many fetches at once from one site", retry_after_seconds=1)

    def take(self, host: str) -> None:
        """Take a slot, until ``free``."""
        self._sites[find_site(host)] += 1

    def free(self, host: str) -> None:
        """Give a slot back."""
        site = find_site(host)
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
        if len(self._circuits) > _REMEMBERED_HOSTS:
            self._circuits.popitem(last=False)

    def record_contact(self, host: str, port: int) -> None:
        """The port answered, whatever it said."""
        self._circuits.pop((host, port), None)
