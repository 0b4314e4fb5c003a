"""The two questions that a person is asked, as pages: who are you, and do you allow this?"""

from functools import lru_cache
from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import ClientIdError, ClientMetadataError
from nameplate.protocol.client_id import ClientIdPolicy, parse_client_id
from nameplate.protocol.client_metadata import ClientMetadata, parse_snapshot
from nameplate.protocol.display import host_warnings, name_warnings
from nameplate.protocol.grant import PendingAuthorization, Session
from nameplate.protocol.redirect_uri import RedirectTarget, match_redirect_uri
from nameplate.protocol.resource import ProtectedResource
from nameplate.server.answers import build_page
from nameplate.server.context import ServerContext
from nameplate.server.pages.render import form_action_source, render_consent, render_sign_in
from nameplate.server.pages.views import ConsentView, ScopeView, SignInView
from nameplate.server.refusals import not_waiting
from nameplate.server.sessions import load_session

__all__ = ["ask_person", "show_sign_in"]


async def ask_person(
    request: Request, pending: PendingAuthorization, request_id: str, context: ServerContext
) -> Response:
    """The consent page for whoever is signed in, else the sign-in page."""
    session = await load_session(request, pending, context)
    if session is None:
        return show_sign_in(pending, request_id, context, username=pending.login_hint or "")
    view = _build_consent_view(pending, session, request_id, context)
    form_action = f"'self' {form_action_source(pending.redirect_uri)}"
    return build_page(render_consent(view, stylesheet=context.stylesheet), form_action=form_action)


def show_sign_in(
    pending: PendingAuthorization,
    request_id: str,
    context: ServerContext,
    *,
    username: str = "",
    problem: str | None = None,
    status: int = 200,
) -> Response:
    """The sign-in page. ``problem`` says why the last attempt failed, ``status`` goes with it."""
    client, host = _read_client(pending, context)
    view = SignInView(
        action=f"{context.base_path}/sign-in",
        request=request_id,
        known_by=client.known_by,
        client_host=host,
        client_name=client.client_name,
        resource_name=_find_resource(pending, context).name,
        username=username,
        problem=problem,
    )
    headers = {"Retry-After": "60"} if status == 429 else {}
    return build_page(render_sign_in(view, stylesheet=context.stylesheet), status=status, headers=headers)


def _build_consent_view(
    pending: PendingAuthorization, session: Session, request_id: str, context: ServerContext
) -> ConsentView:
    client, host = _read_client(pending, context)
    target = _find_target(pending)
    resource = _find_resource(pending, context)
    return ConsentView(
        action=f"{context.base_path}/consent",
        sign_out_action=f"{context.base_path}/sign-out",
        request=request_id,
        subject=session.subject,
        known_by=client.known_by,
        client_host=host,
        client_id=client.client_id,
        client_name=client.client_name,
        redirect_host=target.host,
        redirect_uri=target.uri,
        redirect_kind=target.kind,
        person=session.display_name,
        username=session.username,
        resource_name=resource.name,
        resource=resource.identifier,
        scopes=tuple(
            ScopeView(name=scope.name, description=scope.description)
            for scope in resource.scopes
            if scope.name in pending.scope
        ),
        keeps_access=pending.issues_refresh_token,
        links=_collect_links(client),
        warnings=_collect_warnings(client, host, target),
    )


def _read_client(pending: PendingAuthorization, context: ServerContext) -> tuple[ClientMetadata, str]:
    """The client, and the host of its client_id (with the port where that is not 443): the identity that was proven.
    It is empty for a registered client, which has proven none.

    Raises ``AuthorizationPageError`` where the server's configuration changed so that the request cannot go on.
    """
    try:
        client = parse_snapshot(pending.client_metadata)
        host = _find_host(client.client_id, context.policy.client_id) if client.known_by == "document" else ""
    except (ClientIdError, ClientMetadataError):
        raise not_waiting() from None
    return client, host


@lru_cache(256)
def _find_host(client_id: str, policy: ClientIdPolicy) -> str:
    url = parse_client_id(client_id, policy)
    return url.host if url.port == 443 else f"{url.host}:{url.port}"


def _find_target(pending: PendingAuthorization) -> RedirectTarget:
    target = match_redirect_uri(pending.redirect_uri, (pending.registered_redirect_uri,))
    if target is None:
        raise not_waiting()
    return target


def _find_resource(pending: PendingAuthorization, context: ServerContext) -> ProtectedResource:
    resource = context.find_resource(pending.resource)
    if resource is None:
        raise not_waiting()
    return resource


def _collect_warnings(client: ClientMetadata, host: str, target: RedirectTarget) -> tuple[str, ...]:
    """What to look at twice. Of a client that registered itself nothing is known but where the answer goes; a name that
    the operator registered is no claim.
    """
    name = client.client_name or ""
    match client.known_by:
        case "document":
            return *host_warnings(host), *name_warnings(name, host)
        case "operator":
            return ()
        case "itself":
            answers_to = target.host if target.kind == "https" else ""
            of_host = host_warnings(answers_to) if answers_to else ()
            return *of_host, *name_warnings(name, answers_to, host_is="the answer goes to")
        case _:
            assert_never(client.known_by)


def _collect_links(client: ClientMetadata) -> tuple[tuple[str, str], ...]:
    """Pages that the client names. One that registered itself can name anybody's, and would borrow their looks."""
    if client.known_by == "itself":
        return ()
    labelled = (("Website", client.client_uri), ("Terms", client.tos_uri), ("Privacy", client.policy_uri))
    return tuple((label, url) for label, url in labelled if url)
