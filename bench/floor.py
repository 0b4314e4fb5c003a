"""The floor: an authorization server with hardly any rules, on bare Starlette and SQLite. For measuring only.

For each request it does the reads, writes, hashes and signatures that nobody who wants durable single use can leave
out, and answers in the same forms, so that the same visitor can use both. What ours costs beyond it is what its rules,
its checks and its shape cost.
"""

import argparse
import asyncio
import json
import secrets
import sqlite3
import ssl
import struct
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from bench.floor_store import FloorStore

__all__ = ["Floor"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Access to {resource}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/style.css"></head>
<body><main><h1>{name} asks for access to {resource}</h1><p>{client_id}</p><p>{redirect_uri}</p><p>{scope}</p>
<form method="post" action="{action}"><input type="hidden" name="request" value="{request}">
<input name="username"><input name="password" type="password">
<button type="submit" name="answer" value="deny">Deny</button>
<button type="submit" name="answer" value="allow">Allow</button></form></main></body></html>
"""
_NO_STORE = {"Cache-Control": "no-store"}
_LIFETIME_SECONDS = 600
_SEPARATORS = (",", ":")

_INSERT_PENDING = """
INSERT INTO pending (
    id_hash, browser_hash, client_id, redirect_uri, state, scope, resource, code_challenge, document, expires_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TAKE_PENDING = """
DELETE FROM pending WHERE id_hash = ? AND browser_hash = ?
RETURNING client_id, redirect_uri, state, scope, resource, code_challenge, document
"""
_INSERT_GRANT = """
INSERT INTO grants (grant_id, client_id, subject, resource, scope, document, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_CODE = """
INSERT INTO codes (code_hash, grant_row, redirect_uri, code_challenge, expires_at)
VALUES (?, last_insert_rowid(), ?, ?, ?)
"""
_SELECT_CODE = """
SELECT g.client_id, g.subject, g.resource, g.scope, c.code_challenge, c.redirect_uri
FROM codes c JOIN grants g ON g.id = c.grant_row WHERE c.code_hash = ?
"""
_SELECT_REFRESH_TOKEN = """
SELECT g.client_id, g.subject, g.resource, g.scope FROM refresh_tokens t JOIN grants g ON g.id = t.grant_row
WHERE t.token_hash = ?
"""
_INSERT_REFRESH_TOKEN = "INSERT INTO refresh_tokens (token_hash, grant_row, expires_at) VALUES (?, ?, ?)"
_INSERT_ANSWER = "INSERT INTO answers (token_hash, sealed, expires_at) VALUES (?, ?, ?)"
_INSERT_EVENT = "INSERT INTO events (name, at, client_id, subject) VALUES (?, ?, ?, ?)"


class Floor:
    """The application. ``ca_file`` is trusted for documents, all of which lie on this machine."""

    def __init__(self, issuer: str, directory: Path, ca_file: Path) -> None:
        self._issuer = issuer
        self._store = FloorStore(directory / "floor.sqlite3")
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._key = generate_private_key(SECP256R1())
        self._header = _to_base64(json.dumps({"typ": "at+jwt", "alg": "ES256", "kid": "1"}).encode())
        self._documents: dict[str, tuple[str, str]] = {}
        self._client_keys: dict[str, EllipticCurvePublicKey] = {}
        self._metadata = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["notes:read", "notes:write"],
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True,
        }

    def build_app(self) -> Starlette:
        """The application with its routes."""
        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", self.show_metadata),
                Route("/authorize", self.authorize),
                Route("/sign-in", self.sign_in, methods=["POST"]),
                Route("/consent", self.answer_consent, methods=["POST"]),
                Route("/token", self.token, methods=["POST"]),
            ],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        self._store.close()

    async def show_metadata(self, _request: Request) -> Response:
        """What every Starlette application can do: a JSON route."""
        return JSONResponse(self._metadata)

    async def authorize(self, request: Request) -> Response:
        """Keep the request and ask. One read (is the challenge spent?), one write."""
        query = dict(parse_qsl(request.scope["query_string"].decode()))
        name, document = self._documents.get(query["client_id"]) or await self._fetch(query["client_id"])
        self._store.read("SELECT 1 FROM codes WHERE code_challenge = ?", query["code_challenge"])
        request_id, browser = secrets.token_urlsafe(32), request.cookies.get("browser") or secrets.token_urlsafe(32)
        row = (
            _hash(request_id),
            _hash(browser),
            *(query[each] for each in ("client_id", "redirect_uri", "state", "scope", "resource", "code_challenge")),
            document,
            int(time.time()) + _LIFETIME_SECONDS,
        )
        await self._store.execute(_INSERT_PENDING, row)
        is_known = "session" in request.cookies and self._find_subject(request.cookies["session"])
        values = {**query, "name": name, "request": request_id, "action": "/consent" if is_known else "/sign-in"}
        response = HTMLResponse(_PAGE.format_map({key: escape(value) for key, value in values.items()}))
        if "browser" not in request.cookies:
            response.set_cookie("browser", browser, httponly=True, samesite="lax")
        return response

    def _find_subject(self, session: str) -> str | None:
        row = self._store.read("SELECT subject FROM sessions WHERE id_hash = ?", _hash(session))
        return row and str(row[0])

    async def _fetch(self, client_id: str) -> tuple[str, str]:
        """The client's document, over a new TLS connection."""
        parts = urlsplit(client_id)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", parts.port, ssl=self._tls, server_hostname=parts.hostname
        )
        writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        members = json.loads(body)
        if members["client_id"] != client_id:
            raise ValueError(client_id)
        self._documents[client_id] = (members["client_name"], body.decode())
        return self._documents[client_id]

    async def sign_in(self, _request: Request) -> Response:
        """Whoever comes is let in."""
        value = secrets.token_urlsafe(32)
        row = (_hash(value), "ada", int(time.time()) + _LIFETIME_SECONDS)
        sql = "INSERT INTO sessions (id_hash, subject, expires_at) VALUES (?, ?, ?)"
        await self._store.execute(sql, row)
        response = Response(status_code=303, headers={"Location": "/consent"})
        response.set_cookie("session", value, httponly=True, samesite="lax")
        return response

    async def answer_consent(self, request: Request) -> Response:
        """A code. Two reads (who is it, what was asked), one transaction of four writes."""
        form = dict(parse_qsl((await request.body()).decode()))
        subject, code = self._find_subject(request.cookies["session"]), secrets.token_urlsafe(32)
        id_hash, browser_hash, now = _hash(form["request"]), _hash(request.cookies["browser"]), int(time.time())
        self._store.read("SELECT * FROM pending WHERE id_hash = ? AND browser_hash = ?", id_hash, browser_hash)

        def approve(connection: sqlite3.Connection) -> tuple[str, str]:
            client_id, redirect_uri, state, scope, resource, challenge, document = connection.execute(
                _TAKE_PENDING, (id_hash, browser_hash)
            ).fetchone()
            grant = (secrets.token_urlsafe(32), client_id, subject, resource, scope, document, now + _LIFETIME_SECONDS)
            connection.execute(_INSERT_GRANT, grant)
            connection.execute(_INSERT_CODE, (_hash(code), redirect_uri, challenge, now + 60))
            connection.execute(_INSERT_EVENT, ("authorization.approved", now, client_id, subject))
            return redirect_uri, state

        redirect_uri, state = await self._store.write(approve)
        location = f"{redirect_uri}?{urlencode({'code': code, 'state': state, 'iss': self._issuer})}"
        return Response(status_code=303, headers={"Location": location, **_NO_STORE})

    async def token(self, request: Request) -> Response:
        """Codes and refresh tokens become access tokens."""
        form = dict(parse_qsl((await request.body()).decode()))
        form["use"] = self._verify_assertion(form) if "client_assertion" in form else ""
        if form["grant_type"] == "refresh_token":
            return await self._refresh(form)
        return await self._redeem(form)

    def _verify_assertion(self, form: dict[str, str]) -> str:
        """One signature to verify, with a key that was imported before; the name of the use, which is recorded."""
        signing_input, _, signature = form["client_assertion"].rpartition(".")
        claims = json.loads(_from_base64(signing_input.partition(".")[2]))
        client_id = str(claims["sub"])
        if client_id not in self._client_keys:
            [jwk] = json.loads(self._documents[client_id][1])["jwks"]["keys"]
            x, y = (int.from_bytes(_from_base64(jwk[member])) for member in ("x", "y"))
            self._client_keys[client_id] = EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
        r, s = (int.from_bytes(half) for half in struct.unpack("32s32s", _from_base64(signature)))
        self._client_keys[client_id].verify(encode_dss_signature(r, s), signing_input.encode(), ECDSA(SHA256()))
        if claims["aud"] != self._issuer or claims["iss"] != client_id or claims["exp"] < time.time():
            raise ValueError("no assertion for this server")
        return f"{client_id} {claims['jti']}"

    async def _redeem(self, form: dict[str, str]) -> Response:
        """One read, one transaction of three writes, one signature."""
        code_hash, successor, now = _hash(form["code"]), secrets.token_urlsafe(32), int(time.time())
        client_id, subject, resource, scope, challenge, redirect_uri = self._store.read(_SELECT_CODE, code_hash)
        proof = _to_base64(sha256(form["code_verifier"].encode()).digest()).decode()
        if (client_id, redirect_uri, challenge) != (form["client_id"], form["redirect_uri"], proof):
            return JSONResponse({"error": "invalid_grant"}, 400, _NO_STORE)

        def redeem(connection: sqlite3.Connection) -> bool:
            sql = "DELETE FROM codes WHERE code_hash = ? RETURNING grant_row"
            if (row := connection.execute(sql, (code_hash,)).fetchone()) is None:
                return False
            _record_use(connection, form["use"], now)
            connection.execute(_INSERT_REFRESH_TOKEN, (_hash(successor), row[0], now + _LIFETIME_SECONDS))
            connection.execute(_INSERT_EVENT, ("code.redeemed", now, client_id, subject))
            return True

        if not await self._store.write(redeem):
            return JSONResponse({"error": "invalid_grant"}, 400, _NO_STORE)
        return JSONResponse(self._build_answer(client_id, subject, resource, scope, successor), headers=_NO_STORE)

    async def _refresh(self, form: dict[str, str]) -> Response:
        """One read, one signature, one transaction of four writes: the answer is kept for a client that asks twice."""
        presented, successor, now = form["refresh_token"], secrets.token_urlsafe(32), int(time.time())
        token_hash = _hash(presented)
        client_id, subject, resource, scope = self._store.read(_SELECT_REFRESH_TOKEN, token_hash)
        answer = self._build_answer(client_id, subject, resource, scope, successor)
        nonce = secrets.token_bytes(12)
        sealed = nonce + AESGCM(sha256(b"answer" + presented.encode()).digest()).encrypt(
            nonce, json.dumps(answer).encode(), None
        )

        def rotate(connection: sqlite3.Connection) -> bool:
            sql = "DELETE FROM refresh_tokens WHERE token_hash = ? RETURNING grant_row"
            if (row := connection.execute(sql, (token_hash,)).fetchone()) is None:
                return False
            _record_use(connection, form["use"], now)
            connection.execute(_INSERT_REFRESH_TOKEN, (_hash(successor), row[0], now + _LIFETIME_SECONDS))
            connection.execute(_INSERT_ANSWER, (token_hash, sealed, now + 120))
            connection.execute(_INSERT_EVENT, ("refresh_token.rotated", now, client_id, subject))
            return True

        if client_id != form["client_id"] or not await self._store.write(rotate):
            return JSONResponse({"error": "invalid_grant"}, 400, _NO_STORE)
        return JSONResponse(answer, headers=_NO_STORE)

    def _build_answer(
        self, client_id: str, subject: str, resource: str, scope: str, refresh_token: str
    ) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "sub": subject,
            "aud": resource,
            "client_id": client_id,
            "scope": scope,
            "iat": now,
            "exp": now + _LIFETIME_SECONDS,
            "jti": secrets.token_urlsafe(16),
        }
        signing_input = self._header + b"." + _to_base64(json.dumps(claims, separators=_SEPARATORS).encode())
        r, s = decode_dss_signature(self._key.sign(signing_input, ECDSA(SHA256())))
        access_token = f"{signing_input.decode()}.{_to_base64(r.to_bytes(32) + s.to_bytes(32)).decode()}"
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": _LIFETIME_SECONDS,
            "scope": scope,
            "refresh_token": refresh_token,
        }


def _record_use(connection: sqlite3.Connection, use: str, now: int) -> None:
    if use:
        connection.execute("INSERT INTO uses (use_hash, kept_until) VALUES (?, ?)", (_hash(use), now + 360))


def _hash(value: str) -> bytes:
    return sha256(value.encode()).digest()


def _to_base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _from_base64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--ca-file", type=Path, required=True)
    given = parser.parse_args()
    floor = Floor(f"http://127.0.0.1:{given.port}", given.directory, given.ca_file)
    uvicorn.run(
        floor.build_app(),
        port=given.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
    )


if __name__ == "__main__":
    main()
