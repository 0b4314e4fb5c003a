"""Whether a person who signed in at our pages is still signed in well enough for a request."""

from nameplate.protocol.grant import Session

__all__ = ["choose_authenticated_at", "is_session_good"]


def is_session_good(
    session: Session, *, credential_digest: str | None, authenticated_at: int, signed_in_after: int | None
) -> bool:
    """Whether the session will do.

    ``credential_digest`` is the account's of today, None where the account is gone: a changed password ends what the
    old one began (RS-05). ``authenticated_at`` is when the person proved who it is. ``signed_in_after`` is how recent
    that must be for this request (``prompt=login``, ``max_age``; OpenID Connect Core §3.1.2.1), None where any will do.
    """
    if session.credential_digest != credential_digest:
        return False
    return signed_in_after is None or authenticated_at >= signed_in_after


def choose_authenticated_at(auth_time: object, *, was_asked: bool, now: int) -> int | None:
    """When somebody who comes from an identity provider proved to it who it is; None where nobody knows.

    A provider lets people pass who signed in there in the morning. ``auth_time`` is its claim of that name (OpenID
    Connect Core §2). ``was_asked`` is whether it was asked for a fresh sign-in, which was checked as far as it can be:
    then it counts from now, whatever its clock says.
    """
    if was_asked:
        return now
    if isinstance(auth_time, bool) or not isinstance(auth_time, (int, float)) or not 0 <= auth_time <= now:
        return None
    return int(auth_time)
