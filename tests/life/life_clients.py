"""The clients of the played world: what their hosts serve, and what they sign."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from life_world import LifeWorld
from token_life_values import KEY, NONE, Ask, Assertion, Client, Document

from assertion_kit import ClientKey, wrap_assertion
from flow_world import DOCUMENT, REDIRECT_URI

__all__ = ["REDIRECTS", "LifeClients", "make_clients"]

_ASSERTION_SECONDS = 60

REDIRECTS = {
    "loopback": ("http://127.0.0.1/callback", REDIRECT_URI),
    "web": ("https://notebook.example/callback", "https://notebook.example/callback"),
}
"""The redirect URIs by the names that the model has for them: in the document, and in a request."""

_STRANGER = -1
"""The number of a key that no client publishes."""


def make_clients() -> tuple[Client, Client, Client]:
    """One without a key, one with a key only, and one that offers both."""
    return (
        Client(name="public", published=Document(methods=frozenset({NONE}))),
        Client(name="keyed", published=Document(methods=frozenset({KEY}), keys=frozenset({0}))),
        Client(name="either", published=Document(methods=frozenset({NONE, KEY}), keys=frozenset({1}))),
    )


@lru_cache
def find_key(number: int) -> ClientKey:
    """The private key of this number: for all worlds the same, as making one takes its time."""
    return ClientKey.generate(kid=f"key-{number}")


@dataclass(kw_only=True)
class LifeClients:
    """What clients do."""

    world: LifeWorld
    ids: dict[Client, str] = field(default_factory=dict)
    keys: dict[Client, list[int]] = field(default_factory=dict)
    jwts: dict[Assertion, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def host(self, client: Client) -> None:
        """Have the client's host answer as the model says it does."""
        document = client.published
        members: dict[str, object] = {
            **DOCUMENT,
            "client_name": client.name,
            "redirect_uris": [REDIRECTS[name][0] for name in sorted(document.redirects)],
            "grant_types": ["authorization_code", *(["refresh_token"] if document.has_refresh else [])],
            "token_endpoint_auth_methods_supported": sorted(document.methods),
            "token_endpoint_auth_method": min(document.methods),
        }
        if document.keys:
            members["jwks"] = {"keys": [find_key(number).build_jwk() for number in sorted(document.keys)]}
        if client.host == "broken":
            members["client_secret"] = "no secret"
        status = {"down": 503, "gone": 404}.get(client.host, 200)
        self.ids[client] = self.world.host_document(f"/{client.name}.json", members, status)
        self.keys[client] = sorted({*self.keys.get(client, []), *document.keys})

    def ask(self, client: Client, proof: str) -> Ask:
        """A request of the client that is proven like this: ``fitting`` by its newest key where its document says that
        it uses one; ``used`` and ``unused`` by an assertion that was signed for another request.
        """
        if proof == "fitting":
            proof = "newest key" if KEY in client.published.methods else NONE
        again = [each for each in self.jwts if each.client is client and each.is_used is (proof == "used")]
        if proof in {"used", "unused"} and again:
            return Ask(client=client, assertion=again[-1])
        if proof == NONE or not self.keys[client]:
            return Ask(client=client)
        number = {"oldest key": self.keys[client][0], "stranger": _STRANGER}.get(proof, self.keys[client][-1])
        return Ask(client=client, assertion=self.sign(client, number, is_right=proof != "other audience"))

    def sign(self, client: Client, key: int, *, is_right: bool = True) -> Assertion:
        """An assertion by which the client proves itself once; one for another audience where it is not right.

        A stranger says that his key is one of the client's.
        """
        assertion = Assertion(client=client, key=key, expires_at=self.world.now + _ASSERTION_SECONDS, is_right=is_right)
        claims = {
            "iss": self.ids[client],
            "sub": self.ids[client],
            "aud": self.world.issuer if is_right else f"{self.world.issuer}/token",
            "iat": self.world.now,
            "exp": assertion.expires_at,
            "jti": f"jti-{next(self.numbers)}",
        }
        named = find_key(max(client.published.keys, default=key)) if key == _STRANGER else find_key(key)
        header = {"typ": "client-authentication+jwt", "alg": "ES256", "kid": named.kid}
        self.jwts[assertion] = find_key(key).sign(claims, header)
        return assertion

    def build_form(self, ask: Ask) -> dict[str, str | None]:
        """The parameters by which a request says whose it is."""
        proof = {} if ask.assertion is None else wrap_assertion(self.jwts[ask.assertion])
        return {"client_id": self.ids[ask.client], **proof}
