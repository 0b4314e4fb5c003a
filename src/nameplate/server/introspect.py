"""``POST /introspect``: a resource server asks whether an access token is good (RFC 7662)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nameplate.errors import ParameterError, StoreError, TokenError
from nameplate.protocol.introspection import build_active_response, build_inactive_response
from nameplate.protocol.revocation import parse_presented_token
from nameplate.server.active_tokens import find_active_token
from nameplate.server.answers import NO_STORE
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_form
from nameplate.server.refusals import store_failed
from nameplate.server.resource_servers import refuse_resource_server

__all__ = ["introspect"]


async def introspect(request: Request, context: ServerContext) -> Response:
    """Say whether the token is good at the caller's resources now, and what it allows.

    Whatever is not an access token of ours that is good now, for one of those resources, is ``{"active": false}``. The
    caller's own refusals are RFC-shaped JSON.
    """
    try:
        form = await read_form(request)
        server = context.resource_servers.authenticate(request, form)
        found = await find_active_token(parse_presented_token(form), server.resources, context)
    except (ParameterError, TokenError) as error:
        return refuse_resource_server(error)
    except StoreError as error:
        return refuse_resource_server(store_failed(str(error)), cause=error)
    response = build_inactive_response() if found is None else build_active_response(found.token)
    return JSONResponse(response, headers=NO_STORE)
