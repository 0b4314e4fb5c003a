"""Holds what a server says against what the model says."""

from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NoReturn

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from life_clients import LifeClients
from life_world import RESOURCE, LifeWorld
from signing_key_model import SigningKey
from token_life_model import TokenLifeModel
from token_life_values import Access, Code, Event, Grant, Issued, Refresh, Verdict

from nameplate.ports.verdicts import Unknown
from nameplate.secret import hash_bearer_value

__all__ = ["Disagreement", "TokenLifeChecks"]


class Disagreement(AssertionError):
    """The server did something else than the model says."""


class TokenLifeChecks:
    """A server, the model of it, and the values that the server gave for what the model knows by itself."""

    def __init__(self, world: LifeWorld, model: TokenLifeModel) -> None:
        self.world = world
        self.model = model
        self.clients = LifeClients(world=world)
        self.values: dict[Code | Access | Refresh, str] = {}
        self.verifiers: dict[Code, str] = {}
        self.redirects: dict[Code, str] = {}
        self.grant_ids: dict[Grant, str] = {}
        self.kids: dict[SigningKey, str] = {}
        self.has_disagreed = False
        self._position = ""
        self._subject = ""
        for client in model.clients:
            self.clients.host(client)
        world.start()
        self.compare_keys()

    def agree(self, what: str, *, server: object, model: object) -> None:
        """Raise ``Disagreement`` unless both say the same."""
        if server != model:
            self.disagree(f"{what}: the server says {server!r}, the model {model!r}")

    def disagree(self, sentence: str) -> NoReturn:
        """Raise ``Disagreement``. From here on, the model knows nothing of the server any more."""
        self.has_disagreed = True
        raise Disagreement(sentence)

    def compare_answer(self, response: httpx2.Response, verdict: Verdict) -> Verdict:
        body: dict[str, Any] = response.json() if response.content else {}
        said = (response.status_code, body.get("error", ""))
        if said != (verdict.status, verdict.error):
            self.disagree(f"the server answers {said} {body.get('reason')}, the model {verdict}")
        if verdict.issued is not None:
            self._compare_tokens(body, verdict.issued)
        return verdict

    def _compare_tokens(self, body: Mapping[str, Any], issued: Issued) -> None:
        access, refresh = issued.access, issued.refresh
        expected = {
            "token_type": "Bearer",
            "expires_in": access.expires_at - self.model.now,
            "scope": " ".join(access.scope),
            **({} if refresh is None else {"refresh_token": self._bind(refresh, body.get("refresh_token"))}),
            "access_token": self._bind(access, body["access_token"]),
        }
        self.agree("the token answer", server=body, model=expected)

    def _bind(self, token: Access | Refresh, value: str | None) -> str | None:
        """The value that the token had before; else this one from now on, which nothing may have had before."""
        if token not in self.values and value is not None:
            if value in self.values.values():
                self.disagree("the server gave the same value for two tokens")
            self.values[token] = value
        return self.values.get(token)

    def note_forgotten(self, value: Code | Refresh) -> None:
        """What nothing can come of any more may have been swept, at a time that is the server's own choice."""
        store, digest = self.world.server.context.store, hash_bearer_value(self.values[value])
        load = store.load_code(digest) if isinstance(value, Code) else store.load_refresh_token(digest)
        if isinstance(self.world.run(load), Unknown):
            if not self.model.may_be_forgotten(value):
                self.disagree(f"the store forgot {value}")
            value.is_forgotten = True

    def compare_keys(self) -> None:
        """The keys in the store, and those that are published."""
        rows = list(reversed(self.world.run(self.world.server.context.store.load_signing_keys())))
        stored = [(row.active_from, row.withdrawn_at) for row in rows]
        self.agree("keys", server=stored, model=[(key.active_from, key.withdrawn_at) for key in self.model.keys.keys])
        self.kids.update(zip(self.model.keys.keys, (row.kid for row in rows), strict=True))
        published = {entry["kid"] for entry in self.world.fetch_keys()["keys"]}
        self.agree(
            "published keys", server=published, model={self.kids[key] for key in self.model.keys.list_published()}
        )

    def compare_audit_trail(self) -> None:
        """What was written to it since the last time. A grant gets its identifier by that."""
        store = self.world.server.context.store
        told: Counter[tuple[str, str, str]] = Counter()
        written: Counter[tuple[str, str, str]] = Counter()
        events = self.model.take_events()
        found = [
            (position, event)
            for position, event in self.world.run(store.load_audit_events(after=self._position))
            if not event.name.startswith("session.")
        ]
        approvals = iter([event for event in events if event.name == "authorization.approved"])
        for position, event in found:
            self._position = position
            if event.name == "authorization.approved" and (approval := next(approvals, None)) and approval.grant:
                self.grant_ids[approval.grant] = event.grant_id
            detail = event.detail if event.name in {"grant.revoked", "refresh_token.rotated"} else ""
            written[event.name, event.grant_id, detail] += 1
        for each in events:
            told[each.name, self._find_grant_id(each), each.detail] += 1
        self.agree("the audit trail", server=sorted(written.elements()), model=sorted(told.elements()))

    def _find_grant_id(self, event: Event) -> str:
        return "" if event.grant is None else self.grant_ids.get(event.grant, "?")

    def compare_unrotated(self) -> None:
        """A grant has at most one refresh token that was not rotated."""
        for grant_id, count in self.world.count_unrotated().items():
            self.agree(f"refresh tokens of {grant_id} that were not rotated", server=count, model=1)

    def compare_revocations(self) -> None:
        """The feed names the grants that ended of which a token could live, and none that did not end."""
        told = self.world.fetch_revocations()
        ended = {digest_grant_id(self.grant_ids[each]) for each in self.model.grants if each.ended}
        fresh = {digest_grant_id(self.grant_ids[each]) for each in self.model.grants if self.model.must_be_told(each)}
        self.agree("revoked grants that are not told", server=fresh - told, model=set())
        self.agree("grants that are told and live", server=told - ended, model=set())

    def compare_access(self, access: Access) -> None:
        """What a resource server is told of the token."""
        answer = self.world.introspect(self.values[access])
        self.agree("active", server=answer["active"], model=self.model.is_active(access))
        if answer["active"]:
            self._compare_claims(answer, access)

    def compare_with_another_asker(self, access: Access) -> None:
        """A resource server is told nothing of tokens for others."""
        self.agree(
            "a token for another", server=self.world.introspect(self.values[access], "other"), model={"active": False}
        )

    def verify_offline(self, access: Access) -> None:
        """What a resource server finds out by itself, with the published keys."""
        keys = KeySet.import_key_set({"keys": self.world.fetch_keys()["keys"]})
        try:
            token = jwt.decode(self.values[access], keys, algorithms=["ES256"])
        except JoseError:
            token = None
        self.agree("a good signature", server=token is not None, model=self.model.is_verifiable(access))
        if token is not None:
            self.agree("the key", server=token.header["kid"], model=self.kids[access.signed_by])
            self._compare_claims(token.claims, access)

    def _compare_claims(self, claims: Mapping[str, Any], access: Access) -> None:
        self._subject = self._subject or claims["sub"]  # the person is always the same
        expected = {
            "scope": " ".join(access.scope),
            "sub": self._subject,
            "client_id": self.clients.ids[access.grant.client],
            "aud": RESOURCE,
            "exp": access.expires_at,
            "iat": access.issued_at,
            "grant_id": self.grant_ids[access.grant],
        }
        self.agree("the claims", server={name: claims.get(name) for name in expected}, model=expected)


def digest_grant_id(grant_id: str) -> str:
    """0013: the first eight bytes of the SHA-256, in base64url."""
    return urlsafe_b64encode(sha256(grant_id.encode()).digest()[:8]).rstrip(b"=").decode()
