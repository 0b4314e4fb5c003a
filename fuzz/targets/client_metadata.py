"""Client metadata documents: any bytes are a client, or ``ClientMetadataError`` in words that can be shown.

The first line is the URL that the rest was fetched from. An accepted document names that URL and no other; its redirect
URIs stand in it and can be used; what people are shown of it are ``https`` URLs; its keys are public; its snapshot is
read back as the same client; another reader of JSON sees the same members.
"""

import json
import re
from typing import Any

from fuzz.inputs import read_text
from nameplate.errors import ClientMetadataError
from nameplate.protocol.client_keys import parse_key_set
from nameplate.protocol.client_metadata import ClientMetadata, build_snapshot, parse_client_metadata, parse_snapshot
from nameplate.protocol.fault import Fault
from nameplate.protocol.limits import CLIENT_NAME_CHARACTERS, DOCUMENT_WARNINGS
from nameplate.protocol.member_fates import MEMBER_FATES
from nameplate.protocol.redirect_uri import SCRIPT_SCHEMES, read_redirect_uri

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(f'"{name}":'.encode() for name in MEMBER_FATES),
    *(b'"none"', b'"private_key_jwt"', b'"client_secret_basic"', b'"authorization_code"', b'"refresh_token"'),
    *(b'"code"', b'"http://127.0.0.1/cb"', b'"http://localhost:*/cb"', b'"com.example.app:/cb"', b'"javascript:x"'),
    *(b"null", b"[]", b"{}", b"1e999", b"NaN", b'"\\ud800"', b'"\\u0000"', b"\xef\xbb\xbf"),
    *(b'"keys":[{"kty":"EC","kid":"a"}]', b'"d":"x"'),
)


def check(data: bytes) -> None:
    """Try one document."""
    first, _, body = data.partition(b"\n")
    client_id = read_text(first)
    try:
        client = parse_client_metadata(client_id, body)
    except ClientMetadataError as error:
        assert re.fullmatch(r"document\.[a-z_]+", error.reason)
        assert (error.member + error.rule).isprintable()
    else:
        _check_client(client, client_id, json.loads(body))


def _check_client(client: ClientMetadata, client_id: str, members: dict[str, Any]) -> None:
    assert client.client_id == members["client_id"] == client_id
    assert members.keys().isdisjoint({"client_secret", "client_secret_expires_at", "registration_access_token"})
    assert client.client_name == members["client_name"]
    assert 0 < len(client.client_name or "") <= CLIENT_NAME_CHARACTERS
    assert client.redirect_uris
    for uri in client.redirect_uris:
        assert uri in members["redirect_uris"]
        assert not isinstance(read_redirect_uri(uri), Fault)
        assert uri.partition(":")[0].lower() not in SCRIPT_SCHEMES
    for url in (client.client_uri, client.logo_uri, client.tos_uri, client.policy_uri, client.jwks_uri):
        assert url is None or (url.startswith("https://") and url.isascii() and url.isprintable())
    assert client.auth_methods
    assert not any("secret" in method for method in client.auth_methods)
    if client.jwks is not None:
        assert client.jwks_uri is None
        assert parse_key_set(json.loads(client.jwks)) == client.jwks
    assert len(client.warnings) <= DOCUMENT_WARNINGS
    assert parse_snapshot(build_snapshot(client)) == client
