"""How often something may be done: a burst at once, and then a rate. There is no clock in it."""

from collections import OrderedDict
from typing import Final

__all__ = ["REMEMBERED_KEYS", "TokenBuckets"]

REMEMBERED_KEYS: Final = 4096
_ROUNDING: Final = 1e-6  # what may be missing from a whole token


class TokenBuckets:
    """For each key a bucket of ``burst`` tokens, refilled by ``per_second``. Refuses, and queues nothing.

    Of more than ``remembered`` keys, those used longest ago are forgotten, and are full when they come again. ``now``
    is seconds from anywhere; a clock that is set back refills nothing.
    """

    def __init__(self, *, burst: float, per_second: float, remembered: int = REMEMBERED_KEYS) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._remembered = remembered
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._filled)

    def find_wait(self, key: str, now: float, *, reserve: float = 0.0) -> float:
        """In how many seconds one token more than ``reserve`` will be there; 0.0 where it is. Takes nothing."""
        missing = 1 + reserve - self._fill(key, now)
        return missing / self._per_second if missing > _ROUNDING else 0.0

    def take(self, key: str, now: float) -> None:
        """Take the token that ``find_wait`` found."""
        self._filled[key] = (self._fill(key, now) - 1, now)
        self._filled.move_to_end(key)
        if len(self._filled) > self._remembered:
            self._filled.popitem(last=False)

    def give_back(self, key: str, now: float) -> None:
        """Undo a ``take``. The bucket never holds more than its burst."""
        if key in self._filled:
            self._filled[key] = (min(self._burst, self._fill(key, now) + 1), now)

    def _fill(self, key: str, now: float) -> float:
        """How many tokens there are."""
        tokens, counted_at = self._filled.get(key, (self._burst, now))
        if now < counted_at:
            self._filled[key] = (tokens, now)
            return tokens
        return min(self._burst, tokens + (now - counted_at) * self._per_second)
