"""The authorization server's metadata: what clients read in it, and where they look for it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.client_assertion import ASSERTION_ALGORITHMS
from nameplate.protocol.server_metadata import (
    ServerOffer,
    build_endpoints,
    build_metadata_paths,
    build_server_metadata,
    get_issuer_path,
)

ISSUER = "https://auth.example.com"

paths = st.lists(st.from_regex(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,6}", fullmatch=True), max_size=3).map(
    lambda segments: "".join(f"/{segment}" for segment in segments)
)


METHODS = ["none", "private_key_jwt", "client_secret_basic", "client_secret_post"]


def build(issuer: str = ISSUER, **changes: Any) -> dict[str, object]:
    offer: dict[str, Any] = {"scopes": ("notes:read", "notes:write", "notes:read"), **changes}
    return build_server_metadata(issuer, ServerOffer(**offer))


@pytest.mark.proves("CIMD-110", "CIMD-111", "MCP-5", "MCP-7", "BCP-3", "ASM-2", "ASM-4")
def test_the_whole_document_is_as_clients_need_it() -> None:
    assert build() == {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "jwks_uri": f"{ISSUER}/jwks",
        "scopes_supported": ["notes:read", "notes:write", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "revocation_endpoint": f"{ISSUER}/revoke",
        "revocation_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "registration_endpoint": f"{ISSUER}/register",
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


@pytest.mark.proves("CIMD-110")
def test_the_flag_is_absent_where_documents_are_switched_off() -> None:
    assert "client_id_metadata_document_supported" not in build(has_documents=False)


@pytest.mark.proves("MCP-3", "ASM-4")
def test_what_is_switched_off_is_not_advertised() -> None:
    everything = build(has_introspection=True)
    assert build(has_registration=False).keys() == build().keys() - {"registration_endpoint"}
    assert everything.keys() - build().keys() == {
        "introspection_endpoint",
        "introspection_endpoint_auth_methods_supported",
    }
    assert everything["introspection_endpoint"] == f"{ISSUER}/introspect"
    assert everything["introspection_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]


@pytest.mark.proves("ASM-3")
@pytest.mark.parametrize("endpoint", ["token", "revocation"])
def test_where_clients_may_sign_it_says_by_which_algorithms_and_none_is_symmetric(endpoint: str) -> None:
    metadata = build()
    assert "private_key_jwt" in str(metadata[f"{endpoint}_endpoint_auth_methods_supported"])
    algorithms = metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
    assert isinstance(algorithms, list)
    assert "ES256" in algorithms
    assert not [name for name in algorithms if name == "none" or name.startswith("HS")]


@pytest.mark.proves("ASM-2")
def test_no_member_is_an_empty_array() -> None:
    assert [] not in build(scopes=()).values()


@pytest.mark.proves("ASM-1")
@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        (
            ISSUER,
            ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"),
        ),
        (
            f"{ISSUER}/tenant/a",
            (
                "/.well-known/oauth-authorization-server/tenant/a",
                "/.well-known/openid-configuration/tenant/a",
                "/tenant/a/.well-known/oauth-authorization-server",
                "/tenant/a/.well-known/openid-configuration",
            ),
        ),
    ],
)
def test_the_document_lies_wherever_clients_look(issuer: str, expected: tuple[str, ...]) -> None:
    assert build_metadata_paths(issuer) == expected


@pytest.mark.proves("ASM-1")
@given(paths, st.sampled_from(["", ":8443"]))
def test_every_url_begins_with_the_issuer_byte_for_byte(path: str, port: str) -> None:
    issuer = f"{ISSUER}{port}{path}"
    assert get_issuer_path(issuer) == path
    metadata = json.loads(json.dumps(build(issuer, has_introspection=True)))
    assert metadata["issuer"] == issuer
    endpoints = build_endpoints(issuer)
    named = ("authorization", "token", "registration", "revocation", "introspection")
    urls = {getattr(endpoints, name) for name in named} | {endpoints.jwks}
    assert urls == {metadata[f"{name}_endpoint"] for name in named} | {metadata["jwks_uri"]}
    assert all(url.startswith(f"{issuer}/") and "//" not in url.removeprefix("https://") for url in urls)
    assert len(set(build_metadata_paths(issuer))) == (4 if path else 2)
