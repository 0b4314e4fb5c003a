"""Runs several servers, and stops them all at once."""

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TypeVar

__all__ = ["ServerGroup"]

_T = TypeVar("_T")


class ServerGroup:
    """Servers that are started one by one and stopped together: each takes a moment to close its connections, and
    four moments are too long for somebody who only wants the prompt back.
    """

    def __init__(self) -> None:
        self._running: list[AbstractAsyncContextManager[object]] = []

    async def __aenter__(self) -> "ServerGroup":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(server.__aexit__(None, None, None) for server in self._running))

    async def start(self, server: AbstractAsyncContextManager[_T]) -> _T:
        """Start one more; what it gives."""
        value = await server.__aenter__()
        self._running.append(server)
        return value
