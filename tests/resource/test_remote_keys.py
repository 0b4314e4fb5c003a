"""Keys are found through the issuer's own metadata, fetched seldom, and kept while the issuer is away."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from resource_kit import Clock, IssuerHost, IssuerHouse, run_issuers

from nameplate.errors import (
    BadMediaType,
    BadStatus,
    Busy,
    ConfigurationError,
    FetchError,
    RedirectRefused,
    TimedOut,
    TlsFailed,
    TooLarge,
    Unreachable,
)
from nameplate.jose import KeySet, SigningKey, UnknownKey, Verified
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPES
from nameplate.resource.discovery import ANSWER_BYTES
from nameplate.resource.remote_keys import KeyTiming, RemoteKeys

TIMING = KeyTiming(refresh_seconds=300, retry_seconds=10, keep_seconds=3600, deadline_seconds=5)


@pytest.fixture(scope="module")
def house() -> Iterator[IssuerHouse]:
    with run_issuers() as house:
        yield house


@pytest.fixture
def host(house: IssuerHouse) -> IssuerHost:
    return house.open()


@asynccontextmanager
async def open_keys(issuer: str, **options: Any) -> AsyncIterator[RemoteKeys]:
    keys = RemoteKeys(issuer, **{"timing": TIMING, **options})
    try:
        yield keys
    finally:
        await keys.aclose()


def load(issuer: str, **options: Any) -> KeySet:
    async def run() -> KeySet:
        async with open_keys(issuer, **options) as keys:
            return await keys.load()

    return asyncio.run(run())


def find_failure(issuer: str, **options: Any) -> FetchError:
    with pytest.raises(Busy) as caught:
        load(issuer, **options)
    assert isinstance(caught.value.__cause__, FetchError)
    return caught.value.__cause__


def is_good(keys: KeySet, token: str) -> bool:
    return isinstance(keys.verify(token, typ=ACCESS_TOKEN_TYPES), Verified)


# Discovery


def test_keys_are_found_through_the_metadata_of_rfc_8414(host: IssuerHost) -> None:
    assert is_good(load(host.issuer), host.sign())
    assert host.asked == ["/.well-known/oauth-authorization-server", "/jwks"]


@pytest.mark.parametrize(
    "location",
    [
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/openid-configuration",
    ],
)
def test_every_location_of_an_issuer_with_a_path_is_tried(house: IssuerHouse, location: str) -> None:
    host = house.open("/tenant")
    host.documents = {location: host.build_metadata()}
    assert is_good(load(host.issuer), host.sign())


@pytest.mark.parametrize(
    "issuer_of",
    [str.upper, lambda issuer: issuer + "/", lambda issuer: issuer + "/tenant", lambda _: None, lambda _: ""],
)
def test_metadata_that_names_another_issuer_is_not_used(host: IssuerHost, issuer_of: Callable[[str], object]) -> None:
    host.documents["/.well-known/oauth-authorization-server"] = host.build_metadata(issuer=issuer_of(host.issuer))
    assert "the metadata's issuer" in str(find_failure(host.issuer))
    assert host.key_fetches == 0


def test_an_issuer_that_differs_by_a_slash_is_logged_beside_the_one_that_was_given(
    house: IssuerHouse, caplog: pytest.LogCaptureFixture
) -> None:
    host = house.open()
    find_failure(f"{host.issuer}/")
    (line,) = caplog.messages
    assert f"the metadata's issuer is '{host.issuer}', and this server was given '{host.issuer}/'" in line
    assert "byte for byte, and a trailing slash counts" in line


def test_a_document_of_another_issuer_is_told_before_documents_that_are_missing(house: IssuerHouse) -> None:
    host = house.open("/tenant")
    host.documents = {"/tenant/.well-known/openid-configuration": host.build_metadata(issuer=f"{host.issuer}/")}
    assert "the metadata's issuer" in str(find_failure(host.issuer))


def test_of_a_long_foreign_issuer_the_log_shows_the_beginning(host: IssuerHost) -> None:
    host.documents["/.well-known/oauth-authorization-server"] = host.build_metadata(issuer="x" * 100_000)
    assert len(str(find_failure(host.issuer))) < 1000


def test_an_issuer_that_ends_in_a_slash_keeps_it(house: IssuerHouse) -> None:
    host = house.open("/")
    host.documents = {"/.well-known/oauth-authorization-server": host.build_metadata()}
    assert host.issuer.endswith("/")
    assert is_good(load(host.issuer), host.sign())


@pytest.mark.parametrize(
    "jwks_uri",
    [
        None,
        1,
        "",
        "/jwks",
        "ftp://127.0.0.1/jwks",
        "http://192.0.2.1/jwks",
        "file:///etc/passwd",
        "http://localhost.example/jwks",
        "http://[::1",
    ],
)
def test_a_jwks_uri_that_must_not_be_fetched_is_not_fetched(host: IssuerHost, jwks_uri: object) -> None:
    host.documents["/.well-known/oauth-authorization-server"] = host.build_metadata(jwks_uri=jwks_uri)
    assert "jwks_uri" in str(find_failure(host.issuer))


@pytest.mark.parametrize(
    "jwks_uri",
    [
        "https://",
        "https://[",
        "https://a b/",
        "https://\x00/",
        "https://xn--/",
        "https://" + "a" * 300 + "/",
        "https://127.0.0.1:99999/",
    ],
)
def test_a_jwks_uri_that_is_no_url_is_a_failed_fetch(host: IssuerHost, jwks_uri: str) -> None:
    host.documents["/.well-known/oauth-authorization-server"] = host.build_metadata(jwks_uri=jwks_uri)
    assert isinstance(find_failure(host.issuer), FetchError)


@pytest.mark.parametrize(
    ("answer", "status", "failure"),
    [
        ({}, 302, RedirectRefused),
        ({}, 404, BadStatus),
        ({}, 500, BadStatus),
        ({}, 204, BadStatus),
        (b"<html>", 200, BadMediaType),
        (b"[]", 200, BadMediaType),
        (b'{"keys":[],"keys":[]}', 200, BadMediaType),
        (b"[" * 100_000, 200, BadMediaType),
        (b" " * (ANSWER_BYTES + 1), 200, TooLarge),
        ({"keys": []}, 200, FetchError),
        ({"keys": [{"kty": "oct", "k": "AAAA"}]}, 200, FetchError),
        ({"other": 1}, 200, FetchError),
    ],
)
def test_an_answer_that_breaks_a_rule_brings_no_keys(
    host: IssuerHost, answer: object, status: int, failure: type[FetchError]
) -> None:
    host.documents["/jwks"] = answer
    host.statuses["/jwks"] = status
    assert type(find_failure(host.issuer)) is failure


def test_a_server_that_does_not_answer_is_given_up_at_the_deadline(host: IssuerHost) -> None:
    host.held = threading.Event()
    try:
        timing = KeyTiming(deadline_seconds=0.2)
        assert isinstance(find_failure(host.issuer, timing=timing), TimedOut)
    finally:
        host.held.set()


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with run_issuers() as gone:
        pass
    assert isinstance(find_failure(gone.host.issuer), Unreachable)


def test_the_operators_authority_is_trusted_and_no_other(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with run_issuers(certificate_file=str(tmp_path / "server.pem")) as house:
        host = house.host
        assert is_good(load(host.issuer, trusted_ca_file=str(tmp_path / "ca.pem")), host.sign())
        assert isinstance(find_failure(host.issuer), TlsFailed)


def test_no_proxy_of_the_environment_is_used(host: IssuerHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert is_good(load(host.issuer), host.sign())


@pytest.mark.parametrize(
    "issuer", ["http://login.example.com", "login.example.com", "https://login.example.com/?a=b", ""]
)
def test_an_issuer_that_is_neither_https_nor_local_is_refused_at_the_start(issuer: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RemoteKeys(issuer)
    assert caught.value.setting == "issuer"


def test_an_authority_file_that_cannot_be_read_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(ConfigurationError) as caught:
            RemoteKeys("https://login.example.com", trusted_ca_file=str(tmp_path / name))
        assert caught.value.setting == "trusted_ca_file"


# Timing


def play(host: IssuerHost, scene: Callable[[RemoteKeys, Clock], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        clock = Clock()
        async with open_keys(host.issuer, clock=clock) as keys:
            await scene(keys, clock)

    asyncio.run(run())


async def finish(keys: RemoteKeys) -> None:
    """Wait for what runs in the background."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        await task


def test_many_callers_at_the_start_cause_one_fetch(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        found = await asyncio.gather(*(keys.load() for _ in range(50)))
        assert all(each is found[0] for each in found)
        assert host.key_fetches == 1
        for _ in range(50):
            assert await keys.load() is found[0]
        assert host.key_fetches == 1

    play(host, scene)


def test_a_flood_of_unknown_kids_causes_one_fetch_per_interval(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        await keys.load()
        for _ in range(20):
            await keys.reload()
        assert host.key_fetches == 1
        clock.now += TIMING.retry_seconds
        await asyncio.gather(*(keys.reload() for _ in range(20)))
        for _ in range(20):
            await keys.reload()
        assert host.key_fetches == 2

    play(host, scene)


def test_a_new_key_is_found_when_a_token_names_it(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        first = await keys.load()
        host.keys = [SigningKey.generate(), *host.keys]
        token = host.sign()
        assert isinstance(first.verify(token, typ=ACCESS_TOKEN_TYPES), UnknownKey)
        clock.now += TIMING.retry_seconds
        assert is_good(await keys.reload(), token)

    play(host, scene)


def test_old_keys_serve_while_new_ones_are_fetched(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        first = await keys.load()
        host.keys = [SigningKey.generate()]
        clock.now += TIMING.refresh_seconds
        assert await keys.load() is first
        await finish(keys)
        assert host.key_fetches == 2
        assert is_good(await keys.load(), host.sign())

    play(host, scene)


def test_keys_that_did_not_change_stay_the_same_object(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        first = await keys.load()
        clock.now += TIMING.refresh_seconds
        await keys.reload()
        assert host.key_fetches == 2
        assert await keys.load() is first

    play(host, scene)


def test_old_keys_serve_while_the_server_is_away_but_not_for_ever(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        first = await keys.load()
        host.statuses["/jwks"] = 503
        clock.now += TIMING.keep_seconds - 1
        assert await keys.load() is first
        await finish(keys)
        assert await keys.load() is first
        clock.now += 1
        with pytest.raises(Busy):
            await keys.load()
        del host.statuses["/jwks"]
        clock.now += TIMING.retry_seconds
        assert await keys.load() is first

    play(host, scene)


def test_a_key_set_that_became_empty_does_not_replace_the_keys(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        first = await keys.load()
        host.keys = []
        clock.now += TIMING.refresh_seconds
        with pytest.raises(Busy):
            await keys.reload()
        assert await keys.load() is first

    play(host, scene)


def test_a_server_that_is_down_is_asked_once_per_interval(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        host.statuses["/jwks"] = 500
        for _ in range(20):
            with pytest.raises(Busy) as caught:
                await keys.load()
            assert caught.value.retry_after_seconds == TIMING.retry_seconds
        assert host.key_fetches == 1
        del host.statuses["/jwks"]
        clock.now += TIMING.retry_seconds
        assert is_good(await keys.load(), host.sign())

    play(host, scene)


def test_a_caller_that_goes_away_does_not_end_the_fetch_for_others(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        host.held = threading.Event()
        impatient = asyncio.create_task(keys.load())
        patient = asyncio.create_task(keys.load())
        await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        host.held.set()
        assert is_good(await patient, host.sign())
        assert host.key_fetches == 1

    play(host, scene)


def test_closing_ends_a_fetch_and_the_keys_can_be_loaded_again_later(host: IssuerHost) -> None:
    async def scene(keys: RemoteKeys, clock: Clock) -> None:
        host.held = threading.Event()
        waiting = asyncio.create_task(keys.load())
        await asyncio.sleep(0)
        await keys.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        host.held.set()
        with pytest.raises(Busy):
            await keys.load()
        clock.now += TIMING.retry_seconds
        assert is_good(await keys.load(), host.sign())

    play(host, scene)
