"""A provider's userinfo endpoint (OpenID Connect Core §5.3), and what stands for it at plain OAuth 2.0 providers."""

from nameplate.errors import UpstreamError
from nameplate.secret import Secret
from nameplate.upstream.http import build_unavailable
from nameplate.upstream.provider import Ask

__all__ = ["build_bearer_header", "fetch_userinfo"]


def build_bearer_header(access_token: Secret) -> dict[str, str]:
    """The header that takes an access token along (RFC 6750 §2.1)."""
    return {"Authorization": f"Bearer {access_token.reveal()}"}


async def fetch_userinfo(ask: Ask, url: str, access_token: Secret, *, subject: str | None) -> dict[str, object]:
    """What the endpoint says of the person.

    ``subject`` is the ID token's, and the answer's ``sub`` must be the same: else it speaks of somebody else (token
    substitution, OpenID Connect Core §5.3.2). None where there is no ID token. Raises ``UpstreamError``.
    """
    answer = await ask("GET", url, headers=build_bearer_header(access_token))
    said = f"{url} answered {answer.status} {answer.media_type or 'without a media type'}"
    if answer.status >= 500 or answer.status == 429:
        raise build_unavailable(said, reason="upstream.unavailable", retry_after_seconds=answer.retry_after_seconds)
    claims = answer.read_json()
    if answer.status != 200 or not isinstance(claims, dict):
        raise UpstreamError(
            "server_error",
            "The identity provider did not say who signed in.",
            reason="upstream.userinfo",
            detail=f"{said}, which is no JSON object with claims",
        )
    if subject is not None and claims.get("sub") != subject:
        raise UpstreamError(
            "server_error",
            "The identity provider's answers contradict each other.",
            reason="upstream.userinfo_subject",
            detail=f"{url}: sub is not that of the ID token",
        )
    return claims
