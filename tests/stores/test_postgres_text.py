"""Texts survive the way into PostgreSQL and back, U+0000 included, and stay as different as they were."""

from hypothesis import given
from hypothesis import strategies as st

from nameplate.stores.postgres_text import pack_value, unpack_row

TEXTS = st.text(alphabet=st.sampled_from("\0\x01\x0201a"), max_size=12)


@given(TEXTS, TEXTS)
def test_different_texts_are_written_differently_and_read_back(one: str, other: str) -> None:
    packed = pack_value(one)
    assert isinstance(packed, str)
    assert "\0" not in packed
    assert unpack_row([packed]) == (one,)
    assert (packed == pack_value(other)) == (one == other)


@given(st.lists(TEXTS))
def test_so_are_texts_in_an_array(texts: list[str]) -> None:
    packed = pack_value(tuple(texts))
    assert unpack_row([packed, 1, None, b"\0\x01", "a"]) == (tuple(texts), 1, None, b"\0\x01", "a")
