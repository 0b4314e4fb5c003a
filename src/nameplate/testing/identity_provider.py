"""An identity provider on this machine, OpenID Connect or plain OAuth 2.0, which can be made to lie and to fail.

People do not type anything there: whoever comes to its authorization endpoint is ``person``, and is sent back at once.
"""

import asyncio
import secrets
import ssl
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus, urlencode

import httpx2
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from nameplate.jose import KeySet, Verified
from nameplate.protocol.id_token import compute_token_hash
from nameplate.protocol.pkce import is_proof
from nameplate.testing.provider_signing import ProviderKey, SignatureKind
from nameplate.testing.serving import open_listener, serve_app

__all__ = ["Endpoint", "FakeAnswer", "FakeClient", "FakeIdentityProvider", "FakeRequest", "run_identity_provider"]

Endpoint = Literal["metadata", "jwks", "authorize", "token", "userinfo", "revoke"]

_METADATA_PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME_SECONDS = 3600


@dataclass(slots=True, kw_only=True)
class FakeAnswer:
    """What an endpoint sends in the place of its own answer."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRequest:
    """A request that came. ``parameters`` are those of the query or the form."""

    endpoint: Endpoint
    headers: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class FakeClient:
    """Who may use the provider, and the one way in which it proves who it is. ``keys`` are public JWKs."""

    client_id: str = "nameplate"
    secret: str = "a secret"  # noqa: S105
    auth_method: str = "client_secret_basic"
    keys: list[dict[str, str]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Grant:
    """What one person allowed, from the authorization request on."""

    request: dict[str, str]
    refresh_token: str = ""
    is_alive: bool = True


@dataclass(slots=True, kw_only=True)
class FakeIdentityProvider:
    """The provider. It is honest until a test changes one of its attributes, at any time.

    Changes are put over what is right, and None leaves a member out: ``metadata_changes``, ``answer_changes`` (what the
    browser brings back), ``token_changes``, ``id_token_changes``, ``header_changes`` (of the ID token),
    ``userinfo_changes``, ``key_changes`` (of each published key). ID tokens are signed by ``keys[0]``, in the way that
    ``signature`` says; ``published_keys`` are published where they are set, else ``keys``. ``instead`` replaces the
    answers of an endpoint, ``waits_for`` makes one wait until the event is set. ``repeats_secrets`` puts what came into
    error texts. ``issued`` has every code and token that was given out, ``revoked`` those that came to be revoked.
    """

    origin: str
    path: str = ""
    ca_file: Path | None = None
    clock: Callable[[], float] = time.time
    client: FakeClient = field(default_factory=FakeClient)
    person: dict[str, Any] = field(
        default_factory=lambda: {
            "sub": "248289761001",
            "name": "Jane Doe",
            "preferred_username": "jane",
            "email": "jane@example.com",
            "email_verified": True,
            "groups": ["staff", "engineers"],
        }
    )
    keys: list[ProviderKey] = field(default_factory=lambda: [ProviderKey("key-1")])
    published_keys: list[ProviderKey] | None = None

    issues_refresh_tokens: bool = True
    rotates_refresh_tokens: bool = True
    sends_issuer: bool = True
    requires_pkce: bool = True

    signature: SignatureKind = "RS256"
    metadata_changes: dict[str, Any] = field(default_factory=dict)
    answer_changes: dict[str, str | None] = field(default_factory=dict)
    token_changes: dict[str, Any] = field(default_factory=dict)
    id_token_changes: dict[str, Any] = field(default_factory=dict)
    header_changes: dict[str, Any] = field(default_factory=dict)
    userinfo_changes: dict[str, Any] = field(default_factory=dict)
    key_changes: dict[str, Any] = field(default_factory=dict)
    instead: dict[Endpoint, FakeAnswer] = field(default_factory=dict)
    waits_for: dict[Endpoint, asyncio.Event] = field(default_factory=dict)
    repeats_secrets: bool = False

    requests: list[FakeRequest] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    _codes: dict[str, _Grant] = field(default_factory=dict)
    _grants: list[_Grant] = field(default_factory=list)
    _access_tokens: dict[str, _Grant] = field(default_factory=dict)
    _assertions: set[object] = field(default_factory=set)

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.origin + self.path

    def url(self, endpoint: str) -> str:
        """The URL of an endpoint."""
        return f"{self.issuer.rstrip('/')}/{endpoint}"

    def find_requests(self, endpoint: Endpoint) -> list[FakeRequest]:
        """The requests that came to an endpoint, in order."""
        return [request for request in self.requests if request.endpoint == endpoint]

    def rotate_keys(self) -> None:
        """Sign by a new key from now on, and publish it alone."""
        self.keys = [ProviderKey(f"key-{secrets.token_hex(4)}")]

    def end_grants(self) -> None:
        """What people allowed is over: refresh tokens are no good any more."""
        for grant in self._grants:
            grant.is_alive = False

    async def visit(self, url: str) -> str:
        """Where a browser that goes to this URL is sent back to. Raises ``LookupError`` where it is not sent back."""
        tls = ssl.create_default_context(cafile=self.ca_file)
        async with httpx2.AsyncClient(verify=tls, trust_env=False) as browser:
            response = await browser.get(url)
        if response.status_code != 302:
            raise LookupError(f"the provider answered {response.status_code}: {response.text[:200]}")
        return str(response.headers["location"])

    def build_app(self) -> Starlette:
        """The provider as an application."""
        base = self.path.rstrip("/")
        metadata_paths = {f"{base}{_METADATA_PATHS[0]}", f"{_METADATA_PATHS[1]}{base}"}
        routes = [
            Route(path, self._build_endpoint("metadata", lambda _: self._show_metadata())) for path in metadata_paths
        ]
        routes += [
            Route(f"{base}/jwks", self._build_endpoint("jwks", lambda _: self._show_keys())),
            Route(f"{base}/authorize", self._build_endpoint("authorize", self._authorize)),
            Route(f"{base}/token", self._build_endpoint("token", self._answer_token), methods=["POST"]),
            Route(f"{base}/userinfo", self._build_endpoint("userinfo", self._show_person)),
            Route(f"{base}/revoke", self._build_endpoint("revoke", self._revoke), methods=["POST"]),
        ]
        return Starlette(routes=routes)

    def _build_endpoint(self, name: Endpoint, answer: Callable[[FakeRequest], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            raw = (await request.body()).decode() if request.method == "POST" else request.url.query
            came = FakeRequest(
                endpoint=name,
                headers=dict(request.headers),
                parameters=dict(parse_qsl(raw, keep_blank_values=True)),
            )
            self.requests.append(came)
            if name in self.waits_for:
                await self.waits_for[name].wait()
            if name in self.instead:
                instead = self.instead[name]
                headers = {"Content-Type": instead.content_type, **instead.headers}
                return Response(instead.body, instead.status, headers)
            return answer(came)

        return endpoint

    def _show_metadata(self) -> Response:
        metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": self.url("authorize"),
            "token_endpoint": self.url("token"),
            "userinfo_endpoint": self.url("userinfo"),
            "jwks_uri": self.url("jwks"),
            "revocation_endpoint": self.url("revoke"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": [self.client.auth_method],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": self.sends_issuer,
        }
        return JSONResponse(_change(metadata, self.metadata_changes))

    def _show_keys(self) -> Response:
        keys = self.keys if self.published_keys is None else self.published_keys
        return JSONResponse({"keys": [_change(key.public_jwk(), self.key_changes) for key in keys]})

    def _authorize(self, request: FakeRequest) -> Response:
        asked = dict(request.parameters)
        if asked.get("client_id") != self.client.client_id or "redirect_uri" not in asked:
            return Response("unknown client, or no redirect_uri", 400)
        if asked.get("response_type") != "code" or (self.requires_pkce and "code_challenge" not in asked):
            return Response("not the code flow, or no PKCE", 400)
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Grant(request=asked)
        self.issued.append(code)
        answer: dict[str, Any] = {"code": code, "state": asked.get("state")}
        if self.sends_issuer:
            answer["iss"] = self.issuer
        query = urlencode(_change(answer, self.answer_changes))
        mark = "&" if "?" in asked["redirect_uri"] else "?"
        return RedirectResponse(f"{asked['redirect_uri']}{mark}{query}", 302)

    def _answer_token(self, request: FakeRequest) -> Response:
        form = request.parameters
        if not self._is_client(request):
            return self._refuse(request, "invalid_client", status=401)
        match form.get("grant_type"):
            case "authorization_code":
                grant = self._codes.pop(form.get("code", ""), None)
                if grant is None or not _is_redeemable(grant.request, form):
                    return self._refuse(request, "invalid_grant")
                self._grants.append(grant)
            case "refresh_token":
                named = form.get("refresh_token")
                found = [each for each in self._grants if each.is_alive and each.refresh_token == named]
                if not named or not found:
                    return self._refuse(request, "invalid_grant")
                grant = found[0]
            case _:
                return self._refuse(request, "unsupported_grant_type")
        return JSONResponse(_change(self._issue(grant, is_refresh="refresh_token" in form), self.token_changes))

    def _issue(self, grant: _Grant, *, is_refresh: bool) -> dict[str, object]:
        access_token = secrets.token_urlsafe(24)
        self._access_tokens[access_token] = grant
        self.issued.append(access_token)
        scope = grant.request.get("scope", "")
        answer: dict[str, object] = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": _LIFETIME_SECONDS,
            "scope": scope,
        }
        if self.issues_refresh_tokens and (self.rotates_refresh_tokens or not is_refresh):
            grant.refresh_token = secrets.token_urlsafe(24)
            self.issued.append(grant.refresh_token)
            answer["refresh_token"] = grant.refresh_token
        if "openid" in scope.split():
            answer["id_token"] = self._sign_id_token(grant, access_token)
        return answer

    def _sign_id_token(self, grant: _Grant, access_token: str) -> str:
        now = int(self.clock())
        claims = {
            "iss": self.issuer,
            "aud": self.client.client_id,
            "exp": now + 300,
            "iat": now,
            "auth_time": now,
            "nonce": grant.request.get("nonce"),
            "at_hash": compute_token_hash(access_token, "RS256"),
            **self.person,
        }
        changed = _change(claims, self.id_token_changes)
        return self.keys[0].sign(changed, kind=self.signature, header=self.header_changes)

    def _show_person(self, request: FakeRequest) -> Response:
        grant = self._access_tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if grant is None or not grant.is_alive:
            return Response(status_code=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return JSONResponse(_change(self.person, self.userinfo_changes))

    def _revoke(self, request: FakeRequest) -> Response:
        if not self._is_client(request):
            return self._refuse(request, "invalid_client", status=401)
        token = request.parameters.get("token", "")
        self.revoked.append(token)
        for grant in self._grants:
            if grant.refresh_token == token or self._access_tokens.get(token) is grant:
                grant.is_alive = False
        return Response(status_code=200)

    def _refuse(self, request: FakeRequest, error: str, *, status: int = 400) -> Response:
        said = " ".join(request.parameters.values()) if self.repeats_secrets else "refused"
        return JSONResponse({"error": error, "error_description": said}, status)

    def _is_client(self, request: FakeRequest) -> bool:
        audiences = (self.issuer, self.url("token"))
        use = _authenticate(request, self.client, audiences, now=self.clock())
        if use is None or use in self._assertions:
            return False
        if use:
            self._assertions.add(use)
        return True


def _change(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not None}


def _is_redeemable(asked: Mapping[str, str], form: Mapping[str, str]) -> bool:
    """Redirect URI and PKCE, as RFC 6749 §4.1.3 and RFC 7636 §4.6 have it."""
    if form.get("redirect_uri") != asked["redirect_uri"]:
        return False
    challenge, verifier = asked.get("code_challenge"), form.get("code_verifier")
    return is_proof(verifier or "", challenge) if challenge else verifier is None


def _authenticate(request: FakeRequest, client: FakeClient, audiences: tuple[str, ...], *, now: float) -> str | None:
    """The client's proof: the ``jti`` of its assertion, else an empty text; None where there is none that is good.

    One method alone counts, the one that the client is registered for.
    """
    form, header = request.parameters, request.headers.get("authorization")
    sent = {
        "client_secret_basic": header is not None,
        "client_secret_post": "client_secret" in form,
        "private_key_jwt": "client_assertion" in form,
    }
    used = [method for method, is_sent in sent.items() if is_sent] or ["none"]
    if used != [client.auth_method]:
        return None
    match client.auth_method:
        case "client_secret_basic":
            return "" if _read_basic(header or "") == (client.client_id, client.secret) else None
        case "client_secret_post":
            given = (form.get("client_id"), form["client_secret"])
            return "" if given == (client.client_id, client.secret) else None
        case "private_key_jwt":
            return _read_assertion(form, client, audiences, now)
        case _:
            return "" if form.get("client_id") == client.client_id else None


def _read_basic(header: str) -> tuple[str, str] | None:
    """RFC 6749 §2.3.1: both parts were form-encoded before they were joined."""
    scheme, _, credentials = header.partition(" ")
    try:
        name, colon, secret = b64decode(credentials, validate=True).decode("ascii").partition(":")
    except (Base64Error, UnicodeDecodeError):
        return None
    return (unquote_plus(name), unquote_plus(secret)) if scheme == "Basic" and colon else None


def _read_assertion(form: Mapping[str, str], client: FakeClient, audiences: tuple[str, ...], now: float) -> str | None:
    """RFC 7523 §3."""
    verified = KeySet.from_jwks({"keys": client.keys}).verify(form["client_assertion"], typ={"JWT"})
    if form.get("client_assertion_type") != _ASSERTION_TYPE or not isinstance(verified, Verified):
        return None
    claims = verified.claims
    is_ours = claims.get("iss") == claims.get("sub") == client.client_id and claims.get("aud") in audiences
    expires_at, use = claims.get("exp"), claims.get("jti")
    is_fresh = isinstance(expires_at, int) and now < expires_at <= now + 300
    return use if is_ours and is_fresh and isinstance(use, str) else None


@asynccontextmanager
async def run_identity_provider(
    directory: Path, *, name: str = "localhost", path: str = "", clock: Callable[[], float] = time.time
) -> AsyncIterator[FakeIdentityProvider]:
    """Run a provider under ``name`` on 127.0.0.1 over TLS; its certificate authority is written into ``directory``.

    ``path`` is that of its issuer. ``clock`` gives epoch seconds.
    """
    authority = trustme.CA()
    ca_file, certificate_file = directory / "provider-ca.pem", directory / f"provider-{name}.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(certificate_file))
    listener, port = open_listener()
    provider = FakeIdentityProvider(origin=f"https://{name}:{port}", path=path, ca_file=ca_file, clock=clock)
    async with serve_app(provider.build_app(), listener, certificate_file=certificate_file):
        yield provider
