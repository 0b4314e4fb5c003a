"""JSON as two readers would both understand it (RFC 8259), for input that decides about access."""

import json

from nameplate.protocol.strict_json import is_nested_too_deep

__all__ = ["read_json"]


def _refuse_repeats(members: list[tuple[str, object]]) -> dict[str, object]:
    """RFC 8259 §4 leaves a repeated member to the reader: two readers, two meanings."""
    read = dict(members)
    if len(read) != len(members):
        raise ValueError("a member is repeated")
    return read


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")  # Python's reader would take NaN and Infinity


_decode = json.JSONDecoder(object_pairs_hook=_refuse_repeats, parse_constant=_refuse_constant).decode


def read_json(data: bytes) -> object:
    """The value, or None where the bytes are not strict JSON (or are JSON's null).

    Refused are repeated members, NaN and Infinity, anything but UTF-8, a byte order mark, half a surrogate pair,
    numbers of thousands of digits, and deep nesting.
    """
    if is_nested_too_deep(data):
        return None
    try:
        text = data.decode()
        value: object = _decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair would break whoever encodes it later
    except ValueError:
        return None
    return value
