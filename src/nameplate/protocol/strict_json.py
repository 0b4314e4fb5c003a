"""One JSON object out of hostile bytes, by RFC 8259 and I-JSON (RFC 7493), with nothing left open to interpretation."""

import json
import re

from nameplate.protocol.fault import Fault, build_quotation
from nameplate.protocol.limits import DOCUMENT_NESTING

__all__ = ["is_nested_too_deep", "read_json_object"]

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
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
        names = [name for name, _ in pairs]
        repeated = build_quotation(next(name for name in names if names.count(name) > 1))
        raise _FaultFoundError(Fault(reason="duplicate_member", problem=f"the member {repeated} appears twice"))
    return members


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
    deep nesting, lone surrogates, anything but one object. RFC 8259 §8.1, RFC 7493 §2.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        return Fault(reason="not_json", problem="begins with a byte order mark, which RFC 8259 §8.1 forbids")
    if is_nested_too_deep(body):
        return Fault(reason="nesting", problem=f"arrays and objects lie more than {DOCUMENT_NESTING} deep")
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
    brackets = _STRING.sub(b"", body).translate(_AS_SQUARE, _NO_BRACKETS)
    for _ in range(DOCUMENT_NESTING):
        brackets = brackets.replace(b"[]", b"")  # the innermost pairs: one level less
    # Pairs are left where it was deeper; brackets that nobody closes are the parser's business while they are few.
    return b"[]" in brackets or brackets.count(b"[") > DOCUMENT_NESTING


def _is_encodable(value: object) -> bool:
    """Whether every text in the value is Unicode; an escape such as \\ud800 alone is not (RFC 7493 §2.1)."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
