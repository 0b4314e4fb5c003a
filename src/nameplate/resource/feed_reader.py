"""Reads the authorization server's list of revoked grants now and then."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from nameplate.errors import FetchError, TimedOut
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.revocation import CLOCK_SECONDS, RevokedGrants, check_grant_listed, parse_revoked_grants
from nameplate.resource.revocation import RevocationFeed, build_unchecked
from nameplate.resource.trusted_http import build_basic_credentials, build_tls_context, fetch_object, open_client

__all__ = ["FEED_BYTES", "FeedReader"]

_log = logging.getLogger("nameplate.resource")

FEED_BYTES = 4 * 1024 * 1024
"""A longer list is dropped while it comes: 290,000 grants that were revoked while one token lives."""

_DEADLINE_SECONDS = 5


class FeedReader:
    """A ``GrantCheck`` by ``RevocationFeed``, which states what it promises. One event loop at a time.

    Half-way to ``refresh_seconds`` the list is fetched in the background, so with steady traffic no request waits. One
    fetch at a time; it runs as a task of its own, so a caller that goes away does not end it for the others.
    """

    def __init__(
        self,
        feed: RevocationFeed,
        *,
        issuer: str,
        resource: str,
        trusted_ca_file: str | None = None,
        clock: Callable[[], float] = time.time,
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``resource`` is the identifier that the list must be about. ``clock`` gives epoch seconds, ``steady_clock``
        seconds that never run backwards.

        Raises ``ConfigurationError`` for a CA file that cannot be read.
        """
        self._feed = feed
        self._issuer = issuer
        self._resource = resource
        self._url = f"{issuer.removesuffix('/')}/revocations"
        self._credentials = build_basic_credentials(feed.resource_server_id, feed.secret)
        self._tls = build_tls_context(trusted_ca_file)
        self._clock = clock
        self._steady_clock = steady_clock
        self._revoked: RevokedGrants | None = None
        # When the fetch of the list began: what was revoked later need not be in it.
        self._asked_at = float("-inf")
        self._failed_at = float("-inf")
        self._problem = ""
        self._flight: asyncio.Task[None] | None = None

    async def check(self, token: str, access_token: AccessToken) -> None:  # noqa: ARG002  (GrantCheck)
        """As ``GrantCheck.check``. Waits for a fetch only where the list is older than ``refresh_seconds``."""
        age = self._steady_clock() - self._asked_at
        if age >= self._feed.refresh_seconds / 2:
            flight = self._start_flight()
            if flight is not None and age >= self._feed.refresh_seconds:
                await asyncio.shield(flight)
        check_grant_listed(access_token, self._choose_list())

    async def aclose(self) -> None:
        """End a fetch that is under way."""
        if self._flight is not None:
            self._flight.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flight
            self._flight = None

    def _choose_list(self) -> RevokedGrants:
        now = self._steady_clock()
        if self._revoked is not None and self._find_age(self._revoked) < self._feed.stale_seconds:
            return self._revoked
        wait = max(1, round(self._failed_at + self._feed.refresh_seconds - now)) if self._problem else 1
        raise build_unchecked(f"no list of revoked grants: {self._problem}", retry_after_seconds=wait)

    def _find_age(self, revoked: RevokedGrants) -> float:
        """How old the list is by either clock: it may have been made long before it was asked for (a cache)."""
        made_before = self._clock() - revoked.at - CLOCK_SECONDS
        return max(self._steady_clock() - self._asked_at, made_before)

    def _start_flight(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, a new one, or None where it is too early after one that failed."""
        if self._flight is not None and not self._flight.done():
            return self._flight
        if self._steady_clock() - self._failed_at < self._feed.refresh_seconds:
            return None
        self._flight = asyncio.get_running_loop().create_task(self._fetch(), name="nameplate-fetch-revocations")
        return self._flight

    async def _fetch(self) -> None:
        asked_at = self._steady_clock()
        try:
            self._revoked = await self._fetch_list()
        except FetchError as error:
            self._failed_at, self._problem = self._steady_clock(), str(error)
            _log.warning("%s cannot be used: %s", self._url, error)
        else:
            self._asked_at, self._failed_at, self._problem = asked_at, float("-inf"), ""

    async def _fetch_list(self) -> RevokedGrants:
        try:
            async with (
                asyncio.timeout(_DEADLINE_SECONDS),
                open_client(self._tls, deadline_seconds=_DEADLINE_SECONDS) as client,
            ):
                document = await fetch_object(client, self._url, max_bytes=FEED_BYTES, headers=self._credentials)
        except TimeoutError as error:
            raise TimedOut(f"{self._url}: no answer within {_DEADLINE_SECONDS} s") from error
        return parse_revoked_grants(
            document,
            issuer=self._issuer,
            resource=self._resource,
            now=self._clock(),
            stale_seconds=self._feed.stale_seconds,
        )
