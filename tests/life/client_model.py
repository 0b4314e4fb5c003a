"""What the server should know of its clients, what it should take for their proof, and what time does. Pure.

Written from architecture decisions 5, 6 and 14, and docs/decisions/0008 and 0011.
"""

from collections.abc import Sequence
from typing import Literal

from signing_key_model import KeyTerms, SigningKeys
from token_life_values import KEY, NONE, Ask, Assertion, Client, Document, Event, Grant, Terms

__all__ = ["ClientModel"]


class ClientModel:
    """Clients, their documents and their proofs, and signing keys, as they should be.

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

    def load_document(self, client: Client, *, for_grant: bool) -> Document | Literal["unreachable", "refused"]:
        """The table of 0008. For a grant, ``refused`` is for good."""
        if client.copy is not None and self.now < client.fresh_until:
            return client.copy
        match client.host:
            case "serves":
                client.copy, client.fresh_until = client.published, self.now + self.FRESH_SECONDS
                client.refused_at = None
                return client.published
            case "down":
                return self.find_last_good(client) or "unreachable"
            case "gone" | "broken":
                is_confirmed = self.confirm_refusal(client)
                if is_confirmed or not for_grant:
                    return "refused"
                return self.find_last_good(client) or "unreachable"

    def find_last_good(self, client: Client) -> Document | None:
        """The last good copy, for a day past its freshness."""
        return client.copy if self.now < client.fresh_until + self.LAST_GOOD_SECONDS else None

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
        is_good = (
            assertion.client is ask.client
            and assertion.key in document.keys
            and assertion.is_right
            and self.now < assertion.expires_at + self.SKEW_SECONDS
        )
        return is_good and self.use_up(assertion)

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
