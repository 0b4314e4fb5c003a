"""Strict JSON: any bytes are a value that every reader reads alike, or are not read.

Python's reader sees the same value, also one that keeps the first of two members instead of the last. An object that
the documents' reader takes is taken by the tokens' reader, too; written, it is read back as itself.
"""

import json

from nameplate.jose import read_json
from nameplate.protocol.fault import Fault
from nameplate.protocol.limits import DOCUMENT_NESTING
from nameplate.protocol.strict_json import read_json_object

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"{", b"}", b"[", b"]", b'"', b"\\", b":", b",", b'"a":', b"null", b"true", b"NaN", b"Infinity", b"-Infinity"),
    *(b"1e999", b"-0", b"0.1", b"1E-999", b"\\u0061", b"\\ud800", b"\\udc00", b"\xef\xbb\xbf", b"\xff", b"\x00"),
    *(b"[" * 20, b'{"a":' * 9),
)


def check(data: bytes) -> None:
    """Try one text."""
    value = read_json(data)
    if value is not None:
        _check_value(value, data)
    members = read_json_object(data)
    if isinstance(members, Fault):
        assert members.problem.isprintable()
        return
    assert members == value
    assert read_json_object(json.dumps(members, ensure_ascii=False, allow_nan=False).encode()) == members
    assert _measure_depth(members) <= DOCUMENT_NESTING


def _check_value(value: object, data: bytes) -> None:
    assert json.loads(data) == value
    assert json.loads(data, object_pairs_hook=lambda pairs: dict(reversed(pairs))) == value


def _measure_depth(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(_measure_depth, value.values()), default=0)
        case list():
            return 1 + max(map(_measure_depth, value), default=0)
    return 0
