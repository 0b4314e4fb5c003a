"""Whether this machine's clock may decide what is over: it must not be far ahead of the store's.

The sweep deletes what has expired, and a key is made when it is due. Among replicas on several machines, one whose
clock is hours ahead would delete what all the others still need, and make keys that sign in a far future.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from nameplate.errors import StoreError
from nameplate.ports.store import Store

__all__ = ["MOST_SECONDS_AHEAD", "CheckClock", "build_clock_check", "trust_clock"]

MOST_SECONDS_AHEAD = 60

CheckClock = Callable[[], Awaitable[None]]
"""Raises ``StoreError`` while the clock is too far ahead, or the store cannot say."""


def build_clock_check(store: Store, clock: Callable[[], float]) -> CheckClock:
    """A check of ``clock`` against that of the store, where the store has one of its own."""
    return partial(_check_clock, store, clock)


async def trust_clock() -> None:
    """The check that every clock passes."""


async def _check_clock(store: Store, clock: Callable[[], float]) -> None:
    ours = clock()  # before the store is asked: how long it takes to answer must not count
    theirs = await store.read_clock()
    if theirs is not None and ours - theirs > MOST_SECONDS_AHEAD:
        raise StoreError(
            f"the clock of this machine is {ours - theirs:.0f} s ahead of the database's: set the clocks, with NTP. "
            "Until then this process deletes nothing and makes no signing keys"
        )
