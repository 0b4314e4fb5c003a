"""Tokens are asked about once in a while, their answers bounded in number and time."""

import asyncio
import base64
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from resource_kit import Clock, IssuerHost, IssuerHouse, run_issuers

from nameplate.errors import BearerError, Busy, ConfigurationError
from nameplate.protocol.access_token import AccessToken
from nameplate.resource import introspector
from nameplate.resource.discovery import ANSWER_BYTES
from nameplate.resource.introspector import Introspector
from nameplate.resource.revocation import UNCHECKED_REASON, Introspection, check_revocation_options
from nameplate.secret import Secret

REMEMBER_SECONDS = 10
RESOURCE = "https://mcp.example.com/mcp"

Scene = Callable[["Asker"], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def house() -> Iterator[IssuerHouse]:
    with run_issuers() as house:
        yield house


@pytest.fixture
def host(house: IssuerHouse) -> IssuerHost:
    return house.open()


class Asker:
    """An introspector under test, its two clocks, and the tokens that the server calls active."""

    def __init__(self, host: IssuerHost, remember_seconds: float = REMEMBER_SECONDS) -> None:
        self.host = host
        self.clock, self.steady_clock = Clock(), Clock(0)
        self.active = {"t1", "t2"}
        self.forms: list[dict[str, str]] = []
        self.decided = threading.Semaphore(0)
        host.documents["/.well-known/oauth-authorization-server"] = host.build_metadata(
            introspection_endpoint=f"{host.origin}/introspect"
        )
        host.documents["/introspect"] = self.answer
        self.introspector = Introspector(
            Introspection(resource_server_id="notes", secret=Secret("geheim"), remember_seconds=remember_seconds),
            issuer=host.issuer,
            clock=self.clock,
            steady_clock=self.steady_clock,
        )

    def answer(self, form: dict[str, str]) -> dict[str, object]:
        self.forms.append(form)
        answer: dict[str, object] = {"active": form["token"] in self.active}
        self.decided.release()
        return answer

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.steady_clock.now += seconds

    async def check(self, token: str = "t1", *, expires_in: int = 300) -> str:
        """Empty for a token that is let in, else the reason."""
        access_token = AccessToken(
            subject="person",
            client_id="client",
            scope=(),
            resource=RESOURCE,
            issuer=self.host.issuer,
            expires_at=int(self.clock.now) + expires_in,
            jti="id",
            claims={"iss": self.host.issuer, "client_id": "client", "sub": "person", "jti": "id"},
        )
        try:
            await self.introspector.check(token, access_token)
        except (BearerError, Busy) as error:
            return error.reason
        return ""


def play(host: IssuerHost, scene: Scene, **options: Any) -> None:
    async def run() -> None:
        asker = Asker(host, **options)
        try:
            await scene(asker)
        finally:
            await asker.introspector.aclose()

    asyncio.run(run())


def test_the_endpoint_is_the_metadatas_and_the_caller_says_who_it_is(host: IssuerHost) -> None:
    async def scene(asker: Asker) -> None:
        assert await asker.check() == ""
        assert host.asked == ["/.well-known/oauth-authorization-server", "/introspect"]
        assert asker.forms == [{"token": "t1", "token_type_hint": "access_token"}]
        assert host.credentials == [("/introspect", f"Basic {base64.b64encode(b'notes:geheim').decode()}")]
        assert await asker.check("t2") == ""
        assert host.asked[2:] == ["/introspect"]

    play(host, scene)


@pytest.mark.proves("INT-4")
def test_an_answer_is_remembered_for_its_time_and_then_asked_for_again(host: IssuerHost) -> None:
    async def scene(asker: Asker) -> None:
        assert await asker.check() == ""
        asker.active.clear()
        asker.advance(REMEMBER_SECONDS - 0.1)
        assert await asker.check() == ""
        assert len(asker.forms) == 1
        asker.advance(0.1)
        assert await asker.check() == "token.revoked"
        assert len(asker.forms) == 2
        assert await asker.check() == "token.revoked"  # that is remembered as well: a dead token is no flood
        assert len(asker.forms) == 2

    play(host, scene)


@pytest.mark.proves("INT-4")
def test_no_answer_outlives_its_token(host: IssuerHost) -> None:
    async def scene(asker: Asker) -> None:
        assert await asker.check(expires_in=3) == ""
        asker.advance(2.9)
        assert await asker.check(expires_in=0) == ""
        asker.active.clear()
        asker.advance(0.1)
        assert await asker.check(expires_in=0) == "token.revoked"
        asker.active = {"t2"}
        assert await asker.check("t2", expires_in=-5) == ""  # within the leeway of the guard: asked each time
        assert await asker.check("t2", expires_in=-5) == ""
        assert len(asker.forms) == 4

    play(host, scene)


def test_with_nothing_remembered_every_request_asks(host: IssuerHost) -> None:
    async def scene(asker: Asker) -> None:
        assert await asker.check() == ""
        asker.active.clear()
        assert await asker.check() == "token.revoked"

    play(host, scene, remember_seconds=0)


@pytest.mark.proves("INT-4")
def test_with_nothing_remembered_no_request_gets_the_answer_to_a_question_from_before(host: IssuerHost) -> None:
    """What was revoked in between would not be in it."""

    async def scene(asker: Asker) -> None:
        await asker.check("t2")
        host.held, asker.decided = threading.Event(), threading.Semaphore(0)
        first = asyncio.create_task(asker.check())
        await asyncio.to_thread(asker.decided.acquire)  # it was answered, but the answer does not arrive yet
        asker.active.clear()
        second = asyncio.create_task(asker.check())
        assert await asyncio.to_thread(asker.decided.acquire, timeout=5), "the second request asked nothing"
        host.held.set()
        assert (await first, await second) == ("", "token.revoked")

    play(host, scene, remember_seconds=0)


def test_an_answer_counts_from_when_it_was_asked_for(host: IssuerHost) -> None:
    async def scene(asker: Asker) -> None:
        await asker.check("t2")
        host.held = threading.Event()
        waiting = asyncio.create_task(asker.check())
        for _ in range(2):  # until the question is on its way
            await asyncio.sleep(0)
        asker.advance(REMEMBER_SECONDS)
        host.held.set()
        assert await waiting == ""
        asker.active.clear()
        assert await asker.check() == "token.revoked"

    play(host, scene)


def test_requests_with_one_token_ask_once_and_others_do_not_wait_for_them(host: IssuerHost) -> None:
    async def scene(asker: Asker) -> None:
        assert set(await asyncio.gather(*(asker.check() for _ in range(50)))) == {""}
        assert len(asker.forms) == 1
        tokens = [f"t{index}" for index in range(30)]
        answers = await asyncio.gather(*(asker.check(token) for token in tokens))
        assert [token for token, answer in zip(tokens, answers, strict=True) if not answer] == ["t1", "t2"]
        assert len(asker.forms) == 30
        assert host.asked.count("/.well-known/oauth-authorization-server") == 1

    play(host, scene)


def test_what_is_remembered_is_bounded(host: IssuerHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introspector, "REMEMBERED_ANSWERS", 2)

    async def scene(asker: Asker) -> None:
        for token in ("t1", "t2", "t3", "t2", "t3"):
            await asker.check(token)
        assert len(asker.forms) == 3
        await asker.check("t1")
        assert len(asker.forms) == 4

    play(host, scene)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 500, 503])
def test_a_server_that_does_not_answer_lets_nobody_in_and_may_come_back(host: IssuerHost, status: int) -> None:
    async def scene(asker: Asker) -> None:
        host.statuses["/introspect"] = status
        assert await asker.check() == UNCHECKED_REASON
        del host.statuses["/introspect"]
        assert await asker.check() == ""  # a failure is not remembered

    play(host, scene)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"active":"true"}', b'{"active":false,"active":true}', b" " * (ANSWER_BYTES + 1)]
)
def test_an_answer_that_says_neither_yes_nor_no_lets_nobody_in(host: IssuerHost, body: bytes) -> None:
    async def scene(asker: Asker) -> None:
        host.documents["/introspect"] = body
        assert await asker.check() == UNCHECKED_REASON

    play(host, scene)


@pytest.mark.parametrize(
    "endpoint", [None, 1, "/introspect", "http://192.0.2.1/introspect", "https://127.0.0.1:99999/"]
)
def test_metadata_without_a_good_endpoint_lets_nobody_in(host: IssuerHost, endpoint: object) -> None:
    async def scene(asker: Asker) -> None:
        host.documents["/.well-known/oauth-authorization-server"]["introspection_endpoint"] = endpoint
        assert await asker.check() == UNCHECKED_REASON
        assert "/introspect" not in host.asked

    play(host, scene)


def test_an_endpoint_that_moved_is_found_again(host: IssuerHost) -> None:
    async def scene(asker: Asker) -> None:
        assert await asker.check() == ""
        host.documents["/new"] = host.documents.pop("/introspect")
        host.documents["/.well-known/oauth-authorization-server"]["introspection_endpoint"] = f"{host.origin}/new"
        assert await asker.check("t2") == UNCHECKED_REASON
        assert await asker.check("t2") == ""

    play(host, scene)


def test_a_server_that_is_down_fills_no_log(host: IssuerHost, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(asker: Asker) -> None:
        host.statuses["/introspect"] = 500
        for index in range(20):
            assert await asker.check(f"t{index}") == UNCHECKED_REASON
        assert len(caplog.messages) == 1
        asker.advance(10)
        await asker.check()
        assert len(caplog.messages) == 2
        assert "geheim" not in caplog.text

    play(host, scene)


def test_a_caller_that_goes_away_does_not_end_the_question_for_others(host: IssuerHost) -> None:
    async def scene(asker: Asker) -> None:
        host.held = threading.Event()
        impatient, patient = asyncio.create_task(asker.check()), asyncio.create_task(asker.check())
        await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        host.held.set()
        assert await patient == ""
        assert len(asker.forms) == 1

    play(host, scene)


def test_closing_ends_a_question_and_others_may_follow(host: IssuerHost) -> None:
    async def scene(asker: Asker) -> None:
        host.held = threading.Event()
        waiting = asyncio.create_task(asker.check())
        await asyncio.sleep(0)
        await asker.introspector.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        host.held.set()
        assert await asker.check() == ""

    play(host, scene)


@pytest.mark.parametrize(
    "changes",
    [{"resource_server_id": ""}, {"secret": Secret("")}, {"remember_seconds": -1}, {"remember_seconds": float("nan")}],
)
def test_options_that_cannot_work_are_refused_at_the_start(changes: dict[str, Any]) -> None:
    options = {"resource_server_id": "notes", "secret": Secret("geheim"), **changes}
    with pytest.raises(ConfigurationError) as caught:
        check_revocation_options(Introspection(**options))
    assert caught.value.setting == "revocation"
