"""``GET /revocations``: which grants were revoked, for resource servers that read it now and then."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nameplate.errors import StoreError, TokenError
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.revocation import build_revoked_grants, choose_loaded_since, choose_promised_since
from nameplate.server.answers import NO_STORE
from nameplate.server.context import ServerContext
from nameplate.server.refusals import store_failed
from nameplate.server.resource_servers import ResourceServer, refuse_resource_server

__all__ = ["show_revocations"]


async def show_revocations(request: Request, context: ServerContext) -> Response:
    """The whole list for the caller's resources, anew each time: replicas and their clocks cannot bring it out of
    order, and whoever missed answers missed nothing.
    """
    try:
        server = context.resource_servers.authenticate(request, Parameters({}))
        feed = await _build_feed(server, context)
    except TokenError as error:
        return refuse_resource_server(error)
    except StoreError as error:
        return refuse_resource_server(store_failed(str(error)), cause=error)
    return JSONResponse(feed, headers=NO_STORE)


async def _build_feed(server: ResourceServer, context: ServerContext) -> dict[str, object]:
    now = context.now()
    longest_seconds = max(lifetimes.access_token_seconds for lifetimes in context.lifetimes.values())
    since = choose_promised_since(now, longest_seconds)
    grant_ids: set[str] = set()
    for resource in server.resources:
        revoked = await context.store.load_revocations(resource, since=choose_loaded_since(since))
        grant_ids.update(grant_id for grant_id, _ in revoked)
    return build_revoked_grants(grant_ids, issuer=context.issuer, resources=server.resources, now=now, since=since)
