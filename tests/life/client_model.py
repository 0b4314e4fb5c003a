"""What the server should know of its clients, what it should take for their proof, and what time does. Pure.

Written from architecture decisions 5, 6 and 14, and docs/decisions/0008 and 0011.
"""

from collections.abc import Sequence
from typing import Literal

from signing_key_model import KeyTerms, SigningKeys
from token_life_values import (
    KEY,
    NONE,
    Access,
    Ask,
    Assertion,
    Client,
    Document,
    Event,
    Grant,
    Refresh,
    Terms,
    Verdict,
    refuse,
)

__all__ = ["ClientModel", "find_last_visit"]


_END_REASONS = {"gone": "fetch.not_found", "broken": "document.secret"}
"""Why a grant ended, by what the host of its client's document answered twice."""


class ClientModel:
    """Clients, their documents and their proofs, what these mean for a grant, and signing keys, as they should be.

    The constants are attributes, and the rules methods of their own, so that a test can have a model that is mistaken
    in one of them.
    """

    FRESH_SECONDS = 600  # where the host says nothing of caching
    LAST_GOOD_SECONDS = 24 * 3600
    CONFIRM_SECONDS = 3600
    SKEW_SECONDS = 60

    def __init__(self, terms: Terms, now: int, clients: Sequence[Client]) -> None:
        self.terms = terms
        self.now = now
        self.clients = clients
        self.events: list[Event] = []
        self.keys = SigningKeys(
            terms=KeyTerms(
                rotate_seconds=terms.rotate_seconds,
                publish_ahead_seconds=terms.publish_ahead_seconds,
                longest_token_seconds=max(terms.public.access_seconds, terms.confidential.access_seconds),
            ),
            now=now,
        )
        self.keys.look_after(now)

    def pass_time(self, seconds: int) -> None:
        """Time passes, and the server looks after its keys."""
        self.now += seconds
        self.keys.look_after(self.now)

    def tell(self, name: str, grant: Grant | None = None, detail: str = "") -> None:
        """A line for the audit trail."""
        self.events.append(Event(name=name, grant=grant, detail=detail))

    def take_events(self) -> list[Event]:
        """What the audit trail should have got since the last time."""
        events = [*self.events, *(Event(name=name) for name in self.keys.events)]
        self.events, self.keys.events = [], []
        return events

    def forget_strangers(self) -> None:
        """A restart: documents of clients that nobody approved were in memory only (0008)."""
        for client in self.clients:
            if not client.is_approved:
                client.copy, client.fresh_until = None, 0

    def load_document(
        self, client: Client, *, for_grant: bool, since: int = 0
    ) -> Document | Literal["unreachable", "refused"]:
        """The table of 0008. For a grant, ``refused`` is for good. A copy from before ``since`` will not do (0011)."""
        if client.copy is not None and self.now < client.fresh_until and client.fetched_at >= since:
            return client.copy
        match client.host:
            case "serves":
                client.copy, client.fetched_at = client.published, self.now
                client.fresh_until, client.refused_at = self.now + self.FRESH_SECONDS, None
                return client.published
            case "down":
                return self.find_last_good(client, since) or "unreachable"
            case "gone" | "broken":
                is_confirmed = self.confirm_refusal(client)
                if is_confirmed or not for_grant:
                    return "refused"
                return self.find_last_good(client, since) or "unreachable"

    def find_last_good(self, client: Client, since: int) -> Document | None:
        """The last good copy, for a day past its freshness."""
        is_young = self.now < client.fresh_until + self.LAST_GOOD_SECONDS and client.fetched_at >= since
        return client.copy if is_young else None

    def confirm_refusal(self, client: Client) -> bool:
        """Whether the host said so an hour ago or before. Nothing of a stranger's document is remembered."""
        if client.refused_at is None:
            client.refused_at = self.now if client.is_approved else None
            return False
        return self.now - client.refused_at >= self.CONFIRM_SECONDS

    def prove(self, ask: Ask, document: Document) -> bool:
        """Whether the client is who it says. An assertion is used up by the request that it authenticates."""
        if ask.method not in document.methods:
            return False
        assertion = ask.assertion
        if assertion is None:
            return True
        return assertion.key in document.keys and self.is_right(ask, assertion) and self.use_up(assertion)

    def is_right(self, ask: Ask, assertion: Assertion) -> bool:
        """Whether an assertion says what it should, as far as its signature goes unquestioned."""
        is_in_time = self.now < assertion.expires_at + self.SKEW_SECONDS
        return assertion.client is ask.client and assertion.is_right and is_in_time

    def use_up(self, assertion: Assertion) -> bool:
        """``jti`` works once for each client."""
        if assertion.is_used:
            self.tell("assertion.replayed")
            return False
        assertion.is_used = True
        return True

    def is_pinned_above(self, ask: Ask, grant: Grant) -> bool:
        """Whether the grant's tokens were had by a stronger method than this."""
        return ask.method == NONE and grant.method == KEY

    def are_keys_replaced(self, ask: Ask, grant: Grant, document: Document) -> bool:
        """Whether the client proved itself, and none of the keys is left that the grant remembers."""
        return ask.method == KEY and grant.keys != frozenset() and grant.keys.isdisjoint(document.keys)

    def is_doubtful(self, ask: Ask, grant: Grant, document: Document) -> bool:
        """0011: whether a document would refuse the client's method or key, or end the grant. An old copy may not."""
        assertion = ask.assertion
        if ask.method not in document.methods:
            return True
        if assertion is None:
            return self.is_pinned_above(ask, grant) and KEY not in document.methods
        if assertion.key not in document.keys:
            return True
        return self.is_right(ask, assertion) and self.are_keys_replaced(ask, grant, document)

    def is_live(self, grant: Grant) -> bool:
        """Neither ended nor past its absolute lifetime."""
        return not grant.ended and self.now < grant.expires_at

    def load_for(self, grant: Grant, since: int = 0) -> Document | Verdict:
        """The document of a live grant's client. One that is gone for good ends the grant."""
        document = self.load_document(grant.client, for_grant=True, since=since)
        match document:
            case "unreachable":
                return Verdict(status=503, error="temporarily_unavailable")
            case "refused":
                self.end(grant, _END_REASONS[grant.client.host])
                return refuse("invalid_client")
            case Document():
                return document

    def is_copy_doubtful(self, token: Refresh | Access, ask: Ask, document: Document) -> bool:
        """0011: a copy from before the token was issued, or replaced, may be older than what its client was let in by.
        Where it would refuse the client, or end the grant, a younger one is looked for.
        """
        grant = token.grant
        return grant.client.fetched_at < find_last_visit(token) and self.is_doubtful(ask, grant, document)

    def judge_change(self, grant: Grant, ask: Ask, document: Document) -> Verdict | None:
        """0011, "What is pinned"."""
        if self.is_pinned_above(ask, grant):
            if KEY in document.methods:
                return refuse("invalid_client")
            self.end(grant, "client.auth_method_weakened")
            return refuse("invalid_grant")
        if self.are_keys_replaced(ask, grant, document):
            self.end(grant, "client.keys_replaced")
            return refuse("invalid_grant")
        return None

    def end(self, grant: Grant, reason: str) -> None:
        """The grant ends, with all its tokens."""
        grant.ended, grant.ended_at = reason, self.now
        self.tell("grant.revoked", grant, reason)


def find_last_visit(token: Refresh | Access) -> int:
    """When the client was here, as far as the token tells: when it was issued, or replaced."""
    replaced_at = token.rotated_at if isinstance(token, Refresh) else None
    return token.issued_at if replaced_at is None else replaced_at
