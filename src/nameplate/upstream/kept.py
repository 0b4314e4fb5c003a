"""Something of a provider's that is fetched now and then, and kept while the provider cannot be reached."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from nameplate.errors import UpstreamError
from nameplate.upstream.http import build_unavailable

__all__ = ["Kept", "KeptTiming"]

_log = logging.getLogger("nameplate.upstream")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTiming:
    """When it is fetched.

    ``refresh_seconds``: older than that, it is fetched again in the background. ``keep_seconds``: how long it serves
    while the provider cannot be reached. ``reload_seconds``: between two fetches that a token with an unknown key
    causes. ``first_retry_seconds``, ``last_retry_seconds``: after a failure; each failure doubles the wait.
    """

    refresh_seconds: float
    keep_seconds: float
    reload_seconds: float = 10
    first_retry_seconds: float = 1
    last_retry_seconds: float = 60


class Kept(Generic[T]):
    """One fetch at a time, as a task of its own: a caller that goes away does not end it for the others.

    It is first fetched when it is first needed, so a provider that is down does not stop our start. One event loop at a
    time.
    """

    def __init__(
        self, what: str, fetch: Callable[[], Awaitable[T]], *, timing: KeptTiming, clock: Callable[[], float]
    ) -> None:
        """``what`` is for the log. ``fetch`` raises ``UpstreamError``. ``clock`` gives seconds that never run back."""
        self._what = what
        self._fetch = fetch
        self._timing = timing
        self._clock = clock
        self._value: T | None = None
        self._fetched_at = self._tried_at = self._reloaded_at = float("-inf")
        self._failure = build_unavailable(f"{what}: never fetched", reason="upstream.unreachable")
        self._failures = 0
        self._flight: asyncio.Task[None] | None = None

    async def load(self) -> T:
        """The value. Waits for a fetch only where there is none that may still serve; ``UpstreamError`` then."""
        age = self._clock() - self._fetched_at
        if self._value is not None and age < self._timing.refresh_seconds:
            return self._value
        flight = self._start_flight()
        if self._value is not None and age < self._timing.keep_seconds:
            return self._value
        return await self._wait_for(flight)

    async def reload(self) -> T:
        """The value, fetched again unless that was done a moment ago; the old one where it cannot be."""
        now = self._clock()
        if now - self._reloaded_at < self._timing.reload_seconds:
            return await self._wait_for(self._flight)
        self._reloaded_at = now
        return await self._wait_for(self._start_flight())

    async def aclose(self) -> None:
        """End a fetch that is under way."""
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await flight

    def _start_flight(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, a new one, or None where it is too early for one."""
        if self._flight is not None and not self._flight.done():
            return self._flight
        now = self._clock()
        if now - self._tried_at < self._compute_wait():
            return None
        self._tried_at = now
        self._flight = asyncio.get_running_loop().create_task(self._take(), name="nameplate-upstream-fetch")
        return self._flight

    def _compute_wait(self) -> float:
        """How long to leave a provider in peace after so many failures."""
        if not self._failures:
            return 0
        doublings = min(self._failures - 1, 32)
        return min(self._timing.first_retry_seconds * 2.0**doublings, self._timing.last_retry_seconds)

    async def _wait_for(self, flight: asyncio.Task[None] | None) -> T:
        if flight is not None:
            await asyncio.shield(flight)
        now = self._clock()
        if self._value is not None and now - self._fetched_at < self._timing.keep_seconds:
            return self._value
        failure = self._failure
        wait = max(1, round(self._tried_at + self._compute_wait() - now))
        raise UpstreamError(
            failure.code,
            failure.description,
            reason=failure.reason,
            detail=failure.detail,
            retry_after_seconds=wait if failure.code == "temporarily_unavailable" else None,
        )

    async def _take(self) -> None:
        try:
            self._value = await self._fetch()
        except UpstreamError as error:
            self._failure = error
            self._failures += 1
            kept = "the old ones are kept" if self._value is not None else "there are none"
            _log.warning("%s could not be fetched, %s: %s", self._what, kept, error, extra={"reason": error.reason})
        else:
            self._fetched_at, self._failures = self._clock(), 0
