"""Tool calls: whatever a message's body is, every reader's tool is in what we found, or we did not judge the body.

The other readers take the first or the last of two members, ignore the case of members, and guess the encoding; one is
the reader that pydantic has, through which MCP servers read messages.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress

import pydantic_core

from nameplate.resource.tool_calls import find_called_tools

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b'"method":"tools/call"', b'"params":', b'"name":"add"', b"tools/call", b"tools\\/call", b"\\u0074ools/call"),
    *(b"[", b'"Method":', b'"Params":', b'"NAME":', b'"param\xc5\xbf":', b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"{"),
    *(b"}", b"]", b'"jsonrpc":"2.0"', b"null", b"NaN", b"\\ud800", b","),
    *(b'{"method":"tools/call","params":{"name":"add"}}', b"\xff"),
)

_Pairs = list[tuple[str, object]]


def _keep_first(pairs: _Pairs) -> dict[str, object]:
    return dict(reversed(pairs))


def _ignore_case(pairs: _Pairs) -> dict[str, object]:
    return {name.casefold(): value for name, value in pairs}


def _ignore_case_and_keep_first(pairs: _Pairs) -> dict[str, object]:
    return _ignore_case(pairs[::-1])


_HOOKS: tuple[Callable[[_Pairs], dict[str, object]], ...] = (
    dict,
    _keep_first,
    _ignore_case,
    _ignore_case_and_keep_first,
)


def check(data: bytes) -> None:
    """Try one body."""
    found = find_called_tools(data)
    if found is None:
        return
    assert all(found)
    for value in _read_otherwise(data):
        seen = set(_find_calls(value))
        assert seen <= found, f"another reader sees {seen - found}"


def _read_otherwise(data: bytes) -> Iterator[object]:
    for hook in _HOOKS:
        with suppress(ValueError, RecursionError):
            # With a byte order mark, too: some readers skip it.
            yield json.loads(data.removeprefix(b"\xef\xbb\xbf"), object_pairs_hook=hook)
    with suppress(ValueError):
        yield pydantic_core.from_json(data)


def _find_calls(value: object) -> Iterator[str]:
    for message in value if isinstance(value, list) else [value]:
        if isinstance(message, dict) and message.get("method") == "tools/call":
            params = message.get("params")
            yield str(params.get("name")) if isinstance(params, dict) else ""
