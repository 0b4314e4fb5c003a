"""No message can call a tool behind the back of whoever looks for its name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.resource.tool_calls import find_called_tools


def build_call(name: object = "add", **changes: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}, **changes}


def find(message: object) -> frozenset[str] | None:
    return find_called_tools(json.dumps(message).encode())


def test_the_called_tool_is_found_alone_and_in_a_batch() -> None:
    assert find(build_call("add")) == frozenset({"add"})
    assert find([build_call("add"), {"method": "ping"}, build_call("delete"), build_call("add")]) == frozenset(
        {"add", "delete"}
    )


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"name": "tools/call"}},
        {"jsonrpc": "2.0", "id": 1, "result": {"method": "tools/call"}},
        {"jsonrpc": "2.0", "method": "Tools/Call", "params": {"name": "add"}},
        [],
        {},
    ],
)
def test_other_messages_call_no_tool(message: object) -> None:
    assert find(message) == frozenset()


@pytest.mark.parametrize(
    "message",
    [
        build_call(1),
        build_call(None),
        build_call(""),
        build_call(["add"]),
        build_call(params=None),
        build_call(params=["add"]),
        build_call(params={}),
        build_call(params={"name": "list", "Name": "add"}),
        build_call(params={"NAME": "add"}),
        {"method": "ping", "Method": "tools/call", "params": {"name": "add"}},
        {"method": "tools/call", "params": {"name": "list"}, "Params": {"name": "add"}},
        {"method": "tools/call", "params": {"name": "list"}, "param\u017f": {"name": "add"}},
        [build_call("add"), 1],
        [[build_call("add")]],
    ],
)
def test_a_message_that_another_reader_might_read_as_a_call_is_not_judged(message: object) -> None:
    assert find(message) is None


CALL = json.dumps(build_call("add"))


@pytest.mark.parametrize(
    "body",
    [
        CALL.encode()[:-1],
        CALL.encode() + b",",
        CALL.encode("utf-16"),
        CALL.encode("utf-16-be"),
        CALL.encode("utf-32"),
        CALL.encode("utf-8-sig"),
        b" \t\r\n" + CALL.encode("utf-16-le"),
        CALL.replace("tools/call", "\\u0074ools/call").encode() + b"}",
        CALL.replace("tools/call", "tools\\/call").encode()[:-1],
        b'{"method":"ping","method":"tools/call","params":{"name":"add"}}',
        b'{"method":"tools/call","params":{"name":"list","name":"add"}}',
        b'{"method":"tools/call","params":{"name":"add","n":NaN}}',
        b'{"method":"tools/call","params":{"name":"add"}} // comment',
        b"{'method':'tools/call','params':{'name':'add'}}",
        b'{"method":"tools/call","x":' + b"[" * 10_000,
    ],
)
def test_a_call_that_cannot_be_read_strictly_is_not_judged(body: bytes) -> None:
    assert find_called_tools(body) is None


def test_escapes_do_not_hide_a_call() -> None:
    body = CALL.replace("tools/call", "\\u0074ools\\/call").replace("add", "\\u0061dd").encode()
    assert find_called_tools(body) == frozenset({"add"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{broken",
        b"[1, 2",
        b"hello tools/call",
        b"--boundary\r\ntools/call\x00\\",
        b"\x1f\x8b\x08tools/call",
        b"a=1&b=tools/call",
        b'"tools/call"',
    ],
)
def test_a_body_in_which_nobody_could_find_a_call_is_left_to_the_application(body: bytes) -> None:
    assert find_called_tools(body) == frozenset()


NAMES = st.sampled_from(["method", "params", "name", "Method", "id"])
VALUES = st.recursive(
    st.sampled_from(["tools/call", "add", "ping", 1, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
def test_no_call_is_overlooked(message: Any) -> None:
    """A reader that takes the message as it is finds no tool that was not found before."""
    found = find(message)
    for one in message if isinstance(message, list) else [message]:
        if isinstance(one, dict) and one.get("method") == "tools/call":
            params = one.get("params")
            name = params.get("name") if isinstance(params, dict) else None
            assert found is None or name in found


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: b'{"method":"tools/call"' + tail))
def test_no_body_breaks_the_search(body: bytes) -> None:
    found = find_called_tools(body)
    assert found is None or isinstance(found, frozenset)
