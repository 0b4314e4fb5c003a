"""Values that must never be printed, and the hash under which bearer values are kept."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from nameplate.secret import Secret, hash_bearer_value


def test_no_way_of_printing_a_secret_shows_it() -> None:
    secret = Secret("hunter22")
    shown = f"{secret} {secret!r} {[secret]} {secret:}" + "%s" % secret  # noqa: UP031  (one of the ways)
    assert "hunter22" not in shown
    assert secret.reveal() == "hunter22"


@given(st.text(st.characters()), st.text(st.characters()))
def test_two_secrets_are_equal_when_their_texts_are(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) is (one == other)
    assert len({Secret(one), Secret(other)}) == len({one, other})
    assert Secret(one) != one


@given(st.text(st.characters()))
def test_any_text_has_a_hash_of_32_bytes(value: str) -> None:
    assert hash_bearer_value(value) == sha256(value.encode(errors="surrogatepass")).digest()
