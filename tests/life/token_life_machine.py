"""The state machine that Hypothesis plays: what may happen next in the life of tokens, and what must hold after it."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from life_clients import STRANGER, make_clients
from life_world import LifeBench
from token_life_model import TokenLifeModel
from token_life_play import Redirect, TokenLifePlay
from token_life_values import (
    KEY,
    NONE,
    Access,
    Ask,
    Assertion,
    Client,
    Code,
    Document,
    Grant,
    HostState,
    Lifetimes,
    Refresh,
    Terms,
)

__all__ = ["TokenLife"]

HOUR = 3600
TERMS = Terms(
    public=Lifetimes(access_seconds=300, refresh_seconds=30 * HOUR, grant_seconds=60 * HOUR),
    confidential=Lifetimes(access_seconds=600, refresh_seconds=40 * HOUR, grant_seconds=80 * HOUR),
    rotate_seconds=12 * HOUR,
    publish_ahead_seconds=300,
)
"""Short enough for everything to end within a few steps, and longer than a document may stand in for a day."""

SETTINGS: Mapping[str, Any] = {
    "tokens": {
        name: {
            "access_token_seconds": lifetimes.access_seconds,
            "refresh_token_seconds": lifetimes.refresh_seconds,
            "grant_seconds": lifetimes.grant_seconds,
        }
        for name, lifetimes in (("public", TERMS.public), ("confidential", TERMS.confidential))
    },
    "keys": {"rotate_seconds": TERMS.rotate_seconds, "publish_ahead_seconds": TERMS.publish_ahead_seconds},
}

# Just before and after every instant that means something: a code's retry and end, a repeat's, tokens', documents',
# keys', what is confirmed after an hour, what stands in for a day, what ends a grant.
MOMENTS = (1, 9, 10, 11, 29, 59, 60, 61, 119, 120, 121, 299, 300, 301, 599, 600, 601, 660, 3599, 3600, 3601)
LONG_MOMENTS = (6 * HOUR, 12 * HOUR, 23 * HOUR, 24 * HOUR, 25 * HOUR, 30 * HOUR, 40 * HOUR, 60 * HOUR, 80 * HOUR)

SCOPES = (("notes:read",), ("notes:read", "notes:write"), ("notes:write",))
CLIENTS = st.integers(0, 2)
PICKS = st.integers(0, 5)
PROOFS = st.sampled_from(
    ("fitting", "fitting", "fitting", NONE, "newest key", "oldest key", "stranger", "wrong", "used")
)


def edit(document: Document, change: str, fresh: int) -> Document:
    """The document after its client's developer changed it. ``fresh`` is the number of a new key."""
    keys = document.keys or frozenset({fresh})
    match change:
        case "none only":
            return replace(document, methods=frozenset({NONE}), keys=frozenset())
        case "key only":
            return replace(document, methods=frozenset({KEY}), keys=keys)
        case "either":
            return replace(document, methods=frozenset({NONE, KEY}), keys=keys)
        case "add key":
            return replace(document, methods=document.methods | {KEY}, keys=document.keys | {fresh})
        case "drop oldest key":
            return replace(document, keys=keys - {min(keys)}) if len(keys) > 1 else document
        case "replace keys":
            return replace(document, keys=frozenset({fresh})) if document.keys else document
        case "move redirect":
            return replace(document, redirects=frozenset({"loopback", "web"}) - document.redirects)
        case _:
            return replace(document, has_refresh=not document.has_refresh)


CHANGES = (
    "none only",
    "key only",
    "either",
    "add key",
    "drop oldest key",
    "replace keys",
    "move redirect",
    "toggle refresh",
)


class TokenLife(RuleBasedStateMachine):
    """Clients, a person, an operator and time, in any order."""

    def __init__(self, bench: LifeBench, model: Callable[..., TokenLifeModel] = TokenLifeModel) -> None:
        super().__init__()
        self.world = bench.open_world(SETTINGS)
        self.all_clients = make_clients()
        self.fresh_keys = itertools.count(len(self.all_clients))
        self.assertions: dict[Client, list[Assertion]] = {client: [] for client in self.all_clients}
        self.old_keys: dict[Client, list[int]] = {client: sorted(client.published.keys) for client in self.all_clients}
        self.model = model(TERMS, self.world.now, self.all_clients)
        self.play = TokenLifePlay(self.world, self.model)

    def teardown(self) -> None:
        try:
            for grant in self.model.grants:
                for access in grant.accesses:
                    self.play.compare_access(access)
        finally:
            self.world.close()
