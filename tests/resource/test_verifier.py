"""Tokens are verified once, remembered for as long as that is right, and judged by keys that may change."""

import asyncio

import pytest
from resource_kit import ISSUER, RESOURCE, Clock, build_claims, publish_keys

from nameplate.errors import BearerError, ConfigurationError
from nameplate.jose import KeySet, SigningKey
from nameplate.protocol.access_token import AccessToken
from nameplate.resource import AccessTokenVerifier, StaticKeys

NOW = 1_800_000_000


class TurningKeys:
    """Keys that change when a test says so, or when a token with an unknown kid comes."""

    def __init__(self, *keys: SigningKey) -> None:
        self.now = KeySet.from_jwks(publish_keys(keys))
        self.next: KeySet | None = None
        self.reloads = 0

    async def load(self) -> KeySet:
        return self.now

    async def reload(self) -> KeySet:
        self.reloads += 1
        self.now = self.next or self.now
        return self.now

    async def aclose(self) -> None:
        """Nothing runs."""


KEY = SigningKey.generate()


def sign(key: SigningKey = KEY, typ: str = "at+jwt", **changes: object) -> str:
    return key.sign(build_claims(now=NOW, **changes), typ=typ)


def build_verifier(keys: TurningKeys, clock: Clock | None = None, remembered_tokens: int = 4096) -> AccessTokenVerifier:
    return AccessTokenVerifier(
        issuer=ISSUER, resource=RESOURCE, keys=keys, clock=clock or Clock(NOW), remembered_tokens=remembered_tokens
    )


def verify(verifier: AccessTokenVerifier, token: str) -> AccessToken:
    return asyncio.run(verifier.verify(token))


def find_reason(verifier: AccessTokenVerifier, token: str) -> str:
    with pytest.raises(BearerError) as caught:
        verify(verifier, token)
    assert caught.value.status == 401
    return caught.value.reason


def test_a_good_token_is_read_and_remembered() -> None:
    verifier = build_verifier(TurningKeys(KEY))
    token = sign()
    first = verify(verifier, token)
    assert (first.subject, first.client_id, first.scope) == ("person", "https://client.example/client.json", ("read",))
    assert all(verify(verifier, token) is first for _ in range(10))  # each verification would build another


def test_a_remembered_token_expires_like_any_other() -> None:
    clock = Clock(NOW)
    verifier = build_verifier(TurningKeys(KEY), clock)
    token = sign()
    verify(verifier, token)
    clock.now = NOW + 300 + 9
    assert verify(verifier, token).expires_at == NOW + 300  # by the leeway, and judged anew
    clock.now = NOW + 300 + 10
    assert find_reason(verifier, token) == "token.expired"


def test_a_token_of_a_withdrawn_key_is_refused_although_it_was_remembered() -> None:
    keys = TurningKeys(KEY)
    verifier = build_verifier(keys)
    token = sign()
    verify(verifier, token)
    keys.now = KeySet.from_jwks(publish_keys([SigningKey.generate()]))
    assert find_reason(verifier, token) == "token.unknown_key"


def test_a_new_key_is_asked_for_once_and_only_for_an_unknown_kid() -> None:
    other = SigningKey.generate()
    keys = TurningKeys(KEY)
    keys.next = KeySet.from_jwks(publish_keys([KEY, other]))
    verifier = build_verifier(keys)
    assert find_reason(verifier, sign()[:-8] + "AAAAAAAA") == "token.wrong_signature"
    assert keys.reloads == 0
    assert verify(verifier, sign(other)).subject == "person"
    assert keys.reloads == 1
    assert find_reason(verifier, sign(SigningKey.generate())) == "token.unknown_key"
    assert keys.reloads == 2


def test_only_so_many_tokens_are_remembered_and_the_least_used_go_first() -> None:
    keys = TurningKeys(KEY)
    verifier = build_verifier(keys, remembered_tokens=2)
    tokens = [sign(jti=str(index)) for index in range(3)]
    first, second, _ = (verify(verifier, token) for token in (tokens[0], tokens[1], tokens[0]))
    verify(verifier, tokens[2])
    assert verify(verifier, tokens[0]) is first
    assert verify(verifier, tokens[1]) is not second


def test_a_refused_token_is_not_remembered() -> None:
    clock = Clock(NOW - 1000)
    verifier = build_verifier(TurningKeys(KEY), clock)
    token = sign()
    assert find_reason(verifier, token) == "token.not_yet_valid"
    clock.now = NOW
    assert verify(verifier, token).jti == "id"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "token.malformed"),
        ("tökén", "token.malformed"),
        ("\ud800", "token.malformed"),
        ("a.b.c", "token.malformed"),
        ("a" * 20_000, "token.oversized"),
        (sign(typ="JWT"), "token.wrong_type"),
        (sign(typ="client-authentication+jwt"), "token.wrong_type"),
        (sign(SigningKey.generate()), "token.unknown_key"),
        (sign(iss="https://other.example"), "token.wrong_issuer"),
        (sign(aud="https://other.example"), "token.wrong_audience"),
        (sign(sub=None), "token.claim_invalid"),
    ],
)
def test_a_refusal_says_why(token: str, reason: str) -> None:
    assert find_reason(build_verifier(TurningKeys(KEY)), token) == reason


def test_keys_that_cannot_be_used_are_refused_at_the_start() -> None:
    documents: list[dict[str, object]] = [{}, {"keys": []}, {"keys": [{"kty": "oct", "k": "AAAA"}]}]
    for jwks in documents:
        with pytest.raises(ConfigurationError) as caught:
            StaticKeys(jwks)
        assert caught.value.setting == "keys"


def test_static_keys_never_change() -> None:
    async def run() -> None:
        keys = StaticKeys(publish_keys([KEY]))
        assert await keys.load() is await keys.reload()
        await keys.aclose()

    asyncio.run(run())
