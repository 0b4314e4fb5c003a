"""Whom the fetcher believes: certificates, names, and nothing from the environment."""

import asyncio
import datetime
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest
import trustme

from fetch_kit import MakeFetcher, Names, build_private_host, build_url
from hostile import CLIENT_HOST, HostileServer, SilentListener, answer, build_server_context
from nameplate.errors import ConfigurationError, FetchError, TlsFailed, Unreachable
from nameplate.fetch import FetchOptions, GuardedFetcher

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(either_loop: Any) -> Any:
    return either_loop


NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def build_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def fetch_from(context: ssl.SSLContext, make_fetcher: MakeFetcher) -> HostileServer:
    async with HostileServer(context, answer()) as server:
        await make_fetcher(server.port).fetch(build_url(server.port))
    return server


@pytest.mark.proves("CIMD-46")
@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param(lambda ca: trustme.CA().issue_cert(CLIENT_HOST), id="of an unknown authority"),
        pytest.param(lambda ca: ca.issue_cert("other.example"), id="for another name"),
        pytest.param(lambda ca: ca.issue_cert(f"www.{CLIENT_HOST}"), id="for a name below"),
        pytest.param(lambda ca: ca.issue_cert("*.client.example"), id="for names below"),
        pytest.param(lambda ca: ca.issue_cert("127.0.0.1"), id="for the address"),
        pytest.param(
            lambda ca: ca.issue_cert("other.example", common_name=CLIENT_HOST), id="with the common name only"
        ),
        pytest.param(
            lambda ca: ca.issue_cert(CLIENT_HOST, not_before=NOW - 9 * DAY, not_after=NOW - DAY), id="expired"
        ),
        pytest.param(
            lambda ca: ca.issue_cert(CLIENT_HOST, not_before=NOW + DAY, not_after=NOW + 9 * DAY), id="not yet valid"
        ),
    ],
)
async def test_a_certificate_that_proves_nothing_is_refused(
    certificate: object, ca: trustme.CA, make_fetcher: MakeFetcher
) -> None:
    context = build_context(certificate(ca))  # type: ignore[operator]
    async with HostileServer(context, answer()) as server:
        with pytest.raises(TlsFailed) as failure:
            await make_fetcher(server.port).fetch(build_url(server.port))
    assert failure.value.reason == "fetch.unreachable"
    assert server.requests == []


async def test_an_old_version_of_tls_is_refused(tls: ssl.SSLContext, make_fetcher: MakeFetcher) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls.minimum_version = ssl.TLSVersion.TLSv1
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.set_ciphers("ALL:@SECLEVEL=0")
    async with HostileServer(tls, answer()) as server:
        with pytest.raises(Unreachable):
            await make_fetcher(server.port).fetch(build_url(server.port))
    assert server.requests == []


async def test_tls_1_2_is_enough(tls: ssl.SSLContext, make_fetcher: MakeFetcher) -> None:
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    server = await fetch_from(tls, make_fetcher)
    assert len(server.requests) == 1


async def test_a_host_that_wants_a_certificate_of_ours_gets_none(
    ca: trustme.CA, tls: ssl.SSLContext, make_fetcher: MakeFetcher
) -> None:
    tls.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(tls)
    async with HostileServer(tls, answer()) as server:
        with pytest.raises(Unreachable):
            await make_fetcher(server.port).fetch(build_url(server.port))


async def test_a_port_that_speaks_no_tls_is_unreachable(make_fetcher: MakeFetcher) -> None:
    async with SilentListener(greeting=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as listener:
        with pytest.raises(Unreachable):
            await make_fetcher(listener.port).fetch(build_url(listener.port))


async def test_a_handshake_that_never_comes_ends_at_the_deadline(make_fetcher: MakeFetcher) -> None:
    async with SilentListener() as listener:
        fetcher = make_fetcher(listener.port, deadline_seconds=0.2)
        with pytest.raises(FetchError) as failure:
            await fetcher.fetch(build_url(listener.port))
        assert type(failure.value).__name__ == "TimedOut"


@pytest.mark.proves("CIMD-32")
async def test_the_environment_changes_nothing(
    server: HostileServer, make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with SilentListener() as proxy:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        (tmp_path / ".netrc").write_text(f"machine {CLIENT_HOST} login me password secret\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
        await make_fetcher(server.port).fetch(build_url(server.port))
        assert proxy.accepted == 0
    assert "authorization" not in server.requests[0].headers
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
async def test_an_authority_from_the_environment_is_not_trusted(
    server: HostileServer,
    make_fetcher: MakeFetcher,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(ca_file.parent if variable.endswith("DIR") else ca_file))
    other = ca_file.parent / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    with pytest.raises(TlsFailed):
        await make_fetcher(server.port, trusted_ca_file=other).fetch(build_url(server.port))


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_of_authorities_that_cannot_be_read_is_a_configuration_error(
    content: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"fetch\.trusted_ca_file"):
        GuardedFetcher(FetchOptions(trusted_ca_file=path))


# The egress proxy


class ConnectProxy:
    """An HTTP proxy that tunnels every CONNECT to one port, and records the request lines."""

    def __init__(self, target_port: int, refusal: bytes = b"") -> None:
        self._target_port = target_port
        self._refusal = refusal
        self.lines: list[str] = []

    async def __aenter__(self) -> "ConnectProxy":
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        opened = [writer]
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.lines.append(request.split(b"\r\n")[0].decode())
            if self._refusal:
                writer.write(self._refusal)
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            opened.append(far_writer)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in opened:
                one.close()
            self._tasks.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_an_egress_proxy_gets_the_name_and_sees_only_tls(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    async with ConnectProxy(server.port) as proxy:
        fetcher = make_fetcher(private_hosts=(), egress_proxy=f"http://127.0.0.1:{proxy.port}")
        for _ in range(2):
            assert (await fetcher.fetch(build_url(8443))).body == b"{}"
        await fetcher.aclose()
    assert proxy.lines == [f"CONNECT {CLIENT_HOST}:8443 HTTP/1.1"]
    assert (names.asked, server.server_names) == ([], [CLIENT_HOST])


async def test_behind_an_egress_proxy_certificates_are_still_verified(
    make_fetcher: MakeFetcher, ca: trustme.CA
) -> None:
    async with (
        HostileServer(build_server_context(ca, "other.example"), answer()) as server,
        ConnectProxy(server.port) as proxy,
    ):
        fetcher = make_fetcher(private_hosts=(), egress_proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(TlsFailed):
            await fetcher.fetch(build_url(8443))


async def test_a_proxy_that_refuses_or_is_not_there_is_unreachable(make_fetcher: MakeFetcher) -> None:
    async with ConnectProxy(1, refusal=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        fetcher = make_fetcher(private_hosts=(), egress_proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(Unreachable):
            await fetcher.fetch(build_url(8443))
    with pytest.raises(Unreachable):
        await fetcher.fetch(build_url(8443))


def test_the_options_refuse_what_cannot_work() -> None:
    for options in (
        {"deadline_seconds": 0},
        {"max_document_bytes": -1},
        {"keepalive_seconds": 31},
        {"egress_proxy": "https://proxy:1"},
        {"egress_proxy": "http://user:password@proxy:1"},
        {"egress_proxy": "proxy"},
    ):
        with pytest.raises(ConfigurationError, match=rf"fetch\.{next(iter(options))}"):
            FetchOptions(**options)
    assert build_private_host(CLIENT_HOST, 443).ports == (443,)
