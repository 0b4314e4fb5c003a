"""The list of revoked grants is read now and then; when it cannot be, nobody is let in by an old one for long."""

import asyncio
import base64
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from resource_kit import RESOURCE, Clock, IssuerHost, IssuerHouse, run_issuers

from nameplate.errors import BearerError, Busy, ConfigurationError
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.revocation import CLOCK_SECONDS, build_revoked_grants
from nameplate.resource.feed_reader import FEED_BYTES, FeedReader
from nameplate.resource.revocation import UNCHECKED_REASON, RevocationFeed, check_revocation_options
from nameplate.secret import Secret

FEED = RevocationFeed(resource_server_id="notes", secret=Secret("geheim"), refresh_seconds=10, stale_seconds=60)
LIFETIME = 600

Scene = Callable[["Reader"], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def house() -> Iterator[IssuerHouse]:
    with run_issuers() as house:
        yield house


@pytest.fixture
def host(house: IssuerHouse) -> IssuerHost:
    return house.open()


class Reader:
    """A reader under test, its two clocks, and what the authorization server has to say."""

    def __init__(self, host: IssuerHost) -> None:
        self.host = host
        self.clock, self.steady_clock = Clock(), Clock(0)
        self.revoked: list[str] = []
        self.reader = FeedReader(
            FEED, issuer=host.issuer, resource=RESOURCE, clock=self.clock, steady_clock=self.steady_clock
        )
        self.publish()

    def publish(self, *grant_ids: str) -> None:
        """The list as the server has it from now on."""
        self.host.documents["/revocations"] = build_revoked_grants(
            grant_ids,
            issuer=self.host.issuer,
            resources=[RESOURCE],
            now=int(self.clock.now),
            since=int(self.clock.now) - LIFETIME,
        )

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.steady_clock.now += seconds

    @property
    def fetches(self) -> int:
        return self.host.asked.count("/revocations")

    async def check(self, grant_id: str = "g1") -> str:
        """Empty for a token that is let in, else the reason."""
        token = AccessToken(
            subject="person",
            client_id="client",
            scope=(),
            resource=RESOURCE,
            issuer=self.host.issuer,
            expires_at=int(self.clock.now) + 300,
            jti="id",
            claims={"iat": int(self.clock.now)},
            grant_id=grant_id,
        )
        try:
            await self.reader.check("token", token)
        except (BearerError, Busy) as error:
            return error.reason
        return ""

    async def finish(self) -> None:
        """Wait for what runs in the background."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            await task


def play(host: IssuerHost, scene: Scene) -> None:
    async def run() -> None:
        reader = Reader(host)
        try:
            await scene(reader)
        finally:
            await reader.reader.aclose()

    asyncio.run(run())


def test_the_reader_says_who_it_is_and_reads_beside_the_issuer(house: IssuerHouse) -> None:
    host = house.open("/tenant")

    async def scene(reader: Reader) -> None:
        host.documents["/tenant/revocations"] = host.documents["/revocations"]
        assert await reader.check() == ""
        assert host.credentials == [
            ("/tenant/revocations", f"Basic {base64.b64encode(b'notes:geheim').decode()}"),
        ]

    play(host, scene)


def test_credentials_are_form_encoded_before_they_are_joined(host: IssuerHost) -> None:
    feed = RevocationFeed(resource_server_id="a:b", secret=Secret("ü +%"))

    async def run() -> None:
        reader = FeedReader(feed, issuer=host.issuer, resource=RESOURCE)
        with pytest.raises(Busy):
            await reader.check("token", None)  # type: ignore[arg-type]  # it does not come to the token

    asyncio.run(run())
    assert host.credentials[0][1] == f"Basic {base64.b64encode(b'a%3Ab:%C3%BC+%2B%25').decode()}"


def test_a_revoked_token_is_refused_and_no_other(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        reader.publish("g2", "g3")
        assert await reader.check("g1") == ""
        assert await reader.check("g2") == "token.revoked"
        assert await reader.check("") == "token.grant_missing"
        assert reader.fetches == 1

    play(host, scene)


def test_many_requests_at_the_start_cause_one_fetch(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        assert set(await asyncio.gather(*(reader.check() for _ in range(50)))) == {""}
        assert reader.fetches == 1

    play(host, scene)


def test_after_a_pause_a_revoked_token_is_refused_at_once(host: IssuerHost) -> None:
    """Nobody asked for a while, so the list is old: it is fetched before it is used."""

    async def scene(reader: Reader) -> None:
        assert await reader.check() == ""
        reader.advance(FEED.refresh_seconds)
        reader.publish("g1")
        assert await reader.check() == "token.revoked"

    play(host, scene)


@pytest.mark.proves("REV-3")
def test_under_steady_traffic_no_request_waits_and_the_bound_is_kept(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        assert await reader.check() == ""
        reader.advance(FEED.refresh_seconds / 2 - 0.1)
        assert await reader.check() == ""
        await reader.finish()
        assert reader.fetches == 1
        reader.advance(0.1)
        reader.publish("g1")
        assert await reader.check() == ""  # by the list that is there, while the next one is on its way
        await reader.finish()
        assert reader.fetches == 2
        assert await reader.check() == "token.revoked"

    play(host, scene)


def test_a_list_counts_from_when_it_was_asked_for(host: IssuerHost) -> None:
    """What was revoked while the answer was on its way need not be in it."""

    async def scene(reader: Reader) -> None:
        host.held = threading.Event()
        waiting = asyncio.create_task(reader.check())
        for _ in range(2):  # until the fetch has begun
            await asyncio.sleep(0)
        reader.advance(FEED.refresh_seconds)
        host.held.set()
        assert await waiting == ""
        reader.publish("g1")
        assert await reader.check() == "token.revoked"

    play(host, scene)


@pytest.mark.proves("INT-4")
def test_while_the_server_is_away_the_last_list_serves_for_a_minute(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        reader.publish("g2")
        assert await reader.check() == ""
        host.statuses["/revocations"] = 503
        reader.advance(FEED.stale_seconds - 1)
        assert await reader.check() == ""
        assert await reader.check("g2") == "token.revoked"
        reader.advance(1)
        assert await reader.check() == UNCHECKED_REASON
        assert await reader.check("g2") == UNCHECKED_REASON
        assert reader.fetches == 2  # one failed; the next one waits for its time
        del host.statuses["/revocations"]
        reader.publish()
        reader.advance(FEED.refresh_seconds - 1)
        assert await reader.check() == ""
        assert reader.fetches == 3

    play(host, scene)


def test_a_server_that_is_down_is_asked_once_per_interval(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        host.statuses["/revocations"] = 500
        for _ in range(20):
            with pytest.raises(Busy) as caught:
                await reader.reader.check("token", None)  # type: ignore[arg-type]
            assert caught.value.retry_after_seconds == FEED.refresh_seconds
        assert reader.fetches == 1

    play(host, scene)


@pytest.mark.parametrize("status", [301, 401, 403, 404, 500, 503])
def test_an_answer_that_is_no_list_lets_nobody_in(host: IssuerHost, status: int) -> None:
    async def scene(reader: Reader) -> None:
        host.statuses["/revocations"] = status
        assert await reader.check() == UNCHECKED_REASON

    play(host, scene)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"revoked":[]}', b'{"issuer":1,"issuer":2}', b" " * (FEED_BYTES + 1)]
)
def test_a_body_that_is_no_list_lets_nobody_in(host: IssuerHost, body: bytes) -> None:
    async def scene(reader: Reader) -> None:
        host.documents["/revocations"] = body
        assert await reader.check() == UNCHECKED_REASON

    play(host, scene)


def test_a_long_list_is_read_whole(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        reader.publish(*(f"npg_{index:043d}" for index in range(270_000)))
        assert await reader.check("npg_" + "269999".zfill(43)) == "token.revoked"
        assert await reader.check("npg_" + "270000".zfill(43)) == ""

    play(host, scene)


def test_another_issuers_list_lets_nobody_in(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        host.documents["/revocations"]["issuer"] += "/"
        assert await reader.check() == UNCHECKED_REASON

    play(host, scene)


def test_a_list_about_another_resource_lets_nobody_in_and_the_log_names_both(
    host: IssuerHost, caplog: pytest.LogCaptureFixture
) -> None:
    """The credentials are those of another server, or the operator renamed the resource: the list is empty for it."""

    async def scene(reader: Reader) -> None:
        host.documents["/revocations"]["resources"] = ["https://mcp.example.com/other"]
        for _ in range(3):
            assert await reader.check() == UNCHECKED_REASON
        [line] = [record.getMessage() for record in caplog.records if record.name == "nameplate.resource"]
        assert "https://mcp.example.com/other" in line
        assert repr(RESOURCE) in line

    play(host, scene)


@pytest.mark.proves("INT-4")
def test_a_list_that_was_old_when_it_came_serves_no_longer_for_that(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        reader.advance(FEED.stale_seconds + CLOCK_SECONDS - 1)  # the list is of before that: something kept it
        assert await reader.check() == ""
        host.statuses["/revocations"] = 503
        reader.advance(1)
        assert await reader.check() == UNCHECKED_REASON

    play(host, scene)


def test_a_caller_that_goes_away_does_not_end_the_fetch_for_others(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        host.held = threading.Event()
        impatient, patient = asyncio.create_task(reader.check()), asyncio.create_task(reader.check())
        await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        host.held.set()
        assert await patient == ""
        assert reader.fetches == 1

    play(host, scene)


def test_closing_ends_a_fetch(host: IssuerHost) -> None:
    async def scene(reader: Reader) -> None:
        host.held = threading.Event()
        waiting = asyncio.create_task(reader.check())
        await asyncio.sleep(0)
        await reader.reader.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        host.held.set()

    play(host, scene)


@pytest.mark.parametrize(
    "changes",
    [
        {"resource_server_id": ""},
        {"secret": Secret("")},
        {"refresh_seconds": 0},
        {"refresh_seconds": -1},
        {"refresh_seconds": 60},
        {"stale_seconds": 10},
        {"refresh_seconds": float("nan")},
        {"stale_seconds": float("nan")},
    ],
)
def test_options_that_cannot_work_are_refused_at_the_start(changes: dict[str, Any]) -> None:
    options = {"resource_server_id": "notes", "secret": Secret("geheim"), **changes}
    with pytest.raises(ConfigurationError) as caught:
        check_revocation_options(RevocationFeed(**options))
    assert caught.value.setting == "revocation"
