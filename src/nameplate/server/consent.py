"""``/consent``: the question, and the person's answer (architecture decision 13, MCP-80 to MCP-84)."""

from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import AuthorizationError
from nameplate.ports.store import AlreadyAnswered, Approved, ChallengeSpent, Denied, Unknown
from nameplate.protocol.authorization import build_error_redirect, build_success_redirect
from nameplate.protocol.client_id import parse_client_id
from nameplate.protocol.client_metadata import ClientMetadata, parse_snapshot
from nameplate.protocol.code_grant import CODE_SECONDS
from nameplate.protocol.display import host_warnings, name_warnings
from nameplate.protocol.grant import AuthorizationCode, Grant, PendingAuthorization, Session
from nameplate.protocol.redirect_uri import RedirectTarget, match_redirect_uri
from nameplate.protocol.scope import OFFLINE_ACCESS
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import build_page, build_redirect_response
from nameplate.server.browser import BrowserCookies, new_bearer_value
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_own_form
from nameplate.server.pages.render import form_action_source, render_consent, render_sign_in
from nameplate.server.pages.views import ConsentView, ScopeView, SignInView
from nameplate.server.refusals import already_answered, browser_unknown, challenge_spent, not_waiting
from nameplate.server.sessions import load_session

__all__ = ["answer_consent", "ask_person", "load_waiting", "show_consent", "show_sign_in"]


async def show_consent(request: Request, context: ServerContext) -> Response:
    """``GET /consent``: ask (again), for instance after signing in."""
    request_id = request.query_params.get("request", "")
    return await ask_person(request, await load_waiting(request, request_id, context), request_id, context)


async def answer_consent(request: Request, context: ServerContext) -> Response:
    """``POST /consent``: take the answer, once, and bring it to the client."""
    form = await read_own_form(request, context.issuer)
    request_id = form.get("request") or ""
    pending = await load_waiting(request, request_id, context)
    session = await load_session(request, pending, context)
    if session is None or session.subject != form.get("subject"):
        # Signed out, or signed in as somebody else, since the page was shown: ask again, as who it is now.
        return await ask_person(request, pending, request_id, context)
    if form.get("answer") == "allow":
        return await _approve(pending, session, context)
    return await _deny(pending, session, context)


async def load_waiting(request: Request, request_id: str, context: ServerContext) -> PendingAuthorization:
    """The request that waits under this id in this browser. Raises ``AuthorizationPageError``."""
    browser_hash = BrowserCookies(context.issuer).browser_hash(request)
    if browser_hash is None:
        raise browser_unknown()
    pending = await context.store.load_authorization(hash_bearer_value(request_id), browser_hash, context.now())
    match pending:
        case PendingAuthorization():
            return pending
        case AlreadyAnswered():
            raise already_answered()
        case Unknown():
            raise not_waiting()
        case _:
            assert_never(pending)


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
    client = parse_snapshot(pending.client_metadata)
    resource = context.find_resource(pending.resource)
    view = SignInView(
        action=f"{context.base_path}/sign-in",
        request=request_id,
        client_host=_client_host(client, context),
        client_name=client.client_name,
        resource_name=resource.name if resource else pending.resource,
        username=username,
        problem=problem,
    )
    return build_page(render_sign_in(view, stylesheet=context.stylesheet), status=status)


async def _approve(pending: PendingAuthorization, session: Session, context: ServerContext) -> Response:
    now = context.now()
    code = new_bearer_value("npc")
    grant = _build_grant(pending, session, now, context)
    verdict = await context.store.approve_authorization(
        pending.id_hash,
        pending.browser_hash,
        grant=grant,
        code=_build_code(pending, grant.id, hash_bearer_value(code), now),
        now=now,
    )
    match verdict:
        case Approved():
            context.documents.keep_document(pending.client_id)
            url = build_success_redirect(pending.redirect_uri, code=code, state=pending.state, issuer=context.issuer)
            return build_redirect_response(url)
        case AlreadyAnswered():
            raise already_answered()
        case ChallengeSpent():
            raise challenge_spent()
        case Unknown():
            raise not_waiting()
        case _:
            assert_never(verdict)


async def _deny(pending: PendingAuthorization, session: Session, context: ServerContext) -> Response:
    verdict = await context.store.deny_authorization(
        pending.id_hash, pending.browser_hash, subject=session.subject, now=context.now()
    )
    match verdict:
        case Denied():
            denied = AuthorizationError(
                "access_denied", "The person declined.", reason="authorization.denied_by_person"
            )
            url = build_error_redirect(pending.redirect_uri, denied, state=pending.state, issuer=context.issuer)
            return build_redirect_response(url)
        case AlreadyAnswered():
            raise already_answered()
        case Unknown():
            raise not_waiting()
        case _:
            assert_never(verdict)


def _build_grant(pending: PendingAuthorization, session: Session, now: int, context: ServerContext) -> Grant:
    return Grant(
        id=new_bearer_value("npg"),
        client_id=pending.client_id,
        subject=session.subject,
        resource=pending.resource,
        scope=pending.scope,
        client_metadata=pending.client_metadata,
        created_at=now,
        expires_at=now + context.tokens.grant_seconds,
        claims=session.claims,
    )


def _build_code(pending: PendingAuthorization, grant_id: str, code_hash: bytes, now: int) -> AuthorizationCode:
    return AuthorizationCode(
        code_hash=code_hash,
        grant_id=grant_id,
        client_id=pending.client_id,
        redirect_uri=pending.redirect_uri,
        code_challenge=pending.code_challenge,
        issues_refresh_token=pending.issues_refresh_token,
        issued_at=now,
        expires_at=now + CODE_SECONDS,
    )


def _build_consent_view(
    pending: PendingAuthorization, session: Session, request_id: str, context: ServerContext
) -> ConsentView:
    client = parse_snapshot(pending.client_metadata)
    target = _find_target(pending, client)
    resource = context.find_resource(pending.resource)
    host = _client_host(client, context)
    descriptions = {scope.name: scope.description for scope in resource.scopes} if resource else {}
    return ConsentView(
        action=f"{context.base_path}/consent",
        sign_out_action=f"{context.base_path}/sign-out",
        request=request_id,
        subject=session.subject,
        client_host=host,
        client_id=client.client_id,
        client_name=client.client_name,
        redirect_host=target.host,
        redirect_uri=target.uri,
        redirect_kind=target.kind,
        person=session.display_name,
        username=session.username,
        resource_name=resource.name if resource else pending.resource,
        resource=pending.resource,
        scopes=tuple(
            ScopeView(name=name, description=descriptions.get(name, name))
            for name in pending.scope
            if name != OFFLINE_ACCESS
        ),
        keeps_access=pending.issues_refresh_token,
        links=_collect_links(client),
        warnings=(*host_warnings(host), *name_warnings(client.client_name or "", host)),
    )


def _client_host(client: ClientMetadata, context: ServerContext) -> str:
    """The host of the client_id, with its port where that is not 443: the identity that was proven."""
    url = parse_client_id(client.client_id, context.policy.client_id)
    return url.host if url.port == 443 else f"{url.host}:{url.port}"


def _find_target(pending: PendingAuthorization, client: ClientMetadata) -> RedirectTarget:
    target = match_redirect_uri(pending.redirect_uri, client.redirect_uris)
    if target is None:
        raise not_waiting()
    return target


def _collect_links(client: ClientMetadata) -> tuple[tuple[str, str], ...]:
    labelled = (("Website", client.client_uri), ("Terms", client.tos_uri), ("Privacy", client.policy_uri))
    return tuple((label, url) for label, url in labelled if url)
