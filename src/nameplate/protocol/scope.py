"""Scopes: what is asked for, what may be granted (RFC 6749 §3.3; architecture decision 10)."""

import re
from collections.abc import Collection, Sequence

__all__ = ["OFFLINE_ACCESS", "build_scope", "choose_scope", "is_scope_token", "parse_scope"]

OFFLINE_ACCESS = "offline_access"
"""A client asks to keep access while the person is away (OpenID Connect Core §11). It belongs to no resource."""

# RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


def is_scope_token(text: str) -> bool:
    """Whether the text is one scope token."""
    return _SCOPE_TOKEN.fullmatch(text) is not None


def parse_scope(text: str) -> tuple[str, ...] | None:
    """The scope tokens in order without repeats, or None where one is malformed.

    Spaces before, after and between are tolerated in any number: Claude sends ``scope=+offline_access``.
    """
    tokens = tuple(dict.fromkeys(token for token in text.split(" ") if token))
    return tokens if all(map(is_scope_token, tokens)) else None


def build_scope(scope: Sequence[str]) -> str:
    """The wire form: tokens with one space between."""
    return " ".join(scope)


def choose_scope(
    requested: Sequence[str] | None, *, offered: Sequence[str], document_scope: Collection[str] | None
) -> tuple[str, ...] | None:
    """The scope to ask the person for, in the operator's order; None where nothing that was asked for can be granted.

    ``offered`` is what the resource has; ``document_scope`` narrows it where the client's document names a scope. What
    is neither offered nor in the document is left out, and the answer's ``scope`` tells the client (RFC 6749 §3.3). A
    request without scope, or with ``offline_access`` alone, asks for all that is possible. ``offline_access`` is
    granted where it was asked for, unless the document narrows it away.
    """
    possible = [scope for scope in offered if document_scope is None or scope in document_scope]
    wanted = [scope for scope in requested or () if scope != OFFLINE_ACCESS]
    chosen = [scope for scope in possible if not wanted or scope in wanted]
    if not chosen and offered:
        return None
    if requested and OFFLINE_ACCESS in requested and (document_scope is None or OFFLINE_ACCESS in document_scope):
        chosen.append(OFFLINE_ACCESS)
    return tuple(chosen)
