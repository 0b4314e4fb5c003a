"""How often something may be done: a burst, and then a rate. One number is kept per key, and no clock."""

import math
from collections import OrderedDict

from nameplate.errors import Busy

__all__ = ["Pace"]

_REMEMBERED_KEYS = 4096


class Pace:
    """For each key a burst of ``burst`` uses at once, refilled by ``per_second``. Refuses, and queues nothing.

    The generic cell rate algorithm: kept is the moment at which the key's burst will be whole again.
    """

    def __init__(self, what: str, *, burst: int, per_second: float) -> None:
        """``what`` stands in the refusal."""
        self._what = what
        self._interval = 1 / per_second
        self._longest = burst / per_second
        self._whole_at: OrderedDict[str, float] = OrderedDict()

    def check(self, key: str, now: float) -> None:
        """Raise ``Busy`` where the key's next use would come too early. ``now`` is seconds from anywhere."""
        wait = self._find(key, now) + self._interval - now - self._longest
        if wait > self._interval * 1e-6:  # of a whole interval, rounding may be left
            raise Busy(f"the {self._what} budget is spent", retry_after_seconds=max(1, math.ceil(wait)))

    def spend(self, key: str, now: float) -> None:
        """Count a use that ``check`` let pass."""
        self._whole_at[key] = self._find(key, now) + self._interval
        self._whole_at.move_to_end(key)
        if len(self._whole_at) > _REMEMBERED_KEYS:
            self._whole_at.popitem(last=False)

    def _find(self, key: str, now: float) -> float:
        """When the burst is whole: now at the earliest."""
        whole_at = self._whole_at.get(key, now)
        if whole_at > now + self._longest:  # the clock was set back
            whole_at = self._whole_at[key] = now + self._longest
        return max(whole_at, now)
