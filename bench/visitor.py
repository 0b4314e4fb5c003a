"""A person and a client in front of an authorization server: they sign in once, and then keep coming back."""

import html
import json
import re
import secrets
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qs, quote_plus, urlencode, urljoin, urlsplit

from bench.driver import Answer, Driver, ask_once, build_request
from bench.failure import BenchFailed
from nameplate.jose import SigningKey
from nameplate.protocol.pkce import build_code_challenge

__all__ = ["RESOURCE_SERVER", "RESOURCE_SERVER_SECRET", "Access", "Code", "Question", "Visitor"]

_T = TypeVar("_T")

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_FORM = re.compile(r'<form[^>]*\saction="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What it takes to use an authorization server: a client that it can know, and a person who may sign in."""

    issuer: str
    client_id: str
    redirect_uri: str
    resource: str
    scope: str
    username: str
    password: str

    @property
    def metadata_url(self) -> str:
        """Where the server's metadata lies (RFC 8414 §3)."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}"


RESOURCE_SERVER = "bench"
RESOURCE_SERVER_SECRET = "a secret for the bench, and for nothing else"


@dataclass(frozen=True, slots=True)
class Question:
    """A person is asked for consent. ``request`` says yes; the code that it brings needs the code verifier."""

    request: bytes
    verifier: str


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code that nobody has redeemed, and its code verifier."""

    value: str
    verifier: str


class Visitor:
    """Use ``open`` first. With a ``key`` the client proves itself by assertions.

    ``publish`` puts another client's document up and gives its URL; None where nobody can. ``codes``,
    ``refresh_tokens`` and ``access_tokens`` are what the server issued and nobody has used. ``endpoints`` is the
    server's metadata, ``metadata_url`` where it lies.
    """

    authorize_statuses: frozenset[int] = frozenset({200})
    """What a good authorization request is answered with."""

    def __init__(
        self, access: Access, *, publish: Callable[[], str] | None = None, key: SigningKey | None = None
    ) -> None:
        self.access = access
        self.key = key
        self.publish = publish
        self.codes: list[Code] = []
        self.refresh_tokens: list[str] = []
        self.access_tokens: list[str] = []
        self.endpoints: dict[str, str] = {}
        self.metadata_url = access.metadata_url
        self._cookies: dict[str, str] = {}

    async def open(self) -> None:
        """Find the endpoints, and sign in. Raises ``BenchFailed``."""
        url = self.metadata_url
        self.endpoints = json.loads((await ask_once(url, build_request("GET", url))).check(200).body)
        page = await self._ask(self.build_authorize(secrets.token_urlsafe(48)))
        action, fields = self._read_form(page.check(200), "password")
        filled = {**fields, "username": self.access.username, "password": self.access.password}
        (await self._ask(build_request("POST", action, headers=self._cookie_header(), form=filled))).check(303)

    async def _ask(self, request: bytes) -> Answer:
        answer = await ask_once(self.access.issuer, request)
        for name, value in answer.headers:
            if name == "set-cookie":
                key, _, text = value.partition(";")[0].partition("=")
                self._cookies[key] = text
        return answer

    def _cookie_header(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}

    def _read_form(self, page: Answer, marker: str) -> tuple[str, dict[str, str]]:
        """Where the form leads that has this word in it, and its hidden fields."""
        for action, content in _FORM.findall(page.body.decode()):
            if f'"{marker}"' in content:
                fields = {name: html.unescape(value) for name, value in _HIDDEN.findall(content)}
                return urljoin(self.endpoints["authorization_endpoint"], html.unescape(action)), fields
        raise BenchFailed(f"a page has no form with {marker!r}: {page.body[:300]!r}")

    def build_authorize(self, verifier: str, *, client_id: str = "", is_known: bool = False) -> bytes:
        """An authorization request (RFC 6749 §4.1.1), by a browser that has been here before or not."""
        parameters = {
            "response_type": "code",
            "client_id": client_id or self.access.client_id,
            "redirect_uri": self.access.redirect_uri,
            "state": secrets.token_urlsafe(16),
            "scope": self.access.scope,
            "resource": self.access.resource,
            "code_challenge": build_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        url = f"{self.endpoints['authorization_endpoint']}?{urlencode(parameters)}"
        return build_request("GET", url, headers=self._cookie_header() if is_known else None)

    async def ask_for_consent(self, driver: Driver, count: int) -> list[Question]:
        """Authorization requests of the signed-in person, up to the question."""
        verifiers = [secrets.token_urlsafe(48) for _ in range(count)]
        pages = (await driver.send([self.build_authorize(each, is_known=True) for each in verifiers])).answers
        return [
            Question(self._build_consent(page.check(200)), verifier)
            for page, verifier in zip(pages, verifiers, strict=True)
        ]

    def _build_consent(self, page: Answer) -> bytes:
        action, fields = self._read_form(page, "allow")
        return build_request("POST", action, headers=self._cookie_header(), form={**fields, "answer": "allow"})

    def keep_codes(self, asked: list[Question], answers: list[Answer]) -> None:
        """Take the codes from the redirects that the yes brought. Earlier ones are dropped: they live for a minute."""
        self.codes.clear()
        for question, answer in zip(asked, answers, strict=True):
            location = answer.check(303).read_header("location")
            if not location.startswith(self.access.redirect_uri):
                raise BenchFailed(f"consent led to {location}")
            self.codes.append(Code(parse_qs(urlsplit(location).query)["code"][0], question.verifier))

    def build_exchange(self, code: Code) -> bytes:
        """RFC 6749 §4.1.3."""
        return self._build_token_request(
            grant_type="authorization_code",
            code=code.value,
            redirect_uri=self.access.redirect_uri,
            code_verifier=code.verifier,
        )

    def build_refresh(self, refresh_token: str) -> bytes:
        """RFC 6749 §6."""
        return self._build_token_request(grant_type="refresh_token", refresh_token=refresh_token)

    def build_introspection(self, access_token: str) -> bytes:
        """RFC 7662 §2.1, by the resource server that ``bench.ours`` declares."""
        credentials = b64encode(f"{RESOURCE_SERVER}:{quote_plus(RESOURCE_SERVER_SECRET)}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}"}
        return build_request(
            "POST", self.endpoints["introspection_endpoint"], headers=headers, form={"token": access_token}
        )

    def _build_token_request(self, **fields: str) -> bytes:
        form = {**fields, "client_id": self.access.client_id, "resource": self.access.resource}
        if self.key is not None:
            form |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self._build_assertion(self.key)}
        return build_request("POST", self.endpoints["token_endpoint"], form=form)

    def _build_assertion(self, key: SigningKey) -> str:
        """RFC 7523 §3, with the audience of RFC 10070, or the one that the server insists on."""
        now, client_id = int(time.time()), self.access.client_id
        claims = {"iss": client_id, "sub": client_id, "aud": self.assertion_audience, "iat": now, "exp": now + 300}
        return key.sign({**claims, "jti": secrets.token_urlsafe(16)}, typ="client-authentication+jwt")

    @property
    def assertion_audience(self) -> str:
        """Whom assertions are for."""
        return self.access.issuer

    def keep_tokens(self, answers: list[Answer]) -> None:
        """Take the tokens from token responses (RFC 6749 §5.1)."""
        for answer in answers:
            tokens = json.loads(answer.check(200).body)
            if "refresh_token" not in tokens:
                raise BenchFailed("the client gets no refresh token: its document must allow the refresh_token grant")
            self.access_tokens.append(tokens["access_token"])
            self.refresh_tokens.append(tokens["refresh_token"])

    async def take_codes(self, driver: Driver, count: int) -> list[Code]:
        """Codes to redeem, got by asking the person where there are too few."""
        if len(self.codes) < count:
            asked = await self.ask_for_consent(driver, count)
            self.keep_codes(asked, (await driver.send([each.request for each in asked])).answers)
        return _take(self.codes, count)

    async def take_refresh_tokens(self, driver: Driver, count: int) -> list[str]:
        """Refresh tokens, got by redeeming codes where there are too few."""
        if (missing := count - len(self.refresh_tokens)) > 0:
            codes = await self.take_codes(driver, missing)
            self.keep_tokens((await driver.send([self.build_exchange(code) for code in codes])).answers)
        return _take(self.refresh_tokens, count)

    async def take_access_tokens(self, driver: Driver, count: int) -> list[str]:
        """Access tokens that no resource has seen, got by refreshing."""
        self.access_tokens.clear()  # older ones may expire before they are used
        refresh_tokens = await self.take_refresh_tokens(driver, count)
        self.keep_tokens((await driver.send([self.build_refresh(each) for each in refresh_tokens])).answers)
        return self.access_tokens[-count:]


def _take(pool: list[_T], count: int) -> list[_T]:
    """The oldest of the pool, which are then no longer in it."""
    taken = pool[:count]
    del pool[:count]
    return taken
