"""The person and the client at a server that asks nothing: its redirects lead on until the client has a code."""

import json
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from bench.driver import Answer, Driver, ask_once, build_request
from bench.failure import BenchFailed
from bench.visitor import Code, Visitor

__all__ = ["UPSTREAM", "FastMcpVisitor", "RedirectVisitor"]

UPSTREAM = "http://upstream.invalid"
"""Stands for the provider behind a proxy. The visitor answers for it: nobody has to ask it for a page."""

LONGEST_WAY = 8
REDIRECTS = frozenset({302, 303})


@dataclass(slots=True)
class _Walk:
    """One browser on its way from the authorization request to the code."""

    verifier: str
    request: bytes
    url: str
    cookies: dict[str, str] = field(default_factory=dict)
    code: str = ""


class RedirectVisitor(Visitor):
    """A ``Visitor`` of a server that signs everybody in and asks nobody for consent."""

    authorize_statuses = REDIRECTS

    async def open(self) -> None:
        """Find the endpoints. Raises ``BenchFailed``."""
        for name in ("oauth-authorization-server", "openid-configuration"):
            url = f"{self.access.issuer}/.well-known/{name}"
            answer = await ask_once(url, build_request("GET", url))
            if answer.status == 200:
                self.metadata_url = url
                self.endpoints = json.loads(answer.body)
                return
        raise BenchFailed(f"{self.access.issuer} has no metadata")

    async def take_codes(self, driver: Driver, count: int) -> list[Code]:
        """Codes to redeem, each of a browser of its own."""
        walks = [self._start() for _ in range(count)]
        for _ in range(LONGEST_WAY):
            going = [walk for walk in walks if not walk.code]
            if not going:
                return [Code(walk.code, walk.verifier) for walk in walks]
            answers = (await driver.send([walk.request for walk in going])).answers
            for walk, answer in zip(going, answers, strict=True):
                self._step(walk, answer)
        raise BenchFailed("the way to a code has no end")

    def _start(self) -> _Walk:
        verifier = secrets.token_urlsafe(48)
        return _Walk(verifier, self.build_authorize(verifier), self.endpoints["authorization_endpoint"])

    def _step(self, walk: _Walk, answer: Answer) -> None:
        if answer.status not in REDIRECTS:
            answer.check(303)
        for name, value in answer.headers:
            if name == "set-cookie":
                key, _, text = value.partition(";")[0].partition("=")
                walk.cookies[key] = text
        target = urljoin(walk.url, answer.read_header("location"))
        query = parse_qs(urlsplit(target).query)
        if target.startswith(self.access.redirect_uri):
            if "code" not in query:
                raise BenchFailed(f"the client got no code: {target}")
            walk.code = query["code"][0]
            return
        if target.startswith(UPSTREAM):
            answer_query = urlencode({"code": secrets.token_urlsafe(16), "state": query["state"][0]})
            target = f"{query['redirect_uri'][0]}?{answer_query}"
        walk.url = target
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in walk.cookies.items())}
        walk.request = build_request("GET", target, headers=cookie if walk.cookies else None)


class FastMcpVisitor(RedirectVisitor):
    """FastMCP takes its token endpoint for the audience of an assertion, and nothing else."""

    @property
    def assertion_audience(self) -> str:
        """Whom assertions are for."""
        return self.endpoints["token_endpoint"]
