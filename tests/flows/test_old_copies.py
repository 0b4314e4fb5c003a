"""A replica whose copy of a client's document is older than another's refuses no honest client and ends nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from assertion_kit import ClientKey, KeyedClient, read_endings, run_replica
from flow_world import World

pytestmark = pytest.mark.anyio

PATH = "/upgraded.json"


@dataclass(kw_only=True)
class Upgraded:
    """A client that had no key when its person allowed it, and has one by now. ``young`` has its document of today,
    ``old`` one that is fresh and from before; ``tokens`` are those that it got with its key.
    """

    client: KeyedClient
    young: World
    old: World
    tokens: dict[str, Any]

    async def refresh_at_old(self, **changes: str | None) -> tuple[int, str]:
        """Status and reason."""
        answer = await replace(self.client, world=self.old).refresh(self.tokens, **changes)
        return answer["status"], answer.get("reason", "")


@pytest.fixture
async def upgraded(world: World, tmp_path: Path) -> AsyncIterator[Upgraded]:
    async with run_replica(world, tmp_path) as old:
        client = KeyedClient(world=world, key=ClientKey.generate(), path=PATH)
        client.publish(jwks=None, token_endpoint_auth_method="none")
        attempt = client.attempt()
        async with world.user() as user:
            page = await user.sign_in(await user.open(world.authorize_url(attempt)))
            world.clock.advance(300)
            assert (await world.http.get(old.authorize_url(client.attempt()))).status_code == 200
            answered = await user.answer(page)
        assert world.host.requests == [PATH, PATH]
        code = (answered.left_to or "").partition("code=")[2].partition("&")[0]
        tokens = (await world.redeem(attempt, code)).json()
        world.clock.advance(350)  # the copy of the one is 650 seconds old, that of the other 350
        client.publish(token_endpoint_auth_methods_supported=["none", "private_key_jwt"])
        tokens = await client.refresh(tokens)
        assert tokens["status"] == 200, tokens
        world.host.requests.clear()
        yield Upgraded(client=client, young=world, old=old, tokens=tokens)


@pytest.mark.proves("JWT-9", "CIMD-100")
async def test_a_client_with_a_new_key_is_let_in_by_the_copy_in_the_store(upgraded: Upgraded) -> None:
    assert await upgraded.refresh_at_old() == (200, "")
    assert upgraded.young.host.requests == []
    assert await read_endings(upgraded.young) == []


@pytest.mark.proves("CIMD-100")
async def test_who_comes_without_the_key_ends_nothing(upgraded: Upgraded) -> None:
    assert await upgraded.refresh_at_old(client_assertion=None) == (400, "client.auth_method_pinned")
    assert await read_endings(upgraded.young) == []


async def test_where_no_younger_copy_can_be_had_the_client_comes_again(upgraded: Upgraded) -> None:
    upgraded.young.clock.advance(1)
    upgraded.tokens = await upgraded.client.refresh(upgraded.tokens)  # later than the copy in the store, from now on
    document = upgraded.young.host.documents[PATH]
    document.status = 503
    assert await upgraded.refresh_at_old() == (503, "fetch.status")
    assert await read_endings(upgraded.young) == []
    document.status = 200
    assert await upgraded.refresh_at_old() == (200, "")


async def test_a_client_that_is_let_in_by_the_copy_at_hand_costs_its_host_nothing(upgraded: Upgraded) -> None:
    upgraded.young.clock.advance(1)
    upgraded.tokens = await upgraded.client.refresh(upgraded.tokens)
    assert (await upgraded.refresh_at_old())[0] == 200
    upgraded.young.host.requests.clear()
    upgraded.tokens = await upgraded.client.refresh(upgraded.tokens)
    assert (await upgraded.refresh_at_old())[0] == 200
    assert upgraded.young.host.requests == []


@pytest.mark.proves("REV-1")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
async def test_a_client_with_a_new_key_can_give_its_access_back(upgraded: Upgraded, kind: str) -> None:
    form = {"token": upgraded.tokens[kind], "client_id": upgraded.client.client_id, **upgraded.client.prove()}
    response = await upgraded.old.http.post(f"{upgraded.old.issuer}/revoke", data=form)
    assert response.status_code == 200, response.text
    assert await read_endings(upgraded.young) == ["client.revoked"]


async def test_whoever_gives_access_back_comes_again_where_no_younger_copy_can_be_had(upgraded: Upgraded) -> None:
    upgraded.young.clock.advance(1)
    upgraded.tokens = await upgraded.client.refresh(upgraded.tokens)
    document = upgraded.young.host.documents[PATH]
    for status, expected in ((503, 503), (200, 200)):
        document.status = status
        token = upgraded.tokens["refresh_token"]
        form = {"token": token, "client_id": upgraded.client.client_id, **upgraded.client.prove()}
        response = await upgraded.old.http.post(f"{upgraded.old.issuer}/revoke", data=form)
        assert response.status_code == expected, response.text
