"""Our signing key writes what any JOSE reader reads, and gives its private part to nobody but the store."""

import json
from types import MappingProxyType

import pytest
from forging import RSA_KEY
from joserfc import jwk, jwt

from nameplate.errors import ConfigurationError
from nameplate.jose import KeySet, SigningKey, Verified


def test_another_reader_reads_what_we_sign() -> None:
    key = SigningKey.generate()
    token = key.sign({"sub": "somebody", "exp": 1, "text": "Grüße ✓"}, typ="at+jwt")
    read = jwt.decode(token, jwk.import_key(dict(key.public_jwk())), algorithms=["ES256"])
    assert read.header == {"typ": "at+jwt", "alg": "ES256", "kid": key.kid}
    assert read.claims == {"sub": "somebody", "exp": 1, "text": "Grüße ✓"}


def test_one_key_signs_several_types() -> None:
    key = SigningKey.generate()
    keys = KeySet.from_jwks({"keys": [key.public_jwk()]})
    for typ in ("at+jwt", "client-authentication+jwt", "at+jwt"):
        assert keys.verify(key.sign({"n": 1}, typ=typ), typ={typ}) == Verified({"n": 1})


def test_any_mapping_of_claims_is_signed() -> None:
    key = SigningKey.generate()
    keys = KeySet.from_jwks({"keys": [key.public_jwk()]})
    assert keys.verify(key.sign(MappingProxyType({"n": 1}), typ="JWT"), typ={"JWT"}) == Verified({"n": 1})


def test_the_kid_is_the_thumbprint_of_the_key() -> None:
    public = SigningKey.generate().public_jwk()
    assert public["kid"] == jwk.thumbprint({member: public[member] for member in ("kty", "crv", "x", "y")})


def test_the_published_key_has_no_private_part() -> None:
    assert set(SigningKey.generate().public_jwk()) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


def test_a_stored_key_comes_back_as_it_was() -> None:
    key = SigningKey.generate()
    again = SigningKey.from_private_jwk(key.private_jwk())
    assert (again.kid, again.public_jwk()) == (key.kid, key.public_jwk())
    assert json.loads(again.private_jwk()) == json.loads(key.private_jwk())
    keys = KeySet.from_jwks({"keys": [key.public_jwk()]})
    assert keys.verify(again.sign({"n": 1}, typ="JWT"), typ={"JWT"}) == Verified({"n": 1})


def test_a_key_without_kid_is_named_by_its_thumbprint_and_one_with_kid_keeps_it() -> None:
    key = SigningKey.generate()
    stored = json.loads(key.private_jwk())
    assert SigningKey.from_private_jwk(json.dumps({**stored, "kid": "mine"})).kid == "mine"
    del stored["kid"]
    assert SigningKey.from_private_jwk(json.dumps(stored)).kid == key.kid


def test_a_key_does_not_show_its_secret() -> None:
    key = SigningKey.generate()
    assert json.loads(key.private_jwk())["d"] not in f"{key!r} {key}"
    assert key.kid in repr(key)


def change(**members: object) -> str:
    return json.dumps({**json.loads(SigningKey.generate().private_jwk()), **members})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        json.dumps(SigningKey.generate().public_jwk()),
        json.dumps(RSA_KEY.as_dict(private=True)),
        change(crv="P-384"),
        change(d=1),
        change(d=""),
        change(d="!"),
        change(d=json.loads(SigningKey.generate().private_jwk())["d"]),  # of another key
        change(x="AQ"),
    ],
)
def test_a_damaged_key_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SigningKey.from_private_jwk(text)
    assert caught.value.setting == "signing_key"


def test_claims_that_are_not_json_are_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="JSON"):
        SigningKey.generate().sign({"n": float("nan")}, typ="JWT")
