"""What becomes of a grant when its client's document changes, or can no longer be had (decisions 5, 6 and 14).

A grant is judged by the document of the day on which the person allowed it; most of what changes later concerns new
authorizations only (docs/decisions/0008). What is asked at each refresh stands here.
"""

from typing import assert_never

from nameplate.errors import BadStatus, ClientIdError, ClientMetadataError, FetchError, TokenError
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.client_refusal import GONE, choose_retry_seconds, describe_fetch_failure

__all__ = ["build_lost_client_refusal", "check_auth_method", "is_end_of_client"]


def check_auth_method(client: ClientMetadata, method: str) -> None:
    """The document of today still offers the method by which the client authenticated.

    A client that took ``none`` out of its document will be known by its keys only: whoever comes without them is
    somebody else, whatever else he holds (decision 6: never weakened). Raises ``TokenError`` ``invalid_client``, which
    does not end the grant.
    """
    if method not in client.auth_methods:
        raise TokenError(
            "invalid_client",
            "The client's document no longer offers this way of client authentication.",
            reason="client.auth_method_withdrawn",
            detail=f"used {method}, the document offers {' '.join(client.auth_methods)[:200]!a}",
        )


def is_end_of_client(error: ClientIdError | ClientMetadataError | FetchError) -> bool:
    """Whether what a load for a live grant raised ends the grant (decision 5, rows 3 to 5).

    Documents that are gone or break a rule are raised only once that is confirmed; a ``ClientIdError`` means that the
    operator's policy no longer admits the client.
    """
    return not isinstance(error, FetchError) or (isinstance(error, BadStatus) and error.status in GONE)


def build_lost_client_refusal(error: ClientIdError | ClientMetadataError | FetchError, client_id: str) -> TokenError:
    """The answer to a refresh whose client's document cannot be had: ``invalid_client`` where that ends the grant.

    Everything else passes: 503 ``temporarily_unavailable``, and the client keeps its refresh token.
    """
    match error:
        case ClientIdError():
            return _build_end("This server does not admit the client any more.", error.reason, error)
        case ClientMetadataError():
            return _build_end("The client's document breaks a rule.", error.reason, error)
        case FetchError() if is_end_of_client(error):
            return _build_end("The client's document is gone.", "fetch.not_found", error)
        case FetchError():
            sentence, reason = describe_fetch_failure(error, client_id.split("/", 3)[2])  # it was a URL, or not fetched
            return TokenError(
                "temporarily_unavailable",
                sentence,
                reason=reason,
                detail=error.detail,
                status=503,
                retry_after_seconds=choose_retry_seconds(error),
            )
        case _:
            assert_never(error)


def _build_end(sentence: str, reason: str, error: Exception) -> TokenError:
    return TokenError("invalid_client", sentence, reason=reason, detail=str(error))
