"""The kept answer to a refresh: only the token that bought it opens it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import StoreError
from nameplate.server.repeat_answer import TokenAnswer, open_answer, seal_answer

NOW = 1_800_000_000
TOKEN = "npr_presented"
ANSWER = TokenAnswer(
    access_token="eyJ.access.token",
    access_token_expires_at=NOW + 600,
    scope="notes:read",
    refresh_token="npr_successor",
)

texts = st.text(max_size=40)


@given(texts, st.integers(0, 2**40), texts, st.none() | texts, texts)
def test_what_was_sealed_opens_with_the_same_token(
    access_token: str, expires_at: int, scope: str, successor: str | None, presented: str
) -> None:
    answer = TokenAnswer(
        access_token=access_token, access_token_expires_at=expires_at, scope=scope, refresh_token=successor
    )
    assert open_answer(seal_answer(answer, presented), presented) == answer


@pytest.mark.parametrize("token", ["npr_presente", "npr_successor", "NPR_PRESENTED", ""])
def test_another_token_opens_nothing(token: str) -> None:
    with pytest.raises(StoreError):
        open_answer(seal_answer(ANSWER, TOKEN), token)


def test_whoever_reads_the_store_reads_no_token() -> None:
    sealed = seal_answer(ANSWER, TOKEN)
    assert b"npr_" not in sealed
    assert b"eyJ" not in sealed
    assert seal_answer(ANSWER, TOKEN) != sealed


@given(st.binary(max_size=80))
def test_any_other_bytes_in_the_store_are_a_store_error(stored: bytes) -> None:
    with pytest.raises(StoreError):
        open_answer(stored, TOKEN)


@given(st.data())
def test_no_bit_of_a_kept_answer_can_be_changed_or_lost(data: st.DataObject) -> None:
    sealed = seal_answer(ANSWER, TOKEN)
    at = data.draw(st.integers(0, len(sealed) - 1))
    bit = data.draw(st.integers(0, 7))
    for changed in (sealed[:at] + bytes([sealed[at] ^ 1 << bit]) + sealed[at + 1 :], sealed[:at], sealed + b"\0"):
        with pytest.raises(StoreError):
            open_answer(changed, TOKEN)


@pytest.mark.parametrize(("seconds", "left"), [(0, 600), (90, 510), (600, 0), (700, 0)])
def test_a_repeat_says_how_much_of_the_lifetime_is_left(seconds: int, left: int) -> None:
    assert ANSWER.build_body(NOW + seconds) == {
        "access_token": "eyJ.access.token",
        "token_type": "Bearer",
        "expires_in": left,
        "scope": "notes:read",
        "refresh_token": "npr_successor",
    }


def test_an_answer_without_a_refresh_token_does_not_name_one() -> None:
    answer = TokenAnswer(access_token="a", access_token_expires_at=NOW, scope="", refresh_token=None)
    assert "refresh_token" not in answer.build_body(NOW)


def test_no_token_is_printed_with_an_answer() -> None:
    assert "npr_" not in repr(ANSWER)
    assert "eyJ" not in repr(ANSWER)
