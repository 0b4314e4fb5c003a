"""Names to addresses: slow name servers delay nobody else, and nothing is asked twice at once."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from nameplate.errors import Busy, Unreachable
from nameplate.fetch import SystemResolver
from nameplate.fetch.budgets import find_site
from nameplate.fetch.resolve import look_up_addresses

pytestmark = pytest.mark.anyio


class NameServers:
    """A lookup that blocks its thread for every name that is not ``ready``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Sequence[str] | Exception = ["93.184.215.14"]
        self.ready = {"quick.example"}
        self.released = threading.Event()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.ready:
            self.released.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def servers() -> Iterator[NameServers]:
    servers = NameServers()
    yield servers
    servers.released.set()


async def test_all_who_ask_for_one_name_share_one_question(servers: NameServers) -> None:
    resolver = SystemResolver(lookup=servers)
    waiting = [asyncio.create_task(resolver("slow.example")) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # whoever gives up does not end it for the others
    servers.released.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [("93.184.215.14",)] * 49
    assert servers.asked == ["slow.example"]


async def test_slow_names_delay_no_other_name(servers: NameServers) -> None:
    resolver = SystemResolver(lookup=servers, lookups_at_once=8, site_lookups_at_once=3)
    slow = [asyncio.create_task(resolver(f"s{n}.slow.example")) for n in range(200)]
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        assert await resolver("quick.example") == ("93.184.215.14",)
    assert len(servers.asked) == 4  # three of the slow site's names, the rest was refused at once
    servers.released.set()
    results = await asyncio.gather(*slow, return_exceptions=True)
    assert sum(isinstance(result, Busy) for result in results) == 197


async def test_questions_are_bounded_over_all_sites(servers: NameServers) -> None:
    resolver = SystemResolver(lookup=servers, lookups_at_once=5)
    slow = [asyncio.create_task(resolver(f"www.s{n}.example")) for n in range(20)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await resolver("quick.example")
    servers.released.set()
    results = await asyncio.gather(*slow, return_exceptions=True)
    assert sum(isinstance(result, Busy) for result in results) == 15
    assert await resolver("quick.example") == ("93.184.215.14",)


@pytest.mark.parametrize(
    "answer",
    [socket.gaierror(socket.EAI_NONAME, "no such name"), UnicodeError("label too long"), ValueError("NUL"), []],
)
async def test_a_failed_name_is_not_asked_again_for_a_moment(
    servers: NameServers, answer: Sequence[str] | Exception
) -> None:
    now = [100.0]
    resolver = SystemResolver(lookup=servers, failure_seconds=2.0, clock=lambda: now[0])
    servers.answer = answer
    for _ in range(3):
        with pytest.raises(Unreachable):
            await resolver("quick.example")
    assert len(servers.asked) == 1
    servers.answer = ["93.184.215.14"]
    now[0] = 102.5
    assert await resolver("quick.example") == ("93.184.215.14",)
    assert await resolver("quick.example") == ("93.184.215.14",)
    assert len(servers.asked) == 3


def test_a_thread_that_outlives_its_loop_harms_nobody(servers: NameServers) -> None:
    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await SystemResolver(lookup=servers)("slow.example")

    asyncio.run(give_up())
    before = set(threading.enumerate())
    servers.released.set()
    for thread in before - {threading.main_thread()}:
        if thread.name.startswith("nameplate-dns"):
            thread.join(5)
    assert not any(thread.name.startswith("nameplate-dns") for thread in threading.enumerate())


def test_the_system_is_asked_for_a_name_as_it_is_written() -> None:
    assert "127.0.0.1" in look_up_addresses("127.0.0.1")
    for host in ("x" * 64 + ".example", "a..example", "\x00.example", "é.example"):
        with pytest.raises((OSError, ValueError, TypeError)):
            look_up_addresses(host)


@pytest.mark.parametrize(
    ("host", "site"), [("a.b.example.com", "example.com"), ("example.com", "example.com"), ("localhost", "localhost")]
)
def test_a_site_is_the_last_two_labels(host: str, site: str) -> None:
    assert find_site(host) == site
