"""Sign-in at an OpenID provider: what is sent there, and who is said to have come back."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from upstream_kit import CALLBACK, STATE, ProviderWorld, read_query, run_provider_world

from nameplate.errors import ParameterError, StoreError, UpstreamError
from nameplate.jose import SigningKey
from nameplate.protocol.pkce import build_code_challenge, is_code_verifier
from nameplate.secret import Secret
from nameplate.testing.identity_provider import Endpoint, FakeClient
from nameplate.upstream.port import SignInHints, UpstreamTokens

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ProviderWorld]:
    async with run_provider_world(tmp_path) as running:
        yield running


async def test_a_person_signs_in(world: ProviderWorld) -> None:
    completed = await world.sign_in(world.open(keeps_tokens=True))
    person, tokens = completed.person, completed.tokens
    assert (person.issuer, person.subject) == (world.provider.issuer, "248289761001")
    assert (person.username, person.display_name) == ("jane", "Jane Doe")
    assert (person.email, person.email_verified) == ("jane@example.com", True)
    assert person.groups == ("staff", "engineers")
    assert person.claims["name"] == "Jane Doe"
    assert tokens.expires_at == world.now + 3600
    assert tokens.scope == "openid profile email"
    assert tokens.access_token.reveal() in world.provider.issued
    assert tokens.refresh_token is not None


async def test_the_names_of_the_provider_are_those_of_the_configuration(world: ProviderWorld) -> None:
    upstream = world.open(name="my-idp", title="My provider", keeps_tokens=True)
    assert (upstream.name, upstream.title, upstream.keeps_tokens) == ("my-idp", "My provider", True)


# What is sent

BOTH: tuple[Endpoint, ...] = ("authorize", "token")


async def test_the_browser_takes_along_what_the_code_flow_needs_and_no_secret(world: ProviderWorld) -> None:
    begun = await world.begin(world.open(scopes=("openid", "api://notes/read")))
    sent, remembered = read_query(begun.url), json.loads(begun.memory)
    assert begun.url.startswith(f"{world.provider.url('authorize')}?")
    assert sent == {
        "response_type": "code",
        "client_id": "nameplate",
        "redirect_uri": CALLBACK,
        "scope": "openid api://notes/read",
        "state": STATE,
        "nonce": remembered["nonce"],
        "code_challenge": build_code_challenge(remembered["verifier"]),
        "code_challenge_method": "S256",
    }
    assert is_code_verifier(remembered["verifier"])
    assert remembered["verifier"] not in begun.url
    assert world.provider.client.secret not in begun.url
    assert remembered["verifier"] not in repr(begun)


async def test_nonce_and_verifier_are_new_each_time(world: ProviderWorld) -> None:
    upstream = world.open()
    memories = [json.loads((await world.begin(upstream)).memory) for _ in range(3)]
    assert len({memory["nonce"] for memory in memories} | {memory["verifier"] for memory in memories}) == 6


async def test_the_clients_wishes_are_passed_on(world: ProviderWorld) -> None:
    hints = SignInHints(
        login_hint="jane@example.com",
        prompt="login",
        max_age_seconds=0,
        acr_values="urn:mace:incommon:iap:silver",
        ui_locales="de fr",
        resource="https://mcp.example.com/mcp",
    )
    sent = read_query((await world.begin(world.open(), hints)).url)
    assert sent["login_hint"] == "jane@example.com"
    assert sent["prompt"] == "login"
    assert sent["max_age"] == "0"
    assert sent["acr_values"] == "urn:mace:incommon:iap:silver"
    assert sent["ui_locales"] == "de fr"
    assert "resource" not in sent


async def test_a_resource_goes_to_providers_that_take_one_in_both_requests(world: ProviderWorld) -> None:
    hints = SignInHints(resource="https://mcp.example.com/mcp")
    await world.sign_in(world.open(passes_resource=True), hints)
    for endpoint in BOTH:
        (request,) = world.provider.find_requests(endpoint)
        assert request.parameters["resource"] == "https://mcp.example.com/mcp"
    await world.sign_in(world.open(passes_resource=True))
    assert all("resource" not in world.provider.find_requests(name)[-1].parameters for name in BOTH)


async def test_what_the_operator_set_stands_and_prompt_is_joined(world: ProviderWorld) -> None:
    upstream = world.open(
        authorize_parameters={"prompt": "consent select_account", "access_type": "offline", "ui_locales": "en"},
        token_parameters={"audience": "notes"},
    )
    await world.sign_in(upstream, SignInHints(prompt="login consent", ui_locales="de"))
    (asked,) = world.provider.find_requests("authorize")
    assert asked.parameters["prompt"] == "consent select_account login"
    assert asked.parameters["access_type"] == "offline"
    assert asked.parameters["ui_locales"] == "en"
    (exchanged,) = world.provider.find_requests("token")
    assert exchanged.parameters["audience"] == "notes"
    assert exchanged.parameters["redirect_uri"] == CALLBACK


async def test_the_query_of_an_endpoint_stays(world: ProviderWorld) -> None:
    upstream = world.open(authorization_endpoint=f"{world.provider.url('authorize')}?p=policy%2F1")
    begun = await world.begin(upstream)
    assert begun.url.startswith(f"{world.provider.url('authorize')}?p=policy%2F1&response_type=code")


async def test_a_provider_without_pkce_is_not_sent_any(world: ProviderWorld) -> None:
    world.provider.requires_pkce = False
    await world.sign_in(world.open(uses_pkce=False))
    (asked,), (exchanged,) = world.provider.find_requests("authorize"), world.provider.find_requests("token")
    assert "code_challenge" not in asked.parameters
    assert "code_verifier" not in exchanged.parameters


SIGNING_KEY = SigningKey.generate()
ODD = "ä p+ss/w%rd:&=\N{SNOWMAN}~*"


@pytest.mark.parametrize(
    ("client", "changes"),
    [
        (FakeClient(), {}),
        (FakeClient(client_id="my:client/+%", secret=ODD), {}),
        (FakeClient(auth_method="client_secret_post", secret=ODD), {}),
        (FakeClient(auth_method="none"), {}),
        (FakeClient(auth_method="private_key_jwt", keys=[SIGNING_KEY.public_jwk()]), {"signing_key": SIGNING_KEY}),
        (
            FakeClient(auth_method="private_key_jwt", keys=[SIGNING_KEY.public_jwk()]),
            {"signing_key": SIGNING_KEY, "assertion_audience": "token_endpoint"},
        ),
    ],
    ids=["basic", "basic-odd", "post-odd", "none", "private_key_jwt", "private_key_jwt-endpoint"],
)
async def test_this_server_proves_who_it_is_at_every_endpoint(
    world: ProviderWorld, client: FakeClient, changes: dict[str, Any]
) -> None:
    world.provider.client = client
    upstream = world.open(**changes)
    completed = await world.sign_in(upstream)
    tokens = await upstream.refresh(completed.tokens, world.now)
    await upstream.revoke(tokens)
    assert tokens.refresh_token is not None
    assert world.provider.revoked == [tokens.refresh_token.reveal()]


async def test_credentials_that_the_provider_refuses_are_said_to_be_ours(world: ProviderWorld) -> None:
    failure = await world.find_failure(world.open(client_secret=Secret("another")))
    assert (failure.code, failure.reason) == ("server_error", "upstream.client_refused")
    assert "invalid_client" in failure.detail


# What comes back


async def test_a_code_works_once(world: ProviderWorld) -> None:
    upstream = world.open()
    begun = await world.begin(upstream)
    query = await world.visit(begun)
    await world.complete(upstream, begun, query)
    with pytest.raises(UpstreamError) as caught:
        await world.complete(upstream, begun, query)
    assert (caught.value.code, caught.value.reason) == ("server_error", "upstream.code_refused")


async def test_a_code_of_somebody_elses_sign_in_buys_nothing(world: ProviderWorld) -> None:
    """The attacker's code in the victim's browser: PKCE and nonce are those of the victim's sign-in."""
    upstream = world.open()
    theirs, mine = await world.begin(upstream), await world.begin(upstream)
    code = read_query(f"{CALLBACK}?{await world.visit(theirs)}")["code"]
    with pytest.raises(UpstreamError) as caught:
        await world.complete(upstream, mine, f"state={STATE}&code={code}&iss={world.provider.issuer}")
    assert caught.value.reason == "upstream.code_refused"


async def test_without_pkce_the_nonce_keeps_a_foreign_code_out(world: ProviderWorld) -> None:
    world.provider.requires_pkce = False
    upstream = world.open(uses_pkce=False)
    theirs, mine = await world.begin(upstream), await world.begin(upstream)
    query = await world.visit(theirs)
    with pytest.raises(UpstreamError) as caught:
        await world.complete(upstream, mine, query)
    assert caught.value.reason == "upstream.id_token_nonce"


async def test_the_issuer_that_the_browser_brings_must_be_the_providers(world: ProviderWorld) -> None:
    for wrong in ("https://evil.example", f"{world.provider.issuer}/", world.provider.issuer.upper()):
        failure = await world.find_answer_failure(world.open(), iss=wrong)
        assert (failure.code, failure.reason) == ("server_error", "upstream.wrong_issuer")
    assert world.provider.find_requests("token") == []


async def test_an_issuer_that_was_promised_must_be_there(world: ProviderWorld) -> None:
    world.provider.answer_changes = {"iss": None}
    assert (await world.find_failure(world.open())).reason == "upstream.issuer_missing"
    assert world.provider.find_requests("token") == []


async def test_an_issuer_that_was_not_promised_is_compared_all_the_same(world: ProviderWorld) -> None:
    world.provider.sends_issuer = False
    assert (await world.sign_in(world.open())).person.subject == "248289761001"
    world.provider.answer_changes = {"iss": "https://evil.example"}
    assert (await world.find_failure(world.open())).reason == "upstream.wrong_issuer"


async def test_an_error_of_another_issuer_is_not_believed(world: ProviderWorld) -> None:
    failure = await world.find_answer_failure(world.open(), iss="https://evil.example", error="access_denied")
    assert failure.reason == "upstream.wrong_issuer"


async def test_a_repeated_parameter_never_gets_here(world: ProviderWorld) -> None:
    upstream = world.open()
    begun = await world.begin(upstream)
    query = await world.visit(begun)
    with pytest.raises(ParameterError):
        await world.complete(upstream, begun, f"{query}&code=another")


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        ("access_denied", "access_denied", "upstream.denied"),
        ("temporarily_unavailable", "temporarily_unavailable", "upstream.unavailable"),
        ("server_error", "server_error", "upstream.refused"),
        ("login_required", "server_error", "upstream.refused"),
        ("<script>alert(1)</script>", "server_error", "upstream.refused"),
    ],
)
async def test_errors_of_the_provider_are_mapped_and_never_shown(
    world: ProviderWorld, error: str, code: str, reason: str
) -> None:
    world.provider.answer_changes = {
        "code": None,
        "error": error,
        "error_description": "<script>alert(2)</script>\r\nX-Forged: 1" + "x" * 5000,
        "error_uri": "javascript:alert(3)",
    }
    failure = await world.find_failure(world.open())
    assert (failure.code, failure.reason) == (code, reason)
    assert "script" not in failure.description
    assert len(failure.detail) < 600
    assert failure.detail.isprintable()
    assert "alert(2)" in failure.detail
    assert world.provider.find_requests("token") == []


async def test_an_answer_of_another_sign_in_or_provider_is_refused(world: ProviderWorld) -> None:
    assert (await world.find_answer_failure(world.open(), state="another")).reason == "upstream.state_mismatch"
    begun = await world.begin(world.open(name="other-idp"))
    query = await world.visit(begun)
    with pytest.raises(UpstreamError) as caught:
        await world.complete(world.open(), begun, query)
    assert caught.value.reason == "upstream.memory"
    assert world.provider.find_requests("token") == []


# Who it is


async def test_a_new_address_is_the_same_person_and_a_new_subject_another(world: ProviderWorld) -> None:
    upstream = world.open()
    first = (await world.sign_in(upstream)).person
    world.provider.person |= {"email": "jane@elsewhere.example", "email_verified": False}
    second = (await world.sign_in(upstream)).person
    assert (second.issuer, second.subject) == (first.issuer, first.subject)
    assert (second.email, second.email_verified) == ("jane@elsewhere.example", False)
    world.provider.person |= {"sub": "999", "email": "jane@example.com", "email_verified": True}
    assert (await world.sign_in(upstream)).person.subject == "999"


async def test_the_userinfo_endpoint_adds_to_the_id_token_and_replaces_nothing(world: ProviderWorld) -> None:
    world.provider.userinfo_changes = {"name": "Somebody Else", "department": "R&D", "iss": "https://evil.example"}
    person = (await world.sign_in(world.open())).person
    assert person.display_name == "Jane Doe"
    assert person.claims["department"] == "R&D"
    assert person.claims["iss"] == person.issuer == world.provider.issuer
    assert (await world.sign_in(world.open(asks_userinfo=False))).person.claims.get("department") is None


async def test_without_a_userinfo_endpoint_the_id_token_is_all(world: ProviderWorld) -> None:
    world.provider.metadata_changes = {"userinfo_endpoint": None}
    assert (await world.sign_in(world.open())).person.username == "jane"
    assert world.provider.find_requests("userinfo") == []


async def test_an_address_is_not_verified_by_what_is_said_of_another(world: ProviderWorld) -> None:
    world.provider.id_token_changes = {"email": "ceo@example.com", "email_verified": None}
    person = (await world.sign_in(world.open())).person
    assert (person.email, person.email_verified) == ("ceo@example.com", False)


async def test_userinfo_of_somebody_else_is_refused(world: ProviderWorld) -> None:
    for subject in ("another", None, 248289761001):
        world.provider.userinfo_changes = {"sub": subject}
        failure = await world.find_failure(world.open())
        assert (failure.code, failure.reason) == ("server_error", "upstream.userinfo_subject")


async def test_tokens_survive_the_vault_and_damaged_ones_are_told(world: ProviderWorld) -> None:
    tokens = (await world.sign_in(world.open())).tokens
    assert UpstreamTokens.from_json(tokens.to_json()) == tokens
    for damaged in (b"", b"{}", b"[]", tokens.to_json()[:-1], tokens.to_json().replace(b"3600", b"x")):
        with pytest.raises(StoreError) as caught:
            UpstreamTokens.from_json(damaged)
        assert tokens.access_token.reveal() not in str(caught.value)
