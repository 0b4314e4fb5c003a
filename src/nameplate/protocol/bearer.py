"""Bearer tokens at a protected resource (RFC 6750), its challenges (§3 and RFC 9728 §5.1), what scopes allow."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from nameplate.errors import BearerError

__all__ = ["build_challenge", "check_scope", "is_scope_sufficient", "parse_authorization_header"]

# RFC 6750 §2.1: "Bearer" 1*SP b64token; the scheme's case does not matter (RFC 9110 §11.1)
_BEARER = re.compile(rb"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)")
_SCHEME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
# RFC 6750 §3: what error_description and scope may hold; it needs no escaping inside quotes
_UNQUOTABLE = re.compile(r"[^\x20\x21\x23-\x5B\x5D-\x7E]")


def parse_authorization_header(values: Sequence[bytes]) -> str | None:
    """The bearer token in a request's Authorization headers; None without any, or where they use another scheme.

    Raises ``BearerError`` ``invalid_request`` (400) for a repeated or malformed header. Query, body and cookies are no
    place for a token (OAuth 2.1 §5.1): nobody looks there.
    """
    if not values:
        return None
    if len(values) > 1:
        raise BearerError("invalid_request", "The Authorization header is repeated.", reason="token.repeated")
    value = values[0].strip(b" \t")
    bearer = _BEARER.fullmatch(value)
    if bearer is not None:
        return bearer[1].decode("ascii")
    scheme = value.split(b" ", 1)[0]
    if _SCHEME.fullmatch(scheme) is None or scheme.lower() == b"bearer":
        raise BearerError("invalid_request", "The Authorization header is malformed.", reason="token.malformed_header")
    return None


def build_challenge(error: BearerError | None, *, resource_metadata_url: str, scope: Sequence[str]) -> str:
    """The value of WWW-Authenticate. ASCII without line breaks, whatever the arguments hold.

    Without an error, or for one with an empty code (no credentials came), no error is named (RFC 6750 §3.1).
    ``resource_metadata`` tells the client where to begin (RFC 9728 §5.1), ``scope`` what to ask for.
    """
    parameters: list[tuple[str, str]] = []
    if error is not None and error.code:
        parameters += [("error", error.code), ("error_description", error.description)]
    parameters.append(("resource_metadata", resource_metadata_url))
    if scope:
        parameters.append(("scope", " ".join(scope)))
    return "Bearer " + ", ".join(f'{name}="{_UNQUOTABLE.sub("?", value)}"' for name, value in parameters)


def is_scope_sufficient(
    granted: Iterable[str], needed: Iterable[str], implies: Mapping[str, Collection[str]] | None = None
) -> bool:
    """Whether ``granted`` covers ``needed``, counting what a broader scope implies, over any number of steps.

    ``implies`` maps a scope to the narrower ones in it. A server must honour its own hierarchy (MCP authorization,
    "Scope Challenge Handling").
    """
    held = set(granted)
    missing = set(needed) - held
    if not missing or not implies:
        return not missing
    fresh = held
    while fresh:
        fresh = {narrower for scope in fresh for narrower in implies.get(scope, ())} - held
        held |= fresh
    return missing <= held


def check_scope(
    granted: Iterable[str], needed: Sequence[str], implies: Mapping[str, Collection[str]] | None = None
) -> None:
    """Raises ``BearerError`` ``insufficient_scope`` (403), naming every scope of ``needed``, where ``granted`` does
    not cover them (RFC 6750 §3.1; MCP authorization: all that the operation needs in one challenge).
    """
    if not is_scope_sufficient(granted, needed, implies):
        raise BearerError(
            "insufficient_scope",
            "The access token's scope does not cover this operation.",
            reason="token.insufficient_scope",
            scope=tuple(needed),
        )
