"""Registrations: any bytes are a client that nobody vouches for, or ``RegistrationError`` in ASCII.

An accepted one has the id that was made for it, redirect URIs that stand in it and can be used, public keys and no
secret of its own; its snapshot is read back as the same client; its answer has no empty place, and registered again it
is the same client.
"""

import json
from typing import Any

from nameplate.errors import RegistrationError
from nameplate.protocol.authorization import AuthorizationPolicy
from nameplate.protocol.client_keys import parse_key_set
from nameplate.protocol.client_metadata import ClientMetadata, build_snapshot, parse_snapshot
from nameplate.protocol.fault import Fault
from nameplate.protocol.limits import CLIENT_NAME_CHARACTERS, DOCUMENT_WARNINGS
from nameplate.protocol.redirect_uri import SCRIPT_SCHEMES, read_redirect_uri
from nameplate.protocol.registration import (
    MAX_REGISTRATION_BYTES,
    build_registration_answer,
    needs_secret,
    parse_registration,
)
from nameplate.protocol.resource import ProtectedResource, ScopeOffer

__all__ = ["LONGEST_BYTES", "TOKENS", "check"]

LONGEST_BYTES = MAX_REGISTRATION_BYTES + 100

TOKENS = (
    *(b'"redirect_uris":', b'"client_name":', b'"scope":', b'"jwks":', b'"jwks_uri":', b'"grant_types":'),
    *(b'"response_types":', b'"token_endpoint_auth_method":', b'"application_type":', b'"contacts":', b'"logo_uri":'),
    *(b'"token_endpoint_auth_methods_supported":', b'"client_id":', b'"client_secret":', b'"software_statement":'),
    *(b'"none"', b'"private_key_jwt"', b'"client_secret_post"', b'"authorization_code"', b'"refresh_token"', b'"code"'),
    *(b'"http://127.0.0.1/cb"', b'"http://localhost:*/cb"', b'"com.example.app:/cb"', b'"javascript:x"', b'"native"'),
    *(b'"https://auth.example.com/token"', b'"https://app.example.com/cb"', b'"notes:read"', b'"web"', b'"oct"'),
    *(
        b"null",
        b'""',
        b"[]",
        b"{}",
        b"1e999",
        b"NaN",
        b'"\\ud800"',
        b"\xef\xbb\xbf",
        b'"keys":[{"kty":"EC","kid":"a"}]',
    ),
)

_ID = "npd_fuzz"
_POLICY = AuthorizationPolicy(
    issuer="https://auth.example.com",
    resources=(
        ProtectedResource(
            identifier="https://mcp.example.com/mcp",
            name="Notes",
            scopes=(ScopeOffer(name="notes:read", description="Read"),),
        ),
    ),
)


def check(data: bytes) -> None:
    """Try one registration."""
    try:
        client = parse_registration(data, _ID, _POLICY)
    except RegistrationError as error:
        assert error.code in {"invalid_redirect_uri", "invalid_client_metadata", "invalid_request"}
        assert error.description.isascii()
        assert error.description.isprintable()
    else:
        _check_client(client, json.loads(data))
        _check_answer(client)


def _check_client(client: ClientMetadata, members: dict[str, Any]) -> None:
    assert (client.client_id, client.known_by) == (_ID, "itself")
    assert len(client.client_name or "") <= CLIENT_NAME_CHARACTERS
    assert client.redirect_uris
    for uri in client.redirect_uris:
        assert uri in members["redirect_uris"]
        assert not isinstance(read_redirect_uri(uri), Fault)
        assert uri.partition(":")[0].lower() not in SCRIPT_SCHEMES
        assert client.application_type != "web" or uri.startswith("https://")
    for url in (client.client_uri, client.logo_uri, client.tos_uri, client.policy_uri, client.jwks_uri):
        assert url is None or (url.startswith("https://") and url.isascii() and url.isprintable())
    assert needs_secret(client) is (client.auth_methods[0] not in {"none", "private_key_jwt"})
    if client.jwks is not None:
        assert client.jwks_uri is None
        assert parse_key_set(json.loads(client.jwks)) == client.jwks
    assert len(client.warnings) <= DOCUMENT_WARNINGS
    assert parse_snapshot(build_snapshot(client)) == client


def _check_answer(client: ClientMetadata) -> None:
    answer = build_registration_answer(client, secret="s" if needs_secret(client) else None, issued_at=1)
    assert not [name for name, value in answer.items() if value in (None, "", [])]
    body = json.dumps(answer, ensure_ascii=False).encode()
    assert len(body) > MAX_REGISTRATION_BYTES or parse_registration(body, _ID, _POLICY) == client
