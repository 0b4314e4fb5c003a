"""One address, or one network, that begins more sign-ins than its share: it waits, and nobody else does (DO-05)."""

from pathlib import Path

import httpx2
import pytest
from httpx2 import ASGITransport

from flow_world import World, run_world

pytestmark = pytest.mark.anyio

LIMITS = {"authorizations_at_once": 3, "authorizations_per_second": 0.5}


async def begin(world: World, address: str) -> httpx2.Response:
    """What a peer at this address gets."""
    transport = ASGITransport(world.server.standalone_app(), client=(address, 50_000))
    async with httpx2.AsyncClient(transport=transport) as http:
        return await http.get(world.authorize_url(world.attempt()))


async def test_an_address_begins_a_burst_and_then_at_a_rate(tmp_path: Path) -> None:
    async with run_world(tmp_path, limits=LIMITS) as world:
        assert [(await begin(world, "203.0.113.9")).status_code for _ in range(5)] == [200] * 3 + [429] * 2
        refused = await begin(world, "203.0.113.9")
        assert "authorization.too_many_from_here" in refused.text
        assert "Too many sign-ins from here" in refused.text
        assert refused.headers["content-type"].startswith("text/html")
        assert refused.headers["retry-after"] == "2"
        assert (await begin(world, "198.51.100.1")).status_code == 200
        world.clock.advance(2)
        assert [(await begin(world, "203.0.113.9")).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(("step", "allowed"), [(1, 3), (2**64, 6), (2**72, 12)])
async def test_a_network_has_no_more_by_more_addresses(tmp_path: Path, step: int, allowed: int) -> None:
    first = 0x2001_0DB8 << 96
    async with run_world(tmp_path, limits=LIMITS) as world:
        groups = [f"{first + number * step:032x}" for number in range(20)]
        addresses = [":".join(text[at : at + 4] for at in range(0, 32, 4)) for text in groups]
        statuses = [(await begin(world, address)).status_code for address in addresses]
        assert statuses == [200] * allowed + [429] * (20 - allowed)


async def test_what_is_refused_is_not_kept(tmp_path: Path) -> None:
    """The wait goes by addresses, so a person behind another one goes on signing in."""
    async with run_world(tmp_path, limits=LIMITS) as world:
        assert {(await begin(world, "203.0.113.9")).status_code for _ in range(20)} == {200, 429}
        assert (await world.obtain_tokens())["token_type"] == "Bearer"
