"""What the cache of clients' key sets may be told."""

from dataclasses import dataclass, fields

from nameplate.errors import ConfigurationError
from nameplate.protocol.freshness import FreshnessLimits

__all__ = ["KeySetOptions"]

_KEY_FRESHNESS = FreshnessLimits(minimum_seconds=60, default_seconds=300, maximum_seconds=3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySetOptions:
    """How ``CachedKeySets`` keeps key sets. ``ConfigurationError`` for values that cannot work.

    ``max_bytes`` caps a set as it comes from the wire. ``freshness`` bounds what hosts say: a key that its host
    withdrew is refused ``maximum_seconds`` later at most. ``last_good_seconds`` is how long past its freshness a set
    may serve while its host cannot be reached.

    ``reload_seconds`` lie between two fetches of one set, whoever asks and whatever its host says of caching;
    ``retry_seconds`` after a fetch that failed. Fetches from one host and in all are bounded by a burst and a rate
    (``…_burst``, ``…_per_second``), those under way by ``…_at_once``; a *site* is the last two labels of a host name.
    Memory is bounded by ``max_entries`` sets and ``max_cache_bytes`` of their texts.

    ``failure_seconds`` is how long a fetch takes that fails before an HTTP answer comes, so that its duration does not
    tell a refused address from a closed port. None: a little over the fetcher's deadline.
    """

    max_bytes: int = 64 * 1024
    freshness: FreshnessLimits = _KEY_FRESHNESS
    last_good_seconds: int = 3600
    reload_seconds: int = 10
    retry_seconds: int = 10
    host_burst: int = 100
    host_per_second: float = 5.0
    total_burst: int = 500
    total_per_second: float = 50.0
    site_at_once: int = 8
    total_at_once: int = 32
    max_entries: int = 10_000
    max_cache_bytes: int = 16 * 1024 * 1024
    failure_seconds: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            may_be_zero = field.name in {"failure_seconds", "last_good_seconds"}
            if isinstance(value, (int, float)) and not (value > 0 or (value == 0 and may_be_zero)):
                raise ConfigurationError(f"keys.{field.name}", "must be greater than zero.")
