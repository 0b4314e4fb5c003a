"""Clients that have keys: signing assertions, and everything that can be wrong with one."""

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from flow_world import DOCUMENT, REDIRECT_URI, Attempt, World, build_settings
from nameplate.jose.compact import encode_base64url
from nameplate.protocol.client_authentication import ASSERTION_TYPE
from nameplate.server.app import AuthorizationServer
from nameplate.testing.document_host import HostedDocument
from nameplate.testing.serving import open_listener, serve_app

__all__ = [
    "ClientKey",
    "KeyedClient",
    "expect",
    "publish_keys",
    "read_endings",
    "run_replica",
    "wrap_assertion",
]

_numbers = itertools.count()
_RSA_KEY = RSAKey.generate_key(2048)  # generating one takes long


@dataclass(frozen=True, kw_only=True)
class ClientKey:
    """A private key of a client, and how it signs."""

    key: Key
    alg: str
    kid: str

    @classmethod
    def generate(cls, alg: str = "ES256", kid: str = "one") -> "ClientKey":
        match alg:
            case "ES256" | "ES384" | "ES512":
                curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]
                return cls(key=ECKey.generate_key(curve), alg=alg, kid=kid)
            case "EdDSA" | "Ed25519":
                return cls(key=OKPKey.generate_key("Ed25519"), alg=alg, kid=kid)
            case _:
                return cls(key=_RSA_KEY, alg=alg, kid=kid)

    def build_jwk(self) -> dict[str, Any]:
        """The public key."""
        return {**self.key.as_dict(private=False), "kid": self.kid}

    def sign(self, claims: Mapping[str, object], header: Mapping[str, object]) -> str:
        """A JWT of these claims; ``header`` is all there is in its header."""
        head, payload = (encode_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = JWSRegistry.algorithms[self.alg].sign(head + b"." + payload, self.key)
        return b".".join([head, payload, encode_base64url(signature)]).decode()


def publish_keys(world: World, *keys: ClientKey, path: str = "/jwks.json") -> str:
    """Serve a key set; its URL."""
    # Without a word on caching, which would be reckoned from the host's own clock: then it is fresh for 300 seconds.
    world.host.documents[path] = HostedDocument(json.dumps({"keys": [key.build_jwk() for key in keys]}).encode())
    return world.host.url(path)


def wrap_assertion(token: str) -> dict[str, str | None]:
    """The form parameters of an assertion."""
    return {"client_assertion": token, "client_assertion_type": ASSERTION_TYPE}


@dataclass(kw_only=True)
class KeyedClient:
    """A client with a document at ``path`` that authenticates by ``key``."""

    world: World
    key: ClientKey
    path: str = "/keyed.json"
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def client_id(self) -> str:
        return self.world.host.url(self.path)

    def publish(self, **members: object) -> None:
        """Serve the document, with changes; without ``jwks_uri`` in it the keys stand in the document."""
        keys = {} if "jwks_uri" in members else {"jwks": {"keys": [self.key.build_jwk()]}}
        document = {**DOCUMENT, "token_endpoint_auth_method": "private_key_jwt", **keys, **members}
        self.document = {name: value for name, value in document.items() if value is not None}
        self.world.host.publish(self.path, self.document)

    def sign(self, header: Mapping[str, object | None] | None = None, **changes: object) -> str:
        """A good assertion with changes; None takes a claim or a header member away."""
        now = int(self.world.clock())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.world.server.context.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": f"jti-{next(_numbers)}",
            **changes,
        }
        members = {"typ": "client-authentication+jwt", "alg": self.key.alg, "kid": self.key.kid, **(header or {})}
        return self.key.sign(_drop_nones(claims), _drop_nones(members))

    def prove(self, header: Mapping[str, object | None] | None = None, **changes: object) -> dict[str, str | None]:
        """``sign`` as form parameters."""
        return wrap_assertion(self.sign(header, **changes))

    def attempt(self) -> Attempt:
        """An authorization request of this client."""
        return self.world.attempt(client_id=self.client_id, redirect_uri=REDIRECT_URI)

    async def obtain_tokens(self) -> dict[str, Any]:
        """A whole sign-in."""
        attempt = self.attempt()
        response = await self.world.redeem(attempt, await self.world.obtain_code(attempt), **self.prove())
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    async def refresh(self, tokens: Mapping[str, Any], **changes: str | None) -> dict[str, Any]:
        """The answer to a refresh, whatever it is, with its status as ``status``. ``changes`` replace the proof."""
        form = {**(changes or self.prove()), "client_id": self.client_id}
        response = await self.world.refresh(tokens["refresh_token"], **form)
        return {"status": response.status_code, **response.json()}


def _drop_nones(members: Mapping[str, object | None]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


@asynccontextmanager
async def run_replica(world: World, directory: Path, **changes: Any) -> AsyncIterator[World]:
    """Another server over the same store, as a replica or after a restart: its memory is empty. ``changes`` replace
    top-level settings.
    """
    issuer = world.server.context.issuer
    settings = build_settings(issuer, world.resource, directory, world.host, changes)
    server = AuthorizationServer(settings, clock=world.clock)
    listener, port = open_listener()
    async with serve_app(server.standalone_app(), listener):
        yield replace(world, issuer=f"http://127.0.0.1:{port}{urlsplit(issuer).path}", server=server)


async def read_endings(world: World) -> list[str]:
    """Why grants ended, by the audit trail."""
    events = await world.server.context.store.load_audit_events()
    return [event.detail for _, event in events if event.name == "grant.revoked"]


def expect(response: httpx2.Response, error: str, reason: str, status: int = 400) -> None:
    body = response.json()
    assert (body["error"], body["reason"], response.status_code) == (error, reason, status)
    assert response.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in response.headers) == (status == 401)
    assert ("retry-after" in response.headers) == (status == 503)
