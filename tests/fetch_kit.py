"""A certificate authority, names that lead where a test wants, and fetchers that are closed at the end."""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from hostile import CLIENT_HOST, HostileServer, Script, answer, build_server_context
from nameplate.fetch import CachedDocuments, DocumentOptions, FetchOptions, GuardedFetcher
from nameplate.protocol.client_id import ClientIdPolicy, ClientIdUrl, parse_client_id
from nameplate.protocol.private_hosts import PrivateHost


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ]
)
def either_loop(request: pytest.FixtureRequest) -> Any:
    """For the ``anyio_backend`` of modules that are about sockets: the server may run on either loop."""
    return request.param


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="session")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def tls(ca: trustme.CA) -> ssl.SSLContext:
    return build_server_context(ca, CLIENT_HOST)


@pytest.fixture
async def server(tls: ssl.SSLContext) -> AsyncIterator[HostileServer]:
    async with HostileServer(tls, answer()) as running:
        yield running


@dataclass
class Names:
    """A resolver. A name leads to the first of its answers, then to the next; the last one stays."""

    answers: dict[str, list[Sequence[str]]] = field(default_factory=lambda: {CLIENT_HOST: [["127.0.0.1"]]})
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if not answers:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def names() -> Names:
    return Names()


@dataclass
class Clock:
    """Epoch seconds, as the test wants them."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeFetcher = Callable[..., GuardedFetcher]


@pytest.fixture
async def make_fetcher(ca_file: Path, names: Names, clock: Clock) -> AsyncIterator[MakeFetcher]:
    """Makes fetchers that may reach loopback ports, by declaration, under the name of the client's host."""
    made: list[GuardedFetcher] = []

    def make(*ports: int, hosts: Sequence[str] = (CLIENT_HOST,), **options: Any) -> GuardedFetcher:
        options.setdefault("private_hosts", tuple(build_private_host(host, *ports) for host in hosts))
        options.setdefault("trusted_ca_file", ca_file)
        options.setdefault("deadline_seconds", 2.0)
        made.append(GuardedFetcher(FetchOptions(**options), resolver=names, clock=clock))
        return made[-1]

    yield make
    for fetcher in made:
        await fetcher.aclose()


@pytest.fixture
async def fetcher(make_fetcher: MakeFetcher, server: HostileServer) -> GuardedFetcher:
    return make_fetcher(server.port)


MakeDocuments = Callable[..., CachedDocuments]


@pytest.fixture
async def make_documents(
    make_fetcher: MakeFetcher, server: HostileServer, clock: Clock
) -> AsyncIterator[MakeDocuments]:
    server.script = serve_documents("Cache-Control: max-age=600")
    made: list[CachedDocuments] = []

    def make(fetcher: GuardedFetcher | None = None, **options: Any) -> CachedDocuments:
        options.setdefault("failure_seconds", 0)
        made.append(CachedDocuments(fetcher or make_fetcher(server.port), DocumentOptions(**options), clock=clock))
        return made[-1]

    yield make
    for documents in made:
        await documents.aclose()


@pytest.fixture
async def documents(make_documents: MakeDocuments) -> CachedDocuments:
    return make_documents()


@pytest.fixture
async def client_id(server: HostileServer) -> ClientIdUrl:
    return build_url(server.port)


def build_private_host(host: str, *ports: int, network: str = "127.0.0.0/8", address: str | None = None) -> PrivateHost:
    return PrivateHost(host=host, network=network, ports=ports, address=address)


def build_url(port: int, path: str = "/client.json", host: str = CLIENT_HOST) -> ClientIdUrl:
    """The client identifier URL of a document at this port."""
    policy = ClientIdPolicy(private_hosts=(build_private_host(host, port),))
    return parse_client_id(f"https://{host}:{port}{path}", policy)


def build_document(client_id: str, **members: object) -> bytes:
    """A client's document with what is required of one."""
    document = {"client_id": client_id, "client_name": "A client", "redirect_uris": ["https://client.example/callback"]}
    return json.dumps(document | members).encode()


def serve_documents(*headers: str) -> Script:
    """A script that answers every path with the document whose client_id is that URL."""

    async def script(exchange: Any) -> None:
        path = exchange.request.split(b" ")[1].decode()
        await answer(build_document(f"https://{exchange.headers['host']}{path}"), headers=headers)(exchange)

    return script
