"""Finding the request that a page or a form is about, and what to show once it was answered."""

from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response

from nameplate.ports.verdicts import AlreadyAnswered, Unknown
from nameplate.protocol.authorization import build_success_redirect
from nameplate.protocol.code_grant import derive_code
from nameplate.protocol.grant import PendingAuthorization
from nameplate.protocol.redirect_uri import match_redirect_uri
from nameplate.secret import hash_bearer_value
from nameplate.server.browser import BrowserCookies
from nameplate.server.context import ServerContext
from nameplate.server.pages.views import ReturnLink
from nameplate.server.refusals import already_answered, browser_unknown, not_waiting, refuse_on_page

__all__ = ["load_waiting", "show_answered"]


async def load_waiting(
    request: Request, request_id: str, context: ServerContext
) -> PendingAuthorization | AlreadyAnswered:
    """The request under this id, if it belongs to this browser. Raises ``AuthorizationPageError`` where it does not."""
    if not request_id:
        raise not_waiting()
    browser_hash = BrowserCookies(context.issuer).browser_hash(request)
    if browser_hash is None:
        raise browser_unknown()
    found = await context.store.load_authorization(hash_bearer_value(request_id), browser_hash, context.now())
    match found:
        case PendingAuthorization() | AlreadyAnswered():
            return found
        case Unknown():
            raise not_waiting()
        case _:
            assert_never(found)


async def show_answered(answered: AlreadyAnswered, request_id: str, context: ServerContext) -> Response:
    """The friendly page for a second answer (K35): never a second code.

    A double click makes the browser drop the first answer's redirect, and the client would wait for ever. While the
    code of that answer is still good, the page leads on to the client with it.
    """
    pending = answered.pending
    code = derive_code(request_id, pending.browser_hash)
    found = await context.store.load_code(hash_bearer_value(code))
    return_link = None
    if not isinstance(found, Unknown) and found[0].spent_at is None and found[0].expires_at > context.now():
        url = build_success_redirect(pending.redirect_uri, code=code, state=pending.state, issuer=context.issuer)
        target = match_redirect_uri(pending.redirect_uri, (pending.registered_redirect_uri,))
        return_link = ReturnLink(url=url, host=target.host if target else "")
    return refuse_on_page(
        already_answered(), stylesheet=context.stylesheet, client_id=pending.client_id, return_link=return_link
    )
