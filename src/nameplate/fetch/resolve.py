"""Names to addresses, so that slow name servers delay nobody but those who ask them.

``getaddrinfo`` can be neither cancelled nor bounded in time, so each question has a thread of its own that may be left
behind, and the number of threads is bounded, in all and per site. Nothing is queued: a question too many is refused.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from nameplate.errors import Busy, FetchError, Unreachable
from nameplate.fetch.budgets import find_site

__all__ = ["Lookup", "Resolver", "SystemResolver", "look_up_addresses"]

Resolver = Callable[[str], Awaitable[Sequence[str]]]
Lookup = Callable[[str], Sequence[str]]
_Answer = tuple[str, ...] | FetchError
_REMEMBERED_FAILURES = 1024


def look_up_addresses(host: str) -> Sequence[str]:
    """Every address of a host, in the system's order. Blocks. Raises ``OSError``."""
    # Bytes, because to text Python applies IDNA 2003 and would ask for another name than the one that was checked.
    answers = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _family, _type, _proto, _canonical, sockaddr in answers]


class SystemResolver:
    """Asks the system: a name once at a time however many wait, and not for ``failure_seconds`` after it failed.

    ``lookup`` is called in a thread. Belongs to the event loop that first calls it.
    """

    def __init__(
        self,
        *,
        lookup: Lookup = look_up_addresses,
        lookups_at_once: int = 128,
        site_lookups_at_once: int = 32,
        failure_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._lookups_at_once = lookups_at_once
        self._site_lookups_at_once = site_lookups_at_once
        self._failure_seconds = failure_seconds
        self._clock = clock
        self._flights: dict[str, asyncio.Future[_Answer]] = {}
        self._sites: Counter[str] = Counter()
        self._failures: OrderedDict[str, float] = OrderedDict()

    async def __call__(self, host: str) -> Sequence[str]:
        """The addresses of ``host``. ``Unreachable`` where it has none, ``Busy`` where too many questions are open."""
        if self._clock() < self._failures.get(host, 0.0):
            raise Unreachable("DNS: failed moments ago")
        flight = self._flights.get(host)
        if flight is None:
            flight = self._take_off(host)
        answer = await asyncio.shield(flight)  # whoever gives up leaves the others waiting undisturbed
        if isinstance(answer, FetchError):
            raise answer.with_traceback(None)
        return answer

    def _take_off(self, host: str) -> asyncio.Future[_Answer]:
        site = find_site(host)
        if len(self._flights) >= self._lookups_at_once or self._sites[site] >= self._site_lookups_at_once:
            raise Busy("too many DNS questions are open", retry_after_seconds=5)
        loop = asyncio.get_running_loop()
        flight: asyncio.Future[_Answer] = loop.create_future()
        thread = threading.Thread(
            target=self._ask, args=(host, flight, loop), name=f"nameplate-dns-{site}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left
            raise Busy(str(error), retry_after_seconds=5) from error
        self._flights[host] = flight
        self._sites[site] += 1
        return flight

    def _ask(self, host: str, flight: "asyncio.Future[_Answer]", loop: asyncio.AbstractEventLoop) -> None:
        answer: _Answer = Unreachable("DNS: the lookup broke")
        try:
            answer = tuple(self._lookup(host)) or Unreachable("DNS: no address")
        except (OSError, ValueError) as error:
            answer = Unreachable(f"DNS: {error}")
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._land, host, flight, answer)

    def _land(self, host: str, flight: "asyncio.Future[_Answer]", answer: _Answer) -> None:
        del self._flights[host]
        site = find_site(host)
        self._sites[site] -= 1
        if not self._sites[site]:
            del self._sites[site]
        if isinstance(answer, FetchError):
            self._remember_failure(host)
        else:
            self._failures.pop(host, None)
        if not flight.done():
            flight.set_result(answer)

    def _remember_failure(self, host: str) -> None:
        self._failures[host] = self._clock() + self._failure_seconds
        self._failures.move_to_end(host)
        if len(self._failures) > _REMEMBERED_FAILURES:
            self._failures.popitem(last=False)
