"""``/consent``: the question again, and the person's answer (architecture decision 13, MCP-80 to MCP-84)."""

import secrets
from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import AuthorizationError
from nameplate.ports.verdicts import AlreadyAnswered, Approved, ChallengeSpent, Denied, Unknown
from nameplate.protocol.authorization import build_error_redirect, build_success_redirect
from nameplate.protocol.client_class import choose_client_class
from nameplate.protocol.client_id import is_client_id_url
from nameplate.protocol.code_grant import CODE_SECONDS, derive_code
from nameplate.protocol.grant import AuthorizationCode, Grant, PendingAuthorization, Session
from nameplate.protocol.parameters import parse_parameters
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import build_redirect_response
from nameplate.server.client_auth import read_client
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_own_form
from nameplate.server.questions import ask_person
from nameplate.server.refusals import challenge_spent, not_waiting
from nameplate.server.sessions import load_session
from nameplate.server.waiting import load_waiting, show_answered

__all__ = ["answer_consent", "show_consent"]


async def show_consent(request: Request, context: ServerContext) -> Response:
    """``GET /consent``: ask (again), for instance after signing in."""
    request_id = parse_parameters(request.scope["query_string"]).get("request") or ""
    waiting = await load_waiting(request, request_id, context)
    if isinstance(waiting, AlreadyAnswered):
        return await show_answered(waiting, request_id, context)
    return await ask_person(request, waiting, request_id, context)


async def answer_consent(request: Request, context: ServerContext) -> Response:
    """``POST /consent``: take the answer, once, and bring it to the client."""
    form = await read_own_form(request, context.issuer)
    request_id = form.get("request") or ""
    waiting = await load_waiting(request, request_id, context)
    if isinstance(waiting, AlreadyAnswered):
        return await show_answered(waiting, request_id, context)
    session = await load_session(request, waiting, context)
    if session is None or session.subject != form.get("subject"):
        # Signed out, or signed in as somebody else, since the page was shown: ask again, as who it is now.
        return await ask_person(request, waiting, request_id, context)
    if form.get("answer") == "allow":
        return await _approve(waiting, request_id, session, context)
    return await _deny(waiting, request_id, session, context)


async def _approve(
    pending: PendingAuthorization, request_id: str, session: Session, context: ServerContext
) -> Response:
    now = context.now()
    code = derive_code(request_id, pending.browser_hash)
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
            if is_client_id_url(pending.client_id):
                await context.documents.record_approval(pending.client_id)
            url = build_success_redirect(pending.redirect_uri, code=code, state=pending.state, issuer=context.issuer)
            return build_redirect_response(url)
        case AlreadyAnswered():
            return await show_answered(verdict, request_id, context)
        case ChallengeSpent():
            raise challenge_spent()
        case Unknown():
            raise not_waiting()
        case _:
            assert_never(verdict)


async def _deny(pending: PendingAuthorization, request_id: str, session: Session, context: ServerContext) -> Response:
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
            return await show_answered(verdict, request_id, context)
        case Unknown():
            raise not_waiting()
        case _:
            assert_never(verdict)


def _build_grant(pending: PendingAuthorization, session: Session, now: int, context: ServerContext) -> Grant:
    client_class = choose_client_class(read_client(pending.client_metadata), None)
    return Grant(
        id=f"grant_{secrets.token_urlsafe(16)}",  # it stands in tokens, and is no secret
        client_id=pending.client_id,
        subject=session.subject,
        resource=pending.resource,
        scope=pending.scope,
        client_metadata=pending.client_metadata,
        created_at=now,
        expires_at=now + context.lifetimes[client_class].grant_seconds,
        username=session.username,
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
