"""Clocks that differ from the database's: who is far ahead deletes nothing, makes no keys, and gets no requests."""

import json
import logging
import secrets
import time
from pathlib import Path

import anyio
import httpx2
import pytest
from httpx2 import ASGITransport

from nameplate.errors import StoreError
from nameplate.server.app import AuthorizationServer
from nameplate.server.clock_check import MOST_SECONDS_AHEAD, build_clock_check, trust_clock
from nameplate.server.settings import Settings
from nameplate.stores.open import open_store
from nameplate.testing.store_samples import sample_session
from nameplate.vault import generate_encryption_key

pytestmark = pytest.mark.anyio


def build_settings(url: str, key: str) -> Settings:
    return Settings.model_validate(
        {"issuer": "https://auth.example.com", "store": {"url": url, "encryption_keys": [key]}}
    )


@pytest.mark.postgres
@pytest.mark.parametrize(("ahead", "is_fit"), [(-3600, True), (0, True), (50, True), (70, False), (86400, False)])
async def test_a_clock_may_be_a_minute_ahead_of_the_database_s(
    postgres_store_url: str, ahead: int, is_fit: bool
) -> None:
    store = await open_store(postgres_store_url)
    try:
        theirs = await store.read_clock()
        assert theirs is not None
        assert abs(theirs - time.time()) < 30
        check = build_clock_check(store, lambda: theirs + ahead)
        if is_fit:
            await check()
        else:
            with pytest.raises(StoreError, match=r"the clock of this machine is \d+ s ahead of the database's"):
                await check()
    finally:
        await store.aclose()


async def test_a_file_has_no_other_clock_than_this_machine_s(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    try:
        assert await store.read_clock() is None
        await build_clock_check(store, lambda: time.time() + 10**6)()
    finally:
        await store.aclose()
    await trust_clock()


@pytest.mark.postgres
async def test_a_server_whose_clock_is_ahead_sweeps_nothing_makes_no_key_and_is_not_ready(
    postgres_store_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = build_settings(postgres_store_url, generate_encryption_key())
    right = time.time
    async with AuthorizationServer(settings).running() as context:
        now = int(right())
        await context.store.record_session(sample_session(signed_in_at=now, expires_at=now + 600), replaces=None)
        keys = await context.store.load_signing_keys()
    monkeypatch.setattr(time, "time", lambda: right() + 400 * 86400)
    monkeypatch.setattr(secrets, "randbelow", lambda _bound: 0)
    server = AuthorizationServer(settings)
    with caplog.at_level(logging.ERROR, "nameplate.server"):
        async with (
            server.running() as context,
            httpx2.AsyncClient(transport=ASGITransport(server.standalone_app()), base_url="https://x") as http,
        ):
            with anyio.fail_after(20):
                while {"sweep failed", "signing keys could not be looked after"} - {
                    record.getMessage() for record in caplog.records
                }:
                    await anyio.lowlevel.checkpoint()
            answer = await http.get("/readyz")
            assert (answer.status_code, json.loads(answer.content)) == (503, {"status": "keys or clock unfit"})
            assert await context.store.load_signing_keys() == keys
    assert "ahead of the database's" in caplog.text
    assert MOST_SECONDS_AHEAD == 60
    store = await open_store(postgres_store_url)
    try:
        assert await store.end_sessions(sample_session().subject, now) == 1
    finally:
        await store.aclose()
