"""Token exchange at ``/token`` (RFC 8693): a resource server gets the identity provider's token of a person."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nameplate.errors import ParameterError, StoreError, TokenError
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.token_exchange import (
    build_exchange_response,
    build_subject_refusal,
    check_exchange_scope,
    parse_exchange_request,
)
from nameplate.server.active_tokens import find_active_token
from nameplate.server.answers import NO_STORE
from nameplate.server.context import ServerContext
from nameplate.server.refusals import store_failed
from nameplate.server.resource_servers import refuse_resource_server
from nameplate.server.upstream_tokens import load_current_tokens

__all__ = ["exchange"]


async def exchange(request: Request, form: Parameters, context: ServerContext) -> Response:
    """Answer a resource server that was given an access token of ours; every refusal is RFC-shaped JSON.

    It authenticates as at ``/introspect``, and gets tokens of the grants for its own resources only.
    """
    try:
        body = await _exchange(request, form, context)
    except (ParameterError, TokenError) as error:
        return refuse_resource_server(error)
    except StoreError as error:
        return refuse_resource_server(store_failed(str(error)), cause=error)
    return JSONResponse(body, headers={**NO_STORE, "Pragma": "no-cache"})


async def _exchange(request: Request, form: Parameters, context: ServerContext) -> dict[str, object]:
    server = context.resource_servers.authenticate(request, form)
    if not server.may_exchange:
        raise TokenError(
            "unauthorized_client", "This resource server may not exchange tokens.", reason="exchange.not_allowed"
        )
    asked = parse_exchange_request(form)
    found = await find_active_token(asked.subject_token, server.resources, context)
    if found is None:
        raise build_subject_refusal()
    tokens = await load_current_tokens(found.grant, context)
    check_exchange_scope(asked, tokens.scope)
    return build_exchange_response(
        tokens.access_token.reveal(),
        token_type=tokens.token_type,
        expires_at=tokens.expires_at,
        scope=tokens.scope,
        now=context.now(),
    )
