"""A world for the flow tests: a document host with TLS, the authorization server on a socket, a person, a client."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from argon2 import PasswordHasher

from nameplate.protocol.pkce import build_code_challenge
from nameplate.server.app import AuthorizationServer
from nameplate.server.settings import Settings
from nameplate.testing.clock import FixedClock
from nameplate.testing.document_host import DocumentHost, run_document_host
from nameplate.testing.headless_user import HeadlessUser
from nameplate.testing.serving import open_listener, serve_app

PASSWORD = "correct horse battery staple"
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)  # cheap: these are tests
REDIRECT_URI = "http://127.0.0.1:51763/callback"
DOCUMENT = {
    "client_name": "Notebook",
    "redirect_uris": ["http://127.0.0.1/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
}


@dataclass(kw_only=True)
class Attempt:
    """One authorization request, with what it takes to redeem its code."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class World:
    """What a test plays with. ``issuer`` is where the server answers."""

    issuer: str
    resource: str
    host: DocumentHost
    server: AuthorizationServer
    clock: FixedClock
    http: httpx2.AsyncClient
    client_id: str

    def attempt(self, **changes: str | None) -> Attempt:
        """A good authorization request of the client, with changes; None takes a parameter away."""
        attempt = Attempt()
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT_URI,
            "state": "st-1",
            "scope": "notes:read",
            "resource": self.resource,
            "code_challenge": build_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        attempt.parameters = {name: value for name, value in parameters.items() if value is not None}
        return attempt

    def authorize_url(self, attempt: Attempt) -> str:
        return f"{self.issuer}/authorize?{urlencode(attempt.parameters)}"

    def user(self, password: str = PASSWORD) -> HeadlessUser:
        return HeadlessUser("alice", password)

    async def obtain_code(self, attempt: Attempt, user: HeadlessUser | None = None) -> str:
        """Sign in, allow, and the code that the client gets."""
        if user is not None:
            return read_answer(await user.authorize(self.authorize_url(attempt)))["code"]
        async with self.user() as fresh:
            return read_answer(await fresh.authorize(self.authorize_url(attempt)))["code"]

    async def post_token(self, **form: str | None) -> httpx2.Response:
        data = {name: value for name, value in form.items() if value is not None}
        return await self.http.post(f"{self.issuer}/token", data=data)

    async def redeem(self, attempt: Attempt, code: str, **changes: str | None) -> httpx2.Response:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": attempt.parameters["client_id"],
            "redirect_uri": attempt.parameters["redirect_uri"],
            "code_verifier": attempt.verifier,
            **changes,
        }
        return await self.post_token(**form)

    async def refresh(self, token: str, **changes: str | None) -> httpx2.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self.client_id, **changes}
        return await self.post_token(**form)

    async def obtain_tokens(self, **changes: str | None) -> dict[str, Any]:
        """A whole sign-in, to the token response."""
        attempt = self.attempt(**changes)
        response = await self.redeem(attempt, await self.obtain_code(attempt))
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens


def read_answer(url: str) -> dict[str, str]:
    """The parameters of an authorization response; each must be there once."""
    values = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(value) == 1 for value in values.values()), url
    return {name: value[0] for name, value in values.items()}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A fresh world for one test."""
    async with run_world(tmp_path) as running:
        yield running


@asynccontextmanager
async def run_world(
    directory: Path, *, issuer_path: str = "", document: Mapping[str, object] = DOCUMENT, **changes: Any
) -> AsyncIterator[World]:
    """Start everything on loopback. ``changes`` replace top-level settings."""
    listener, port = open_listener()
    issuer = f"http://127.0.0.1:{port}{issuer_path}"
    resource = "http://127.0.0.1:8000/mcp"
    clock = FixedClock()
    async with run_document_host(directory) as host, httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        settings = build_settings(issuer, resource, directory, host, changes)
        server = AuthorizationServer(settings, clock=clock)
        async with serve_app(server.standalone_app(), listener):
            client_id = host.publish("/oauth/client.json", document)
            yield World(
                issuer=issuer,
                resource=resource,
                host=host,
                server=server,
                clock=clock,
                http=http,
                client_id=client_id,
            )


def build_settings(
    issuer: str, resource: str, directory: Path, host: DocumentHost, changes: Mapping[str, Any]
) -> Settings:
    """The settings of the world: one account, one resource with two scopes, the document host declared."""
    parts: dict[str, Any] = {
        "issuer": issuer,
        "store": {"url": f"sqlite:///{directory / 'store.sqlite3'}"},
        "accounts": [
            {"username": "alice", "password_hash": PASSWORD_HASH, "display_name": "Alice", "groups": ["staff"]}
        ],
        "resources": [
            {
                "identifier": resource,
                "name": "Notes",
                "scopes": [
                    {"name": "notes:read", "description": "Read your notes"},
                    {"name": "notes:write", "description": "Add and change notes"},
                ],
            }
        ],
        "fetch": {
            "private_hosts": [
                {"host": host.name, "network": "127.0.0.0/8", "ports": [host.port], "address": "127.0.0.1"}
            ],
            "trusted_ca_file": host.ca_file,
            "deadline_seconds": 1,
        },
    }
    return Settings.model_validate({**parts, **changes})
