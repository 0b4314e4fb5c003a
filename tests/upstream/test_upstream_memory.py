"""What is remembered while somebody is at the provider: taken back only as it was written, and at the same provider."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import UpstreamError
from nameplate.upstream.memory import Memory

MEMORY = Memory(
    name="company",
    state="state",
    begun_at=1_800_000_000,
    nonce="nonce",
    verifier="v" * 43,
    max_age_seconds=0,
    resource="https://mcp.example.com/mcp",
)
EMPTY = Memory(
    name="company", state="state", begun_at=0, nonce=None, verifier=None, max_age_seconds=None, resource=None
)
MISSING = object()


@pytest.mark.parametrize("memory", [MEMORY, EMPTY])
def test_what_was_written_is_read(memory: Memory) -> None:
    assert Memory.from_json(memory.to_json(), name="company") == memory


def test_it_does_not_show_what_it_holds() -> None:
    for hidden in ("'state'", "'nonce'", "vvv"):
        assert hidden not in repr(MEMORY)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"name": MISSING},
        {"name": None},
        *({"state": value} for value in ("", MISSING, None, 7)),
        *({"begun_at": value} for value in (MISSING, None, "0", 1.5)),
        *({"nonce": value} for value in (MISSING, 7)),
        *({"verifier": value} for value in (MISSING, 7, "", "v" * 42, "v" * 42 + "!")),
        *({"max_age_seconds": value} for value in (MISSING, "0")),
        *({"resource": value} for value in (MISSING, 7)),
    ],
    ids=lambda changes: str({name: "missing" if value is MISSING else value for name, value in changes.items()}),
)
def test_what_was_changed_is_refused(changes: dict[str, Any]) -> None:
    members = {**json.loads(MEMORY.to_json()), **changes}
    data = json.dumps({name: value for name, value in members.items() if value is not MISSING}).encode()
    with pytest.raises(UpstreamError) as caught:
        Memory.from_json(data, name="company")
    assert (caught.value.code, caught.value.reason) == ("server_error", "upstream.memory")
    assert "vvv" not in str(caught.value)


@given(st.binary(max_size=64))
def test_whatever_else_comes_was_not_ours(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        Memory.from_json(data, name="company")
