"""Signing keys change while servers are under load: no request fails, and every token verifies wherever it is taken.

Two servers answer over one store, as two processes would: each has its own connections, and its own keys in memory.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from flow_world import World, build_settings, run_world
from nameplate.errors import StoreError
from nameplate.jose import KeySet, UnknownKey, Verified
from nameplate.ports.store import Store
from nameplate.protocol.audit import AuditFilter
from nameplate.protocol.signing_keys import CLOCK_LEEWAY_SECONDS, KeyPolicy
from nameplate.server.app import AuthorizationServer
from nameplate.server.key_changes import rotate_at_once, schedule_rotation, withdraw_key
from nameplate.server.signing_keys import REFRESH_SECONDS, SigningKeyRing
from nameplate.testing.serving import open_listener, serve_app
from nameplate.vault import Vault, generate_encryption_key, parse_encryption_keys

pytestmark = pytest.mark.anyio

KEYS = {"rotate_seconds": 3600, "publish_ahead_seconds": 300}
TOKEN_SECONDS = 600
KEY_TEXT = generate_encryption_key()
VAULT = Vault(parse_encryption_keys([KEY_TEXT], setting="s"))
TYP = {"at+jwt"}
CLIENTS = 12


@dataclass(kw_only=True)
class Pair:
    """Two servers, and what somebody sees who uses both."""

    world: World
    urls: list[str]
    rings: list[SigningKeyRing]
    fetched: list[tuple[float, int, KeySet]] = field(default_factory=list)
    tokens: list[tuple[float, str]] = field(default_factory=list)
    refresh_tokens: list[str] = field(default_factory=list)
    turns: Iterator[int] = field(default_factory=itertools.count)

    @property
    def now(self) -> float:
        return self.world.clock()

    def pick_url(self) -> str:
        return self.urls[next(self.turns) % len(self.urls)]

    async def refresh(self, client: int) -> None:
        """A client refreshes, at either server. Its token must verify with every key set that may still be cached."""
        form = {
            "grant_type": "refresh_token",
            "client_id": self.world.client_id,
            "refresh_token": self.refresh_tokens[client],
        }
        response = await self.world.http.post(f"{self.pick_url()}/token", data=form)
        assert response.status_code == 200, response.text
        answer = response.json()
        self.refresh_tokens[client] = answer["refresh_token"]
        self.tokens.append((self.now, answer["access_token"]))
        for fetched_at, max_age, keys in self.fetched:
            if self.now < fetched_at + max_age:
                assert isinstance(keys.verify(answer["access_token"], typ=TYP), Verified), self.now - fetched_at

    async def fetch_keys(self) -> None:
        """Somebody fetches the keys, from either server. They verify every token that is still alive."""
        response = await self.world.http.get(f"{self.pick_url()}/jwks")
        assert response.status_code == 200
        max_age = int(response.headers["cache-control"].removeprefix("public, max-age="))
        keys = KeySet.from_jwks(response.json())
        self.fetched = [each for each in self.fetched if self.now < each[0] + each[1]]
        self.fetched.append((self.now, max_age, keys))
        self.tokens = [each for each in self.tokens if self.now < each[0] + TOKEN_SECONDS]
        for issued_at, token in self.tokens:
            assert isinstance(keys.verify(token, typ=TYP), Verified), self.now - issued_at

    async def look_after_keys(self, server: int) -> None:
        """What the server does by itself every ``REFRESH_SECONDS``."""
        await self.rings[server].rotate_if_due()

    async def play_round(self) -> None:
        """As long as it takes for both servers to read the keys once, not at the same moment; all of it at once."""
        for server in range(len(self.rings)):
            async with asyncio.TaskGroup() as tasks:
                for client in range(server, CLIENTS, len(self.rings)):
                    tasks.create_task(self.refresh(client))
                for _ in self.urls:
                    tasks.create_task(self.fetch_keys())
                tasks.create_task(self.look_after_keys(server))
                tasks.create_task(self.pass_time(REFRESH_SECONDS / len(self.rings)))

    async def play_around(self, moment: float) -> None:
        """Load while something happens; before it, the servers idle and look after their keys."""
        while self.now < moment - 2 * REFRESH_SECONDS:
            self.world.clock.advance(REFRESH_SECONDS)
            for server in range(len(self.rings)):
                await self.look_after_keys(server)
        while self.now < moment + 2 * REFRESH_SECONDS:
            await self.play_round()

    async def pass_time(self, seconds: float) -> None:
        """In the middle of it all."""
        for _ in range(5):
            await asyncio.sleep(0)
            self.world.clock.advance(seconds / 5)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite3'}"
    return str(request.getfixturevalue("postgres_store_url"))


@asynccontextmanager
async def run_pair(directory: Path, store_url: str, **keys: int) -> AsyncIterator[Pair]:
    changes: dict[str, Any] = {
        "keys": {**KEYS, **keys},
        "tokens": {"access_token_seconds": TOKEN_SECONDS},
        "store": {"url": store_url, "encryption_keys": [KEY_TEXT]},
    }
    async with run_world(directory, **changes) as world:
        settings = build_settings(world.issuer, world.resource, directory, world.host, changes)
        second = AuthorizationServer(settings, clock=world.clock)
        listener, port = open_listener()
        async with serve_app(second.standalone_app(), listener):
            rings = [server.context.signing_keys for server in (world.server, second)]
            pair = Pair(world=world, urls=[world.issuer, f"http://127.0.0.1:{port}"], rings=rings)
            for _ in range(CLIENTS):
                pair.refresh_tokens.append((await world.obtain_tokens())["refresh_token"])
            yield pair


async def count_events(pair: Pair, name: str) -> int:
    return len(await pair.world.server.context.store.load_audit_events(AuditFilter(names=(name,))))


async def test_under_load_keys_rotate_and_no_request_fails_and_every_token_verifies(
    tmp_path: Path, store_url: str
) -> None:
    async with run_pair(tmp_path, store_url) as pair:
        store = pair.world.server.context.store
        for generation in range(2, 5):
            (active,) = await store.load_signing_keys()
            await pair.play_around(active.active_from + KEYS["rotate_seconds"] - KEYS["publish_ahead_seconds"])
            following, before = await store.load_signing_keys()
            assert before == active
            await pair.play_around(following.active_from)
            await pair.play_around(following.active_from + TOKEN_SECONDS + CLOCK_LEEWAY_SECONDS)
            assert await count_events(pair, "signing_key.created") == generation
            assert await count_events(pair, "signing_key.retired") == generation - 1


async def test_under_load_an_operator_rotates_by_hand_with_as_little_notice(tmp_path: Path, store_url: str) -> None:
    """A key is published for a minute before it signs: as little as can be configured."""
    async with run_pair(tmp_path, store_url, rotate_seconds=86_400, publish_ahead_seconds=60) as pair:
        policy = KeyPolicy(rotate_seconds=86_400, publish_ahead_seconds=60, longest_token_seconds=TOKEN_SECONDS)
        for generation in range(2, 5):
            change = await schedule_rotation(pair.world.server.context.store, VAULT, policy, int(pair.now))
            assert change.is_new
            for _ in range(6):
                await pair.play_round()
            assert await count_events(pair, "signing_key.created") == generation


async def test_a_server_verifies_at_once_what_another_signs_with_a_key_made_in_an_emergency(
    tmp_path: Path, store_url: str
) -> None:
    async with run_pair(tmp_path, store_url) as pair:
        one, two = pair.rings
        pair.world.clock.advance(10)
        change = await rotate_at_once(pair.world.server.context.store, VAULT, int(pair.now))
        await one.refresh()
        token = one.sign({"sub": "alice"}, typ="at+jwt")
        assert two.key_set().verify(token, typ=TYP) == UnknownKey(change.key.kid)
        assert isinstance(await two.verify(token, typ=TYP), Verified)
        await pair.fetch_keys()  # now both publish it
        await pair.play_round()


async def test_tokens_of_a_withdrawn_key_are_no_longer_ours_and_no_request_fails(
    tmp_path: Path, store_url: str
) -> None:
    async with run_pair(tmp_path, store_url) as pair:
        await pair.play_round()
        old = [token for _, token in pair.tokens]
        store = pair.world.server.context.store
        (row,) = await store.load_signing_keys()
        await withdraw_key(store, VAULT, row.kid, int(pair.now))
        for ring in pair.rings:
            await ring.rotate_if_due()
        assert all([await ring.verify(token, typ=TYP) == UnknownKey(row.kid) for ring in pair.rings for token in old])
        pair.tokens.clear()
        pair.fetched.clear()
        for _ in range(5):
            await pair.play_round()


async def wait_for_keys(store: Store, count: int) -> None:
    with anyio.fail_after(10):
        while len(await store.load_signing_keys()) != count:
            await anyio.lowlevel.checkpoint()


async def test_a_running_server_looks_after_its_keys_by_itself(tmp_path: Path) -> None:
    async with run_world(tmp_path, keys=KEYS) as world:
        (first,) = [key["kid"] for key in (await world.http.get(f"{world.issuer}/jwks")).json()["keys"]]
        settings = build_settings(world.issuer, world.resource, tmp_path, world.host, {"keys": KEYS})
        world.clock.advance(KEYS["rotate_seconds"])
        async with AuthorizationServer(settings, clock=world.clock).running() as context:
            await wait_for_keys(context.store, 2)
            second, before = await context.store.load_signing_keys()
            assert before.kid == first
            assert second.active_from == world.clock() + KEYS["publish_ahead_seconds"]
        world.clock.advance(KEYS["publish_ahead_seconds"] + TOKEN_SECONDS + CLOCK_LEEWAY_SECONDS)
        async with AuthorizationServer(settings, clock=world.clock).running() as context:
            await wait_for_keys(context.store, 1)


async def test_a_server_that_cannot_open_its_keys_does_not_start(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world:
        settings = build_settings(world.issuer, world.resource, tmp_path, world.host, {})
    (tmp_path / "store.sqlite3.key").write_text(f"{generate_encryption_key()}\n")
    with pytest.raises(StoreError, match="cannot be opened: it is encrypted under the encryption key"):
        async with AuthorizationServer(settings, clock=world.clock).running():
            pass
