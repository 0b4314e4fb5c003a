"""What the person and the client's developer are told when a client's document cannot be used (architecture decision
5).
"""

from nameplate.errors import (
    AuthorizationPageError,
    BadMediaType,
    BadStatus,
    Busy,
    ClientMetadataError,
    FetchError,
    RedirectRefused,
    TooLarge,
)

__all__ = [
    "GONE",
    "build_document_refusal",
    "build_fetch_refusal",
    "choose_retry_seconds",
    "describe_fetch_failure",
]

RETRY_AFTER_SECONDS = 30

GONE = frozenset({404, 410})
"""The statuses by which a host says that there is no such document (RFC 9110 §15.5.5, §15.5.11)."""


def build_document_refusal(error: ClientMetadataError) -> AuthorizationPageError:
    """A document that breaks a rule: the member and the rule, for whoever can mend it."""
    rule = f"{error.member}: {error.rule}" if error.member else error.rule
    return AuthorizationPageError("invalid_client", rule, reason=error.reason)


def build_fetch_refusal(error: FetchError, host: str) -> AuthorizationPageError:
    """A document that could not be had.

    What anybody can see from outside by fetching the document (its status, type and size) is said. Whether an address
    was refused, closed, silent or not trusted is not: that would make this server a port scanner (SS-04).
    """
    if isinstance(error, BadStatus) and error.status in GONE:
        return AuthorizationPageError(
            "invalid_client",
            f"{host} answers {error.status}: there is no document.",
            reason="fetch.not_found",
            detail=error.detail,
        )
    sentence, reason = describe_fetch_failure(error, host)
    return AuthorizationPageError(
        "temporarily_unavailable",
        sentence,
        reason=reason,
        detail=error.detail,
        status=503,
        retry_after_seconds=choose_retry_seconds(error),
    )


def choose_retry_seconds(error: FetchError) -> int:
    """When trying again is worth it."""
    return error.retry_after_seconds if isinstance(error, Busy) else RETRY_AFTER_SECONDS


def describe_fetch_failure(error: FetchError, host: str, *, what: str = "document") -> tuple[str, str]:
    """The sentence for a peer (ASCII, without quotes: RFC 6749 §5.2), and the reason slug. ``what`` was fetched."""
    match error:
        case BadStatus():
            return f"{host} answers {error.status} instead of 200.", "fetch.status"
        case RedirectRefused():
            return f"{host} answers with a redirect, which is never followed.", "fetch.redirect"
        case BadMediaType():
            return (
                f"{host} does not serve the {what} as application/json or application/<name>+json.",
                "fetch.media_type",
            )
        case TooLarge():
            return f"{host} serves a {what} larger than this server reads.", "fetch.too_large"
        case _:
            return f"The client's {what} cannot be fetched from {host} just now.", error.reason
