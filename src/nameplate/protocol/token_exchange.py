"""Token exchange (RFC 8693), as far as it is served: a resource server gives one of our access tokens, and gets the
identity provider's access token of the same person.
"""

import re
from dataclasses import dataclass, field
from typing import NoReturn

from nameplate.errors import TokenError
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.scope import parse_scope

__all__ = [
    "ACCESS_TOKEN_TYPE",
    "TOKEN_EXCHANGE",
    "ExchangeRequest",
    "build_exchange_response",
    "build_subject_refusal",
    "check_exchange_scope",
    "parse_exchange_request",
]

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105
"""The ``grant_type`` (RFC 8693 §2.1)."""

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
"""The one type that is taken and given (RFC 8693 §3)."""

_SCOPE_SEPARATOR = re.compile(r"[ ,]+")  # GitHub has commas


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """A request to exchange. ``scope`` is what the other token has to allow; None where any will do."""

    subject_token: str = field(repr=False)
    scope: tuple[str, ...] | None


def parse_exchange_request(parameters: Parameters) -> ExchangeRequest:
    """Read the request (RFC 8693 §2.1).

    Raises ``TokenError``: ``invalid_request``; ``invalid_target`` where it says what the token shall be for, because
    that was settled when the person signed in; ``invalid_scope``.
    """
    token = parameters.get("subject_token")
    if token is None:
        _refuse("The request has no subject_token.", reason="exchange.subject_token_missing")
    if parameters.get("subject_token_type") != ACCESS_TOKEN_TYPE:
        _refuse(f"The subject_token_type must be {ACCESS_TOKEN_TYPE}.", reason="exchange.token_type")
    if parameters.get("requested_token_type") not in (None, ACCESS_TOKEN_TYPE):
        _refuse(f"The requested_token_type can only be {ACCESS_TOKEN_TYPE}.", reason="exchange.token_type")
    if parameters.get("actor_token") is not None or parameters.get("actor_token_type") is not None:
        _refuse("There is no acting for others here (actor_token).", reason="exchange.actor")
    if parameters.resources or parameters.get("audience") is not None:
        raise TokenError(
            "invalid_target",
            "The identity provider settled what its token is for; leave out resource and audience.",
            reason="exchange.target",
        )
    text = parameters.get("scope")
    scope = None if text is None else parse_scope(text)
    if text is not None and scope is None:
        raise TokenError("invalid_scope", "The scope is malformed.", reason="scope.malformed")
    return ExchangeRequest(subject_token=token, scope=scope or None)


def check_exchange_scope(request: ExchangeRequest, granted: str) -> None:
    """Whether the provider's token allows what was asked for. ``granted`` is the scope as the provider wrote it.

    Raises ``TokenError`` ``invalid_scope``.
    """
    if request.scope is not None and not set(request.scope) <= set(_SCOPE_SEPARATOR.split(granted)):
        raise TokenError(
            "invalid_scope", "The identity provider did not grant this scope.", reason="exchange.scope_not_granted"
        )


def build_exchange_response(
    access_token: str, *, token_type: str, expires_at: int | None, scope: str, now: int
) -> dict[str, object]:
    """The answer (RFC 8693 §2.2.1). There is no refresh token: refreshing is done here."""
    response: dict[str, object] = {
        "access_token": access_token,
        "issued_token_type": ACCESS_TOKEN_TYPE,
        "token_type": token_type,
    }
    if expires_at is not None:
        response["expires_in"] = max(0, expires_at - now)
    if scope:
        response["scope"] = scope
    return response


def build_subject_refusal() -> TokenError:
    """The one answer to every subject token that is not good, or not for the caller (RFC 8693 §2.2.2)."""
    return TokenError("invalid_request", "The subject_token is not valid.", reason="exchange.subject_token")


def _refuse(description: str, *, reason: str) -> NoReturn:
    raise TokenError("invalid_request", description, reason=reason)
