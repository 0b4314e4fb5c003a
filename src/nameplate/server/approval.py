"""Bringing a person's answer to the client: what allows, what denies, what went wrong on the way."""

import secrets
from typing import assert_never

from starlette.responses import Response

from nameplate.errors import AuthorizationError, UpstreamError
from nameplate.ports.verdicts import AlreadyAnswered, Approved, ChallengeSpent, Denied, Unknown
from nameplate.protocol.authorization import build_error_redirect, build_success_redirect
from nameplate.protocol.client_class import choose_client_class
from nameplate.protocol.client_id import is_client_id_url
from nameplate.protocol.code_grant import CODE_SECONDS, derive_code
from nameplate.protocol.grant import AuthorizationCode, Grant, PendingAuthorization, Session
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import build_redirect_response, log_refusal, new_reference
from nameplate.server.client_auth import read_client
from nameplate.server.context import ServerContext
from nameplate.server.refusals import challenge_spent, not_waiting
from nameplate.server.upstream_tokens import seal_tokens
from nameplate.server.waiting import show_answered
from nameplate.upstream.port import UpstreamTokens

__all__ = ["approve", "deny", "redirect_refusal"]


async def approve(
    pending: PendingAuthorization,
    request_id: str,
    session: Session,
    context: ServerContext,
    *,
    scope: tuple[str, ...],
    upstream_tokens: UpstreamTokens | None = None,
) -> Response:
    """The person of the session allowed it, with ``scope``: a code for the client. ``upstream_tokens`` are kept with
    the grant.
    """
    now = context.now()
    code = derive_code(request_id, pending.browser_hash)
    grant = _build_grant(pending, session, scope, now, context)
    verdict = await context.store.approve_authorization(
        pending.id_hash,
        pending.browser_hash,
        grant=grant,
        code=_build_code(pending, grant.id, hash_bearer_value(code), now),
        now=now,
        upstream_tokens=None if upstream_tokens is None else seal_tokens(upstream_tokens, grant.id, context.vault),
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


async def deny(
    pending: PendingAuthorization,
    request_id: str,
    context: ServerContext,
    *,
    subject: str = "",
    why: AuthorizationError | None = None,
) -> Response:
    """It ends here, and the client is told. ``subject`` is the person's ``sub``, empty where nobody signed in; ``why``
    is set where it was not the person who declined.
    """
    verdict = await context.store.deny_authorization(
        pending.id_hash, pending.browser_hash, subject=subject, now=context.now()
    )
    match verdict:
        case Denied():
            if why is not None:
                return redirect_refusal(why, pending, context)
            declined = AuthorizationError(
                "access_denied", "The person declined.", reason="authorization.denied_by_person"
            )
            url = build_error_redirect(pending.redirect_uri, declined, state=pending.state, issuer=context.issuer)
            return build_redirect_response(url)
        case AlreadyAnswered():
            return await show_answered(verdict, request_id, context)
        case Unknown():
            raise not_waiting()
        case _:
            assert_never(verdict)


def redirect_refusal(
    error: AuthorizationError | UpstreamError, pending: PendingAuthorization, context: ServerContext
) -> Response:
    """Log it, and tell the client. Its redirect URI is proven, and the person has acted: this is no open redirector."""
    if isinstance(error, UpstreamError):
        error = AuthorizationError(error.code, error.description, reason=error.reason, detail=error.detail)
    log_refusal(error, reference=new_reference(), client_id=pending.client_id)
    url = build_error_redirect(pending.redirect_uri, error, state=pending.state, issuer=context.issuer)
    return build_redirect_response(url)


def _build_grant(
    pending: PendingAuthorization, session: Session, scope: tuple[str, ...], now: int, context: ServerContext
) -> Grant:
    client_class = choose_client_class(read_client(pending.client_metadata), None)
    return Grant(
        id=f"grant_{secrets.token_urlsafe(16)}",  # it stands in tokens, and is no secret
        client_id=pending.client_id,
        subject=session.subject,
        resource=pending.resource,
        scope=scope,
        client_metadata=pending.client_metadata,
        created_at=now,
        expires_at=now + context.lifetimes[client_class].grant_seconds,
        username=session.username,
        upstream=session.upstream,
        person=session.person,
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
