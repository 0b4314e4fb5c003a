"""ID tokens that must not be believed, from a provider that sends them over TLS to the very request that asked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from upstream_kit import ProviderWorld, run_provider_world

from nameplate.testing.clock import FixedClock
from nameplate.testing.identity_provider import FakeAnswer
from nameplate.testing.provider_signing import ProviderKey, SignatureKind
from nameplate.upstream.port import SignInHints

pytestmark = pytest.mark.anyio

NOW = int(FixedClock()())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ProviderWorld]:
    async with run_provider_world(tmp_path) as running:
        yield running


LIES: list[tuple[dict[str, Any], str]] = [
    ({"iss": "https://evil.example"}, "upstream.id_token_issuer"),
    ({"iss": None}, "upstream.id_token_issuer"),
    ({"aud": "another-client"}, "upstream.id_token_audience"),
    ({"aud": ["another-client"]}, "upstream.id_token_audience"),
    ({"aud": []}, "upstream.id_token_audience"),
    ({"aud": None}, "upstream.id_token_audience"),
    ({"aud": ["nameplate", "another-client"]}, "upstream.id_token_audience"),
    ({"azp": "another-client"}, "upstream.id_token_audience"),
    ({"nonce": "another"}, "upstream.id_token_nonce"),
    ({"nonce": None}, "upstream.id_token_nonce"),
    ({"nonce": ""}, "upstream.id_token_nonce"),
    ({"exp": NOW - 60}, "upstream.id_token_expired"),
    ({"exp": None}, "upstream.id_token_claim"),
    ({"exp": "tomorrow"}, "upstream.id_token_claim"),
    ({"iat": NOW + 61}, "upstream.id_token_not_yet_valid"),
    ({"nbf": NOW + 61}, "upstream.id_token_not_yet_valid"),
    ({"iat": None}, "upstream.id_token_claim"),
    ({"sub": ""}, "upstream.id_token_claim"),
    ({"sub": None}, "upstream.id_token_claim"),
    ({"sub": 7}, "upstream.id_token_claim"),
    ({"sub": "x" * 256}, "upstream.id_token_claim"),
    ({"at_hash": "AAAA"}, "upstream.id_token_at_hash"),
]


async def test_every_claim_that_lies_ends_the_sign_in(world: ProviderWorld) -> None:
    upstream = world.open()
    for changes, reason in LIES:
        world.provider.id_token_changes = changes
        failure = await world.find_failure(upstream)
        assert (failure.code, failure.reason, failure.ends_grant) == ("server_error", reason, False), changes
    world.provider.id_token_changes = {}
    assert (await world.sign_in(upstream)).person.subject == "248289761001"


@pytest.mark.parametrize("signature", ["none", "HS256"])
async def test_a_token_without_a_real_signature_is_refused(world: ProviderWorld, signature: SignatureKind) -> None:
    """HS256 is made with the provider's public RSA key as the secret (CVE-2015-9235)."""
    for advertised in (["RS256"], ["none", "HS256", "RS256"]):
        world.provider.signature = signature
        world.provider.metadata_changes = {"id_token_signing_alg_values_supported": advertised}
        failure = await world.find_failure(world.open())
        assert (failure.code, failure.reason) == ("server_error", "upstream.id_token_signature")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "PS256"},
        {"alg": "RS512"},
        {"alg": None},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
        {"crit": ["exp"]},
        {"jwk": ProviderKey("evil").public_jwk()},
        {"jku": "https://evil.example/jwks"},
    ],
    ids=lambda header: "jwk" if "jwk" in header else str(header),
)
async def test_a_header_that_asks_for_something_else_is_refused(world: ProviderWorld, header: dict[str, Any]) -> None:
    world.provider.header_changes = header
    assert (await world.find_failure(world.open())).reason == "upstream.id_token_signature"


async def test_an_algorithm_that_the_provider_does_not_have_is_refused(world: ProviderWorld) -> None:
    world.provider.metadata_changes = {"id_token_signing_alg_values_supported": ["ES256"]}
    assert (await world.find_failure(world.open())).reason == "upstream.id_token_signature"
    world.provider.metadata_changes = {"id_token_signing_alg_values_supported": ["HS256", "none"]}
    assert (await world.find_failure(world.open())).reason == "upstream.metadata"


async def test_a_key_that_is_not_published_signs_nothing(world: ProviderWorld) -> None:
    world.provider.published_keys = world.provider.keys
    world.provider.keys = [ProviderKey("key-unknown")]
    assert (await world.find_failure(world.open())).reason == "upstream.id_token_key"
    world.provider.keys = [ProviderKey(world.provider.published_keys[0].kid)]
    assert (await world.find_failure(world.open())).reason == "upstream.id_token_signature"


@pytest.mark.parametrize("id_token", [None, "", "no-token", "a.b.c", "x" * 20_000, 7, {"a": 1}])
async def test_what_is_no_token_is_refused(world: ProviderWorld, id_token: Any) -> None:
    world.provider.token_changes = {"id_token": id_token}
    failure = await world.find_failure(world.open())
    assert failure.code == "server_error"
    assert failure.reason in {"upstream.id_token_missing", "upstream.id_token_signature", "upstream.token_malformed"}


async def test_the_two_issuers_must_be_one(world: ProviderWorld) -> None:
    """RFC 9207 §2.4: the one that the browser brings, and the ID token's, at a provider of many tenants."""
    template = f"{world.provider.issuer}/{{tenantid}}/v2.0"
    world.provider.metadata_changes = {"issuer": template}
    world.provider.id_token_changes = {"iss": f"{world.provider.issuer}/tenant-1/v2.0", "tid": "tenant-1"}
    upstream = world.open(issuer_template=template)
    world.provider.answer_changes = {"iss": f"{world.provider.issuer}/tenant-1/v2.0"}
    assert (await world.sign_in(upstream)).person.issuer == f"{world.provider.issuer}/tenant-1/v2.0"
    world.provider.answer_changes = {"iss": f"{world.provider.issuer}/tenant-2/v2.0"}
    assert (await world.find_failure(upstream)).reason == "upstream.wrong_issuer"
    for foreign in ("https://evil.example/tenant-1/v2.0", f"{world.provider.issuer}/a/b/v2.0", template):
        world.provider.answer_changes = {"iss": foreign}
        assert (await world.find_failure(upstream)).reason == "upstream.wrong_issuer"


async def test_a_tenant_speaks_for_itself_only(world: ProviderWorld) -> None:
    template = f"{world.provider.issuer}/{{tenantid}}/v2.0"
    world.provider.metadata_changes = {"issuer": template}
    world.provider.sends_issuer = False
    upstream = world.open(issuer_template=template)
    for issuer, tenant in (
        (f"{world.provider.issuer}/tenant-1/v2.0", "tenant-2"),
        (f"{world.provider.issuer}/tenant-1/v2.0", None),
        (f"{world.provider.issuer}/tenant-1/../x/v2.0", "tenant-1/../x"),
        (f"{world.provider.issuer}//v2.0", ""),
        (template, "{tenantid}"),
    ):
        world.provider.id_token_changes = {"iss": issuer, "tid": tenant}
        assert (await world.find_failure(upstream)).reason == "upstream.id_token_issuer", (issuer, tenant)


@pytest.mark.parametrize(
    ("key_issuer", "is_good"),
    [("{0}/{{tenantid}}/v2.0", True), ("{0}/tenant-1/v2.0", True), ("{0}/tenant-2/v2.0", False)],
)
async def test_a_key_of_one_tenant_signs_for_no_other(world: ProviderWorld, key_issuer: str, *, is_good: bool) -> None:
    issuer = world.provider.issuer
    template = f"{issuer}/{{tenantid}}/v2.0"
    world.provider.metadata_changes = {"issuer": template}
    world.provider.sends_issuer = False
    world.provider.id_token_changes = {"iss": f"{issuer}/tenant-1/v2.0", "tid": "tenant-1"}
    world.provider.key_changes = {"issuer": key_issuer.format(issuer)}
    upstream = world.open(issuer_template=template)
    if is_good:
        assert (await world.sign_in(upstream)).person.issuer == f"{issuer}/tenant-1/v2.0"
    else:
        assert (await world.find_failure(upstream)).reason == "upstream.id_token_issuer"


# How long ago the person signed in


@pytest.mark.parametrize(
    ("max_age", "seconds_ago", "is_good"),
    [(0, 0, True), (0, 60, True), (0, 61, False), (600, 660, True), (600, 661, False), (None, 10**6, True)],
)
async def test_a_sign_in_that_is_too_old_is_refused(
    world: ProviderWorld, max_age: int | None, seconds_ago: int, *, is_good: bool
) -> None:
    world.provider.id_token_changes = {"auth_time": NOW - seconds_ago}
    hints = SignInHints(max_age_seconds=max_age)
    if is_good:
        await world.sign_in(world.open(), hints)
    else:
        assert (await world.find_failure(world.open(), hints)).reason == "upstream.sign_in_too_old"


async def test_time_that_the_person_takes_does_not_count(world: ProviderWorld) -> None:
    upstream = world.open()
    begun = await world.begin(upstream, SignInHints(max_age_seconds=0))
    world.provider.id_token_changes = {"auth_time": NOW + 10}
    world.clock.advance(500)
    await world.complete(upstream, begun, await world.visit(begun))


async def test_a_provider_that_does_not_say_when_is_refused_unless_that_is_known_of_it(world: ProviderWorld) -> None:
    world.provider.id_token_changes = {"auth_time": None}
    hints = SignInHints(max_age_seconds=0)
    assert (await world.find_failure(world.open(), hints)).reason == "upstream.id_token_claim"
    assert (await world.sign_in(world.open(has_auth_time=False), hints)).person.username == "jane"
    world.provider.id_token_changes = {"auth_time": NOW - 600}
    assert (await world.find_failure(world.open(has_auth_time=False), hints)).reason == "upstream.sign_in_too_old"


# Keys


async def test_a_new_key_is_found_at_once(world: ProviderWorld) -> None:
    upstream = world.open()
    await world.sign_in(upstream)
    world.provider.rotate_keys()
    await world.sign_in(upstream)
    assert len(world.provider.find_requests("jwks")) == 2
    await world.sign_in(upstream)
    assert len(world.provider.find_requests("jwks")) == 2


async def test_a_new_key_under_an_old_name_is_found_as_well(world: ProviderWorld) -> None:
    upstream = world.open()
    await world.sign_in(upstream)
    world.provider.keys = [ProviderKey(world.provider.keys[0].kid)]
    await world.sign_in(upstream)
    assert len(world.provider.find_requests("jwks")) == 2


async def test_keys_that_moved_are_found(world: ProviderWorld) -> None:
    upstream = world.open()
    await world.sign_in(upstream)
    world.provider.rotate_keys()
    world.provider.metadata_changes = {"jwks_uri": f"{world.provider.url('jwks')}?v=2"}
    await world.sign_in(upstream)
    assert world.provider.find_requests("jwks")[-1].parameters == {"v": "2"}


async def test_tokens_with_unknown_keys_cause_one_fetch_in_ten_seconds(world: ProviderWorld) -> None:
    upstream = world.open()
    await world.sign_in(upstream)
    world.provider.published_keys = world.provider.keys
    world.provider.keys = [ProviderKey("unknown")]
    for _ in range(5):
        assert (await world.find_failure(upstream)).reason == "upstream.id_token_key"
    assert len(world.provider.find_requests("jwks")) == 2
    world.steady.advance(10)
    await asyncio.gather(*(world.find_failure(upstream) for _ in range(5)))
    assert len(world.provider.find_requests("jwks")) == 3


async def test_old_keys_serve_while_the_provider_does_not_give_new_ones(world: ProviderWorld) -> None:
    upstream = world.open()
    await world.sign_in(upstream)
    for broken in (
        FakeAnswer(status=503),
        FakeAnswer(body=b'{"keys": []}'),
        FakeAnswer(body=b"<html>", content_type="text/html"),
    ):
        world.provider.instead["jwks"] = broken
        world.steady.advance(3600)
        await world.sign_in(upstream)
    world.steady.advance(24 * 3600)
    failure = await world.find_failure(upstream)
    assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.keys_missing")
    assert failure.retry_after_seconds
    del world.provider.instead["jwks"]
    world.steady.advance(60)
    await world.sign_in(upstream)


async def test_no_keys_at_all_is_no_sign_in(world: ProviderWorld) -> None:
    world.provider.published_keys = []
    failure = await world.find_failure(world.open())
    assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.keys_missing")


async def test_many_people_at_once_cause_one_fetch(world: ProviderWorld) -> None:
    upstream = world.open()
    await asyncio.gather(*(world.sign_in(upstream) for _ in range(8)))
    assert len(world.provider.find_requests("metadata")) == 1
    assert len(world.provider.find_requests("jwks")) == 1


async def test_someone_who_gives_up_does_not_end_the_fetch_for_others(world: ProviderWorld) -> None:
    gate = world.provider.waits_for["metadata"] = asyncio.Event()
    upstream = world.open()
    impatient = asyncio.create_task(world.begin(upstream))
    patient = asyncio.create_task(world.begin(upstream))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    gate.set()
    assert (await patient).url
    assert len(world.provider.find_requests("metadata")) == 1


async def test_closing_ends_a_fetch_that_is_under_way(world: ProviderWorld) -> None:
    gate = world.provider.waits_for["metadata"] = asyncio.Event()
    upstream = world.open()
    waiting = asyncio.create_task(world.begin(upstream))
    await asyncio.sleep(0)
    await upstream.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
