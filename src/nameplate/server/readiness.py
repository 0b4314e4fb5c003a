"""Whether the server can answer for its store, its keys and its clock: asked by a stranger as often as he likes."""

import logging
from collections.abc import Callable

import anyio

from nameplate.errors import StoreError
from nameplate.server.context import ServerContext

__all__ = ["Readiness"]

logger = logging.getLogger("nameplate.server")

_KEPT_SECONDS = 1.0


class Readiness:
    """What the last check found is the answer for a second: each check is a commit, and nobody is asked who asks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds from anywhere, and is never set back."""
        self._clock = clock
        self._lock = anyio.Lock()
        self._checked_at: float | None = None
        self._problem = ""

    async def check(self, context: ServerContext) -> str:
        """What keeps the server from being ready, in a few words; empty where nothing does."""
        async with self._lock:
            if self._checked_at is None or self._clock() - self._checked_at >= _KEPT_SECONDS:
                self._problem = await _find_problem(context)
                self._checked_at = self._clock()
            return self._problem


async def _find_problem(context: ServerContext) -> str:
    problem = "store unavailable"
    try:
        await context.store.check()
        problem = "keys or clock unfit"
        await context.signing_keys.check()
    except StoreError as error:
        logger.error("not ready", extra={"detail": str(error)})  # noqa: TRY400  (the store logged its trace)
        return problem
    return ""
