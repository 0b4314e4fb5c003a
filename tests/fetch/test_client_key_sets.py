"""Keys at a ``jwks_uri``: how long they are used, rotation, hosts that are down, and invented kids."""

import asyncio
import json

import pytest
import trustme

from fetch_kit import Clock, MakeFetcher, Names, build_private_host, build_url
from hostile import CLIENT_HOST, Exchange, HostileServer, Script, SilentListener, answer, build_server_context
from key_set_kit import DOWN, MakeKeySets, build_key, hang_up, list_kids, serve_keys
from nameplate.errors import BadMediaType, BadStatus, Busy, FetchError, RedirectRefused, TooLarge, Unreachable
from nameplate.fetch import CachedKeySets
from nameplate.jose import KeySet, SigningKey, UnknownKey, Verified
from nameplate.ports.keys import ClientKeys, ClientKeySets

pytestmark = pytest.mark.anyio

TYP = frozenset({"client-authentication+jwt"})
MINUTE, HOUR = 60, 3600


# Fresh


async def test_a_fresh_set_is_not_fetched_again(
    server: HostileServer, key_sets: ClientKeySets, jwks_uri: str, clock: Clock
) -> None:
    keys = await key_sets.load_keys(jwks_uri)
    assert json.loads(keys.jwks) == {"keys": [build_key("one")]}
    assert (keys.fetched_at, keys.fresh_until) == (clock.now, clock.now + 600)
    clock.now += 599
    assert await key_sets.load_keys(jwks_uri) is keys
    assert await key_sets.load_keys(jwks_uri, kid="one") is keys
    clock.now += 1
    await key_sets.load_keys(jwks_uri)
    assert len(server.requests) == 2


@pytest.mark.parametrize("content_type", ["application/jwk-set+json", "application/json; charset=utf-8"])
async def test_a_set_has_its_own_media_type_and_may_be_larger_than_a_document(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, content_type: str
) -> None:
    body = json.dumps({"keys": [build_key("one", x5c=["A" * 60_000])]}).encode()
    server.script = answer(body.ljust(64 * 1024), headers=[f"Content-Type: {content_type}"])
    keys = await key_sets.load_keys(jwks_uri)
    assert len(keys.jwks) < 300  # what nobody needs is not kept


@pytest.mark.parametrize(
    ("cache_control", "fresh_seconds"),
    [
        ("max-age=31536000", HOUR),
        ("max-age=1", MINUTE),
        ("no-store", MINUTE),
        ("no-cache", MINUTE),
        ("private", MINUTE),
        ("public", 300),
    ],
)
async def test_what_a_host_says_of_freshness_is_held_between_bounds(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, cache_control: str, fresh_seconds: int
) -> None:
    server.script = serve_keys("one", headers=[f"Cache-Control: {cache_control}"])
    keys = await key_sets.load_keys(jwks_uri)
    assert keys.fresh_until - keys.fetched_at == fresh_seconds


async def test_a_hundred_loads_of_one_cold_set_make_one_request(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str
) -> None:
    loaded = await asyncio.gather(*(key_sets.load_keys(jwks_uri) for _ in range(100)))
    assert len(set(map(id, loaded))) == 1
    assert len(server.requests) == 1


# Rotation and withdrawal, attack JA-12


@pytest.mark.proves("JWT-9")
async def test_a_new_key_is_found_and_the_old_one_no_longer_believed(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock
) -> None:
    old, new = SigningKey.generate(), SigningKey.generate()
    by_old, by_new = (key.sign({"sub": "client"}, typ="client-authentication+jwt") for key in (old, new))

    async def verify(assertion: str) -> object:
        """As the token endpoint does."""
        keys = await key_sets.load_keys(jwks_uri)
        verdict = KeySet.from_jwks(json.loads(keys.jwks)).verify(assertion, typ=TYP)
        if isinstance(verdict, UnknownKey):
            keys = await key_sets.load_keys(jwks_uri, kid=verdict.kid)
            verdict = KeySet.from_jwks(json.loads(keys.jwks)).verify(assertion, typ=TYP)
        return verdict

    server.script = answer(json.dumps({"keys": [old.public_jwk()]}).encode(), headers=["Cache-Control: max-age=600"])
    assert await verify(by_old) == Verified({"sub": "client"})
    server.script = answer(json.dumps({"keys": [new.public_jwk()]}).encode(), headers=["Cache-Control: max-age=600"])
    clock.now += 60
    assert await verify(by_new) == Verified({"sub": "client"})
    assert await verify(by_old) == UnknownKey(old.kid)
    assert len(server.requests) == 2


async def test_a_removed_key_is_refused_once_the_set_is_no_longer_fresh(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock
) -> None:
    server.script = serve_keys("stolen", "good", headers=["Cache-Control: max-age=31536000"])
    await key_sets.load_keys(jwks_uri)
    server.script = serve_keys("good")
    clock.now += HOUR - 1
    assert list_kids(await key_sets.load_keys(jwks_uri)) == ["stolen", "good"]
    clock.now += 1
    assert list_kids(await key_sets.load_keys(jwks_uri)) == ["good"]


@pytest.mark.proves("JWT-9")
async def test_a_new_key_waits_until_ten_seconds_after_the_last_fetch(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock
) -> None:
    await key_sets.load_keys(jwks_uri)
    server.script = serve_keys("one", "two")
    clock.now += 9
    assert list_kids(await key_sets.load_keys(jwks_uri, kid="two")) == ["one"]
    clock.now += 1
    assert list_kids(await key_sets.load_keys(jwks_uri, kid="two")) == ["one", "two"]
    assert len(server.requests) == 2


# Invented kids, attack SS-16


@pytest.mark.proves("JWT-9")
async def test_a_storm_of_invented_kids_makes_a_fetch_in_ten_seconds(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock
) -> None:
    for second in range(600):
        clock.now += 1
        storm = (key_sets.load_keys(jwks_uri, kid=f"invented-{second}-{number}") for number in range(20))
        for keys in await asyncio.gather(*storm):
            assert list_kids(keys) == ["one"]
    assert len(server.requests) == 60


@pytest.mark.proves("CIMD-44", "JWT-9")
async def test_a_storm_over_many_sets_is_bounded_per_host_and_in_all(
    server: HostileServer,
    make_key_sets: MakeKeySets,
    make_fetcher: MakeFetcher,
    names: Names,
    clock: Clock,
    ca: trustme.CA,
) -> None:
    hosts = [CLIENT_HOST, "second.example", "third.example"]
    for host in hosts:
        names.answers[host] = [["127.0.0.1"]]
    async with HostileServer(build_server_context(ca, *hosts), serve_keys("one")) as second:
        fetcher = make_fetcher(second.port, hosts=hosts)
        key_sets = make_key_sets(fetcher, host_burst=5, host_per_second=0.1, total_burst=12, total_per_second=1.0)

        async def load(host: str, count: int) -> list[type]:
            urls = [build_url(second.port, f"/{clock.now}-{number}.json", host).text for number in range(count)]
            results = [await asyncio.gather(key_sets.load_keys(url), return_exceptions=True) for url in urls]
            return [type(result) for [result] in results]

        loaded = [(await load(host, 20)).count(ClientKeys) for host in hosts]
        assert loaded == [5, 5, 2]
        clock.now += 10
        assert await load(hosts[0], 20) == [ClientKeys] + [Busy] * 19
        assert len(second.requests) == 13


async def test_known_keys_are_had_at_once_while_a_storm_waits_for_a_slow_host(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock
) -> None:
    keys = await key_sets.load_keys(jwks_uri)
    clock.now += 60
    go_on = asyncio.Event()

    async def answer_later(exchange: Exchange) -> None:
        await go_on.wait()
        await serve_keys("one")(exchange)

    server.script = answer_later
    storm = [asyncio.create_task(key_sets.load_keys(jwks_uri, kid=f"invented-{number}")) for number in range(50)]
    await asyncio.sleep(0)
    assert await key_sets.load_keys(jwks_uri, kid="one") is keys
    assert not any(load.done() for load in storm)
    go_on.set()
    await asyncio.gather(*storm)
    assert len(server.requests) == 2


async def test_whether_a_host_that_is_down_has_a_key_cannot_be_told(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock
) -> None:
    keys = await key_sets.load_keys(jwks_uri)
    server.script = DOWN
    clock.now += 60
    for _ in range(50):
        with pytest.raises(BadStatus):
            await key_sets.load_keys(jwks_uri, kid="two")
        assert await key_sets.load_keys(jwks_uri, kid="one") is keys
    assert len(server.requests) == 2
    server.script = serve_keys("one", "two")
    clock.now += 10
    assert list_kids(await key_sets.load_keys(jwks_uri, kid="two")) == ["one", "two"]


async def test_tar_pits_of_one_site_leave_room_for_others(
    server: HostileServer, make_key_sets: MakeKeySets, make_fetcher: MakeFetcher, jwks_uri: str
) -> None:
    async with SilentListener() as pit:
        hosts = [f"h{number}.evil.example" for number in range(20)]
        declared = [build_private_host(host, pit.port, address="127.0.0.1") for host in hosts]
        fetcher = make_fetcher(private_hosts=(*declared, build_private_host(CLIENT_HOST, server.port)))
        key_sets = make_key_sets(fetcher, site_at_once=3, total_at_once=4)
        loads = [asyncio.create_task(key_sets.load_keys(build_url(pit.port, host=host).text)) for host in hosts]
        await asyncio.sleep(0)
        await key_sets.load_keys(jwks_uri)
        assert sum(not load.done() for load in loads) == 3
        await key_sets.aclose()
        results = await asyncio.gather(*loads, return_exceptions=True)
    assert [type(result) for result in results] == [Unreachable] * 3 + [Busy] * 17


async def test_fetches_under_way_are_bounded_in_all(server: HostileServer, make_key_sets: MakeKeySets) -> None:
    key_sets = make_key_sets(total_at_once=2)
    uris = [build_url(server.port, f"/{number}.json").text for number in range(5)]
    results = await asyncio.gather(*map(key_sets.load_keys, uris), return_exceptions=True)
    assert [type(result) for result in results] == [ClientKeys] * 2 + [Busy] * 3
    assert isinstance(await key_sets.load_keys(uris[4]), ClientKeys)


# A host that is down


@pytest.mark.parametrize(
    ("script", "error"),
    [
        pytest.param(hang_up, Unreachable, id="cut"),
        pytest.param(DOWN, BadStatus, id="503"),
        pytest.param(answer(status="403 Forbidden"), BadStatus, id="403"),
        pytest.param(
            answer(status="302 Found", headers=["Location: https://other.example/"]), RedirectRefused, id="302"
        ),
        pytest.param(answer(headers=["Content-Type: text/html"]), BadMediaType, id="html"),
        pytest.param(answer(b" " * (64 * 1024 + 1)), TooLarge, id="too large"),
    ],
)
async def test_a_set_serves_an_hour_past_its_freshness_while_its_host_is_down_and_not_a_second_longer(
    server: HostileServer,
    key_sets: CachedKeySets,
    jwks_uri: str,
    clock: Clock,
    script: Script,
    error: type[FetchError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = await key_sets.load_keys(jwks_uri)
    server.script = script
    clock.now = keys.fresh_until + HOUR - 1
    stale = await key_sets.load_keys(jwks_uri)
    assert (stale.jwks, stale.fetched_at) == (keys.jwks, keys.fetched_at)
    assert error.__name__ in stale.stale_because
    assert [record.message for record in caplog.records].count("last good keys used") == 1
    clock.now += 1
    with pytest.raises(error):
        await key_sets.load_keys(jwks_uri)


async def test_the_bound_of_an_operator_who_wants_none_is_freshness_itself(
    server: HostileServer, make_key_sets: MakeKeySets, jwks_uri: str, clock: Clock
) -> None:
    key_sets = make_key_sets(last_good_seconds=0)
    await key_sets.load_keys(jwks_uri)
    server.script = hang_up
    clock.now += 600
    with pytest.raises(Unreachable):
        await key_sets.load_keys(jwks_uri)


@pytest.mark.parametrize("directive", ["no-store", "no-cache", "must-revalidate, max-age=60", "private", "s-maxage=60"])
async def test_a_host_may_forbid_stale_sets(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock, directive: str
) -> None:
    server.script = serve_keys("one", headers=[f"Cache-Control: {directive}"])
    await key_sets.load_keys(jwks_uri)
    server.script = hang_up
    clock.now += 60
    with pytest.raises(Unreachable):
        await key_sets.load_keys(jwks_uri)


async def test_a_host_that_is_down_is_asked_at_intervals_and_nobody_waits_for_it_twice(
    server: HostileServer, make_key_sets: MakeKeySets, jwks_uri: str, clock: Clock
) -> None:
    key_sets = make_key_sets(retry_seconds=10)
    await key_sets.load_keys(jwks_uri)
    server.script = DOWN
    clock.now += 600
    for _ in range(30):
        assert (await key_sets.load_keys(jwks_uri)).stale_because
    assert len(server.requests) == 2
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def answer_when_told(exchange: Exchange) -> None:
        asked.set()
        await go_on.wait()
        await serve_keys("two")(exchange)

    server.script = answer_when_told
    clock.now += 10
    for _ in range(30):
        assert list_kids(await key_sets.load_keys(jwks_uri)) == ["one"]
    async with asyncio.timeout(2):
        await asked.wait()
    go_on.set()
    assert list_kids(await key_sets.load_keys(jwks_uri, kid="two")) == ["two"]
    assert len(server.requests) == 3


async def test_without_a_set_a_failure_is_not_tried_again_for_a_moment(
    server: HostileServer, key_sets: CachedKeySets, jwks_uri: str, clock: Clock
) -> None:
    server.script = answer(status="500 Oops")
    raised: list[BadStatus] = []
    for _ in range(20):
        with pytest.raises(BadStatus) as failure:
            await key_sets.load_keys(jwks_uri)
        assert failure.value.status == 500
        raised.append(failure.value)
    assert len(server.requests) == 1
    assert len(set(map(id, raised))) == 20  # one that was kept would hold on to all that it was raised through
    server.script = serve_keys("one")
    clock.now += 10
    await key_sets.load_keys(jwks_uri)


async def test_a_spent_budget_is_bridged(
    server: HostileServer, make_key_sets: MakeKeySets, jwks_uri: str, clock: Clock
) -> None:
    key_sets = make_key_sets(host_burst=1, host_per_second=0.0001)
    await key_sets.load_keys(jwks_uri)
    clock.now += 600
    assert "budget" in (await key_sets.load_keys(jwks_uri)).stale_because
    assert len(server.requests) == 1
