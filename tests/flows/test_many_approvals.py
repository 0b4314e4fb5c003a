"""What one person allows is bounded: each grant can end up in every resource server's list of revoked ones."""

import pytest

from flow_world import World

pytestmark = pytest.mark.anyio

AT_ONCE = 60


async def test_one_person_allows_sixty_things_at_once_and_then_one_in_ten_seconds(world: World) -> None:
    async with world.user() as user:
        page = await user.sign_in(await user.open(world.authorize_url(world.attempt())))
        for _ in range(AT_ONCE):
            assert (await user.answer(page)).left_to
            page = await user.open(world.authorize_url(world.attempt()))
        refused = await user.answer(page)
        assert (refused.status, refused.left_to) == (429, None)
        assert "authorization.too_many" in refused.text
        assert (await user.answer(page, "deny")).left_to, "declining costs nothing"
        page = await user.open(world.authorize_url(world.attempt()))
        assert (await user.answer(page)).status == 429
        world.clock.advance(10)
        assert (await user.answer(page)).left_to, "the question stayed open"
        page = await user.open(world.authorize_url(world.attempt()))
        assert (await user.answer(page)).status == 429
