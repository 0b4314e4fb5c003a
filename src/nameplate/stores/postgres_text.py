"""Texts and rows between us and PostgreSQL, whose ``text`` cannot hold U+0000, while a peer's ``state`` may."""

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["Row", "pack_value", "unpack_row"]

Row = tuple[Any, ...]

# U+0000 is written as U+0001 0, and U+0001 itself as U+0001 1, so that different texts stay different: the database
# compares them as they are written.
_MARKED = re.compile("\x01([01])")


def pack_value(value: object) -> object:
    """A value of a statement, as it goes to the server."""
    if isinstance(value, str):
        if "\0" in value or "\x01" in value:
            return value.replace("\x01", "\x011").replace("\0", "\x010")
        return value
    return [pack_value(each) for each in value] if isinstance(value, tuple | list) else value


def unpack_row(record: Iterable[object]) -> Row:
    """A row as it came from the server. Arrays become tuples."""
    return tuple(_unpack(value) for value in record)


def _unpack(value: object) -> object:
    if isinstance(value, str):
        return _MARKED.sub(_restore, value) if "\x01" in value else value
    return unpack_row(value) if isinstance(value, list) else value


def _restore(found: re.Match[str]) -> str:
    return "\0" if found[1] == "0" else "\x01"
