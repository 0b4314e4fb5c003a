"""Snapshots of clients, as they lie in the store: any text is a client, or ``ClientMetadataError``.

What is read and written again is canonical: read once more it gives the same client and the same text.
"""

from fuzz.inputs import read_text
from nameplate.errors import ClientMetadataError
from nameplate.protocol.client_metadata import build_snapshot, parse_snapshot

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b'"client_id":"a"', b'"redirect_uris":["b"]', b'"client_name":', b'"scope":[]', b'"auth_methods":'),
    *(b'"jwks":"{}"', b'"grant_types":', b'"grant_types_listed":true', b'"warnings":[]', b"null", b"[]", b"{}"),
    *(b"1e999", b'"\\ud800"', b","),
)


def check(data: bytes) -> None:
    """Try one text."""
    try:
        client = parse_snapshot(read_text(data))
    except ClientMetadataError as error:
        assert error.reason == "document.snapshot"
        assert (error.member + error.rule).isascii()
        return
    snapshot = build_snapshot(client)
    assert snapshot.isascii()
    assert parse_snapshot(snapshot) == client
    assert build_snapshot(parse_snapshot(snapshot)) == snapshot
