"""Key sets that must not be used, hosts that must not be believed, and what nobody may learn or fill."""

import asyncio
import json
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from fetch_kit import Clock, MakeFetcher, Names, build_private_host, build_url
from hostile import CLIENT_HOST, HostileServer, Script, SilentListener, answer, say_nothing
from key_set_kit import MakeKeySets, build_key, hang_up, serve_keys
from nameplate.errors import (
    AddressRefused,
    BadStatus,
    ClientMetadataError,
    ConfigurationError,
    FetchError,
    TlsFailed,
    TooLarge,
    Unreachable,
)
from nameplate.fetch import CachedKeySets, KeySetOptions
from nameplate.fetch.key_cache import BadKeys, GoodKeys, KeyCache, find_last_good
from nameplate.ports.keys import ClientKeys

pytestmark = pytest.mark.anyio


# A host that says that the keys are gone, or is not itself


@pytest.mark.parametrize(
    ("script", "error"),
    [
        pytest.param(answer(status="404 Not Found"), BadStatus, id="404"),
        pytest.param(answer(status="410 Gone"), BadStatus, id="410"),
        pytest.param(answer(b'{"keys": []}'), ClientMetadataError, id="no key"),
        pytest.param(
            answer(json.dumps({"keys": [build_key("one", d="AAAA")]}).encode()), ClientMetadataError, id="published"
        ),
    ],
)
async def test_keys_that_are_gone_are_gone_at_once_and_no_later_failure_brings_them_back(
    server: HostileServer,
    key_sets: CachedKeySets,
    jwks_uri: str,
    clock: Clock,
    script: Script,
    error: type[Exception],
) -> None:
    await key_sets.load_keys(jwks_uri)
    server.script = script
    clock.now += 60
    with pytest.raises(error):
        await key_sets.load_keys(jwks_uri, kid="two")
    with pytest.raises(error):
        await key_sets.load_keys(jwks_uri, kid="one")  # fresh, but taken back
    server.script = hang_up
    clock.now += 10
    with pytest.raises(Unreachable):
        await key_sets.load_keys(jwks_uri)


@pytest.mark.proves("CIMD-30")
async def test_a_name_that_moved_inside_is_not_bridged(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock, names: Names
) -> None:
    server.script = serve_keys("one", headers=["Connection: close"])
    await key_sets.load_keys(jwks_uri)
    names.answers[CLIENT_HOST] = [["10.0.0.1"]]
    clock.now += 300
    with pytest.raises(AddressRefused):
        await key_sets.load_keys(jwks_uri)


@pytest.mark.proves("CIMD-46")
async def test_a_certificate_that_changed_is_not_bridged(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock
) -> None:
    server.script = serve_keys("one", headers=["Connection: close"])
    await key_sets.load_keys(jwks_uri)
    trustme.CA().issue_cert(CLIENT_HOST).configure_cert(server.context)
    clock.now += 300
    with pytest.raises(TlsFailed):
        await key_sets.load_keys(jwks_uri)


# Sets that break a rule


@pytest.mark.proves("CIMD-57")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({"keys": [build_key("one", d="AAAA")]}, "private_key", id="an EC private key"),
        pytest.param({"keys": [{"kty": "RSA", "n": "AAAA", "e": "AQAB", "p": "AAAA"}]}, "private_key", id="RSA"),
        pytest.param({"keys": [build_key("one"), {"kty": "oct", "k": "AAAA", "kid": "two"}]}, "private_key", id="oct"),
        pytest.param({"keys": [{"kty": "oct"}]}, "private_key", id="oct without its value"),
        pytest.param({"keys": [{"kty": "AKP", "priv": "AAAA"}]}, "private_key", id="a private key of another type"),
        pytest.param({"keys": [build_key("one"), build_key("one", y="AAAA")]}, "kid_repeated", id="two of one kid"),
        pytest.param({"keys": [build_key("one"), build_key(None)]}, "kid_missing", id="two, one without a kid"),
        pytest.param({"keys": [build_key(str(n)) for n in range(33)]}, "keys_count", id="too many"),
        pytest.param({"keys": [build_key("one", use="enc")]}, "keys_count", id="none for signatures"),
        pytest.param({"keys": [build_key("one", x=7)]}, "keys_malformed", id="a number for text"),
        pytest.param({"keys": [build_key(7)]}, "wrong_type", id="a number for a kid"),  # type: ignore[arg-type]
        pytest.param({"keys": [build_key("k" * 501)]}, "wrong_type", id="an endless kid"),
        pytest.param({"keys": "one"}, "wrong_type", id="no array"),
        pytest.param({"keys": [["one"]]}, "wrong_type", id="no objects"),
        pytest.param({}, "wrong_type", id="no keys"),
        pytest.param(b"[]", "keys_not_object", id="no object"),
        pytest.param(b"", "keys_not_json", id="nothing"),
        pytest.param(b"<html>", "keys_not_json", id="HTML"),
        pytest.param(b"\xff", "keys_encoding", id="no UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", "keys_not_json", id="a byte order mark"),
        pytest.param(b'{"keys":[],"keys":[]}', "keys_duplicate_member", id="a member twice"),
        pytest.param(b"[" * 60_000, "keys_nesting", id="60 000 arrays"),
        pytest.param(b'{"keys":[NaN]}', "keys_number", id="no number"),
    ],
)
async def test_a_set_that_breaks_a_rule_is_refused(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, body: object, reason: str
) -> None:
    server.script = answer(body if isinstance(body, bytes) else json.dumps(body).encode())
    with pytest.raises(ClientMetadataError) as refusal:
        await key_sets.load_keys(jwks_uri)
    assert (refusal.value.reason, refusal.value.member) == (f"document.{reason}", "jwks")


async def test_a_set_of_one_byte_too_many_is_refused(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str
) -> None:
    server.script = answer(b"{}".ljust(64 * 1024 + 1))
    with pytest.raises(TooLarge):
        await key_sets.load_keys(jwks_uri)


async def test_a_refused_set_is_logged_once_however_many_ask(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = answer(b'{"keys": []}')
    loads = (key_sets.load_keys(jwks_uri) for _ in range(20))
    assert {type(result) for result in await asyncio.gather(*loads, return_exceptions=True)} == {ClientMetadataError}
    [refused] = [record for record in caplog.records if record.message == "key set refused"]
    assert (vars(refused)["reason"], vars(refused)["jwks_uri"]) == ("document.keys_count", jwks_uri)


async def test_a_failure_that_is_remembered_holds_on_to_nothing(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str
) -> None:
    for script in (answer(b'{"keys": []}'), hang_up):
        server.script = script
        with pytest.raises((ClientMetadataError, Unreachable)):
            await key_sets.load_keys(jwks_uri, kid="one")
        known = key_sets._cache.find(jwks_uri)
        assert isinstance(known, BadKeys)
        held = (known.failure.__traceback__, known.failure.__cause__, known.failure.__context__)
        assert held == (None, None, None)
        jwks_uri = jwks_uri.replace("jwks", "other")


# URLs


@pytest.mark.proves("CIMD-30")
@pytest.mark.parametrize(
    "jwks_uri",
    [
        "http://client.example/jwks.json",
        "https://client.example:8443/jwks.json",  # declared for another port
        "https://127.0.0.1/jwks.json",
        "https://[::1]/jwks.json",
        "https://localhost/jwks.json",
        "https://user@www.nameplate-test.com/jwks.json",
        "https://www.nameplate-test.com/a/../jwks.json",
        "https://www.nameplate-test.com:22/jwks.json",
        "file:///etc/passwd",
        "",
    ],
)
async def test_a_url_that_breaks_a_rule_is_refused_without_dns(
    key_sets: CachedKeySets, names: Names, jwks_uri: str
) -> None:
    with pytest.raises(ClientMetadataError) as refusal:
        await key_sets.load_keys(jwks_uri)
    assert (refusal.value.reason, refusal.value.member) == ("document.jwks_uri", "jwks_uri")
    assert names.asked == []


@pytest.mark.proves("CIMD-30")
async def test_a_public_name_that_leads_inside_is_refused(key_sets: CachedKeySets, names: Names) -> None:
    names.answers["www.nameplate-test.com"] = [["93.184.215.14", "169.254.169.254"]]
    with pytest.raises(AddressRefused):
        await key_sets.load_keys("https://www.nameplate-test.com/jwks.json")


# What an outsider can tell


async def test_failures_before_any_http_answer_take_equally_long(
    server: HostileServer, make_key_sets: MakeKeySets, make_fetcher: MakeFetcher, names: Names
) -> None:
    async with SilentListener() as silent:
        kinds = {
            "refused.example": server.port,
            "closed.example": 1025,
            "untrusted.example": server.port,
            "silent.example": silent.port,
        }
        names.answers |= {host: [["127.0.0.1"]] for host in kinds}
        names.answers["refused.example"] = [["10.0.0.1"]]
        hosts = tuple(build_private_host(host, port, network="127.0.0.1/32") for host, port in kinds.items())
        key_sets = make_key_sets(make_fetcher(private_hosts=hosts, deadline_seconds=0.25), failure_seconds=None)
        loop = asyncio.get_running_loop()

        async def load(host: str, port: int) -> float:
            started = loop.time()
            with pytest.raises(FetchError) as failure:
                await key_sets.load_keys(build_url(port, host=host).text)
            assert failure.value.reason == "fetch.unreachable"
            return loop.time() - started

        took = await asyncio.gather(*(load(host, port) for host, port in kinds.items()))
    assert min(took) >= 0.25
    assert max(took) - min(took) < 0.03


async def test_what_anybody_can_see_by_asking_the_host_is_said_at_once(
    server: HostileServer, make_key_sets: MakeKeySets, jwks_uri: str
) -> None:
    key_sets = make_key_sets(failure_seconds=60)
    server.script = answer(status="404 Not Found")
    async with asyncio.timeout(2):
        with pytest.raises(BadStatus):
            await key_sets.load_keys(jwks_uri)


# Giving up and closing


async def test_whoever_gives_up_does_not_end_it_for_the_others(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str
) -> None:
    waiting = [asyncio.create_task(key_sets.load_keys(jwks_uri)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert isinstance(results[1], ClientKeys)
    assert results[1] is results[2]
    assert len(server.requests) == 1


@pytest.mark.parametrize("script", [say_nothing, hang_up])
async def test_closing_ends_waiting_loads_and_leaves_the_fetcher_open(
    server: HostileServer, make_key_sets: MakeKeySets, make_fetcher: MakeFetcher, jwks_uri: str, script: Script
) -> None:
    fetcher = make_fetcher(server.port, deadline_seconds=30.0)
    key_sets = make_key_sets(fetcher, failure_seconds=None)
    server.script = script
    waiting = asyncio.create_task(key_sets.load_keys(jwks_uri))
    await server.wait_for_request()
    async with asyncio.timeout(2):
        await key_sets.aclose()
        for load in (waiting, key_sets.load_keys(jwks_uri)):
            with pytest.raises(Unreachable):
                await load
        await server.wait_until_left()
        server.script = serve_keys("one")
        await fetcher.fetch(build_url(server.port))


# Memory


def build_known(size: int, *, is_bad: bool = False) -> GoodKeys | BadKeys:
    keys = ClientKeys(jwks="x" * size, fetched_at=0, fresh_until=0)
    good = GoodKeys(keys=keys, key_ids=frozenset(), may_stand_in=True, next_fetch_at=0)
    return BadKeys(failure=Unreachable("gone"), last_good=good, next_fetch_at=0) if is_bad else good


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([0, 10, 45, 200]), st.booleans(), st.booleans())
    )
)
def test_no_order_of_uses_breaks_the_bounds(steps: list[tuple[str, int, bool, bool]]) -> None:
    cache = KeyCache(KeySetOptions(max_entries=4, max_cache_bytes=100))
    for jwks_uri, size, is_bad, is_read in steps:
        if is_read:
            cache.find(jwks_uri)
        else:
            cache.put(jwks_uri, build_known(size, is_bad=is_bad))
    found = {jwks_uri: known for jwks_uri in "abcdefgh" if (known := cache.find(jwks_uri)) is not None}
    texts = [good.keys.jwks for known in found.values() if (good := find_last_good(known)) is not None]
    assert len(found) <= 4
    assert sum(map(len, [*found, *texts])) <= 100


def test_the_set_that_was_used_last_stays_longest() -> None:
    cache = KeyCache(KeySetOptions(max_entries=2))
    cache.put("a", build_known(1))
    cache.put("b", build_known(1))
    cache.find("a")
    cache.put("c", build_known(1))
    assert [jwks_uri for jwks_uri in "abc" if cache.find(jwks_uri)] == ["a", "c"]


def test_options_that_cannot_work_are_refused() -> None:
    for name in ("max_bytes", "reload_seconds", "retry_seconds", "host_per_second", "total_at_once", "max_entries"):
        options: dict[str, Any] = {name: 0}
        with pytest.raises(ConfigurationError, match=rf"keys\.{name}"):
            KeySetOptions(**options)
    assert KeySetOptions(last_good_seconds=0, failure_seconds=0).last_good_seconds == 0
