"""JSON that decides about access has one meaning."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.jose import read_json


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":1,"a":1}',
        b'[{"b":{"a":1,"\\u0061":2}}]',
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        b'"\xff"',
        b'"\\ud800"',
        b'{"\\udc00":1}',
        b"[" * 100_000,
        b"[" * 5000 + b"]" * 5000,
        b"9" * 5000,
        b'"\n"',
        b"null",
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_not_read(data: bytes) -> None:
    assert read_json(data) is None


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@given(VALUES, st.booleans())
def test_plain_json_is_read_as_everybody_reads_it(value: object, ensure_ascii: bool) -> None:
    assert read_json(json.dumps(value, ensure_ascii=ensure_ascii).encode()) == value


@given(st.binary(max_size=64) | st.text(alphabet='{}[]",:\\u0d8ef1', max_size=40).map(str.encode))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    read_json(data)


def test_a_number_beyond_all_bounds_is_read_as_infinite() -> None:
    assert read_json(b"1e999") == math.inf  # whoever wants an instant checks its range
