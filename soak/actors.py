"""What people and clients do: each act goes to several processes at once, and its outcome into the ledger."""

import asyncio
import base64
import html
import json
import random
import re
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from nameplate.jose import SigningKey
from nameplate.protocol.pkce import build_code_challenge
from nameplate.testing.document_host import DocumentHost
from soak.ledger import Ledger, LiveGrant
from soak.servers import (
    ISSUER,
    PASSWORD,
    PEOPLE,
    RESOURCE,
    RESOURCE_SERVER,
    RESOURCE_SERVER_SECRET,
    SCOPE,
    Servers,
)

__all__ = ["Client", "Scene", "build_clients"]

REDIRECT_URI = "http://127.0.0.1:51763/callback"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM = re.compile(r'<form[^>]*\saction="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
_Form = tuple[str, dict[str, str]]
_TRIES = 40
_PAUSE_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client; with a ``key`` it proves itself by assertions, with a ``secret`` by that."""

    client_id: str
    key: SigningKey | None = None
    secret: str = ""


async def build_clients(host: DocumentHost, server: httpx2.AsyncClient) -> list[Client]:
    """A public client and one with a key, whose documents are served by ``host``, and one that registers itself."""
    document = {
        "client_name": "Soak",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    }
    key = SigningKey.generate()
    keyed = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public_jwk()]}}
    registered = await server.post("/register", json={**document, "token_endpoint_auth_method": "client_secret_post"})
    registered.raise_for_status()
    return [
        Client(client_id=host.publish("/public.json", document)),
        Client(client_id=host.publish("/keyed.json", {**document, **keyed}), key=key),
        Client(client_id=registered.json()["client_id"], secret=registered.json()["client_secret"]),
    ]


@dataclass(slots=True)
class _Browser:
    """Cookies, kept by hand: the servers' are for https only, and here no proxy stands in front of them."""

    username: str
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}

    def keep(self, response: httpx2.Response) -> None:
        for value in response.headers.get_list("set-cookie"):
            name, _, text = value.partition(";")[0].partition("=")
            self.cookies[name] = text


class Scene:
    """Plays one act after another, at random, until it is told to stop."""

    def __init__(self, servers: Servers, clients: list[Client], ledger: Ledger, rng: random.Random) -> None:
        self._servers = servers
        self._clients = clients
        self._ledger = ledger
        self._rng = rng
        self._browsers = [_Browser(name) for name in PEOPLE]
        self._busy: set[str] = set()

    async def play(self) -> None:
        """One act."""
        idle = [grant for grant in self._ledger.grants.values() if not grant.ended and grant.grant_id not in self._busy]
        if not idle or self._rng.random() < 0.3:
            await self._sign_in()
            return
        grant = self._rng.choice(idle)
        self._busy.add(grant.grant_id)
        try:
            acts = (self.refresh, self._reuse, self._revoke, self._introspect)
            await self._rng.choices(acts, weights=(20, 1, 2, 4))[0](grant)
        finally:
            self._busy.discard(grant.grant_id)

    # A person: from the authorization request to the code, which is then redeemed.

    async def _sign_in(self) -> None:
        client, browser = self._rng.choice(self._clients), self._rng.choice(self._browsers)
        verifier = secrets.token_urlsafe(48)
        page = await self._reach_consent(client, browser, build_code_challenge(verifier))
        if page is None:
            return
        action, fields = page
        wants = self._rng.choices(("allow", "deny"), weights=(9, 1))[0]
        forms = [{**fields, "answer": wants} for _ in range(self._rng.randint(1, 3))]
        if self._rng.random() < 0.2:
            forms.append({**fields, "answer": "deny" if wants == "allow" else "allow"})
        answers = await asyncio.gather(*(self._post(action, form, browser.headers) for form in forms))
        codes = set()
        for response in answers:
            if response is None or response.status_code != 303:
                self._count("consent", response)
                continue
            query = parse_qs(urlsplit(response.headers["location"]).query)
            if "code" in query:
                codes.add(query["code"][0])
                self._ledger.codes_by_request[fields["request"]].add(query["code"][0])
            elif query.get("error") == ["access_denied"]:
                self._ledger.denied_requests.add(fields["request"])
        for code in codes:
            await self._redeem(client, code, verifier)

    async def _reach_consent(
        self, client: Client, browser: _Browser, challenge: str
    ) -> tuple[str, dict[str, str]] | None:
        query = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": REDIRECT_URI,
            "state": "s",
            "scope": SCOPE,
            "resource": RESOURCE,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        response = await self._get(f"/authorize?{urlencode(query)}", browser)
        if response is not None and (form := _read_form(response, "password")):
            action, fields = form
            filled = {**fields, "username": browser.username, "password": PASSWORD}
            answer = await self._post(action, filled, browser.headers)
            if answer is None or answer.status_code != 303:
                return None
            browser.keep(answer)
            response = await self._get(answer.headers["location"], browser)
        return None if response is None else _read_form(response, "allow")

    async def _redeem(self, client: Client, code: str, verifier: str) -> None:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": verifier,
        }
        tokens = await self._ask_everywhere(client, form)
        for each in tokens:
            grant_id = str(_read_claims(each["access_token"])["grant_id"])
            self._ledger.grants_by_code[code].append(grant_id)
            self._ledger.grants[grant_id] = LiveGrant(
                grant_id, client.client_id, each["refresh_token"], each["access_token"]
            )

    # A client with a grant.

    async def refresh(self, grant: LiveGrant) -> bool:
        """Refresh at several processes at once, and say whether that brought tokens.

        Where no answer came at all, try on: it must come in the end.
        """
        presented = grant.refresh_token
        form = {"grant_type": "refresh_token", "refresh_token": presented}
        for _ in range(_TRIES):
            answers = await self._ask_everywhere(self._find_client(grant), form)
            if answers:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            self._ledger.complain(f"grant {grant.grant_id} was logged out: no refresh succeeds any more")
            grant.ended = "logged out"
            return False
        self._ledger.successors[presented].update(answer["refresh_token"] for answer in answers)
        grant.refresh_token, grant.access_token = answers[0]["refresh_token"], answers[0]["access_token"]
        grant.rotations += 1
        return True

    async def _reuse(self, grant: LiveGrant) -> None:
        """A thief presents a token whose successor was used: the grant must end, and for the honest client too."""
        stolen = grant.refresh_token
        for _ in range(2):
            if not await self.refresh(grant):
                return
        form = {"grant_type": "refresh_token", "refresh_token": stolen}
        response = await self._ask(self._choose(), self._build_form(self._find_client(grant), form))
        if response is None or response.status_code >= 500:
            grant.doubtful = True
            await self._settle(grant)
        elif response.status_code == 200:
            self._ledger.complain(f"grant {grant.grant_id}: a token was taken whose successor had been used")
        else:
            grant.ended = "reuse"

    async def _revoke(self, grant: LiveGrant) -> None:
        token = self._rng.choice((grant.refresh_token, grant.access_token))
        client = self._find_client(grant)
        response = await self._ask(self._choose(), self._build_form(client, {"token": token}), path="/revoke")
        if response is not None and response.status_code == 200:
            grant.ended = "revocation"
            await self._introspect(grant)
        else:
            self._count("revoke", response)
            grant.doubtful = True
            await self._settle(grant)

    async def _introspect(self, grant: LiveGrant) -> None:
        """What one process acknowledged, each of the others knows."""
        form = {"token": grant.access_token, "client_id": RESOURCE_SERVER, "client_secret": RESOURCE_SERVER_SECRET}
        response = await self._ask(self._choose(), form, path="/introspect")
        self._count("introspect", response)
        if response is not None and response.status_code == 200 and response.json()["active"] == bool(grant.ended):
            self._ledger.complain(f"grant {grant.grant_id} ({grant.ended or 'lives'}): {response.text}")

    async def _settle(self, grant: LiveGrant) -> None:
        """Nobody knows whether the grant ended: find out, so that the rest of the play knows."""
        form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        for _ in range(_TRIES):
            response = await self._ask(self._choose(), self._build_form(self._find_client(grant), form))
            if response is not None and response.status_code == 200:
                answer = response.json()
                self._ledger.successors[grant.refresh_token].add(answer["refresh_token"])
                grant.refresh_token, grant.access_token = answer["refresh_token"], answer["access_token"]
                grant.rotations += 1
                return
            if response is not None and response.status_code == 400:
                grant.ended = "an act whose answer was lost"
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def check_end(self, grant: LiveGrant) -> None:
        """When all is quiet: a grant that lives can be refreshed, one that ended cannot."""
        form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        response = await self._ask(self._choose(), self._build_form(self._find_client(grant), form))
        status = None if response is None else response.status_code
        if grant.ended and status == 200:
            self._ledger.complain(f"grant {grant.grant_id} ended by {grant.ended}, and still gives tokens")
        if not grant.ended and status != 200:
            answer = "" if response is None else response.text
            self._ledger.complain(f"grant {grant.grant_id} lives, and gives no tokens: {status} {answer}")
        if status == 200:
            grant.rotations += 1

    # Requests.

    async def _ask_everywhere(self, client: Client, form: dict[str, str]) -> list[dict[str, str]]:
        """The token answers of all that were asked at once, some with one and the same assertion."""
        one_for_all = self._build_form(client, form)
        count = self._rng.randint(1, len(self._servers))
        same = self._rng.random() < 0.3
        forms = [one_for_all if same else self._build_form(client, form) for _ in range(count)]
        responses = await asyncio.gather(*(self._ask(self._choose(), each) for each in forms))
        good: list[dict[str, str]] = []
        for each, response in zip(forms, responses, strict=True):
            self._count(form["grant_type"], response)
            if response is not None and response.status_code == 200:
                good.append(response.json())
                if "client_assertion" in each:
                    self._ledger.wins_by_assertion[str(_read_claims(each["client_assertion"])["jti"])] += 1
        return good

    def _build_form(self, client: Client, form: dict[str, str]) -> dict[str, str]:
        form = {**form, "client_id": client.client_id}
        if client.key is not None:
            now = int(time.time())
            claims = {"iss": client.client_id, "sub": client.client_id, "aud": ISSUER, "iat": now, "exp": now + 120}
            assertion = client.key.sign({**claims, "jti": secrets.token_urlsafe(12)}, typ="client-authentication+jwt")
            form |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
        if client.secret:
            form["client_secret"] = client.secret
        return form

    def _find_client(self, grant: LiveGrant) -> Client:
        return next(client for client in self._clients if client.client_id == grant.client)

    def _choose(self) -> httpx2.AsyncClient:
        return self._rng.choice(self._servers.http)

    async def _ask(
        self, server: httpx2.AsyncClient, form: dict[str, str], *, path: str = "/token"
    ) -> httpx2.Response | None:
        """The answer, or None where the process went away."""
        try:
            return await server.post(path, data=form)
        except httpx2.TransportError:
            return None

    async def _get(self, url: str, browser: _Browser) -> httpx2.Response | None:
        parts = urlsplit(url)
        try:
            response = await self._choose().get(f"{parts.path}?{parts.query}", headers=browser.headers)
        except httpx2.TransportError:
            return None
        browser.keep(response)
        self._count("page", response)
        return response

    async def _post(self, url: str, form: dict[str, str], headers: dict[str, str]) -> httpx2.Response | None:
        try:
            return await self._choose().post(urlsplit(url).path, data=form, headers=headers)
        except httpx2.TransportError:
            return None

    def _count(self, what: str, response: httpx2.Response | None) -> None:
        status = "none" if response is None else str(response.status_code)
        self._ledger.answers[f"{what} {status}"] += 1
        if response is not None and response.status_code == 500:
            self._ledger.complain(f"{what}: status 500: {response.text[:200]}")


def _read_form(page: httpx2.Response, marker: str) -> _Form | None:
    """Where the form leads that has this word in it, and its hidden fields."""
    for action, content in _FORM.findall(page.text):
        if f'"{marker}"' in content:
            return html.unescape(action), {name: html.unescape(value) for name, value in _HIDDEN.findall(content)}
    return None


def _read_claims(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
