"""Hosts that do their worst in ways that no single module of the fetcher is about."""

import asyncio
import datetime
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fetch_kit import MakeFetcher, Names, build_private_host, build_url
from hostile import CLIENT_HOST, Exchange, HostileServer, SilentListener, answer, build_answer, flood, send
from nameplate.errors import (
    AddressRefused,
    BadMediaType,
    FetchError,
    RedirectRefused,
    TlsFailed,
    TooLarge,
    Unreachable,
)
from nameplate.fetch import FetchOptions, GuardedFetcher, SystemResolver
from nameplate.protocol.client_id import ClientIdUrl

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PUBLIC_HOST = "www.nameplate-test.com"


@pytest.fixture
def anyio_backend(either_loop: Any) -> Any:
    return either_loop


def build_public_url(port: int, host: str = PUBLIC_HOST) -> ClientIdUrl:
    return ClientIdUrl(text=f"https://{host}:{port}/c.json", host=host, port=port, target="/c.json")


# Names that move, and names for other names


async def test_a_kept_connection_that_was_closed_leads_to_no_address_that_was_not_judged(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    """Rebinding where the fetcher would try again: the second dial must not trust what the first one learnt."""
    async with SilentListener("127.0.0.2", server.port) as inside:
        names.answers[CLIENT_HOST] = [["127.0.0.1"], ["127.0.0.2"]]
        private = build_private_host(CLIENT_HOST, server.port, network="127.0.0.1/32")
        fetcher = make_fetcher(private_hosts=(private,))
        await fetcher.fetch(build_url(server.port))

        async def hang_up(exchange: Exchange) -> None:
            exchange.writer.close()

        server.script = hang_up
        with pytest.raises(AddressRefused):
            await fetcher.fetch(build_url(server.port))
        assert (names.asked, inside.accepted) == ([CLIENT_HOST] * 2, 0)


async def test_a_fetch_asks_for_its_name_once_however_many_addresses_it_tries(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    names.answers[CLIENT_HOST] = [["127.0.0.3", "127.0.0.4", "127.0.0.1"], ["127.0.0.2"]]
    private = build_private_host(CLIENT_HOST, server.port)
    await make_fetcher(private_hosts=(private,)).fetch(build_url(server.port))
    assert names.asked == [CLIENT_HOST]


@asynccontextmanager
async def open_fetcher_with_aliases(
    aliases: dict[str, str], addresses: dict[str, list[str]], options: FetchOptions
) -> AsyncIterator[GuardedFetcher]:
    """A fetcher whose name servers follow aliases, as the system's do: all that comes back is addresses."""

    def look_up(host: str) -> Sequence[str]:
        while host in aliases:
            host = aliases[host]
        return addresses[host]

    fetcher = GuardedFetcher(options, resolver=SystemResolver(lookup=look_up))
    try:
        yield fetcher
    finally:
        await fetcher.aclose()


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"])
async def test_an_alias_is_judged_by_where_it_leads(inside: str, ca_file: Path) -> None:
    aliases = {PUBLIC_HOST: "cdn.nameplate-test.com", "cdn.nameplate-test.com": "intranet.corp.internal"}
    options = FetchOptions(trusted_ca_file=ca_file, deadline_seconds=1.0)
    async with (
        SilentListener() as listener,
        open_fetcher_with_aliases(aliases, {"intranet.corp.internal": [inside]}, options) as fetcher,
    ):
        with pytest.raises(AddressRefused):
            await fetcher.fetch(build_public_url(listener.port))
        assert listener.accepted == 0


async def test_an_alias_of_a_declared_host_does_not_inherit_its_declaration(
    server: HostileServer, ca_file: Path
) -> None:
    """A stranger's name that points at the operator's private host does not become that host."""
    options = FetchOptions(private_hosts=(build_private_host(CLIENT_HOST, server.port),), trusted_ca_file=ca_file)
    addresses = {CLIENT_HOST: ["127.0.0.1"]}
    async with open_fetcher_with_aliases({PUBLIC_HOST: CLIENT_HOST}, addresses, options) as fetcher:
        with pytest.raises(AddressRefused):
            await fetcher.fetch(build_public_url(server.port))
        assert server.connections == 0
        await fetcher.fetch(build_url(server.port))


async def test_more_addresses_than_any_host_has_are_not_judged_one_by_one(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    fetcher = make_fetcher(server.port)
    names.answers[CLIENT_HOST] = [["127.0.0.1"] * 65]
    with pytest.raises(Unreachable, match="65 addresses"):
        await fetcher.fetch(build_url(server.port))
    assert server.connections == 0
    names.answers[CLIENT_HOST] = [[*(["127.0.0.1"] * 63), "10.0.0.1"]]
    with pytest.raises(AddressRefused):
        await fetcher.fetch(build_url(server.port))
    names.answers[CLIENT_HOST] = [["127.0.0.1"] * 64]
    assert (await fetcher.fetch(build_url(server.port))).status == 200


async def test_the_same_name_at_another_port_is_another_connection(
    server: HostileServer, tls: ssl.SSLContext, make_fetcher: MakeFetcher
) -> None:
    async with HostileServer(tls, answer(b'{"other": 1}')) as other:
        fetcher = make_fetcher(server.port, other.port)
        for _ in range(2):
            assert (await fetcher.fetch(build_url(server.port))).body == b"{}"
            assert (await fetcher.fetch(build_url(other.port))).body == b'{"other": 1}'
    assert (server.connections, other.connections) == (1, 1)


# TLS


def build_certificate(
    name: str, key: ec.EllipticCurvePrivateKey, *, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> bytes:
    """A leaf certificate in PEM, by whoever holds the issuer's key."""
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def build_context(directory: Path, key: ec.EllipticCurvePrivateKey, *chain: bytes) -> ssl.SSLContext:
    """A server's context with this key and certificate chain."""
    file = directory / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(b"".join([private, *chain]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_a_self_signed_certificate_is_refused(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = build_certificate(CLIENT_HOST, key, issuer=CLIENT_HOST, issuer_key=key)
    async with HostileServer(build_context(tmp_path, key, certificate), answer()) as server:
        with pytest.raises(TlsFailed):
            await make_fetcher(server.port).fetch(build_url(server.port))
    assert server.requests == []


async def test_whoever_has_a_certificate_cannot_issue_others(
    ca: trustme.CA, make_fetcher: MakeFetcher, tmp_path: Path
) -> None:
    evil = ca.issue_cert("evil.example", common_name="evil.example")
    evil_key = serialization.load_pem_private_key(evil.private_key_pem.bytes(), None)
    assert isinstance(evil_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.load_pem_x509_certificate(evil.cert_chain_pems[0].bytes()).subject
    issuer = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    forged = build_certificate(CLIENT_HOST, key, issuer=str(issuer), issuer_key=evil_key)
    context = build_context(tmp_path, key, forged, *(pem.bytes() for pem in evil.cert_chain_pems))
    async with HostileServer(context, answer()) as server:
        with pytest.raises(TlsFailed):
            await make_fetcher(server.port).fetch(build_url(server.port))
    assert server.requests == []


async def test_a_flood_of_session_tickets_is_cut_off(server: HostileServer, make_fetcher: MakeFetcher) -> None:
    server.context.num_tickets = 2000
    fetcher = make_fetcher(server.port, deadline_seconds=30.0)
    async with asyncio.timeout(5):
        with pytest.raises((TooLarge, Unreachable)):
            await fetcher.fetch(build_url(server.port))


@asynccontextmanager
async def open_plain_port(first: bytes, part: bytes, *, every_seconds: float) -> AsyncIterator[int]:
    """A port that speaks no TLS, but begins as if, and never stops."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            writer.write(first)
            while True:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(every_seconds)
        except (OSError, asyncio.CancelledError):
            pass  # the fetcher hung up, or the test is over
        finally:
            writer.transport.abort()
            tasks.discard(task)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await listener.wait_closed()


@pytest.mark.parametrize(
    ("first", "part"),
    [
        pytest.param(b"", bytes(4096), id="zeros"),
        pytest.param(b"", b"\x15\x03\x03\x00\x02\x01\x00" * 100, id="warnings"),
        pytest.param(b"", b"\x16\x03\x03\x00\x00" * 100, id="empty records"),
        pytest.param(b"", b"\x14\x03\x03\x00\x01\x01" * 100, id="changes of cipher"),
        pytest.param(b"\x16\x03\x03\x40\x00\x02\xff\xff\xff", bytes(4096), id="a greeting of 16 MB"),
    ],
)
async def test_a_handshake_without_end_is_cut_off_long_before_the_deadline(
    make_fetcher: MakeFetcher, first: bytes, part: bytes
) -> None:
    async with open_plain_port(first, part, every_seconds=0) as port, asyncio.timeout(5):
        with pytest.raises((TooLarge, Unreachable)):
            await make_fetcher(port, deadline_seconds=30.0).fetch(build_url(port))


async def test_a_handshake_that_drips_ends_at_the_deadline(make_fetcher: MakeFetcher) -> None:
    async with open_plain_port(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\x00", every_seconds=0.02) as port:
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(FetchError) as failure:
            await make_fetcher(port, deadline_seconds=0.2).fetch(build_url(port))
    assert type(failure.value).__name__ == "TimedOut"
    assert loop.time() - started < 0.5


# Compressed bodies

SPACES = b" " * 5_000_000
BOMBS = {
    "gzip": gzip.compress(SPACES),
    "deflate": zlib.compress(SPACES),
    "br": bytes.fromhex("9f3f4b4cf82540e2b140205f8809"),  # the same five million spaces
}


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "Br", "identity, br", "zstd", "dcb", "*"]
)
async def test_a_bomb_is_refused_by_its_headers_and_hung_up_on(
    server: HostileServer, fetcher: GuardedFetcher, coding: str
) -> None:
    bomb = BOMBS.get(coding.lower().removeprefix("identity, "), BOMBS["gzip"])
    server.script = flood(HEAD + f"Content-Encoding: {coding}\r\n\r\n".encode(), bomb)
    async with asyncio.timeout(1):
        with pytest.raises(BadMediaType):
            await fetcher.fetch(build_url(server.port))
        await server.wait_until_left()


@pytest.mark.parametrize("coding", BOMBS)
async def test_a_bomb_without_a_label_stays_as_small_as_it_came(
    server: HostileServer, fetcher: GuardedFetcher, coding: str
) -> None:
    body = BOMBS[coding][:5120]
    server.script = answer(body)
    assert (await fetcher.fetch(build_url(server.port))).body == body


@pytest.mark.parametrize(
    "coding", ["gzip", "deflate", "br", "gzip, chunked", "chunked, gzip", "identity", "chunked, chunked"]
)
async def test_a_transfer_coding_other_than_chunked_is_not_looked_into(
    server: HostileServer, fetcher: GuardedFetcher, coding: str
) -> None:
    server.script = flood(HEAD + f"Transfer-Encoding: {coding}\r\n\r\n".encode(), BOMBS["gzip"])
    async with asyncio.timeout(1):
        with pytest.raises((TooLarge, Unreachable)):
            await fetcher.fetch(build_url(server.port))


# Redirects


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("https://{host}:{decoy}/", id="to another port"),
        pytest.param("http://127.0.0.1:{decoy}/latest/meta-data/", id="inside"),
        pytest.param("//127.0.0.1:{decoy}/", id="without a scheme"),
        pytest.param("/other.json", id="to another path"),
        pytest.param("", id="to itself"),
        pytest.param("gopher://127.0.0.1:{decoy}/_GET", id="to another protocol"),
        pytest.param("/a\r\nLocation: http://127.0.0.1:{decoy}/", id="twice"),
    ],
)
async def test_no_redirect_reaches_anything(server: HostileServer, make_fetcher: MakeFetcher, location: str) -> None:
    async with SilentListener() as decoy:
        target = location.format(host=CLIENT_HOST, decoy=decoy.port)
        fetcher = make_fetcher(server.port, decoy.port)
        for status in ("300 M", "301 M", "302 F", "303 S", "305 U", "307 T", "308 P"):
            server.script = answer(status=status, headers=[f"Location: {target}"])
            with pytest.raises(RedirectRefused):
                await fetcher.fetch(build_url(server.port))
        assert (len(server.requests), decoy.accepted) == (7, 0)


@pytest.mark.parametrize(
    "headers",
    [
        ["Location: /other.json"],
        ["Content-Location: /other.json"],
        ["Link: </other.json>; rel=canonical", "Link: </other.json>; rel=preload"],
        ['Alt-Svc: h2=":{decoy}"; ma=86400'],
        ["Strict-Transport-Security: max-age=1", "Set-Cookie: a=b; Domain=example"],
    ],
)
async def test_a_good_answer_that_points_elsewhere_leads_nowhere_and_leaves_nothing_behind(
    server: HostileServer, make_fetcher: MakeFetcher, headers: list[str]
) -> None:
    async with SilentListener() as decoy:
        server.script = answer(headers=[header.format(decoy=decoy.port) for header in headers])
        fetcher = make_fetcher(server.port, decoy.port)
        for _ in range(2):
            assert (await fetcher.fetch(build_url(server.port))).body == b"{}"
        assert decoy.accepted == 0
    first, second = (exchange.request for exchange in server.requests)
    assert first == second


# Framing that readers disagree about


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"ffffffffffffffffff\r\n{}", id="a size beyond 64 bits"),
        pytest.param(b"-2\r\n{}\r\n0\r\n\r\n", id="a negative size"),
        pytest.param(b"+2\r\n{}\r\n0\r\n\r\n", id="a signed size"),
        pytest.param(b"0x2\r\n{}\r\n0\r\n\r\n", id="a size with a prefix"),
        pytest.param(b"2\r\n{}X\r\n0\r\n\r\n", id="more than its size"),
        pytest.param(b"2\r\n{}\r\n0\r\n", id="no last line"),
        pytest.param(b"2\r\n{}\r\n", id="no last chunk"),
        pytest.param(b"\r\n2\r\n{}\r\n0\r\n\r\n", id="an empty size"),
        pytest.param(b"2" + b" " * 40_000 + b"\r\n{}\r\n0\r\n\r\n", id="an endless line"),
    ],
)
async def test_chunks_that_are_none_break_the_answer(
    server: HostileServer, fetcher: GuardedFetcher, chunks: bytes
) -> None:
    server.script = send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, then_close=True)
    with pytest.raises((TooLarge, Unreachable)):
        await fetcher.fetch(build_url(server.port))


@pytest.mark.parametrize(
    "header",
    [
        b"X-A: a\x00b",
        b"X-A: a\rX-B: b",
        b"X A: b",
        b": nameless",
        b"Content-Length : 2",
        b"X-\xff: a",
        b"X-A",
    ],
)
async def test_a_header_that_is_none_never_becomes_two(
    server: HostileServer, fetcher: GuardedFetcher, header: bytes
) -> None:
    server.script = send(HEAD + b"Content-Length: 2\r\n" + header + b"\r\n\r\n{}", then_close=True)
    with pytest.raises(Unreachable):
        await fetcher.fetch(build_url(server.port))


@pytest.mark.parametrize("early", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_three_answers_to_one_question_serve_it_alone(
    server: HostileServer, fetcher: GuardedFetcher, early: bytes
) -> None:
    """On whatever connection later fetches run, what was sent ahead for them is never read."""
    good, smuggled = build_answer(b'{"good": 1}'), build_answer(b'{"smuggled": 1}')
    server.script = send(early + good + smuggled * 2)
    for _ in range(4):
        assert (await fetcher.fetch(build_url(server.port))).body == b'{"good": 1}'
    assert server.connections == 4
