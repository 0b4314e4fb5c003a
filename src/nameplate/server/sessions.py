"""Who is signed in at our pages."""

import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from nameplate.ports.verdicts import Unknown
from nameplate.protocol.grant import PendingAuthorization, Session
from nameplate.protocol.session import is_session_good
from nameplate.secret import hash_bearer_value
from nameplate.server.browser import BrowserCookies, new_bearer_value
from nameplate.server.context import ServerContext
from nameplate.server.people import KnownPerson, LostPerson

__all__ = ["NewSession", "SignedInPerson", "load_session", "start_session", "write_session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInPerson:
    """A session that will do, and the person whose it is."""

    session: Session
    person: KnownPerson


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """Who has just signed in. ``issuer`` and ``subject`` say who that is; all else is as in ``Session``."""

    issuer: str
    subject: str
    username: str
    display_name: str
    credential_digest: str = ""
    upstream: str = ""
    person: str = ""


async def load_session(
    request: Request, pending: PendingAuthorization, context: ServerContext
) -> SignedInPerson | None:
    """The browser's session, if it will do for this request."""
    session_hash = BrowserCookies(context.issuer).session_hash(request)
    if session_hash is None:
        return None
    session = await context.store.load_session(session_hash, context.now())
    if isinstance(session, Unknown):
        return None
    person = context.people.find(session)
    if isinstance(person, LostPerson):
        return None
    authenticated_at = session.signed_in_at if person.authenticated_at is None else person.authenticated_at
    is_good = is_session_good(
        session,
        credential_digest=person.credential_digest,
        authenticated_at=authenticated_at,
        signed_in_after=pending.signed_in_after,
    )
    return SignedInPerson(session=session, person=person) if is_good else None


async def start_session(request: Request, new: NewSession, context: ServerContext) -> tuple[Session, str]:
    """A new session id at every sign-in, and the old one is dead: nobody can plant one (session fixation).

    The second value is for the cookie.
    """
    now = context.now()
    subject = await context.store.record_subject(new.issuer, new.subject, candidate=secrets.token_urlsafe(16), now=now)
    value = new_bearer_value("nps")
    session = Session(
        id_hash=hash_bearer_value(value),
        subject=subject,
        username=new.username,
        display_name=new.display_name,
        signed_in_at=now,
        expires_at=now + context.tokens.session_seconds,
        credential_digest=new.credential_digest,
        upstream=new.upstream,
        person=new.person,
    )
    await context.store.record_session(session, replaces=BrowserCookies(context.issuer).session_hash(request))
    return session, value


def write_session(response: Response, value: str, context: ServerContext) -> None:
    """Hand the new session to the browser."""
    BrowserCookies(context.issuer).write_session(response, value, max_age_seconds=context.tokens.session_seconds)
