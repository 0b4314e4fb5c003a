"""The keys of an authorization server elsewhere, fetched now and then and never per request."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from nameplate.errors import Busy, FetchError
from nameplate.jose import KeySet
from nameplate.protocol.resource_metadata import check_identifier_url
from nameplate.resource.discovery import fetch_jwks
from nameplate.resource.trusted_http import build_tls_context

__all__ = ["KeyTiming", "RemoteKeys"]

_log = logging.getLogger("nameplate.resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTiming:
    """When keys are fetched.

    ``refresh_seconds``: keys older than that are fetched again, in the background, so a key that the server withdrew
    is refused here that much later at most. ``retry_seconds``: between two fetches, whatever asks for one (a token
    with an unknown ``kid``, a server that is down). ``keep_seconds``: how long keys serve while the server cannot be
    reached. ``deadline_seconds``: one fetch, metadata and keys together.
    """

    refresh_seconds: float = 300
    retry_seconds: float = 10
    keep_seconds: float = 24 * 3600
    deadline_seconds: float = 5


class RemoteKeys:
    """Finds ``jwks_uri`` through the issuer's metadata and keeps the keys. One event loop at a time.

    One fetch at a time, and none within ``retry_seconds`` of another, so that no flood of junk tokens becomes a flood
    of requests. A fetch runs as a task of its own: a caller that goes away does not end it for the others.
    """

    def __init__(
        self,
        issuer: str,
        *,
        trusted_ca_file: str | None = None,
        timing: KeyTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``trusted_ca_file`` is a PEM file, added to the system's. ``clock`` gives seconds that never run backwards.

        Raises ``ConfigurationError`` for an issuer that is neither https nor on loopback, or an unreadable file.
        """
        check_identifier_url("issuer", issuer)
        self._issuer = issuer
        self._tls = build_tls_context(trusted_ca_file)
        self._timing = timing or KeyTiming()
        self._clock = clock
        self._keys: KeySet | None = None
        self._jwks: dict[str, object] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._failure: FetchError | None = None
        self._flight: asyncio.Task[None] | None = None

    async def load(self) -> KeySet:
        """The keys. Waits for a fetch only where there are none that may still serve; raises ``FetchError`` then."""
        age = self._clock() - self._fetched_at
        if self._keys is not None and age < self._timing.refresh_seconds:
            return self._keys
        flight = self._start_flight()
        if self._keys is not None and age < self._timing.keep_seconds:
            return self._keys
        return await self._wait_for(flight)

    async def reload(self) -> KeySet:
        """The keys, fetched again unless that was done within ``retry_seconds``."""
        return await self._wait_for(self._start_flight())

    async def aclose(self) -> None:
        """End a fetch that is under way."""
        if self._flight is not None:
            self._flight.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flight
            self._flight = None

    def _start_flight(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, a new one, or None where it is too early for one."""
        if self._flight is not None and not self._flight.done():
            return self._flight
        now = self._clock()
        if now - self._tried_at < self._timing.retry_seconds:
            return None
        self._tried_at = now
        self._flight = asyncio.get_running_loop().create_task(self._fetch(), name="nameplate-fetch-keys")
        return self._flight

    async def _wait_for(self, flight: asyncio.Task[None] | None) -> KeySet:
        if flight is not None:
            await asyncio.shield(flight)
        if self._failure is None and self._keys is not None:
            return self._keys
        wait = max(1, round(self._tried_at + self._timing.retry_seconds - self._clock()))
        raise Busy(f"no keys of {self._issuer}: {self._failure}", retry_after_seconds=wait) from self._failure

    async def _fetch(self) -> None:
        try:
            jwks = await fetch_jwks(self._issuer, tls=self._tls, deadline_seconds=self._timing.deadline_seconds)
            self._take(jwks)
        except FetchError as error:
            self._failure = error
            _log.warning("keys of %s could not be fetched, old ones kept: %s", self._issuer, error)

    def _take(self, jwks: dict[str, object]) -> None:
        keys = self._keys if self._keys is not None and jwks == self._jwks else KeySet.from_jwks(jwks)
        if keys is not self._keys:
            for problem in keys.problems:
                _log.warning("a key of %s is not used: %s", self._issuer, problem)
        if not len(keys):
            raise FetchError("the key set holds no key that can be used")
        self._keys, self._jwks, self._failure = keys, jwks, None
        self._fetched_at = self._clock()
