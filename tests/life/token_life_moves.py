"""What can be drawn for a step in the life of tokens: lifetimes, moments, changes of documents, proofs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from token_life_values import KEY, NONE, Document, HostState, Lifetimes, Terms

__all__ = [
    "ANSWERS",
    "ASKED_AFTER",
    "ASKED_AGAIN_AFTER",
    "ASKED_SCOPES",
    "BOTH",
    "CHANGES",
    "CLIENTS",
    "FEW",
    "FIRST_TRIES",
    "HOSTS",
    "LEFT",
    "LONG_MOMENTS",
    "MOMENTS",
    "MOSTLY",
    "NOTICED_AFTER",
    "PICKS",
    "PROOFS",
    "PROVEN_AFTER",
    "RARELY",
    "REDIRECTS_SENT",
    "REPEATED_AFTER",
    "RETRIED_AFTER",
    "SCOPES",
    "SETTINGS",
    "TERMS",
    "WAITS",
    "edit",
]

_HOUR = 3600

TERMS = Terms(
    public=Lifetimes(access_seconds=300, refresh_seconds=30 * _HOUR, grant_seconds=36 * _HOUR),
    confidential=Lifetimes(access_seconds=600, refresh_seconds=40 * _HOUR, grant_seconds=50 * _HOUR),
    rotate_seconds=12 * _HOUR,
    publish_ahead_seconds=300,
)
"""Short enough for everything to end within a few steps, and longer than the day for which a document may stand in."""

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
    # The person of this play allows more at once than people do.
    "limits": {"authorizations_at_once": 100_000, "approvals_at_once": 100_000},
}
"""The same for the server."""

_EDGES = (10, 60, 120, 300, 600, 660, _HOUR)
_LONG_EDGES = (12, 20, 24, 30, 36, 40, 50)

MOMENTS = st.sampled_from([1, 5, 30, *(edge + around for edge in _EDGES for around in (-1, 0, 1))])
"""Seconds that pass: just to the end of something, and just past it."""

LONG_MOMENTS = st.sampled_from(
    [23 * _HOUR, *(edge * _HOUR + around for edge in _LONG_EDGES for around in (-1, 0, 600))]
)
"""The same for what lives for hours, and for documents that may stand in for a day."""

WAITS = st.sampled_from([0, 0, 0, 0, 1, 121, 600, 600, 600, _HOUR, 24 * _HOUR + 600])
"""Until a client comes. After 600 seconds, what the server knows of its document is no longer fresh, and a day later
it may not stand in any more.
"""

NOTICED_AFTER = st.sampled_from([0, 600, 600, _HOUR])
"""Until a client comes whose document changed."""

ASKED_AFTER = st.sampled_from([0, 600, 600, _HOUR, 24 * _HOUR + 599, 24 * _HOUR + 600])
"""Until a client comes whose host answers something else than before."""

ASKED_AGAIN_AFTER = st.sampled_from([0, 1, _HOUR - 1, _HOUR])

PROVEN_AFTER = st.sampled_from([0, 0, 0, 60, 119, 120, 121])
"""Until an assertion comes that was signed for a minute."""

LEFT = st.sampled_from([0, 1, 200, 500])
"""Of the life of a grant."""

RETRIED_AFTER = st.sampled_from([0, 9, 10, 11, 60])
REPEATED_AFTER = st.sampled_from([0, 60, 119, 120, 121, 121, _HOUR])

PICKS = st.integers(0, 5)
"""Which of several: what lives and is new has the low numbers."""
FEW = st.integers(0, 3)
CLIENTS = st.integers(0, 2)
BOTH = st.booleans()
MOSTLY = st.sampled_from([True, True, True, False])
RARELY = st.sampled_from([False, False, False, True])
SCOPES = st.sampled_from([("notes:read", "notes:write"), ("notes:read",)])
ASKED_SCOPES = st.sampled_from([None, None, None, ("notes:read",), ("notes:read", "notes:write"), ("notes:write",)])
FIRST_TRIES = st.sampled_from(["right", "right", "right", "never", "wrong verifier", "other redirect", "other client"])
"""How a code is redeemed before it is redeemed again."""

ANSWERS = st.sampled_from(["allow", "allow", "deny"])
REDIRECTS_SENT = st.sampled_from(["same", "same", "none", "other"])
HOSTS: st.SearchStrategy[HostState] = st.sampled_from(["serves", "down", "gone", "broken"])

_FITTING = ["fitting"] * 6
PROOFS = st.sampled_from(
    [*_FITTING, "none", "newest key", "oldest key", "stranger", "other audience", "used", "unused"]
)
"""How a client proves itself; ``fitting`` is what a careful one does."""

_OFTEN = ("none only", "key only", "replace keys")
_SELDOM = ("either", "add key", "drop oldest key", "move redirect", "allow redirects", "turn refresh")
CHANGES = st.sampled_from([*_OFTEN, *_OFTEN, *_SELDOM])


def edit(document: Document, change: str, fresh: int) -> Document:
    """The document after its developer changed it. ``fresh`` is the number of a new key, should one be needed."""
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
            return replace(document, redirects=frozenset({"web"}))
        case "allow redirects":
            return replace(document, redirects=frozenset({"loopback", "web"}))
        case _:
            return replace(document, has_refresh=not document.has_refresh)
