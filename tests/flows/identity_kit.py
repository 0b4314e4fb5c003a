"""The flow tests' world with identity providers in it, and a person who goes there and comes back."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from flow_world import Attempt, World, read_answer, run_world
from nameplate.testing.clock import FixedClock
from nameplate.testing.headless_user import Form, HeadlessUser, Page
from nameplate.testing.identity_provider import FakeIdentityProvider, run_identity_provider

__all__ = [
    "RESOURCE_SERVER",
    "IdentityWorld",
    "build_resource_server",
    "build_table",
    "find_provider_form",
    "offers_provider",
    "run_identity_world",
]

RESOURCE_SERVER = ("notes", "secret-of-notes")
RESOURCE = "http://127.0.0.1:8000/mcp"


def build_table(provider: FakeIdentityProvider, name: str, **changes: Any) -> dict[str, Any]:
    """The ``[[upstreams]]`` table of a provider; None leaves a setting out."""
    table: dict[str, Any] = {
        "name": name,
        "type": "oidc",
        "title": name.capitalize(),
        "issuer": provider.issuer,
        "client_id": provider.client.client_id,
        "client_secret": provider.client.secret,
        "trusted_ca_file": provider.ca_file,
        "allow_everybody": True,
        "deadline_seconds": 2,
        **changes,
    }
    return {member: value for member, value in table.items() if value is not None}


def find_provider_form(page: Page, name: str = "corp") -> Form:
    """The form of the button that leads to a provider. Raises ``LookupError``."""
    for form in page.forms:
        if form.action.endswith(f"/sign-in/{name}"):
            return form
    raise LookupError(f"no button for {name} on {page.url} ({page.status}: {page.title})")


def offers_provider(page: Page, name: str = "corp") -> bool:
    """Whether the page has the button that leads to a provider."""
    return any(form.action.endswith(f"/sign-in/{name}") for form in page.forms)


@dataclass(kw_only=True)
class IdentityWorld:
    """A world, and its providers by their names. ``provider`` is the first."""

    world: World
    providers: dict[str, FakeIdentityProvider]

    @property
    def provider(self) -> FakeIdentityProvider:
        return next(iter(self.providers.values()))

    def callback(self, name: str = "corp") -> str:
        return f"{self.world.issuer}/callback/{name}"

    async def arrive(self, user: HeadlessUser, attempt: Attempt | None = None) -> Page:
        """The page on which a client's request is shown."""
        return await user.open(self.world.authorize_url(attempt or self.world.attempt()))

    async def leave(self, user: HeadlessUser, page: Page, name: str = "corp", **filled: str) -> str:
        """Press a provider's button; the URL at the provider."""
        left = await user.submit(page, find_provider_form(page, name), **filled)
        assert left.left_to is not None, (left.status, left.title, left.text)
        assert left.left_to.startswith(self.providers[name].url("authorize"))
        return left.left_to

    async def return_from(self, user: HeadlessUser, url: str, name: str = "corp") -> Page:
        """Go to the provider and come back with what it says."""
        return await user.open(await self.providers[name].visit(url))

    async def sign_in(self, user: HeadlessUser, attempt: Attempt | None = None, name: str = "corp") -> Page:
        """From the client to the provider and back: the page that asks, with the account. Who is signed in stays."""
        page = await self.arrive(user, attempt)
        if page.asks_for("subject"):
            return page
        return await self.return_from(user, await self.leave(user, page, name), name)

    async def allow(self, user: HeadlessUser, page: Page, name: str = "corp") -> str:
        """Press Allow; where the client is answered, after another way to the provider where tokens are kept."""
        page = await user.answer(page)
        if page.left_to is not None and page.left_to.startswith(self.providers[name].url("authorize")):
            page = await self.return_from(user, page.left_to, name)
        assert page.left_to is not None, (page.status, page.title, page.text)
        return page.left_to

    async def obtain_tokens(self, user: HeadlessUser, name: str = "corp", **changes: str | None) -> dict[str, Any]:
        """A whole sign-in, to the token response."""
        attempt = self.world.attempt(**changes)
        page = await self.sign_in(user, attempt, name)
        code = read_answer(await self.allow(user, page, name))["code"]
        response = await self.world.redeem(attempt, code)
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens


@asynccontextmanager
async def run_identity_world(
    directory: Path,
    *,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    has_accounts: bool = False,
    may_exchange: bool = False,
    **settings: Any,
) -> AsyncIterator[IdentityWorld]:
    """A world with one provider for each of ``tables``, whose values change that provider's settings.

    The clock is one for all. ``settings`` are more of the server's top-level settings.
    """
    clock = FixedClock()

    def tell_time() -> float:
        return clock()  # the world's, as soon as there is one

    async with AsyncExitStack() as stack:
        providers, written = {}, []
        for name, changes in (tables or {"corp": {}}).items():
            own = directory / name
            own.mkdir(exist_ok=True)
            provider = await stack.enter_async_context(run_identity_provider(own, clock=tell_time))
            providers[name] = provider
            written.append(build_table(provider, name, **changes))
        if not has_accounts:
            settings["accounts"] = []
        if may_exchange:
            settings["resource_servers"] = [build_resource_server(may_exchange=True)]
        world = await stack.enter_async_context(run_world(directory, upstreams=written, **settings))
        clock = world.clock
        yield IdentityWorld(world=world, providers=providers)


def build_resource_server(**changes: Any) -> dict[str, Any]:
    """The ``[[resource_servers]]`` table of the one that asks in the tests."""
    name, secret = RESOURCE_SERVER
    digest = f"sha256:{sha256(secret.encode()).hexdigest()}"
    return {"id": name, "secret_hash": digest, "resources": [RESOURCE], **changes}
