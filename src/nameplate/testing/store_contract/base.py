"""What the parts of the store contract share: the fixtures, the competing callers, and a look at the audit trail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from nameplate.ports.store import Store

__all__ = ["CALLERS", "OpenStore", "StoreFixtures", "load_audit_names", "race"]

_T = TypeVar("_T")

OpenStore = Callable[[], Awaitable[Store]]

CALLERS = 50


class StoreFixtures:
    """The fixtures of every part. A subclass overrides ``open_store``."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The loop that stores are written for."""
        return "asyncio"

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """A function that opens one more handle on the data of this test."""
        raise NotImplementedError("a store contract needs the fixture open_store")

    @pytest.fixture
    async def store(self, open_store: OpenStore) -> AsyncIterator[Store]:
        """One handle."""
        store = await open_store()
        yield store
        await store.aclose()

    @pytest.fixture
    async def replica(self, open_store: OpenStore) -> AsyncIterator[Store]:
        """A second handle on the same data."""
        replica = await open_store()
        yield replica
        await replica.aclose()


async def race(
    store: Store, replica: Store, attempt: Callable[[Store, int], Awaitable[_T]], *, callers: int = CALLERS
) -> list[_T]:
    """What each of the competing callers got; ``attempt`` is given a handle and the caller's number."""
    return await asyncio.gather(*(attempt((store, replica)[number % 2], number) for number in range(callers)))


async def load_audit_names(store: Store) -> list[str]:
    """The names in the audit trail, oldest first."""
    return [event.name for _, event in await store.load_audit_events()]
