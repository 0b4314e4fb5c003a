"""Snapshots: the client as a grant remembers it."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ClientMetadataError
from nameplate.protocol.client_metadata import ClientMetadata, build_snapshot, parse_snapshot

TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TUPLES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=3).map(tuple)
CLIENTS = st.builds(
    ClientMetadata,
    client_id=st.text(st.characters(exclude_categories=["Cs"])),
    redirect_uris=TUPLES,
    client_name=TEXTS,
    client_uri=TEXTS,
    logo_uri=TEXTS,
    tos_uri=TEXTS,
    policy_uri=TEXTS,
    grant_types=TUPLES,
    grant_types_listed=st.booleans(),
    response_types=TUPLES,
    scope=st.none() | TUPLES,
    auth_methods=TUPLES,
    auth_signing_alg=TEXTS,
    jwks=TEXTS,
    jwks_uri=TEXTS,
    contacts=TUPLES,
    software_id=TEXTS,
    software_version=TEXTS,
    application_type=TEXTS,
    warnings=TUPLES,
)


@given(CLIENTS)
def test_a_snapshot_read_back_is_the_client(client: ClientMetadata) -> None:
    snapshot = build_snapshot(client)
    assert parse_snapshot(snapshot) == client
    assert build_snapshot(parse_snapshot(snapshot)) == snapshot
    assert snapshot.isascii()


def test_warnings_are_no_part_of_a_snapshot() -> None:
    client = ClientMetadata(client_id="https://a.test/c", redirect_uris=("https://a.test/cb",))
    assert build_snapshot(client) == build_snapshot(dataclasses.replace(client, warnings=("scope: dropped",)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[" * 100_000,
        '{"client_id": "x"}',
        '{"client_id": 1, "redirect_uris": []}',
        '{"client_id": "x", "redirect_uris": "y"}',
        '{"client_id": "x", "redirect_uris": [1]}',
        '{"client_id": "x", "redirect_uris": [], "grant_types_listed": "yes"}',
        '{"client_id": "x", "redirect_uris": [], "warnings": []}',
        '{"client_id": "x", "redirect_uris": [], "other": 1}',
        '{"client_id": "x", "redirect_uris": [], "client_name": null}',
    ],
)
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ClientMetadataError) as caught:
        parse_snapshot(text)
    assert caught.value.reason == "document.snapshot"
