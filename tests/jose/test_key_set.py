"""A key set believes a token only if one of its own keys signed it, for what that key is for."""

import base64
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from forging import CLAIMS, EC_KEY, ED25519_KEY, RSA_KEY, build_token, publish, sign_with
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey

from nameplate.jose import SIGNATURE_ALGORITHMS, KeySet, Refused, UnknownKey, Verified
from nameplate.jose.compact import TOKEN_BYTES, encode_base64url
from nameplate.jose.key_set import KEY_SET_ENTRIES

TYP = frozenset({"at+jwt"})
HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": "one"}
KEYS = KeySet.from_jwks({"keys": [publish(EC_KEY, kid="one")]})
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


def verify(token: str, keys: KeySet = KEYS) -> Verified | UnknownKey | Refused:
    return keys.verify(token, typ=TYP)


def test_a_good_token_gives_its_claims() -> None:
    assert verify(sign_with(EC_KEY, HEADER)) == Verified(CLAIMS)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (EC_KEY, "ES256"),
        (ECKey.generate_key("P-384"), "ES384"),
        (ECKey.generate_key("P-521"), "ES512"),
        (RSA_KEY, "RS256"),
        (RSA_KEY, "RS512"),
        (RSA_KEY, "PS256"),
        (ED25519_KEY, "EdDSA"),
        (ED25519_KEY, "Ed25519"),
    ],
)
def test_every_asymmetric_algorithm_is_verified(key: Any, alg: str) -> None:
    keys = KeySet.from_jwks({"keys": [publish(key, kid="one")]})
    header = {**HEADER, "alg": alg}
    assert verify(sign_with(key, header, alg=alg), keys) == Verified(CLAIMS)
    assert verify(sign_with(key, header, b"other", alg=alg).replace("b3RoZXI", "b3RoZXA"), keys) == Refused("signature")


@pytest.mark.parametrize(
    ("key", "alg"), [(EC_KEY, "ES256"), (RSA_KEY, "RS256"), (RSA_KEY, "PS256"), (ED25519_KEY, "EdDSA")]
)
def test_a_signature_of_any_length_is_just_wrong(key: Any, alg: str) -> None:
    keys = KeySet.from_jwks({"keys": [publish(key, kid="one")]})
    for length in (1, 32, 63, 64, 65, 128, 255, 256, 257, 4096):
        for byte in (b"\x00", b"\x01", b"\xff"):
            token = build_token({**HEADER, "alg": alg}, CLAIMS, byte * length)
            assert verify(token, keys) == Refused("signature")


# JA-01


@pytest.mark.proves("MCP-37")
@pytest.mark.parametrize(
    "alg", ["none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "ES256K", "es256", None, 1, []]
)
def test_an_algorithm_that_proves_nothing_is_refused(alg: object) -> None:
    assert verify(build_token({**HEADER, "alg": alg}, CLAIMS, b"x")) == Refused("algorithm")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a",
        "a.b",
        "a.b.",
        ".b.c",
        "a..c",
        "a.b.c.d",
        "a.b.c.d.e",
        "e30.e30.",
        " e30.e30.e30",
        "e30.e30.e30\n",
    ],
)
def test_three_parts_are_needed_and_none_may_be_empty(token: str) -> None:
    assert verify(token) == Refused("malformed")


@pytest.mark.proves("MCP-37")
def test_an_unsigned_token_is_refused_although_its_header_names_a_good_algorithm() -> None:
    token = sign_with(EC_KEY, HEADER)
    assert verify(token.rpartition(".")[0] + ".") == Refused("malformed")


# JA-02


@pytest.mark.parametrize(
    "secret",
    [
        json.dumps(publish(EC_KEY, kid="one")).encode(),
        EC_KEY.as_pem(private=False),
        EC_KEY.as_der(private=False),
        base64.b64encode(EC_KEY.as_der(private=False)),
    ],
    ids=["jwk", "pem", "der", "base64"],
)
def test_a_public_key_is_no_hmac_secret(secret: bytes) -> None:
    unsigned = build_token({**HEADER, "alg": "HS256"}, CLAIMS, b"x").rpartition(".")[0]
    token = f"{unsigned}.{encode_base64url(hmac.digest(secret, unsigned.encode(), 'sha256')).decode()}"
    assert KEYS.verify(token, typ=TYP, algorithms=SIGNATURE_ALGORITHMS | {"HS256", "none"}) == Refused("algorithm")


def test_the_key_decides_the_algorithm() -> None:
    keys = KeySet.from_jwks({"keys": [publish(RSA_KEY, kid="one"), publish(EC_KEY, kid="two", alg="ES256")]})
    assert verify(build_token({**HEADER, "alg": "ES256"}, CLAIMS, b"x" * 64), keys) == Refused("key")
    assert verify(build_token({**HEADER, "alg": "RS256", "kid": "two"}, CLAIMS, b"x" * 64), keys) == Refused("key")


def test_a_key_for_one_algorithm_verifies_no_other() -> None:
    keys = KeySet.from_jwks({"keys": [publish(RSA_KEY, kid="one", alg="RS256")]})
    assert verify(sign_with(RSA_KEY, {**HEADER, "alg": "PS256"}, alg="PS256"), keys) == Refused("key")


def test_the_caller_can_narrow_the_algorithms() -> None:
    assert KEYS.verify(sign_with(EC_KEY, HEADER), typ=TYP, algorithms={"RS256"}) == Refused("algorithm")


# JA-03, JA-05


@pytest.mark.parametrize(
    "member",
    [
        {"jwk": publish(EC_KEY)},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/chain"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
    ],
)
def test_a_header_that_brings_a_key_or_an_extension_is_refused(member: dict[str, Any]) -> None:
    assert verify(sign_with(EC_KEY, {**HEADER, **member})) == Refused("header")


def test_an_encrypted_token_is_refused_without_work() -> None:
    header = encode_base64url(b'{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647}').decode()
    assert verify(f"{header}.a.b.c.d") == Refused("malformed")


# JA-04


@pytest.mark.parametrize(
    "kid", ["", "ONE", "one ", "../../one", "one' OR '1'='1", "one\x00", "../../../dev/null", "o" * 9000]
)
def test_a_kid_means_a_key_of_exactly_that_name(kid: str) -> None:
    assert verify(sign_with(EC_KEY, {**HEADER, "kid": kid})) == UnknownKey(kid)


@pytest.mark.parametrize("kid", [1, True, ["one"], {"one": 1}])
def test_a_kid_that_is_no_text_is_refused(kid: object) -> None:
    assert verify(sign_with(EC_KEY, {**HEADER, "kid": kid})) == Refused("key")


def test_a_token_without_kid_means_the_only_key() -> None:
    token = sign_with(EC_KEY, {"typ": "at+jwt", "alg": "ES256"})
    assert verify(token) == Verified(CLAIMS)
    assert verify(token, KeySet.from_jwks({"keys": [publish(EC_KEY)]})) == Verified(CLAIMS)
    assert verify(token, KeySet.from_jwks({"keys": [publish(EC_KEY, kid="one"), publish(RSA_KEY)]})) == Refused("key")
    assert verify(token, KeySet.from_jwks({"keys": []})) == Refused("key")


def test_keys_that_share_a_kid_are_not_used() -> None:
    keys = KeySet.from_jwks({"keys": [publish(EC_KEY, kid="one"), publish(ECKey.generate_key(), kid="one")]})
    assert verify(sign_with(EC_KEY, HEADER), keys) == UnknownKey("one")
    assert keys.problems == ("kid 'one': shared by 2 keys",)


# JA-06


def test_signatures_of_zeros_and_of_the_order_are_refused() -> None:
    for r, s in [(0, 0), (0, 1), (1, 0), (ORDER, ORDER), (ORDER, 1), (2**256 - 1, 2**256 - 1)]:
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert verify(build_token(HEADER, CLAIMS, signature)) == Refused("signature")


def test_a_signature_in_another_form_is_refused() -> None:
    token = sign_with(EC_KEY, HEADER)
    signing_input, _, _ = token.rpartition(".")
    private_key = EC_KEY.private_key
    assert private_key is not None
    der = private_key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    plain = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    for wrong in (der, plain + b"\x00", b"\x00" + plain, plain[:-1], plain[:32]):
        assert verify(f"{signing_input}.{encode_base64url(wrong).decode()}") == Refused("signature")
    assert verify(f"{signing_input}.{encode_base64url(plain).decode()}") == Verified(CLAIMS)


def test_a_key_of_another_curve_is_not_used_for_the_algorithm() -> None:
    key = ECKey.generate_key("P-384")
    keys = KeySet.from_jwks({"keys": [publish(key, kid="one")]})
    assert verify(sign_with(key, HEADER, alg="ES384"), keys) == Refused("key")


def test_a_pss_signature_is_no_pkcs1_signature() -> None:
    keys = KeySet.from_jwks({"keys": [publish(RSA_KEY, kid="one")]})
    assert verify(sign_with(RSA_KEY, {**HEADER, "alg": "RS256"}, alg="PS256"), keys) == Refused("signature")


def test_a_pkcs1_signature_with_rubbish_in_its_padding_is_refused() -> None:
    """Bleichenbacher's forgery for e=3: only the start of the padded block is right."""
    key = rsa.generate_private_key(public_exponent=3, key_size=2048)
    numbers = key.public_key().public_numbers()
    keys = KeySet.from_jwks(
        {
            "keys": [
                {
                    "kty": "RSA",
                    "kid": "one",
                    "n": encode_base64url(numbers.n.to_bytes(256, "big")).decode(),
                    "e": encode_base64url(b"\x03").decode(),
                }
            ]
        }
    )
    header = {**HEADER, "alg": "RS256"}
    unsigned = build_token(header, CLAIMS, b"x").rpartition(".")[0]
    digest = hashes.Hash(hashes.SHA256())
    digest.update(unsigned.encode())
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest.finalize()
    block = int.from_bytes(b"\x00\x01\xff\x00" + info + b"\xff" * (256 - 4 - len(info)), "big")
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= block else (low, middle - 1)
    forged = low.to_bytes(256, "big")
    assert pow(low, 3, numbers.n).to_bytes(256, "big")[: 4 + len(info)] == b"\x00\x01\xff\x00" + info
    assert verify(f"{unsigned}.{encode_base64url(forged).decode()}", keys) == Refused("signature")
    good = key.sign(unsigned.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert verify(f"{unsigned}.{encode_base64url(good).decode()}", keys) == Verified(CLAIMS)


# JA-11, RS-03


@pytest.mark.proves("AT-2")
@pytest.mark.parametrize("typ", ["JWT", "client-authentication+jwt", "AT+JWT", "id+jwt", "", None, 1, ["at+jwt"]])
def test_a_token_of_another_type_is_refused(typ: object) -> None:
    assert verify(sign_with(EC_KEY, {**HEADER, "typ": typ})) == Refused("type")


def test_an_untyped_token_passes_where_the_caller_allows_it() -> None:
    token = sign_with(EC_KEY, {"alg": "ES256", "kid": "one"})
    assert verify(token) == Refused("type")
    assert KEYS.verify(token, typ={"", "client-authentication+jwt"}) == Verified(CLAIMS)


# Reading


def test_a_token_longer_than_the_cap_is_refused_before_it_is_read() -> None:
    assert verify("a" * (TOKEN_BYTES + 1)) == Refused("oversized")
    assert verify("a" * TOKEN_BYTES) == Refused("malformed")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b'"ES256"',
        b"null",
        b"{",
        b'{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"one"}',
        b'\xef\xbb\xbf{"alg":"ES256","typ":"at+jwt","kid":"one"}',
        '{"alg":"ES256","typ":"at+jwt","kid":"one"}'.encode("utf-16"),
        b'{"alg":"ES256","typ":"at+jwt","kid":"\xff"}',
        b'{"alg":"ES256","typ":"at+jwt","kid":"\\ud800"}',
        b'{"alg":"ES256","typ":"at+jwt","kid":"one","n":NaN}',
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_a_header_that_is_no_strict_json_object_is_refused(header: bytes) -> None:
    assert verify(sign_with(EC_KEY, header)) == Refused("malformed")


@pytest.mark.parametrize(
    "payload", [b"[]", b"1", b"null", b"{", b'{"exp":1,"exp":2}', b'{"exp":Infinity}', b"not json", b'{"a":"\xff"}']
)
def test_a_payload_that_is_no_strict_json_object_is_refused(payload: bytes) -> None:
    assert verify(sign_with(EC_KEY, HEADER, payload)) == Refused("claims")


def test_base64url_has_one_form_only() -> None:
    header, payload, signature = sign_with(EC_KEY, HEADER).split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(signature[-1])
    sibling = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last | 1]
    assert sibling != signature[-1]  # 64 bytes leave four bits of the last character without meaning
    for wrong in (signature[:-1] + sibling, signature + "==", signature + "=", signature[:-1] + "+"):
        assert verify(f"{header}.{payload}.{wrong}") == Refused("malformed")
    assert verify(f"{header}=.{payload}.{signature}") == Refused("malformed")


@given(st.text(max_size=200) | st.text(alphabet="eyJ.A-_=", max_size=200))
def test_no_text_verifies_or_breaks_anything(token: str) -> None:
    assert isinstance(verify(token), Refused)


@given(st.data())
def test_no_token_survives_a_changed_character(data: st.DataObject) -> None:
    token = sign_with(EC_KEY, HEADER)
    at = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters(max_codepoint=0x2FF).filter(lambda drawn: drawn != token[at]))
    assert not isinstance(verify(token[:at] + character + token[at + 1 :]), Verified)


# Building a set


def test_what_cannot_be_used_is_left_out_and_named() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key().public_numbers()
    n = encode_base64url(RSA_KEY.public_key.public_numbers().n.to_bytes(256, "big")).decode()
    entries: dict[str, Any] = {
        "not a JSON object": 1,
        "unknown kty": {"kty": "AKP", "kid": "pq"},
        "unknown crv": publish(ECKey.generate_key("secp256k1")),
        "unknown crv, or x is not text": publish(OKPKey.generate_key("X25519")),
        "a private or symmetric key, which is no secret any more": EC_KEY.as_dict(private=True),
        "x and y must be text": {"kty": "EC", "crv": "P-256", "x": 1, "y": "a"},
        "x and y must be base64url of the curve's size": {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
        "n and e must be text": {"kty": "RSA", "n": 1, "e": "AQAB"},
        "n and e must be base64url": {"kty": "RSA", "n": "!", "e": "AQAB"},
        "n must have 2048 to 8192 bits, a whole number of bytes": {
            "kty": "RSA",
            "n": encode_base64url(weak.n.to_bytes(128, "big")).decode(),
            "e": "AQAB",
        },
        "e is out of range": {"kty": "RSA", "n": n, "e": "AQ"},
        "x must be base64url of 32 bytes": {"kty": "OKP", "crv": "Ed25519", "x": "AQ"},
        "a point of small order, or written in a second way": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43},
        "kid and alg must be text": publish(EC_KEY, kid=1),
        "not for signatures by its use": publish(EC_KEY, use="enc"),
        "not for verifying by its key_ops": publish(EC_KEY, key_ops=["sign"]),
        "its alg does not fit the key": publish(EC_KEY, alg="RS256"),
    }
    keys = KeySet.from_jwks({"keys": [*entries.values(), publish(EC_KEY, kid="one", use="sig", key_ops=["verify"])]})
    assert len(keys) == 1
    assert keys.problems == tuple(f"keys[{index}]: {problem}" for index, problem in enumerate(entries))
    assert verify(sign_with(EC_KEY, HEADER), keys) == Verified(CLAIMS)


@pytest.mark.parametrize("jwk", [{"kty": "oct", "k": "AAAA"}, {"kty": "oct", "k": "AAAA", "alg": "HS256"}])
def test_a_symmetric_key_is_never_used(jwk: dict[str, Any]) -> None:
    assert len(KeySet.from_jwks({"keys": [jwk]})) == 0


def test_a_point_that_is_not_on_the_curve_is_left_out() -> None:
    x = encode_base64url(b"\x01" * 32).decode()
    keys = KeySet.from_jwks({"keys": [{"kty": "EC", "crv": "P-256", "x": x, "y": x}]})
    assert len(keys) == 0
    assert keys.problems[0].startswith("keys[0]: not a usable public key")


def multiply_by_eight(y: int) -> tuple[int, int]:
    """8 times the Edwards point of ordinate y (RFC 8032 §5.1)."""
    prime = 2**255 - 19
    d = -121665 * pow(121666, -1, prime) % prime
    square = (y * y - 1) * pow(d * y * y + 1, -1, prime) % prime
    x = pow(square, (prime + 3) // 8, prime)
    if (x * x - square) % prime:
        x = x * pow(2, (prime - 1) // 4, prime) % prime
    point = (x, y)
    for _ in range(3):
        a, b = point
        k = d * a * a * b * b % prime
        point = (2 * a * b * pow(1 + k, -1, prime) % prime, (b * b + a * a) * pow(1 - k, -1, prime) % prime)
    return point


def test_ed25519_points_of_small_order_are_left_out() -> None:
    prime = 2**255 - 19
    eighth = 2707385501144840649318225287225658788936804267575313519463743609750303402022
    for y in (0, 1, prime - 1, eighth, prime - eighth):
        assert multiply_by_eight(y) == (0, 1)
        for written in (y, y | 1 << 255, *([y + prime] if y + prime < 1 << 255 else [])):
            x = encode_base64url(written.to_bytes(32, "little")).decode()
            assert len(KeySet.from_jwks({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})) == 0


@pytest.mark.parametrize("document", [None, 1, "keys", [], {}, {"keys": None}, {"keys": {}}, {"keys": "one"}])
def test_a_document_that_is_no_key_set_gives_an_empty_one(document: object) -> None:
    keys = KeySet.from_jwks(document)
    assert len(keys) == 0
    assert keys.problems == ("not a JWK Set",)
    assert verify(sign_with(EC_KEY, HEADER), keys) == UnknownKey("one")


def test_a_set_of_too_many_keys_is_not_used() -> None:
    entries = [publish(EC_KEY, kid=str(index)) for index in range(KEY_SET_ENTRIES + 1)]
    assert len(KeySet.from_jwks({"keys": entries[:-1]})) == KEY_SET_ENTRIES
    assert len(KeySet.from_jwks({"keys": entries})) == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "k", "d", "kid", "use", "alg", "key_ops"])
VALUES = JSON | st.sampled_from(
    ["EC", "RSA", "OKP", "oct", "P-256", "Ed25519", "sig", "ES256", "AQAB", publish(EC_KEY)["x"]]
)


@given(st.lists(st.dictionaries(MEMBERS, VALUES) | JSON, max_size=3))
def test_no_document_breaks_a_key_set(entries: list[Any]) -> None:
    keys = KeySet.from_jwks({"keys": entries})
    assert len(keys) <= len(entries)
