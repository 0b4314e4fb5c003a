"""The JSON of a document: one object, read one way only."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.fault import Fault
from nameplate.protocol.limits import DOCUMENT_NESTING
from nameplate.protocol.strict_json import read_json_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.proves("CIMD-52")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b" ", "not_json"),
        (b"{", "not_json"),
        (b"{}x", "not_json"),
        (b"{}{}", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a": 1,}', "not_json"),
        (b'{"a": "\n"}', "not_json"),
        (b'{"a": "\\x"}', "not_json"),
        (b'{"a": 01}', "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "not_json"),
        (b"[]", "not_object"),
        (b'"a"', "not_object"),
        (b"1", "not_object"),
        (b"null", "not_object"),
        (b'{"a": "\xff"}', "encoding"),
        (b'{"a": "\xed\xa0\x80"}', "encoding"),
        ('{"a": 1}'.encode("utf-16"), "encoding"),
        ('{"a": 1}'.encode("utf-16-le"), "not_json"),
        ('{"a": 1}'.encode("utf-32-be"), "not_json"),
        (b'{"a": "\\ud800"}', "encoding"),
        (b'{"a": [{"\\udfff": 1}]}', "encoding"),
        (b'{"a": NaN}', "number"),
        (b'{"a": [-Infinity]}', "number"),
        (b'{"a": 1e999}', "number"),
        (b'{"a": -1e999}', "number"),
        (b'{"a": 1, "a": 1}', "duplicate_member"),
        (b'{"client_id": "x", "client\\u005fid": "y"}', "duplicate_member"),
        (b'{"a": [{"b": 1, "b": 2}]}', "duplicate_member"),
        (b"[" * 10_000, "nesting"),
        (b'{"a":' * 10 + b"[" * 10, "nesting"),
        (b'{"a": [' + b"[]," * 50, "not_json"),
        (b'{"a": [' + b"}{" * 50, "not_json"),
        (b'{"a":' * 10_000, "nesting"),
        (b'{"a":' + b"[" * DOCUMENT_NESTING + b"]" * DOCUMENT_NESTING + b"}", "nesting"),
        (b'{"a":"' + b"[" * 100 + b'","b":' + b"[" * 5000, "nesting"),
    ],
)
def test_what_is_no_unambiguous_object_is_refused(body: bytes, reason: str) -> None:
    fault = read_json_object(body)
    assert isinstance(fault, Fault)
    assert fault.reason == reason


@pytest.mark.parametrize(
    ("body", "members"),
    [
        (b"{}", {}),
        (b' {"a": 1}\n', {"a": 1}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a": "\\u0000"}', {"a": "\0"}),
        (b'{"a": "' + b"[{" * 50 + b'"}', {"a": "[{" * 50}),
        (b'{"a": "' + b'\\"[' * 50 + b'"}', {"a": '"[' * 50}),
        (b'{"a": [' + b"[]," * 50 + b"[]]}", {"a": [[]] * 51}),
        (b'{"a":' + b"[" * (DOCUMENT_NESTING - 1) + b"]" * (DOCUMENT_NESTING - 1) + b"}", None),
    ],
)
def test_an_object_is_read_as_it_stands(body: bytes, members: object) -> None:
    value = read_json_object(body)
    assert not isinstance(value, Fault)
    assert members is None or value == members


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_every_object_is_read_back(members: dict[str, object]) -> None:
    value = read_json_object(json.dumps(members).encode())
    assert value == members or isinstance(value, Fault)
    assert isinstance(value, dict) or value.reason in {"encoding", "nesting"}


@given(st.binary(max_size=200) | st.text(st.sampled_from('{}[]",:\\u0d8a1e'), max_size=60).map(str.encode))
def test_any_bytes_give_members_or_a_fault(body: bytes) -> None:
    value = read_json_object(body)
    if isinstance(value, Fault):
        assert value.problem.isprintable()
    else:
        json.dumps(value, ensure_ascii=False).encode()
