"""Scopes: any text is a list of tokens, or none; what is chosen of them comes from nowhere else.

The lines: what is requested, what the resource offers, and what the client's document says (where there is a third).
"""

from fuzz.inputs import read_lines
from nameplate.protocol.scope import OFFLINE_ACCESS, build_scope, choose_scope, is_scope_token, parse_scope

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"offline_access", b"notes:read", b"notes:write", b" ", b"  ", b"\n", b'"', b"\\", b"\t", b"\xc2\xa0"),
    *(b"openid",),
)


def check(data: bytes) -> None:
    """Try one request for scopes."""
    lines = [parse_scope(line) for line in read_lines(data)[:3]]
    for scope in lines:
        if scope is not None:
            assert all(map(is_scope_token, scope))
            assert len(set(scope)) == len(scope)
            assert parse_scope(build_scope(scope)) == scope
    requested, offered, document = (*lines, None, None)[:3]
    chosen = choose_scope(requested, offered=offered or (), document_scope=document)
    if chosen is None:
        return
    assert set(chosen) <= {*(offered or ()), *(requested or ())}
    assert set(chosen) <= {*(offered or ()), OFFLINE_ACCESS}
    assert document is None or set(chosen) <= set(document)
    if requested and set(requested) != {OFFLINE_ACCESS}:
        assert set(chosen) <= set(requested)
