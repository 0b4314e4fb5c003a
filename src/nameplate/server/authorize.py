"""``GET /authorize``: from the client's request to the question for the person (RFC 6749 §4.1.1)."""

from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import AuthorizationError, ProtocolError
from nameplate.ports.verdicts import Full
from nameplate.protocol.authorization import (
    AuthorizationRequest,
    build_error_redirect,
    check_authorization_request,
    choose_redirect_uri,
    is_refresh_allowed,
    parse_client,
)
from nameplate.protocol.client_metadata import ClientMetadata, build_snapshot
from nameplate.protocol.grant import PendingAuthorization
from nameplate.protocol.parameters import Parameters, parse_parameters
from nameplate.protocol.redirect_uri import RedirectTarget
from nameplate.protocol.resource import choose_resource
from nameplate.secret import hash_bearer_value
from nameplate.server.browser import BrowserCookies, client_address, client_host, new_bearer_value
from nameplate.server.clients import load_client
from nameplate.server.context import ServerContext
from nameplate.server.pages.views import ReturnLink
from nameplate.server.questions import ask_person
from nameplate.server.refusals import challenge_spent, refuse_on_page, too_many_from_here, too_many_pending

__all__ = ["authorize"]

MAX_PENDING_AUTHORIZATIONS = 200_000


async def authorize(request: Request, context: ServerContext) -> Response:
    """Check the request, keep it, and ask the person."""
    parameters = parse_parameters(request.scope["query_string"])
    client, target = None, None
    try:
        client_id = parse_client(parameters, context.policy)
        client = await load_client(client_id, context, source=client_address(request))
        target = choose_redirect_uri(parameters, client, context.policy)
        checked = check_authorization_request(parameters, client, target, context.policy)
        if await context.store.is_challenge_spent(client.client_id, checked.code_challenge):
            raise challenge_spent()
        return await _keep_and_ask(request, checked, context)
    except ProtocolError as error:
        return _refuse(error, parameters, client, target, context)


async def _keep_and_ask(request: Request, checked: AuthorizationRequest, context: ServerContext) -> Response:
    cookies = BrowserCookies(context.issuer)
    browser_hash, new_cookie = cookies.browser_hash(request), None
    if browser_hash is None:
        new_cookie = new_bearer_value("npb")
        browser_hash = hash_bearer_value(new_cookie)
    wait = context.strangers.authorizations.spend(client_host(request), context.clock())
    if wait is not None:
        raise too_many_from_here(wait)
    request_id = new_bearer_value("npa")
    pending = _build_pending(checked, hash_bearer_value(request_id), browser_hash, context)
    if isinstance(await context.store.record_authorization(pending, limit=MAX_PENDING_AUTHORIZATIONS), Full):
        raise too_many_pending()
    response = await ask_person(request, pending, request_id, context)
    if new_cookie is not None:
        cookies.write_browser(response, new_cookie)
    return response


def _build_pending(
    checked: AuthorizationRequest, id_hash: bytes, browser_hash: bytes, context: ServerContext
) -> PendingAuthorization:
    now = context.now()
    return PendingAuthorization(
        id_hash=id_hash,
        browser_hash=browser_hash,
        client_id=checked.client.client_id,
        redirect_uri=checked.target.uri,
        registered_redirect_uri=checked.target.registered,
        state=checked.state,
        scope=checked.scope,
        resource=checked.resource.identifier,
        code_challenge=checked.code_challenge,
        client_metadata=build_snapshot(checked.client),
        issues_refresh_token=is_refresh_allowed(checked.client),
        created_at=now,
        expires_at=now + context.tokens.pending_authorization_seconds,
        login_hint=checked.login_hint,
        signed_in_after=None if checked.max_age_seconds is None else now - checked.max_age_seconds,
    )


def _refuse(
    error: ProtocolError,
    parameters: Parameters,
    client: ClientMetadata | None,
    target: RedirectTarget | None,
    context: ServerContext,
) -> Response:
    """A page, with a way back to the client once its redirect URI is proven.

    The way back is a link for the person, never a redirect: a stranger's document must not make this server an open
    redirector (OAuth 2.1 §7.13.2, architecture decision 11).
    """
    return_link = None
    if isinstance(error, AuthorizationError) and target is not None:
        url = build_error_redirect(target.uri, error, state=parameters.get("state"), issuer=context.issuer)
        return_link = ReturnLink(url=url, host=target.host)
    return refuse_on_page(
        error,
        stylesheet=context.stylesheet,
        client_id=parameters.get("client_id") or "",
        facts=_collect_facts(error, parameters, client, context),
        return_link=return_link,
    )


def _collect_facts(
    error: ProtocolError, parameters: Parameters, client: ClientMetadata | None, context: ServerContext
) -> tuple[tuple[str, str], ...]:
    """The values that whoever mends the client wants to compare (K18)."""
    facts = [("client_id", parameters.get("client_id") or "(none)")]
    source = "in the document" if client is None or client.known_by == "document" else "registered"
    if error.reason.startswith("redirect_uri."):
        facts.append(("redirect_uri asked for", parameters.get("redirect_uri") or "(none)"))
        facts.extend((f"redirect_uri {source}", uri) for uri in (client.redirect_uris if client else ()))
    if error.reason.startswith("scope."):
        resource = choose_resource(parameters.resources, context.policy.resources)
        facts.append(("scope offered here", " ".join(resource.scope_names if resource else ()) or "(none)"))
        facts.append(("scope asked for", parameters.get("scope") or "(none)"))
        facts.append((f"scope {source}", " ".join((client and client.scope) or ()) or "(none named)"))
    if error.reason.startswith("resource."):
        facts.extend(("resource asked for", resource) for resource in parameters.resources)
    return tuple(facts)
