"""One piece of work for all who wait for it, whoever of them gives up."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

__all__ = ["Flight", "Flights"]

T = TypeVar("T")


class Flight(Generic[T]):
    """Work under way. It *arrives* when the work is done, and *lands* when others may start it again."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        loop = asyncio.get_running_loop()
        self.task = loop.create_task(work)
        self.landed: asyncio.Future[None] = loop.create_future()
        self.started_at = loop.time()
        self.timer: asyncio.TimerHandle | None = None

    async def wait_for_arrival(self) -> T:
        """The outcome. Cancelling this leaves the work, and the others who wait, alone."""
        return await asyncio.shield(self.task)

    async def wait_for_landing(self) -> None:
        """Until it landed, likewise."""
        await asyncio.shield(self.landed)


class Flights(Generic[T]):
    """Flights by key. Those whose outcome ``is_held`` land ``held_seconds`` after they took off, the others on arrival.

    So whoever waits for the landing learns nothing from how long the work took, and a failure is not tried again
    meanwhile.
    """

    def __init__(self, is_held: Callable[[T], bool], held_seconds: float) -> None:
        self._is_held = is_held
        self._held_seconds = held_seconds
        self._flights: dict[str, Flight[T]] = {}

    def find(self, key: str) -> Flight[T] | None:
        """The flight that has not landed yet."""
        return self._flights.get(key)

    def take_off(self, key: str, work: Coroutine[Any, Any, T]) -> Flight[T]:
        """Start work that nobody else does just now."""
        flight = self._flights[key] = Flight(work)
        flight.task.add_done_callback(lambda task: self._arrive(key, flight, task))
        return flight

    async def aclose(self) -> None:
        """Wait for the arrivals, then land all at once."""
        while self._flights:
            key, flight = next(iter(self._flights.items()))
            await asyncio.wait([flight.task])
            self._land(key, flight)

    def _arrive(self, key: str, flight: Flight[T], task: asyncio.Task[T]) -> None:
        loop = asyncio.get_running_loop()
        lands_at = flight.started_at + self._held_seconds
        has_outcome = not task.cancelled() and task.exception() is None
        if has_outcome and self._is_held(task.result()) and lands_at > loop.time():
            flight.timer = loop.call_at(lands_at, self._land, key, flight)
        else:
            self._land(key, flight)

    def _land(self, key: str, flight: Flight[T]) -> None:
        if flight.timer is not None:
            flight.timer.cancel()
        if not flight.landed.done():
            del self._flights[key]
            flight.landed.set_result(None)
