"""Client metadata documents, from memory, the store or their hosts: ``ClientDocuments`` for the authorization server.

Nothing that fails is remembered as a verdict (CIMD draft §5.2): the next load tries again. What protects the other
side, and us, is that one fetch serves all who wait for the same document, that budgets bound fetches per source, per
host and in all, and that a host which cannot be reached is left alone for a while.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

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
from nameplate.fetch.budgets import CircuitBreaker, FetchBudget, SharedBudget, Slots
from nameplate.fetch.copies import Copy, build_copy, renew_copy
from nameplate.fetch.flights import Flight, Flights
from nameplate.fetch.https import FetchedResponse, GuardedFetcher
from nameplate.fetch.last_good import Failure, choose_error, describe_failure, is_final, may_stand_in
from nameplate.fetch.options import DocumentOptions
from nameplate.fetch.shelf import DocumentShelf
from nameplate.ports.documents import ClientDocument, DocumentRecords
from nameplate.protocol.client_id import ClientIdPolicy, ClientIdUrl
from nameplate.protocol.client_metadata import ClientMetadata, parse_client_metadata

__all__ = ["CachedDocuments"]

_log = logging.getLogger("nameplate.fetch")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """What a call of ``load_document`` asks for, beside the client."""

    live_grant: bool
    source: str
    fetched_since: int

    def is_too_old(self, outcome: Copy | Failure | None) -> bool:
        """Whether it is a copy that will not do."""
        return isinstance(outcome, Copy) and outcome.document.fetched_at < self.fetched_since


class CachedDocuments:
    """Loads documents and keeps them in memory while they are fresh. Belongs to the event loop that first uses it.

    ``store`` is where documents of approved clients outlive the process, and where replicas share them and the budgets;
    without one, all is in memory. ``policy`` and ``require_client_name`` go to ``parse_client_metadata``; ``clock``
    gives epoch seconds. Closing it closes the fetcher, and leaves the store open.
    """

    def __init__(
        self,
        fetcher: GuardedFetcher,
        options: DocumentOptions = DocumentOptions(),  # noqa: B008 - frozen
        *,
        store: DocumentRecords | None = None,
        policy: ClientIdPolicy = ClientIdPolicy(),  # noqa: B008 - frozen
        require_client_name: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetcher = fetcher
        self._options = options
        self._policy = policy
        self._require_client_name = require_client_name
        self._clock = clock
        self._shelf = DocumentShelf(options, self._read, store)
        self._budget = FetchBudget(options)
        self._shared_budget = None if store is None else SharedBudget(store, options)
        self._slots = Slots(options)
        self._breaker = CircuitBreaker(options)
        # A little more than the deadline: closing what it interrupted takes its time too.
        longest_seconds = fetcher.options.deadline_seconds * 1.02
        held_seconds = longest_seconds if options.failure_seconds is None else options.failure_seconds
        self._flights: Flights[Copy | Failure] = Flights(_is_drawn_out, held_seconds)

    def find_document(self, client_id: str) -> ClientDocument | None:
        """The client's document if it is in memory and fresh. It costs nothing, and no budget."""
        copy = self._shelf.find(client_id)
        return copy.document if copy is not None and self._clock() < copy.document.fresh_until else None

    async def load_document(
        self, client_id: ClientIdUrl, *, live_grant: bool = False, source: str = "", fetched_since: int = 0
    ) -> ClientDocument:
        """The client's document, from memory or the store while it is fresh, else from its host.

        As ``ClientDocuments.load_document``. For a ``live_grant`` the reserved share of the budgets may be used, and a
        copy that may stand in is used as soon as the host lets the call wait for longer than ``patience_seconds``.

        Raises ``StoreError`` too, where the store does not work. All that fails before an HTTP answer came (refused
        address, no connection, TLS, deadline) takes equally long, so that nobody can scan ports with it.
        """
        document = self.find_document(client_id.text)
        if document is not None and document.fetched_at >= fetched_since:
            return document
        if live_grant:
            self._shelf.keep(client_id.text)
        # What is fetched now is never too old, though another replica's clock be ahead.
        need = _Need(live_grant=live_grant, source=source, fetched_since=min(fetched_since, int(self._clock())))
        flight, outcome = await self._fly_along(client_id, need)
        if isinstance(outcome, Copy):
            return outcome.document
        try:
            return self._answer_failure(client_id, outcome, need)
        except FetchError:
            await flight.wait_for_landing()
            raise

    async def record_approval(self, client_id: str) -> None:
        """Somebody approved this client: its document is kept, here and in the store, and strangers' documents no
        longer push it out.
        """
        await self._shelf.record_approval(client_id)

    async def aclose(self) -> None:
        """End running fetches, with ``Unreachable`` for those who wait for them, and close the fetcher."""
        await self._fetcher.aclose()
        await self._flights.aclose()

    async def _fly_along(self, client_id: ClientIdUrl, need: _Need) -> tuple[Flight[Copy | Failure], Copy | Failure]:
        """Join the fetch that is under way, or start it."""
        while flight := self._flights.find(client_id.text):
            outcome = await self._wait(flight, client_id, need)
            if not isinstance(outcome, Busy) and not need.is_too_old(outcome):
                return flight, outcome
            # That was the budget of whoever started it, or a copy that was good enough for him, and must not shut out
            # the others. First come, first served.
            await flight.wait_for_landing()
        flight = self._flights.take_off(client_id.text, self._fly(client_id, need))
        return flight, await self._wait(flight, client_id, need)

    async def _wait(self, flight: Flight[Copy | Failure], client_id: ClientIdUrl, need: _Need) -> Copy | Failure:
        """The outcome; for a live grant, ``TimedOut`` where its copy may stand in and the host takes its time."""
        if need.live_grant:
            try:
                async with asyncio.timeout_at(flight.started_at + self._options.patience_seconds):
                    return await flight.wait_for_arrival()
            except TimeoutError:
                late = TimedOut(f"not waited for longer than {self._options.patience_seconds} s")
                # Where this answer may end the grant, it is worth waiting for.
                may_end = self._shelf.is_refusal_old(client_id.text, self._clock())
                if not may_end and self._find_stand_in(client_id, late, need) is not None:
                    return late
        return await flight.wait_for_arrival()

    def _answer_failure(self, client_id: ClientIdUrl, failure: Failure, need: _Need) -> ClientDocument:
        """The last good copy, where it may stand in; else the error is raised."""
        copy = self._find_stand_in(client_id, failure, need)
        if copy is not None:
            return _use_last_good(client_id, copy, failure)
        is_confirmed = self._shelf.is_refusal_old(client_id.text, self._clock())
        raise choose_error(failure, live_grant=need.live_grant, is_confirmed=is_confirmed).with_traceback(None)

    def _find_stand_in(self, client_id: ClientIdUrl, failure: Failure, need: _Need) -> Copy | None:
        copy, now = self._shelf.find(client_id.text), self._clock()
        if need.is_too_old(copy):
            return None
        may = may_stand_in(
            copy,
            failure,
            now=now,
            last_good_seconds=self._options.last_good_seconds,
            live_grant=need.live_grant,
            is_confirmed=self._shelf.is_refusal_old(client_id.text, now),
        )
        return copy if may else None

    async def _fly(self, client_id: ClientIdUrl, need: _Need) -> Copy | Failure:
        copy = await self._shelf.recall(client_id.text)
        if copy is not None and self._clock() < copy.document.fresh_until and not need.is_too_old(copy):
            return copy
        known = self._shelf.is_kept(client_id.text)
        try:
            with self._slots.hold(client_id.host, known=known):
                await self._spend(client_id.host, need.source, known=known)
                return await self._try(client_id, copy)
        except Busy as busy:
            return busy

    async def _spend(self, host: str, source: str, *, known: bool) -> None:
        """Take the fetch from every budget, or raise ``Busy``. This process's own come first: they cost no write."""
        self._budget.spend(host, source=source, known=known, now=self._clock())
        if known or self._shared_budget is None:
            return
        try:
            await self._shared_budget.spend(host, source=source, now=self._clock())
        except Busy:
            self._budget.give_back(host, source=source, now=self._clock())
            raise

    async def _try(self, client_id: ClientIdUrl, copy: Copy | None) -> Copy | Failure:
        try:
            self._breaker.check(client_id.host, client_id.port, self._clock())
        except Unreachable as failure:
            return failure
        try:
            fetched = await self._fetch(client_id, copy)
        except (FetchError, ClientMetadataError) as failure:
            await self._record_failure(client_id, failure)
            return failure
        self._breaker.record_contact(client_id.host, client_id.port)
        await self._shelf.put(client_id.text, fetched)
        return fetched

    async def _fetch(self, client_id: ClientIdUrl, copy: Copy | None) -> Copy:
        etag = copy.freshness.etag if copy else None
        last_modified = copy.freshness.last_modified if copy else None
        response = await self._fetcher.fetch(client_id, etag=etag, last_modified=last_modified)
        if copy is not None and response.status == 304:
            return self._renew(client_id, copy, response)
        return build_copy(self._read(client_id.text, response.body), response, self._options)

    def _read(self, client_id: str, body: bytes) -> ClientMetadata:
        return parse_client_metadata(
            client_id, body, require_client_name=self._require_client_name, policy=self._policy
        )

    def _renew(self, client_id: ClientIdUrl, copy: Copy, response: FetchedResponse) -> Copy:
        try:
            return renew_copy(copy, response, self._options)
        except BadStatus:
            self._shelf.forget_validators(client_id.text)
            raise

    async def _record_failure(self, client_id: ClientIdUrl, failure: Failure) -> None:
        now = self._clock()
        if isinstance(failure, (Unreachable, TimedOut)):
            self._breaker.record_failure(client_id.host, client_id.port, now)
        elif not isinstance(failure, (AddressRefused, Busy)):
            self._breaker.record_contact(client_id.host, client_id.port)
        if is_final(failure):
            await self._shelf.record_refusal(client_id.text, now)


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
