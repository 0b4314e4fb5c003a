"""What is asked of everybody who asks costs a commit a second, not a commit each."""

from pathlib import Path

import anyio
import pytest

from nameplate.server.app import AuthorizationServer
from nameplate.server.readiness import Readiness
from nameplate.server.settings import Settings
from nameplate.testing.clock import FixedClock

pytestmark = pytest.mark.anyio


async def test_an_answer_is_good_for_a_second_whatever_it_is(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"issuer": "https://auth.example.com", "store": {"url": f"sqlite:///{tmp_path / 'store.sqlite3'}"}}
    )
    clock = FixedClock()
    async with AuthorizationServer(settings).running() as context:
        readiness = Readiness(clock)
        assert await readiness.check(context) == ""
        await context.store.aclose()
        clock.advance(0.9)
        assert await readiness.check(context) == ""
        clock.advance(0.1)
        assert await readiness.check(context) == "store unavailable"
        assert await readiness.check(context) == "store unavailable"


async def test_a_crowd_that_asks_at_once_causes_one_commit(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    settings = Settings.model_validate({"issuer": "https://auth.example.com", "store": {"url": f"sqlite:///{path}"}})
    log = tmp_path / "store.sqlite3-wal"
    async with AuthorizationServer(settings).running() as context:
        readiness = Readiness(FixedClock())
        await readiness.check(context)
        written = log.stat().st_size
        async with anyio.create_task_group() as crowd:
            for _ in range(50):
                crowd.start_soon(readiness.check, context)
        assert log.stat().st_size == written
