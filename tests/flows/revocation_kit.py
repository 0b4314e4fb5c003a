"""Revoking and asking about tokens in the world of the flow tests, and a client with a key."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import httpx2

from flow_world import DOCUMENT, World
from nameplate.jose import SigningKey
from nameplate.protocol.client_authentication import ASSERTION_TYPE

__all__ = [
    "KEY_DOCUMENT_PATH",
    "NOTES",
    "OTHERS",
    "RESOURCE_SERVERS",
    "build_form",
    "introspect",
    "publish_key_client",
    "read_feed",
    "revoke",
    "sign_assertion",
]

RESOURCE = "http://127.0.0.1:8000/mcp"
OTHER_RESOURCE = "http://127.0.0.1:8000/other"
NOTES = ("notes", "notes-secret")
OTHERS = ("others", "others-secret")
RESOURCE_SERVERS: dict[str, Any] = {
    "resources": [
        {"identifier": identifier, "name": name, "scopes": [{"name": "notes:read", "description": "Read"}]}
        for identifier, name in ((RESOURCE, "Notes"), (OTHER_RESOURCE, "Others"))
    ],
    "resource_servers": [
        {"id": server, "secret_hash": f"sha256:{sha256(secret.encode()).hexdigest()}", "resources": [resource]}
        for (server, secret), resource in ((NOTES, RESOURCE), (OTHERS, OTHER_RESOURCE))
    ],
}
"""Settings: two resources, and a resource server for each."""

KEY_DOCUMENT_PATH = "/oauth/with-key.json"


def build_form(form: Mapping[str, str | None]) -> dict[str, str]:
    """The form without what is None."""
    return {name: value for name, value in form.items() if value is not None}


async def revoke(world: World, token: str | None, **changes: str | None) -> httpx2.Response:
    """A revocation by the world's client, with changes."""
    form = build_form({"token": token, "client_id": world.client_id, **changes})
    return await world.http.post(f"{world.issuer}/revoke", data=form)


async def introspect(world: World, token: str | None, auth: tuple[str, str] | None = NOTES) -> httpx2.Response:
    """A question of a resource server."""
    form = build_form({"token": token})
    if auth is None:
        return await world.http.post(f"{world.issuer}/introspect", data=form)
    return await world.http.post(f"{world.issuer}/introspect", data=form, auth=auth)


async def read_feed(world: World, auth: tuple[str, str] = NOTES) -> dict[str, Any]:
    """The list of revoked grants for a resource server."""
    response = await world.http.get(f"{world.issuer}/revocations", auth=auth)
    assert response.status_code == 200, response.text
    feed: dict[str, Any] = response.json()
    return feed


def publish_key_client(world: World, key: SigningKey, **members: object) -> World:
    """The world with another client, which proves itself by a key in its document."""
    document = {
        **DOCUMENT,
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.public_jwk()]},
        **members,
    }
    stated = {name: value for name, value in document.items() if value is not None}
    return replace(world, client_id=world.host.publish(KEY_DOCUMENT_PATH, stated))


def sign_assertion(world: World, key: SigningKey, **claims: object) -> dict[str, str]:
    """The form parameters by which the world's client proves itself once."""
    now = int(world.clock())
    body = {
        "iss": world.client_id,
        "sub": world.client_id,
        "aud": world.server.context.issuer,
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_hex(16),
        **claims,
    }
    return {
        "client_assertion": key.sign(body, typ="client-authentication+jwt"),
        "client_assertion_type": ASSERTION_TYPE,
    }
