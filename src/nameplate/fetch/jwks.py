"""The keys that clients publish at a ``jwks_uri``, from memory or from their hosts: ``ClientKeySets`` for the server.

A key set is fetched as a document is, through the same guard. But anybody can send an assertion with an invented
``kid``, and only the client's host knows whether it has such a key by now. So a set is fetched again for an unknown
``kid`` at most every ten seconds, however many ask (SS-16), and one fetch serves all of them. And keys are credentials:
one that its host withdrew is good for an hour more at most, or two while the host is down (JA-12).
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from nameplate.errors import (
    AddressRefused,
    BadStatus,
    Busy,
    ClientIdError,
    ClientMetadataError,
    FetchError,
    TimedOut,
    TlsFailed,
    Unreachable,
)
from nameplate.fetch.budgets import check_bucket, find_site
from nameplate.fetch.https import FetchedResponse, GuardedFetcher
from nameplate.fetch.key_cache import (
    BadKeys,
    Failure,
    GoodKeys,
    KeyCache,
    KnownKeys,
    find_last_good,
    repeat_failure,
)
from nameplate.fetch.key_options import KeySetOptions
from nameplate.ports.keys import ClientKeys
from nameplate.protocol.client_id import ClientIdPolicy, ClientIdUrl, parse_client_id
from nameplate.protocol.client_keys import parse_key_document
from nameplate.protocol.freshness import parse_freshness
from nameplate.protocol.token_bucket import TokenBuckets

__all__ = ["CachedKeySets"]

_log = logging.getLogger("nameplate.fetch")


@dataclass(frozen=True, slots=True)
class _Flight:
    task: asyncio.Task[KnownKeys]
    site: str


class CachedKeySets:
    """Loads key sets and keeps them in memory while they are fresh. Belongs to the event loop that first uses it.

    ``policy`` says which hosts a ``jwks_uri`` may name, ``clock`` gives epoch seconds. The fetcher may be shared with
    others, and is left open when this is closed.
    """

    def __init__(
        self,
        fetcher: GuardedFetcher,
        options: KeySetOptions | None = None,
        *,
        policy: ClientIdPolicy = ClientIdPolicy(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetcher = fetcher
        self._options = options = options or KeySetOptions()
        self._policy = policy
        self._clock = clock
        self._cache = KeyCache(options)
        self._flights: dict[str, _Flight] = {}
        self._hosts = TokenBuckets(burst=options.host_burst, per_second=options.host_per_second)
        self._total = TokenBuckets(burst=options.total_burst, per_second=options.total_per_second)
        longest_seconds = fetcher.options.deadline_seconds * 1.02  # closing what was interrupted takes its time too
        self._failure_seconds = longest_seconds if options.failure_seconds is None else options.failure_seconds
        self._is_closed = False

    async def load_keys(self, jwks_uri: str, *, kid: str | None = None) -> ClientKeys:
        """The key set, from memory while it is fresh.

        ``kid`` is a key that it should hold. Where it does not, it is fetched again, unless that was done within
        ``reload_seconds``: look for the ``kid`` in what comes. The answer without it means that the host does not
        publish such a key.

        A set that is past its freshness serves on only while its host cannot be reached, does not forbid that
        (RFC 9111 §5.2.2.2), and has not said that the keys are gone (404, 410, a set that breaks a rule).

        Raises ``FetchError`` where the set cannot be had, or where it cannot be told whether it holds ``kid``;
        ``ClientMetadataError`` where what came, or the URL, breaks a rule. RFC 7517 §5, CIMD draft §9.6.
        """
        known = self._cache.find(jwks_uri)
        usable = self._find_usable(known, kid)
        if usable is None:
            known = await self._look(jwks_uri, known)
            if isinstance(known, GoodKeys):
                return known.keys
            usable = self._find_usable(known, kid)
            if usable is None:
                raise repeat_failure(known.failure)
        elif usable.stale_because:
            with contextlib.suppress(Busy):
                self._ask(jwks_uri, known)  # a host that was down is tried again, but nobody waits for it once more
        if usable.stale_because:
            _log.warning("last good keys used", extra={"jwks_uri": jwks_uri, "detail": usable.stale_because})
        return usable

    async def aclose(self) -> None:
        """End what is under way, with ``Unreachable`` for those who wait for it."""
        self._is_closed = True
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _find_usable(self, known: KnownKeys | None, kid: str | None) -> ClientKeys | None:
        """What may be used as things are known: a fresh set, or a stale one whose host cannot be reached."""
        good, now = find_last_good(known), self._clock()
        if good is None or not good.holds(kid):
            return None
        if now < good.keys.fresh_until:
            return good.keys
        if not isinstance(known, BadKeys) or not good.may_stand_in:
            return None
        # TLS and address: somebody may be standing between us and the host (architecture decision 5)
        is_suspicious = isinstance(known.failure, (TlsFailed, AddressRefused))
        if is_suspicious or now >= good.keys.fresh_until + self._options.last_good_seconds:
            return None
        return replace(good.keys, stale_because=str(known.failure)[:200])

    async def _look(self, jwks_uri: str, known: KnownKeys | None) -> KnownKeys:
        """What the host says now, or what it said moments ago."""
        try:
            asked = self._ask(jwks_uri, known)
        except Busy as busy:
            return BadKeys(failure=busy, last_good=find_last_good(known), next_fetch_at=0)
        if not isinstance(asked, asyncio.Task):
            return asked
        await asyncio.wait([asked])  # whoever gives up leaves the flight, and the others who wait, alone
        if asked.cancelled():
            raise Unreachable("the key sets were closed")
        return asked.result()

    def _ask(self, jwks_uri: str, known: KnownKeys | None) -> asyncio.Task[KnownKeys] | KnownKeys:
        """The fetch that is under way, a new one, or what is known where it is too early for one."""
        flight = self._flights.get(jwks_uri)
        if flight is not None:
            return flight.task
        if known is not None and self._clock() < known.next_fetch_at:
            return known
        if self._is_closed:
            raise Unreachable("the key sets are closed")
        url = self._parse_url(jwks_uri)
        self._spend(url.host)
        task = asyncio.get_running_loop().create_task(self._fly(url, find_last_good(known)))
        self._flights[jwks_uri] = _Flight(task, find_site(url.host))
        task.add_done_callback(lambda _task: self._flights.pop(jwks_uri))
        return task

    def _parse_url(self, jwks_uri: str) -> ClientIdUrl:
        try:
            return parse_client_id(jwks_uri, self._policy)
        except ClientIdError as error:
            raise ClientMetadataError("document.jwks_uri", "jwks_uri", error.problem) from error

    def _spend(self, host: str) -> None:
        """Count a fetch, or raise ``Busy``."""
        if len(self._flights) >= self._options.total_at_once:
            raise Busy("too many key sets are fetched at once", retry_after_seconds=1)
        site = find_site(host)
        if sum(flight.site == site for flight in self._flights.values()) >= self._options.site_at_once:
            raise Busy("too many key sets of one site are fetched at once", retry_after_seconds=1)
        now = self._clock()
        check_bucket("host", self._hosts.find_wait(host, now))
        check_bucket("total", self._total.find_wait("", now))
        self._hosts.take(host, now)
        self._total.take("", now)

    async def _fly(self, url: ClientIdUrl, last_good: GoodKeys | None) -> KnownKeys:
        loop = asyncio.get_running_loop()
        lands_at = loop.time() + self._failure_seconds
        try:
            response = await self._fetcher.fetch(url, max_bytes=self._options.max_bytes)
            known: KnownKeys = self._build_good(response)
        except (FetchError, ClientMetadataError) as failure:
            known = self._build_bad(url, failure, last_good)
            if isinstance(failure, (AddressRefused, TimedOut, TlsFailed, Unreachable)):  # docs/decisions/0002
                await asyncio.sleep(lands_at - loop.time())
        self._cache.put(url.text, known)
        return known

    def _build_good(self, response: FetchedResponse) -> GoodKeys:
        jwks = parse_key_document(response.body)
        options, now = self._options, response.received_at
        freshness = parse_freshness(response.headers, received_at=now, limits=options.freshness)
        # Not even no-store makes a set unfit for the next minute: else each assertion would cause a fetch.
        fresh_until = max(freshness.fresh_until, now + options.freshness.minimum_seconds)
        return GoodKeys(
            keys=ClientKeys(jwks=jwks, fetched_at=now, fresh_until=fresh_until),
            key_ids=frozenset(key["kid"] for key in json.loads(jwks)["keys"] if "kid" in key),
            may_stand_in=freshness.may_store and not freshness.must_revalidate,
            next_fetch_at=now + options.reload_seconds,
        )

    def _build_bad(self, url: ClientIdUrl, failure: Failure, last_good: GoodKeys | None) -> BadKeys:
        if isinstance(failure, ClientMetadataError):
            _log.warning("key set refused", extra={"jwks_uri": url.text, "reason": failure.reason})
        pause_seconds = failure.retry_after_seconds if isinstance(failure, Busy) else self._options.retry_seconds
        return BadKeys(
            failure=repeat_failure(failure),
            last_good=None if _is_final(failure) else last_good,
            next_fetch_at=self._clock() + pause_seconds,
        )


def _is_final(failure: Failure) -> bool:
    """Whether the host itself says that the keys it had are gone."""
    return isinstance(failure, ClientMetadataError) or (isinstance(failure, BadStatus) and failure.status in {404, 410})
