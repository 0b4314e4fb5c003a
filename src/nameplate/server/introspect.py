"""``POST /introspect``: a resource server asks whether an access token is good (RFC 7662)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nameplate.errors import BearerError, ParameterError, StoreError, TokenError
from nameplate.jose import Verified
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPES, AccessToken, check_access_token_claims
from nameplate.protocol.introspection import (
    build_active_response,
    build_inactive_response,
    choose_audience,
    is_active,
)
from nameplate.protocol.revocation import parse_presented_token
from nameplate.server.answers import NO_STORE
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_form
from nameplate.server.refusals import store_failed
from nameplate.server.resource_servers import ResourceServer, refuse_resource_server

__all__ = ["introspect"]

_LEEWAY_SECONDS = 10  # for a token that another replica has just issued


async def introspect(request: Request, context: ServerContext) -> Response:
    """Say whether the token is good at the caller's resources now, and what it allows.

    Whatever is not an access token of ours that is good now, for one of those resources, is ``{"active": false}``. The
    caller's own refusals are RFC-shaped JSON.
    """
    try:
        form = await read_form(request)
        server = context.resource_servers.authenticate(request, form)
        token = await _find_active_token(parse_presented_token(form), server, context)
    except (ParameterError, TokenError) as error:
        return refuse_resource_server(error)
    except StoreError as error:
        return refuse_resource_server(store_failed(str(error)), cause=error)
    response = build_inactive_response() if token is None else build_active_response(token)
    return JSONResponse(response, headers=NO_STORE)


async def _find_active_token(token: str, server: ResourceServer, context: ServerContext) -> AccessToken | None:
    outcome = await context.signing_keys.verify(token, typ=ACCESS_TOKEN_TYPES)
    if not isinstance(outcome, Verified):
        return None
    resource = choose_audience(outcome.claims, server.resources)
    if resource is None:
        return None
    try:
        access_token = check_access_token_claims(
            outcome.claims,
            issuer=context.issuer,
            resource=resource,
            now=context.clock(),
            leeway_seconds=_LEEWAY_SECONDS,
        )
    except BearerError:
        return None
    grant = await context.store.load_grant(access_token.grant_id)
    if isinstance(grant, Unknown) or not is_active(access_token, grant, context.now()):
        return None
    # Whoever was taken out of the configuration has no access any more, whatever the grant says.
    return None if context.accounts.find(grant.username) is None else access_token
