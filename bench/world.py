"""What is measured: our server and the floor, each with its visitor; a resource server behind the guard, and open."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from bench.ours import Place, run_ours
from bench.process import ServerProcess, find_free_port, run_server
from bench.resource_app import PATH
from bench.visitor import Access, Visitor
from nameplate.jose import SigningKey
from nameplate.testing.document_host import DocumentHost, run_document_host
from nameplate.testing.serving import open_listener

__all__ = [
    "DOCUMENT",
    "REDIRECT_URI",
    "Driven",
    "Side",
    "Starter",
    "World",
    "build_publisher",
    "open_keyed_side",
    "open_world",
]

DOCUMENT = {
    "client_name": "Bench",
    "client_uri": "https://client.example",
    "application_type": "native",
    "redirect_uris": ["http://127.0.0.1/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
REDIRECT_URI = "http://127.0.0.1:51763/callback"

Starter = Callable[[Path, Place], AbstractAsyncContextManager[tuple[Access, ServerProcess]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two that a row compares: where its requests go, and who makes them."""

    name: str
    url: str
    pid: int
    visitor: Visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """A server that runs on this machine already, to be measured in place of one that is started here."""

    access: Access
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The pairs of sides, ours first. ``keyed_servers`` are the same servers, visited by a client with a key.

    There are only ``servers`` where one that runs already is driven.
    """

    place: Place
    servers: list[Side] = field(default_factory=list)
    keyed_servers: list[Side] = field(default_factory=list)
    resources: list[Side] = field(default_factory=list)
    starters: dict[str, Starter] = field(default_factory=dict)


@asynccontextmanager
async def open_world(directory: Path, driven: Driven | None = None) -> AsyncIterator[World]:
    """Start everything on 127.0.0.1, with its files in ``directory``. Raises ``BenchFailed``."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(run_document_host(directory))
        # The tokens' audience is known before its server runs: the port is held until then.
        listener, port = open_listener()
        stack.callback(listener.close)
        place = Place(
            host=host,
            client_id=host.publish("/client.json", DOCUMENT),
            redirect_uri=REDIRECT_URI,
            resource=f"http://127.0.0.1:{port}{PATH}",
        )
        if driven is None:
            world = World(place=place, starters={"ours": run_ours, "floor": _run_floor})
            await _start_servers(stack, world, directory)
            listener.close()
            await _start_resources(stack, world, directory, port)
        else:
            world = World(place=place)
            world.servers.append(await _build_side("ours", driven.access, driven.pid, None))
            access, process = await stack.enter_async_context(_run_floor(directory, place))
            world.servers.append(await _build_side("floor", access, process.pid, None))
        yield world


async def _start_servers(stack: AsyncExitStack, world: World, directory: Path) -> None:
    for name, start in world.starters.items():
        access, process = await stack.enter_async_context(start(directory, world.place))
        world.servers.append(await _build_side(name, access, process.pid, world.place.host))
        world.keyed_servers.append(await open_keyed_side(world.servers[-1], world.place.host))


async def _build_side(name: str, access: Access, pid: int, host: DocumentHost | None) -> Side:
    visitor = Visitor(access, publish=build_publisher(host) if host else None)
    await visitor.open()
    return Side(name=name, url=access.issuer, pid=pid, visitor=visitor)


async def open_keyed_side(side: Side, host: DocumentHost) -> Side:
    """The same server, and a client that proves itself by a key of its own (ES256)."""
    key = SigningKey.generate()
    members = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public_jwk()]}}
    client_id = host.publish(f"/keyed/{key.kid}.json", {**DOCUMENT, **members})
    host.documents[f"/keyed/{key.kid}.json"].headers["Cache-Control"] = "max-age=3600"
    visitor = type(side.visitor)(replace(side.visitor.access, client_id=client_id), key=key)
    await visitor.open()
    return replace(side, visitor=visitor)


def build_publisher(host: DocumentHost) -> Callable[[], str]:
    """A function that puts another client's document up, and gives its URL. Every fetch of it is a new connection."""
    numbers = count()

    def publish() -> str:
        path = f"/clients/{next(numbers)}.json"
        client_id = host.publish(path, DOCUMENT)
        host.documents[path].headers["Connection"] = "close"
        return client_id

    return publish


async def _start_resources(stack: AsyncExitStack, world: World, directory: Path, port: int) -> None:
    """Behind the guard, at the port of the tokens' audience, and open, at another. Our server's visitor uses both."""
    visitor = world.servers[0].visitor
    guard = ("--issuer", visitor.access.issuer)
    for name, own_port, options in (("ours", port, guard), ("floor", find_free_port(), ())):
        command = (sys.executable, "-m", "bench.resource_app", "--port", str(own_port), *options)
        url, log_file = f"http://127.0.0.1:{own_port}{PATH}", directory / f"resource-{name}.log"
        process = await stack.enter_async_context(run_server(command, ready_url=url, log_file=log_file))
        world.resources.append(Side(name=name, url=url, pid=process.pid, visitor=visitor))


@asynccontextmanager
async def _run_floor(directory: Path, place: Place) -> AsyncIterator[tuple[Access, ServerProcess]]:
    port = find_free_port()
    access = place.build_access(f"http://127.0.0.1:{port}")
    command = (
        *(sys.executable, "-m", "bench.floor"),
        *("--port", str(port), "--directory", str(directory), "--ca-file", str(place.host.ca_file)),
    )
    async with run_server(command, ready_url=access.metadata_url, log_file=directory / "floor.log") as process:
        yield access, process
