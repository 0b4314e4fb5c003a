"""Client metadata documents, from memory or from their hosts: ``ClientDocuments`` for the authorization server.

Nothing that fails is remembered as a verdict (CIMD draft §5.2): the next load tries again. What protects the other
side, and us, is that one fetch serves all who wait for the same document, that budgets bound fetches per host and in
all, and that a host which cannot be reached is left alone for a while.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from nameplate.errors import (
    AddressRefused,
    BadStatus,
    Busy,
    ClientMetadataError,
    FetchError,
    TimedOut,
    TlsFailed,
    Unreachable,
)
from nameplate.fetch.budgets import CircuitBreaker, FetchBudget, Slots
from nameplate.fetch.copies import Copy, DocumentCache, build_copy, forget_validators, renew_copy
from nameplate.fetch.flights import Flight, Flights
from nameplate.fetch.https import FetchedResponse, GuardedFetcher
from nameplate.fetch.last_good import Failure, choose_error, describe_failure, is_final, may_stand_in
from nameplate.fetch.options import DocumentOptions
from nameplate.ports.documents import ClientDocument
from nameplate.protocol.client_id import ClientIdPolicy, ClientIdUrl
from nameplate.protocol.client_metadata import parse_client_metadata

__all__ = ["CachedDocuments"]

_log = logging.getLogger("nameplate.fetch")
_REMEMBERED_REFUSALS = 4096


class CachedDocuments:
    """Loads documents and keeps them in memory while they are fresh. Belongs to the event loop that first uses it.

    ``policy`` and ``require_client_name`` go to ``parse_client_metadata``; ``clock`` gives epoch seconds. Closing it
    closes the fetcher.
    """

    def __init__(
        self,
        fetcher: GuardedFetcher,
        options: DocumentOptions = DocumentOptions(),  # noqa: B008 - frozen
        *,
        policy: ClientIdPolicy = ClientIdPolicy(),  # noqa: B008 - frozen
        require_client_name: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetcher = fetcher
        self._options = options
        self._policy = policy
        self._require_client_name = require_client_name
        self._clock = clock
        self._cache = DocumentCache(options)
        self._budget = FetchBudget(options)
        self._slots = Slots(options)
        self._breaker = CircuitBreaker(options)
        self._refused_at: OrderedDict[str, float] = OrderedDict()
        # A little more than the deadline: closing what it interrupted takes its time too.
        longest_seconds = fetcher.options.deadline_seconds * 1.02
        held_seconds = longest_seconds if options.failure_seconds is None else options.failure_seconds
        self._flights: Flights[Copy | Failure] = Flights(_is_drawn_out, held_seconds)

    async def load_document(self, client_id: ClientIdUrl, *, live_grant: bool = False) -> ClientDocument:
        """The client's document, from memory while it is fresh.

        ``live_grant`` says that a grant of this client exists which the call serves. Then the reserved share of the
        budgets may be used, and failures are read as decision 5 reads them for live grants: ``ClientMetadataError``
        and ``BadStatus`` 404 or 410 are raised only once they are confirmed, and end the grant; anything else leaves
        it.

        Raises ``FetchError`` or ``ClientMetadataError``. All that fails before an HTTP answer came (refused address,
        no connection, TLS, deadline) takes equally long, so that nobody can scan ports with it.
        """
        copy = self._cache.find(client_id.text)
        if copy is not None and self._clock() < copy.document.fresh_until:
            return copy.document
        return await self._load_anew(client_id, copy, live_grant)

    def keep_document(self, client_id: str) -> None:
        """Somebody approved this client: strangers' documents no longer push its copy out of memory."""
        self._cache.keep(client_id)

    async def aclose(self) -> None:
        """End running fetches, with ``Unreachable`` for those who wait for them, and close the fetcher."""
        await self._fetcher.aclose()
        await self._flights.aclose()

    async def _load_anew(self, client_id: ClientIdUrl, copy: Copy | None, live_grant: bool) -> ClientDocument:
        if live_grant:
            self._cache.keep(client_id.text)
        flight = self._flights.find(client_id.text)
        try:
            flight = flight or self._take_off(client_id, copy)
        except Busy as busy:
            return self._answer_failure(client_id, copy, busy, live_grant)
        outcome = await flight.wait_for_arrival()
        if isinstance(outcome, Copy):
            return outcome.document
        try:
            return self._answer_failure(client_id, copy, outcome, live_grant)
        except FetchError:
            await flight.wait_for_landing()
            raise

    def _answer_failure(
        self, client_id: ClientIdUrl, copy: Copy | None, failure: Failure, live_grant: bool
    ) -> ClientDocument:
        """The last good copy, where it may stand in; else the error is raised."""
        now = self._clock()
        is_confirmed = now - self._refused_at.get(client_id.text, now) >= self._options.confirm_seconds
        is_stale_fine = may_stand_in(
            copy,
            failure,
            now=now,
            last_good_seconds=self._options.last_good_seconds,
            live_grant=live_grant,
            is_confirmed=is_confirmed,
        )
        if copy is not None and is_stale_fine:
            return _use_last_good(client_id, copy, failure)
        raise choose_error(failure, live_grant=live_grant, is_confirmed=is_confirmed).with_traceback(None)

    def _take_off(self, client_id: ClientIdUrl, copy: Copy | None) -> Flight[Copy | Failure]:
        """Start the one fetch of this document, or raise ``Busy``."""
        host = client_id.host
        known = self._cache.is_kept(client_id.text)
        self._slots.check(host, known=known)
        self._budget.spend(host, known=known, now=self._clock())
        self._slots.take(host)
        return self._flights.take_off(client_id.text, self._fly(client_id, copy), lambda: self._slots.free(host))

    async def _fly(self, client_id: ClientIdUrl, copy: Copy | None) -> Copy | Failure:
        try:
            self._breaker.check(client_id.host, client_id.port, self._clock())
        except Unreachable as failure:
            return failure
        try:
            fetched = await self._fetch(client_id, copy)
        except (FetchError, ClientMetadataError) as failure:
            self._record_failure(client_id, failure)
            return failure
        self._record_copy(client_id, fetched)
        return fetched

    async def _fetch(self, client_id: ClientIdUrl, copy: Copy | None) -> Copy:
        etag = copy.freshness.etag if copy else None
        last_modified = copy.freshness.last_modified if copy else None
        response = await self._fetcher.fetch(client_id, etag=etag, last_modified=last_modified)
        if copy is not None and response.status == 304:
            return self._renew(client_id, copy, response)
        metadata = parse_client_metadata(
            client_id.text, response.body, require_client_name=self._require_client_name, policy=self._policy
        )
        return build_copy(metadata, response, self._options.freshness)

    def _renew(self, client_id: ClientIdUrl, copy: Copy, response: FetchedResponse) -> Copy:
        try:
            return renew_copy(copy, response, self._options.freshness)
        except BadStatus:
            # The next fetch asks for the whole document.
            self._cache.put(client_id.text, forget_validators(copy))
            raise

    def _record_copy(self, client_id: ClientIdUrl, copy: Copy) -> None:
        self._breaker.record_contact(client_id.host, client_id.port)
        self._refused_at.pop(client_id.text, None)
        if copy.freshness.may_store:
            self._cache.put(client_id.text, copy)
        else:
            self._cache.drop(client_id.text)

    def _record_failure(self, client_id: ClientIdUrl, failure: Failure) -> None:
        now = self._clock()
        if isinstance(failure, (Unreachable, TimedOut)):
            self._breaker.record_failure(client_id.host, client_id.port, now)
        elif not isinstance(failure, (AddressRefused, Busy)):
            self._breaker.record_contact(client_id.host, client_id.port)
        if is_final(failure) and self._cache.is_kept(client_id.text):
            self._refused_at.setdefault(client_id.text, now)
            if len(self._refused_at) > _REMEMBERED_REFUSALS:
                self._refused_at.popitem(last=False)


def _is_drawn_out(outcome: Copy | Failure) -> bool:
    """Whether an outsider must not tell this outcome from others of its kind by the time it took.

    What came before any HTTP answer: the rest an outsider can see by asking the host (docs/decisions/0002).
    """
    return isinstance(outcome, (AddressRefused, TimedOut, TlsFailed, Unreachable))


def _use_last_good(client_id: ClientIdUrl, copy: Copy, failure: Failure) -> ClientDocument:
    cause = describe_failure(failure)
    _log.warning(
        "last good copy used",
        extra={"host": client_id.host, "port": client_id.port, "reason": type(failure).__name__, "detail": cause[:200]},
    )
    return replace(copy.document, stale_because=cause)
