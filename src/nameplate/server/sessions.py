"""Who is signed in at our pages."""

from starlette.requests import Request

from nameplate.ports.verdicts import Unknown
from nameplate.protocol.grant import PendingAuthorization, Session
from nameplate.protocol.session import is_session_good
from nameplate.server.browser import BrowserCookies
from nameplate.server.context import ServerContext

__all__ = ["load_session"]


async def load_session(request: Request, pending: PendingAuthorization, context: ServerContext) -> Session | None:
    """The browser's session, if it will do for this request."""
    session_hash = BrowserCookies(context.issuer).session_hash(request)
    if session_hash is None:
        return None
    session = await context.store.load_session(session_hash, context.now())
    if isinstance(session, Unknown):
        return None
    account = context.accounts.find(session.username)
    is_good = is_session_good(
        session,
        credential_digest=account.credential_digest if account else None,
        signed_in_after=pending.signed_in_after,
    )
    return session if is_good else None
