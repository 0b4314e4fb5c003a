"""Asks the authorization server about tokens (RFC 7662)."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

import httpx2

from nameplate.errors import FetchError, TimedOut
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.introspection import build_inactive_refusal, is_response_active
from nameplate.resource.discovery import ANSWER_BYTES, fetch_endpoint
from nameplate.resource.revocation import Introspection, build_unchecked
from nameplate.resource.trusted_http import build_basic_credentials, build_tls_context, fetch_object, open_client

__all__ = ["REMEMBERED_ANSWERS", "Introspector"]

_log = logging.getLogger("nameplate.resource")

REMEMBERED_ANSWERS = 4096
"""How many answers are remembered at the most; the oldest go first."""

_DEADLINE_SECONDS = 5
_RETRY_SECONDS = 5
_LOG_EVERY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the server said of a token, and until when that may be used, by the steady clock."""

    is_active: bool
    until: float


@dataclass(frozen=True, slots=True)
class _NoAnswer:
    problem: str


@dataclass(slots=True)
class _Line:
    """The connections to the server, and what is asked there. They belong to one event loop."""

    loop: asyncio.AbstractEventLoop
    client: httpx2.AsyncClient
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    endpoint: str = ""
    flights: dict[object, asyncio.Task[_Answer | _NoAnswer]] = field(default_factory=dict)


class Introspector:
    """A ``GrantCheck`` by ``Introspection``, which states what it promises.

    Requests with one token ask once, unless nothing is to be remembered: what was asked before a request came does not
    answer it then. Each question runs as a task of its own, so a caller that goes away does not end it for the others.
    The endpoint is the ``introspection_endpoint`` of the issuer's metadata, looked up once, and again after a failure.
    """

    def __init__(
        self,
        introspection: Introspection,
        *,
        issuer: str,
        trusted_ca_file: str | None = None,
        clock: Callable[[], float] = time.time,
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives epoch seconds, ``steady_clock`` seconds that never run backwards.

        Raises ``ConfigurationError`` for a CA file that cannot be read.
        """
        self._remember_seconds = introspection.remember_seconds
        self._issuer = issuer
        self._credentials = build_basic_credentials(introspection.resource_server_id, introspection.secret)
        self._tls = build_tls_context(trusted_ca_file)
        self._clock = clock
        self._steady_clock = steady_clock
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._line: _Line | None = None
        self._logged_at = float("-inf")

    async def check(self, token: str, access_token: AccessToken) -> None:
        """As ``GrantCheck.check``."""
        digest = sha256(token.encode()).digest()
        answer: _Answer | _NoAnswer | None = self._answers.get(digest)
        if not isinstance(answer, _Answer) or self._steady_clock() >= answer.until:
            answer = await asyncio.shield(self._start_flight(digest, token, access_token))
        if isinstance(answer, _NoAnswer):
            raise build_unchecked(answer.problem, retry_after_seconds=_RETRY_SECONDS)
        if not answer.is_active:
            raise build_inactive_refusal()

    async def aclose(self) -> None:
        """End what is under way, and close the connections."""
        if self._line is None:
            return
        line, self._line = self._line, None
        flights = list(line.flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await line.client.aclose()

    def _start_flight(self, digest: bytes, token: str, access_token: AccessToken) -> asyncio.Task[_Answer | _NoAnswer]:
        """The question about this token that is under way, or a new one."""
        line = self._open_line()
        key: object = digest if self._remember_seconds > 0 else object()
        flight = line.flights.get(key)
        if flight is None:
            flight = line.loop.create_task(self._ask(line, digest, token, access_token), name="nameplate-introspect")
            line.flights[key] = flight
            flight.add_done_callback(lambda _: line.flights.pop(key))
        return flight

    def _open_line(self) -> _Line:
        loop = asyncio.get_running_loop()
        if self._line is None or self._line.loop is not loop:
            self._line = _Line(loop, open_client(self._tls, deadline_seconds=_DEADLINE_SECONDS))
        return self._line

    async def _ask(self, line: _Line, digest: bytes, token: str, access_token: AccessToken) -> _Answer | _NoAnswer:
        asked_at = self._steady_clock()
        try:
            active = is_response_active(await self._post(line, token), access_token)
        except FetchError as error:
            line.endpoint = ""
            self._log_failure(error)
            return _NoAnswer(str(error))
        # INT-4: from when it was asked, as the grant may have ended right after, and never past the token's end
        seconds = min(self._remember_seconds, access_token.expires_at - self._clock())
        answer = _Answer(active, until=asked_at + seconds)
        self._answers.pop(digest, None)
        self._answers[digest] = answer
        if len(self._answers) > REMEMBERED_ANSWERS:
            self._answers.popitem(last=False)
        return answer

    async def _post(self, line: _Line, token: str) -> dict[str, object]:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                async with line.lock:
                    line.endpoint = line.endpoint or await fetch_endpoint(
                        line.client, self._issuer, "introspection_endpoint"
                    )
                return await fetch_object(
                    line.client,
                    line.endpoint,
                    max_bytes=ANSWER_BYTES,
                    headers=self._credentials,
                    form={"token": token, "token_type_hint": "access_token"},
                )
        except TimeoutError as error:
            raise TimedOut(f"{self._issuer}: no answer about a token within {_DEADLINE_SECONDS} s") from error

    def _log_failure(self, error: FetchError) -> None:
        """One line for many requests: with the server down there would be one for each."""
        now = self._steady_clock()
        if now - self._logged_at >= _LOG_EVERY_SECONDS:
            self._logged_at = now
            _log.warning("tokens cannot be introspected at %s: %s", self._issuer, error)
