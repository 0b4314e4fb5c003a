"""Whether a person who signed in at our pages is still signed in well enough for a request."""

from nameplate.protocol.grant import Session

__all__ = ["is_session_good"]


def is_session_good(session: Session, *, credential_digest: str | None, signed_in_after: int | None) -> bool:
    """Whether the session will do.

    ``credential_digest`` is the account's of today, None where the account is gone: a changed password ends what the
    old one began (RS-05). ``signed_in_after`` is how recent the sign-in must be for this request (``prompt=login``,
    ``max_age``; OpenID Connect Core §3.1.2.1), None where any will do.
    """
    if session.credential_digest != credential_digest:
        return False
    return signed_in_after is None or session.signed_in_at >= signed_in_after
