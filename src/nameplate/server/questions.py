"""The two questions that a person is asked, as pages: who are you, and do you allow this?"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, assert_never

from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import AuthorizationError, ClientIdError, ClientMetadataError
from nameplate.protocol.authorization import build_error_redirect
from nameplate.protocol.client_id import ClientIdPolicy, parse_client_id
from nameplate.protocol.client_metadata import ClientMetadata, parse_snapshot
from nameplate.protocol.display import host_warnings, name_warnings
from nameplate.protocol.grant import PendingAuthorization
from nameplate.protocol.redirect_uri import RedirectTarget, match_redirect_uri
from nameplate.protocol.resource import ProtectedResource
from nameplate.protocol.scope import OFFLINE_ACCESS
from nameplate.server.answers import build_page
from nameplate.server.context import ServerContext
from nameplate.server.pages.render import form_action_source, render_consent, render_entrance, render_sign_in
from nameplate.server.pages.views import ConsentView, EntranceView, ProviderView, ReturnLink, ScopeView, SignInView
from nameplate.server.people import KnownPerson
from nameplate.server.refusals import not_waiting, refuse_on_page
from nameplate.server.sessions import load_session

__all__ = ["OTHER_ACCOUNT", "Failure", "ask_person", "narrow_to_person", "show_sign_in"]

OTHER_ACCOUNT = "other"
"""The value of ``account`` with which a person who signed out says that it shall be another account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a page is shown again: a sentence for the person, the status that goes with it, and what was typed."""

    problem: str
    status: int
    username: str = ""


async def ask_person(
    request: Request,
    pending: PendingAuthorization,
    request_id: str,
    context: ServerContext,
    *,
    failure: Failure | None = None,
    asks_for_other_account: bool = False,
) -> Response:
    """The consent page for whoever is signed in, else the page to sign in."""
    signed_in = await load_session(request, pending, context)
    if signed_in is None:
        return show_sign_in(
            pending, request_id, context, failure=failure, asks_for_other_account=asks_for_other_account
        )
    try:
        scope = narrow_to_person(pending, signed_in.person)
    except AuthorizationError as error:
        return _refuse_person(error, pending, context)
    session = signed_in.session
    view = ConsentView(
        **_collect_question(pending, request_id, context, scope),
        problem=failure.problem if failure else None,
        action=f"{context.base_path}/consent",
        sign_out_action=f"{context.base_path}/sign-out",
        subject=session.subject,
        person=session.display_name,
        username=session.username,
    )
    return _build_question_page(
        render_consent(view, stylesheet=context.stylesheet),
        pending,
        context,
        leads_to_provider=bool(session.upstream),
        status=failure.status if failure else 200,
    )


def show_sign_in(
    pending: PendingAuthorization,
    request_id: str,
    context: ServerContext,
    *,
    failure: Failure | None = None,
    asks_for_other_account: bool = False,
) -> Response:
    """The page to sign in.

    Where there are identity providers it is the whole question: nobody is sent on before having agreed to the client.
    """
    problem, status = (failure.problem, failure.status) if failure else (None, 200)
    username = failure.username if failure else pending.login_hint or ""
    if context.upstreams:
        entrance = EntranceView(
            **_collect_question(pending, request_id, context, pending.scope),
            problem=problem,
            deny_action=f"{context.base_path}/consent",
            providers=tuple(
                ProviderView(action=f"{context.base_path}/sign-in/{one.name}", title=one.client.title)
                for one in context.upstreams.order_for(pending.login_hint)
            ),
            sign_in_action=f"{context.base_path}/sign-in" if context.has_accounts else "",
            username=username if context.has_accounts else "",
            asks_for_other_account=asks_for_other_account,
        )
        page = render_entrance(entrance, stylesheet=context.stylesheet)
        return _build_question_page(page, pending, context, leads_to_provider=True, status=status)
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
    return build_page(
        render_sign_in(view, stylesheet=context.stylesheet), status=status, headers=_build_retry_header(status)
    )


def narrow_to_person(pending: PendingAuthorization, person: KnownPerson) -> tuple[str, ...]:
    """What of the request this person may be given.

    Raises ``AuthorizationError`` ``access_denied`` where permissions were asked for and the person may have none.
    """
    scope = person.narrow(pending.scope)
    if pending.scope and not set(scope) - {OFFLINE_ACCESS}:
        if not set(pending.scope) - {OFFLINE_ACCESS}:  # the resource has none at all
            return scope
        raise AuthorizationError(
            "access_denied",
            "This account may not be given any of the permissions that the application asks for.",
            reason="sign_in.no_scope",
        )
    return scope


def _refuse_person(error: AuthorizationError, pending: PendingAuthorization, context: ServerContext) -> Response:
    url = build_error_redirect(pending.redirect_uri, error, state=pending.state, issuer=context.issuer)
    return refuse_on_page(
        error,
        stylesheet=context.stylesheet,
        client_id=pending.client_id,
        return_link=ReturnLink(url=url, host=_find_target(pending).host),
    )


def _build_question_page(
    page: bytes, pending: PendingAuthorization, context: ServerContext, *, leads_to_provider: bool, status: int
) -> Response:
    sources = ["'self'", form_action_source(pending.redirect_uri)]
    if leads_to_provider:
        # Chromium holds form-action against every redirect that follows. A provider sends people on to whoever knows
        # them, at hosts that nobody here can foresee.
        sources += ["https:", *(form_action_source(one.plan.options.issuer) for one in context.upstreams)]
    return build_page(page, status=status, form_action=" ".join(sources), headers=_build_retry_header(status))


def _build_retry_header(status: int) -> dict[str, str]:
    return {429: {"Retry-After": "60"}, 503: {"Retry-After": "10"}}.get(status, {})


def _collect_question(
    pending: PendingAuthorization, request_id: str, context: ServerContext, scope: tuple[str, ...]
) -> dict[str, Any]:
    """The members of a ``QuestionView``."""
    client, host = _read_client(pending, context)
    target = _find_target(pending)
    resource = _find_resource(pending, context)
    return {
        "request": request_id,
        "known_by": client.known_by,
        "client_host": host,
        "client_id": client.client_id,
        "client_name": client.client_name,
        "redirect_host": target.host,
        "redirect_uri": target.uri,
        "redirect_kind": target.kind,
        "resource_name": resource.name,
        "resource": resource.identifier,
        "scopes": tuple(
            ScopeView(name=offer.name, description=offer.description)
            for offer in resource.scopes
            if offer.name in scope
        ),
        "keeps_access": pending.issues_refresh_token,
        "links": _collect_links(client),
        "warnings": _collect_warnings(client, host, target),
    }


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
