"""Who is signed in at our pages."""

from starlette.requests import Request

from nameplate.ports.store import Unknown
from nameplate.protocol.grant import PendingAuthorization, Session
from nameplate.server.browser import BrowserCookies
from nameplate.server.context import ServerContext

__all__ = ["load_session"]


async def load_session(request: Request, pending: PendingAuthorization, context: ServerContext) -> Session | None:
    """The browser's session, if it will do for this request: its account still exists, its sign-in is fresh enough."""
    session_hash = BrowserCookies(context.issuer).session_hash(request)
    if session_hash is None:
        return None
    session = await context.store.load_session(session_hash, context.now())
    if isinstance(session, Unknown) or context.accounts.find(session.username) is None:
        return None
    if pending.signed_in_after is not None and session.signed_in_at < pending.signed_in_after:
        return None
    return session
