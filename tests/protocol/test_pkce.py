"""S256, and nothing but S256."""

import string
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.pkce import (
    CODE_CHALLENGE_METHODS,
    build_code_challenge,
    is_code_challenge,
    is_code_verifier,
    is_proof,
)

# RFC 7636, Appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

verifiers = st.text(string.ascii_letters + string.digits + "-._~", min_size=43, max_size=128)


def test_the_example_of_the_specification_is_proof() -> None:
    assert CODE_CHALLENGE_METHODS == ("S256",)
    assert build_code_challenge(VERIFIER) == CHALLENGE
    assert is_proof(VERIFIER, CHALLENGE)


@pytest.mark.proves("O21-2")
@pytest.mark.parametrize(
    "verifier",
    [
        "",
        VERIFIER[:-1],
        VERIFIER + "a",
        VERIFIER.swapcase(),
        CHALLENGE,
        VERIFIER + "\n",
        VERIFIER + "=",
        "a" * 42,
        "a" * 129,
        "ü" * 43,
        "\ud800" * 43,
    ],
)
def test_any_other_verifier_is_no_proof(verifier: str) -> None:
    assert not is_proof(verifier, CHALLENGE)


@pytest.mark.proves("O21-2", "O21-3")
def test_a_verifier_that_equals_the_challenge_is_no_proof_as_with_plain() -> None:
    assert not is_proof(CHALLENGE, CHALLENGE)


@pytest.mark.proves("O21-2")
@pytest.mark.parametrize("length", [42, 43, 128, 129])
def test_a_verifier_has_43_to_128_characters(length: int) -> None:
    assert is_code_verifier("a" * length) is (43 <= length <= 128)


@pytest.mark.parametrize("character", ["-", ".", "_", "~", "0", "Z"])
def test_every_unreserved_character_may_stand_in_a_verifier(character: str) -> None:
    assert is_code_verifier(character * 43)


@pytest.mark.parametrize("character", ["+", "/", "=", " ", "\n", "%", "ü", "\0"])
def test_no_other_character_may_stand_in_a_verifier(character: str) -> None:
    assert not is_code_verifier("a" * 43 + character)
    assert not is_code_verifier(character + "a" * 43)


@pytest.mark.parametrize(
    "text",
    [
        "",
        CHALLENGE[:-1],
        CHALLENGE + "A",
        CHALLENGE + "=",
        CHALLENGE + "\n",
        CHALLENGE[:-1] + "B",
        "." * 42 + "A",
        "ü" * 43,
    ],
)
def test_what_is_no_digest_is_no_challenge(text: str) -> None:
    assert not is_code_challenge(text)
    assert not is_proof(VERIFIER, text)


@given(st.binary(min_size=32, max_size=32))
def test_every_digest_is_a_challenge(digest: bytes) -> None:
    assert is_code_challenge(urlsafe_b64encode(digest).rstrip(b"=").decode())


@given(verifiers)
def test_every_verifier_proves_its_own_challenge(verifier: str) -> None:
    challenge = build_code_challenge(verifier)
    assert is_code_challenge(challenge)
    assert is_proof(verifier, challenge)
    assert not is_proof(verifier[::-1] + "x", challenge)


@given(st.text(st.characters(), max_size=150), st.text(st.characters(), max_size=50) | st.just(CHALLENGE))
def test_any_two_texts_are_judged_without_an_exception(verifier: str, challenge: str) -> None:
    assert not is_proof(verifier, challenge) or build_code_challenge(verifier) == challenge
    assert is_code_verifier(verifier) in (True, False)
