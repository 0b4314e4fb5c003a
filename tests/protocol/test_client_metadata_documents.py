"""Documents of real clients, as they are, each with the request that its client sends."""

import json
from pathlib import Path

import pytest

from nameplate.errors import ClientMetadataError
from nameplate.protocol.client_id import parse_client_id
from nameplate.protocol.client_metadata import ClientMetadata, build_snapshot, parse_client_metadata, parse_snapshot
from nameplate.protocol.redirect_uri import match_redirect_uri

CLIENTS = Path(__file__).parents[1] / "vectors" / "clients"
INDEX = {entry["file"]: entry for entry in json.loads((CLIENTS / "index.json").read_text(encoding="utf-8"))}
KNOWN_IDS = json.loads((CLIENTS / "known_ids.json").read_text(encoding="utf-8"))

REFUSED_DOCUMENTS = {"mcpc-2026-04-no-client-id.json": "document.client_id_missing"}  # K26
REFUSED_REQUESTS = {"goose-2026-04.json"}  # localhost declared, 127.0.0.1 sent


def load(file: str) -> ClientMetadata:
    client_id = INDEX[file]["client_id"]
    assert parse_client_id(client_id).text == client_id
    return parse_client_metadata(client_id, (CLIENTS / file).read_bytes())


def is_matched(file: str, requested: str) -> bool:
    return match_redirect_uri(requested, load(file).redirect_uris) is not None


@pytest.mark.parametrize("file", sorted(INDEX.keys() - REFUSED_DOCUMENTS.keys()))
def test_a_real_document_is_accepted_with_the_request_its_client_sends(file: str) -> None:
    client = load(file)
    assert client.client_name
    assert parse_snapshot(build_snapshot(client)) == client
    assert is_matched(file, INDEX[file]["typical_authorization_request"]["redirect_uri"]) is (
        file not in REFUSED_REQUESTS
    )


@pytest.mark.parametrize("file", sorted(REFUSED_DOCUMENTS))
def test_a_real_document_without_client_id_is_refused_and_says_what_is_missing(file: str) -> None:
    with pytest.raises(ClientMetadataError) as caught:
        load(file)
    assert (caught.value.reason, caught.value.member) == (REFUSED_DOCUMENTS[file], "client_id")
    assert INDEX[file]["client_id"] in caught.value.rule


def test_the_index_covers_every_document() -> None:
    assert INDEX.keys() == {path.name for path in CLIENTS.glob("*.json")} - {"index.json", "known_ids.json"}


def test_the_identifiers_of_known_clients_are_well_formed() -> None:
    identifiers = [entry["client_id"] for entry in KNOWN_IDS if not set("<{?") & set(entry["client_id"])]
    assert len(identifiers) > 5
    assert [parse_client_id(identifier).text for identifier in identifiers] == identifiers


def test_claude_lists_grants_that_no_public_client_gets() -> None:
    """K02"""
    assert load("claude-ai.json").grant_types == ("authorization_code", "refresh_token")


@pytest.mark.parametrize(
    ("requested", "matched"),
    [
        ("http://localhost:3118/callback", True),
        ("http://localhost:52163/callback", True),
        ("http://127.0.0.1:52163/callback", True),
        ("http://[::1]:3118/callback", False),
        ("http://localhost:3118/callback/", False),
    ],
)
def test_claude_code_calls_back_on_any_port_of_the_hosts_it_names(requested: str, matched: bool) -> None:
    """K07"""
    assert is_matched("claude-code.json", requested) is matched
    assert load("claude-code.json").application_type is None


@pytest.mark.proves("CIMD-64")
def test_chatgpt_names_one_method_and_can_do_two() -> None:
    """K08, K10"""
    assert load("chatgpt.json").auth_methods == ("private_key_jwt", "none")
    assert load("chatgpt-connector-2026-05.json").auth_methods == ("private_key_jwt",)
    assert load("chatgpt.json").auth_signing_alg == "RS256"


@pytest.mark.parametrize("file", ["smokesignal.json", "mcpc-2026-06.json", "goose-2026-04.json"])
def test_members_that_mean_nothing_here_are_ignored(file: str) -> None:
    """K11"""
    assert load(file).auth_methods == ("none",)


@pytest.mark.parametrize(
    ("requested", "matched"),
    [
        ("http://127.0.0.1:33418/", True),
        ("http://127.0.0.1:59656/", True),
        ("https://vscode.dev/redirect", True),
        ("http://127.0.0.1:33418", False),
        ("http://localhost:33418/", False),
    ],
)
def test_vs_code_falls_back_to_another_port_and_keeps_its_slash(requested: str, matched: bool) -> None:
    """K15: the path is compared to the byte, so the spelling without a slash, which no build sends, is refused."""
    assert is_matched("vscode.json", requested) is matched


def test_copilot_cli_never_uses_the_port_it_declares() -> None:
    """K16"""
    assert is_matched("copilot-cli.json", "http://127.0.0.1:61876/")


def test_copilot_cli_lists_no_grants_and_may_refresh() -> None:
    """K17: decision 10."""
    client = load("copilot-cli.json")
    assert (client.grant_types, client.grant_types_listed) == (("authorization_code",), False)


def test_opencode_is_refused_on_the_path_that_its_document_lacks() -> None:
    """K18"""
    assert not is_matched("opencode.json", "http://127.0.0.1:19876/mcp/oauth/callback")


def test_mcpjams_scheme_without_a_dot_is_dropped_and_the_rest_stays() -> None:
    """K23"""
    client = load("mcpjam.json")
    assert client.redirect_uris == ("http://127.0.0.1:6274/oauth/callback", "http://localhost:6274/oauth/callback")
    assert len(client.warnings) == 2
    assert "mcpjam" in client.warnings[0]


def test_groks_trailing_slash_is_part_of_its_redirect_uri() -> None:
    """K24"""
    registered = ["https://grok.com/connectors-oauth-exchange-code/"]
    assert match_redirect_uri("https://grok.com/connectors-oauth-exchange-code/", registered) is not None
    assert match_redirect_uri("https://grok.com/connectors-oauth-exchange-code", registered) is None


def test_a_client_may_be_called_back_on_another_host_than_its_documents() -> None:
    """K25"""
    assert is_matched("slack.json", "https://oauth2.slack.com/external/auth/callback")


def test_codex_is_called_back_on_the_path_of_its_own_server_only() -> None:
    """K14"""
    registered = ["http://127.0.0.1/callback/6MFBM1In3Ey-"]
    assert match_redirect_uri("http://127.0.0.1:49152/callback/6MFBM1In3Ey-", registered) is not None
    assert match_redirect_uri("http://127.0.0.1:49152/callback/other", registered) is None


def test_fastmcps_template_is_read_as_a_document_without_a_port() -> None:
    assert is_matched("fastmcp-template.json", "http://localhost:54545/callback")
    assert not is_matched("fastmcp-template.json", "http://localhost:*/callback")
