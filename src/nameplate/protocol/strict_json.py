"""One JSON object out of hostile bytes, by RFC 8259 and I-JSON (RFC 7493), with nothing left open to interpretation."""

import json
from collections.abc import Iterator

from nameplate.protocol.fault import Fault, build_quotation
from nameplate.protocol.limits import DOCUMENT_NESTING, DOCUMENT_VALUES, OBJECT_MEMBERS

__all__ = ["is_nested_too_deep", "read_json_object"]

_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class _FaultFoundError(Exception):
    """Carries a fault out of the decoder's hooks."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


def _build_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):  # RFC 7493 §2.3: parsers differ in which one they keep
        repeated = build_quotation(_find_repeated(name for name, _ in pairs))
        raise _FaultFoundError(Fault(reason="duplicate_member", problem=f"the member {repeated} appears twice"))
    if len(pairs) > OBJECT_MEMBERS:
        raise _FaultFoundError(
            Fault(reason="too_many_members", problem=f"an object has more than {OBJECT_MEMBERS} members")
        )
    return members


def _find_repeated(names: Iterator[str]) -> str:
    """The first name that comes a second time. A set, because counting each would take a second for 64 KiB (DO-03)."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("no name comes twice")


def _build_float(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise _FaultFoundError(Fault(reason="number", problem="a number is too large"))
    return number


def _refuse_constant(name: str) -> object:
    raise _FaultFoundError(Fault(reason="number", problem=f"{name} is not JSON"))


_DECODER = json.JSONDecoder(
    object_pairs_hook=_build_object, parse_float=_build_float, parse_constant=_refuse_constant, strict=True
)


def read_json_object(body: bytes) -> dict[str, object] | Fault:
    """The members of the JSON object that the bytes are, or what is wrong with them.

    Refused: other encodings than UTF-8, a byte order mark, duplicate members at any depth, NaN and infinite numbers,
    deep nesting, more than a document ever needs, lone surrogates, anything but one object. RFC 8259 §8.1, RFC 7493 §2.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        return Fault(reason="not_json", problem="begins with a byte order mark, which RFC 8259 §8.1 forbids")
    if is_nested_too_deep(body):
        return Fault(reason="nesting", problem=f"arrays and objects lie more than {DOCUMENT_NESTING} deep")
    if _holds_too_much(body):
        return Fault(reason="too_many_members", problem=f"holds more than {DOCUMENT_VALUES} values")
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        return Fault(reason="encoding", problem="is not UTF-8")
    except ValueError as error:
        return Fault(reason="not_json", problem=f"is not JSON: {str(error)[:80]}")
    except _FaultFoundError as error:
        return error.fault
    if not isinstance(value, dict):
        return Fault(reason="not_object", problem="is not a JSON object")
    if b"\\u" in body and not _is_encodable(value):
        return Fault(reason="encoding", problem="contains half of a surrogate pair")
    return value


def is_nested_too_deep(body: bytes) -> bool:
    """Whether arrays and objects lie more than ``DOCUMENT_NESTING`` deep.

    Counted before parsing, so that no recursion limit is met (it differs from Python to Python), and without a loop
    over the bytes.
    """
    if body.count(b"[") + body.count(b"{") <= DOCUMENT_NESTING:
        return False
    brackets = _without_strings(body).translate(_AS_SQUARE, _NO_BRACKETS)
    for _ in range(DOCUMENT_NESTING):
        if b"[]" not in brackets:
            break
        brackets = brackets.replace(b"[]", b"")  # the innermost pairs: one level less
    # Pairs are left where it was deeper; brackets that nobody closes are the parser's business while they are few.
    return b"[]" in brackets or brackets.count(b"[") > DOCUMENT_NESTING


def _without_strings(body: bytes) -> bytes:
    """What stands outside of strings, as far as the body is JSON."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(body.split(b'"')[::2])


def _holds_too_much(body: bytes) -> bool:
    """Whether there are more members, entries, arrays and objects than ``DOCUMENT_VALUES``; each costs a call."""

    def count(text: bytes) -> int:
        return text.count(b",") + text.count(b"[") + text.count(b"{")

    return count(body) > DOCUMENT_VALUES and count(_without_strings(body)) > DOCUMENT_VALUES


def _is_encodable(value: object) -> bool:
    """Whether every text in the value is Unicode; an escape such as \\ud800 alone is not (RFC 7493 §2.1)."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
