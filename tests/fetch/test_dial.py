"""The dial: which addresses are reached, and that no other ever hears of us."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from fetch_kit import MakeFetcher, Names, build_private_host, build_url
from hostile import CLIENT_HOST, HostileServer, SilentListener, answer, build_server_context
from nameplate.errors import AddressRefused, FetchError, TimedOut, Unreachable
from nameplate.fetch import FetchOptions, GuardedFetcher
from nameplate.fetch.dial import Dialler, connect_first, interleave_families
from nameplate.protocol.client_id import ClientIdUrl

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(either_loop: Any) -> Any:
    return either_loop


VECTORS = Path(__file__).parent.parent / "vectors"
PUBLIC_HOST = "www.nameplate-test.com"


def build_public_url(port: int = 443, host: str = PUBLIC_HOST) -> ClientIdUrl:
    return ClientIdUrl(text=f"https://{host}:{port}/c.json", host=host, port=port, target="/c.json")


@pytest.mark.proves("CIMD-29", "CIMD-34")
async def test_a_name_that_leads_to_loopback_is_refused_before_any_connection(
    make_fetcher: MakeFetcher, names: Names
) -> None:
    async with SilentListener() as listener:
        names.answers[PUBLIC_HOST] = [["127.0.0.1"]]
        with pytest.raises(AddressRefused) as refusal:
            await make_fetcher(listener.port).fetch(build_public_url(listener.port))
        assert listener.accepted == 0
    assert "Loopback" in refusal.value.detail
    assert refusal.value.reason == "fetch.unreachable"


@pytest.mark.proves("CIMD-31")
@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1", "93.184.215.14"],
        ["93.184.215.14", "127.0.0.1"],
        ["2606:4700::1111", "127.0.0.1"],
        ["::1", "93.184.215.14"],
        ["93.184.215.14", "::ffff:127.0.0.1"],
        ["93.184.215.14", "0.0.0.0"],
        ["93.184.215.14", "::"],
        ["93.184.215.14", "169.254.169.254"],
        ["93.184.215.14", "fe80::1%lo"],
        ["93.184.215.14", "64:ff9b::7f00:1"],
        ["93.184.215.14", "no address"],
        ["93.184.215.14", "2130706433"],
        ["93.184.215.14", ""],
    ],
)
async def test_one_bad_answer_refuses_the_whole_name(
    make_fetcher: MakeFetcher, names: Names, addresses: list[str]
) -> None:
    names.answers[PUBLIC_HOST] = [addresses]
    with pytest.raises(AddressRefused):
        await make_fetcher(1024, deadline_seconds=1.0).fetch(build_public_url())


@pytest.mark.proves("CIMD-29")
async def test_every_special_use_address_of_the_corpus_is_refused(make_fetcher: MakeFetcher, names: Names) -> None:
    rows = [json.loads(line) for line in (VECTORS / "addresses.jsonl").read_text().splitlines()]
    special = [row["ip"] for row in rows if row["public"] is False and not row.get("contested")]
    assert len(special) > 100
    fetcher = make_fetcher(1024, deadline_seconds=1.0)
    for address in special:
        names.answers[PUBLIC_HOST] = [[address]]
        with pytest.raises(AddressRefused):
            await fetcher.fetch(build_public_url())


@pytest.mark.proves("CIMD-31")
async def test_the_next_connection_is_judged_anew_when_the_name_moved(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    async with SilentListener("127.0.0.2", server.port) as inside:
        names.answers[CLIENT_HOST] = [["127.0.0.1"], ["127.0.0.2"]]
        private = build_private_host(CLIENT_HOST, server.port, network="127.0.0.1/32")
        fetcher = make_fetcher(private_hosts=(private,))
        await fetcher.fetch(build_url(server.port))
        await fetcher.fetch(build_url(server.port))
        assert (server.connections, names.asked) == (1, [CLIENT_HOST])  # the kept connection stays where it is
        server.script = answer(headers=["Connection: close"])
        await fetcher.fetch(build_url(server.port))
        with pytest.raises(AddressRefused):
            await fetcher.fetch(build_url(server.port))
        assert inside.accepted == 0


@pytest.mark.proves("CIMD-29")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254"])
async def test_an_address_in_place_of_a_name_is_judged_without_dns(
    make_fetcher: MakeFetcher, names: Names, host: str
) -> None:
    with pytest.raises(AddressRefused):
        await make_fetcher(1024).fetch(build_public_url(host=host))
    assert names.asked == []


@pytest.mark.parametrize("port", [1, 22, 25, 80, 444, 1023, 2049, 6000, 6379, 6667, 10080, 65536])
async def test_a_port_of_another_service_is_refused_without_dns(
    make_fetcher: MakeFetcher, names: Names, port: int
) -> None:
    with pytest.raises(AddressRefused):
        await make_fetcher(1024).fetch(build_public_url(port))
    assert names.asked == []


# Private hosts (decision 3)


@pytest.mark.proves("CIMD-33")
async def test_a_private_host_leads_to_its_own_network_only(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    fetcher = make_fetcher(private_hosts=(build_private_host(CLIENT_HOST, server.port, network="10.0.0.0/8"),))
    for addresses in (["127.0.0.1"], ["192.168.0.1"], ["93.184.215.14"], ["10.0.0.1", "127.0.0.1"]):
        names.answers[CLIENT_HOST] = [addresses]
        with pytest.raises(AddressRefused):
            await fetcher.fetch(build_url(server.port))
    assert server.connections == 0


@pytest.mark.proves("CIMD-34")
async def test_another_name_does_not_reach_a_declared_network(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    fetcher = make_fetcher(server.port)
    for host in ("other.example", f"x.{CLIENT_HOST}", f"{CLIENT_HOST}.evil.com"):
        names.answers[host] = [["127.0.0.1"]]
        with pytest.raises(AddressRefused):
            await fetcher.fetch(build_public_url(server.port, host=host))
    assert server.connections == 0


async def test_a_private_host_has_only_its_declared_ports(server: HostileServer, make_fetcher: MakeFetcher) -> None:
    with pytest.raises(AddressRefused):
        await make_fetcher(server.port + 1).fetch(build_url(server.port))
    assert server.connections == 0


async def test_a_fixed_address_is_dialled_without_dns(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    names.answers.clear()
    private = build_private_host(CLIENT_HOST, server.port, address="127.0.0.1")
    await make_fetcher(private_hosts=(private,)).fetch(build_url(server.port))
    assert (server.connections, names.asked) == (1, [])


# Several addresses


async def test_a_closed_port_is_passed_over(server: HostileServer, make_fetcher: MakeFetcher, names: Names) -> None:
    names.answers[CLIENT_HOST] = [["127.0.0.3", "127.0.0.1"]]
    assert (await make_fetcher(server.port).fetch(build_url(server.port))).status == 200


async def test_a_closed_port_alone_is_unreachable(make_fetcher: MakeFetcher) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unreachable):
            await make_fetcher(port).fetch(build_url(port))


async def test_a_black_holed_first_address_costs_only_the_stagger(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    names.answers[CLIENT_HOST] = [["127.0.0.2", "127.0.0.1"]]
    fetcher = make_fetcher(server.port, stagger_seconds=0.05)
    loop = asyncio.get_running_loop()
    with BlackHole("127.0.0.2", server.port):
        started = loop.time()
        assert (await fetcher.fetch(build_url(server.port))).status == 200
    assert 0.05 <= loop.time() - started < 0.5


async def test_black_holes_alone_end_at_the_deadline(
    server: HostileServer, make_fetcher: MakeFetcher, names: Names
) -> None:
    names.answers[CLIENT_HOST] = [["127.0.0.2", "127.0.0.4"]]
    fetcher = make_fetcher(server.port, stagger_seconds=0.05, deadline_seconds=0.2)
    with BlackHole("127.0.0.2", server.port), BlackHole("127.0.0.4", server.port), pytest.raises(TimedOut):
        await fetcher.fetch(build_url(server.port))


async def test_a_host_without_an_address_is_unreachable(make_fetcher: MakeFetcher, names: Names) -> None:
    fetcher = make_fetcher(1024)
    with pytest.raises(Unreachable):
        await fetcher.fetch(build_public_url(host="unknown.nameplate-test.com"))
    names.answers[PUBLIC_HOST] = [[]]
    with pytest.raises(Unreachable):
        await fetcher.fetch(build_public_url())


def test_families_take_turns_and_ipv6_is_first() -> None:
    assert interleave_families(["1.1.1.1", "1.0.0.1", "2606::1", "8.8.8.8"]) == [
        "2606::1",
        "1.1.1.1",
        "1.0.0.1",
        "8.8.8.8",
    ]


@given(st.lists(st.sampled_from(["1.1.1.1", "8.8.8.8", "2606::1", "2606::2", "9.9.9.9"]), unique=True))
def test_taking_turns_loses_no_address(addresses: list[str]) -> None:
    assert sorted(interleave_families(addresses)) == sorted(addresses)


# Whatever redirects us below the fetcher


class RedirectingLoop(asyncio.SelectorEventLoop):
    """A machine on which every connection ends at one port, whatever was dialled."""

    elsewhere: tuple[str, int]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        await super().sock_connect(sock, self.elsewhere)


@pytest.mark.proves("CIMD-31")
def test_a_connection_that_leads_elsewhere_is_refused_before_a_byte_is_sent(tls: ssl.SSLContext, ca_file: Path) -> None:
    async def main() -> None:
        async with HostileServer(tls, answer()) as server:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, RedirectingLoop)
            loop.elsewhere = ("127.0.0.1", server.port)
            names = Names({PUBLIC_HOST: [["93.184.215.14"]]})
            fetcher = GuardedFetcher(FetchOptions(trusted_ca_file=ca_file), resolver=names)
            with pytest.raises(AddressRefused, match="reached 127"):
                await fetcher.fetch(build_public_url())
            await fetcher.aclose()
            await server.wait_until_left()
            assert (server.connections, server.server_names) == (0, [])

    with asyncio.Runner(loop_factory=RedirectingLoop) as runner:
        runner.run(main())


# Happy Eyeballs, without a network

Attempt = Callable[[str], Coroutine[None, None, socket.socket]]


class Attempts:
    """Attempts that end when and how the test wants. ``made`` are the sockets that were handed out."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.made: dict[str, socket.socket] = {}
        self.ends: dict[str, asyncio.Event] = {}
        self.two_started = asyncio.Event()

    async def __call__(self, address: str) -> socket.socket:
        self.started.append(address)
        if len(self.started) == 2:
            self.two_started.set()
        try:
            await self.ends.setdefault(address, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(address)
            raise
        if address.startswith("bad"):
            raise Unreachable(address)
        self.made[address] = socket.socket()
        return self.made[address]

    def end(self, address: str) -> None:
        self.ends.setdefault(address, asyncio.Event()).set()


async def test_the_first_that_connects_wins_and_the_others_are_cancelled() -> None:
    attempts = Attempts()
    attempts.end("c")
    won = await connect_first(["a", "b", "c", "d"], attempts, 0.01)
    won.close()
    await asyncio.sleep(0)
    assert won is attempts.made["c"]
    assert (attempts.started, sorted(attempts.cancelled)) == (["a", "b", "c"], ["a", "b"])


async def test_a_failure_lets_the_next_start_at_once() -> None:
    attempts = Attempts()
    for address in ("bad1", "bad2", "good"):
        attempts.end(address)
    won = await connect_first(["bad1", "bad2", "good"], attempts, 60.0)
    assert won is attempts.made["good"]
    won.close()


async def test_if_all_fail_the_last_failure_is_raised() -> None:
    attempts = Attempts()
    attempts.end("bad1")
    attempts.end("bad2")
    with pytest.raises(Unreachable, match="bad2"):
        await connect_first(["bad1", "bad2"], attempts, 60.0)


async def test_of_two_winners_in_one_moment_one_is_closed() -> None:
    attempts = Attempts()
    race = asyncio.create_task(connect_first(["a", "b"], attempts, 0.01))
    await attempts.two_started.wait()
    attempts.end("a")
    attempts.end("b")
    won = await race
    assert sorted(sock.fileno() == -1 for sock in attempts.made.values()) == [False, True]
    won.close()


@pytest.mark.parametrize("turns", range(6))
async def test_a_deadline_in_the_moment_of_winning_leaks_no_socket(turns: int) -> None:
    attempts = Attempts()
    race = asyncio.create_task(connect_first(["a", "b"], attempts, 0.001))
    await attempts.two_started.wait()
    attempts.end("a")
    for _ in range(turns):
        await asyncio.sleep(0)
    race.cancel()
    won = (await asyncio.gather(race, return_exceptions=True))[0]
    await asyncio.sleep(0)
    if isinstance(won, socket.socket):
        won.close()
    assert all(sock.fileno() == -1 for sock in attempts.made.values())


async def test_the_dialler_itself_refuses_what_slipped_past_the_url(names: Names) -> None:
    dialler = Dialler(FetchOptions(), names)
    names.answers["localhost"] = [["127.0.0.1"]]
    with pytest.raises(FetchError):
        await dialler.connect_tcp("localhost", 443)


class BlackHole:
    """An address that swallows connections: its queue is full, and the kernel answers nobody."""

    def __init__(self, address: str, port: int) -> None:
        self._address = (address, port)
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> None:
        listener = socket.socket()
        self._sockets.append(listener)
        try:
            listener.bind(self._address)
        except OSError:
            listener.close()
            pytest.skip("this system has one loopback address only")
        listener.listen(0)
        for _ in range(8):
            filler = socket.socket()
            self._sockets.append(filler)
            filler.settimeout(0.05)
            try:
                filler.connect(self._address)
            except TimeoutError:
                return
        pytest.skip("this system's queue of connections cannot be filled")

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()


def test_the_same_certificate_does_not_open_a_second_name_on_the_address(ca: trustme.CA, ca_file: Path) -> None:
    async def main() -> None:
        async with HostileServer(build_server_context(ca, CLIENT_HOST), answer()) as server:
            second = "second.example"
            hosts = tuple(build_private_host(host, server.port, address="127.0.0.1") for host in (CLIENT_HOST, second))
            fetcher = GuardedFetcher(FetchOptions(private_hosts=hosts, trusted_ca_file=ca_file))
            try:
                await fetcher.fetch(build_url(server.port))
                with pytest.raises(FetchError) as failure:
                    await fetcher.fetch(build_url(server.port, host=second))
                assert type(failure.value).__name__ == "TlsFailed"
                assert (len(server.requests), server.server_names) == (1, [CLIENT_HOST, second])
            finally:
                await fetcher.aclose()

    asyncio.run(main())
