"""``POST /token``: codes and refresh tokens become access tokens (RFC 6749 §3.2, §5)."""

import json
import secrets
from typing import assert_never

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nameplate.errors import ParameterError, StoreError, TokenError
from nameplate.ports.store import Redeemed, Repeated, Replayed, Reused, Rotated, Unknown
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPE, build_access_token_claims
from nameplate.protocol.code_grant import (
    REPLAY_REVOKES_AFTER_SECONDS,
    build_code_refusal,
    check_code,
    parse_code_request,
)
from nameplate.protocol.cors import CORS_HEADERS
from nameplate.protocol.grant import Grant, RefreshToken
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.refresh_grant import (
    REPEAT_LIMIT,
    REPEAT_SECONDS,
    build_refresh_refusal,
    check_refresh,
    parse_refresh_request,
)
from nameplate.protocol.scope import build_scope
from nameplate.protocol.token_request import (
    check_client_admitted,
    choose_granted_resource,
    narrow_to_offer,
    parse_grant_type,
    parse_public_client_id,
)
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import NO_STORE, build_token_error
from nameplate.server.browser import new_bearer_value
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_form
from nameplate.server.repeat_answer import TokenAnswer, open_answer, seal_answer

__all__ = ["token"]


async def token(request: Request, context: ServerContext) -> Response:
    """Answer a token request; every refusal is RFC-shaped JSON."""
    client_id = ""
    try:
        form = await read_form(request)
        grant_type = parse_grant_type(form)
        client_id = parse_public_client_id(form, request.headers.get("authorization"))
        check_client_admitted(client_id, documents_enabled=context.policy.documents_enabled)
        match grant_type:
            case "authorization_code":
                answer = await _redeem_code(form, client_id, context)
            case "refresh_token":
                answer = await _refresh(form, client_id, context)
            case _:
                assert_never(grant_type)
    except (ParameterError, TokenError) as error:
        return build_token_error(error, client_id=client_id)
    except StoreError as error:
        return build_token_error(_store_failed(error), client_id=client_id)
    return JSONResponse(answer.build_body(context.now()), headers={**CORS_HEADERS, **NO_STORE})


async def _redeem_code(form: Parameters, client_id: str, context: ServerContext) -> TokenAnswer:
    request = parse_code_request(form, client_id)
    code_hash, now = hash_bearer_value(request.code), context.now()
    found = await context.store.load_code(code_hash)
    if isinstance(found, Unknown):
        raise build_code_refusal("code.unknown")
    code, grant = found
    try:
        check_code(request, code, grant, now)
    except TokenError:
        await context.store.burn_code(code_hash, now)
        raise
    resource = choose_granted_resource(form, grant.resource, context.policy.resources)
    refresh_token = new_bearer_value("npr") if code.issues_refresh_token else None
    verdict = await context.store.redeem_code(
        code_hash,
        refresh_token=_build_refresh_token(refresh_token, grant, now, context) if refresh_token else None,
        now=now,
        replay_revokes_after_seconds=REPLAY_REVOKES_AFTER_SECONDS,
    )
    match verdict:
        case Redeemed():
            scope = narrow_to_offer(verdict.grant.scope, resource)
            return _build_answer(verdict.grant, scope, refresh_token, now, context)
        case Replayed():
            raise build_code_refusal("code.replayed_and_revoked" if verdict.grant_revoked else "code.replayed")
        case Unknown():
            raise build_code_refusal("code.unknown")
        case _:
            assert_never(verdict)


async def _refresh(form: Parameters, client_id: str, context: ServerContext) -> TokenAnswer:
    request = parse_refresh_request(form, client_id)
    token_hash, now = hash_bearer_value(request.refresh_token), context.now()
    found = await context.store.load_refresh_token(token_hash)
    if isinstance(found, Unknown):
        raise build_refresh_refusal("refresh_token.unknown")
    presented, grant = found
    resource = choose_granted_resource(form, grant.resource, context.policy.resources)
    scope = narrow_to_offer(check_refresh(request, presented, grant, now), resource)
    successor = new_bearer_value("npr")
    answer = _build_answer(grant, scope, successor, now, context)
    verdict = await context.store.rotate_refresh_token(
        token_hash,
        successor=_build_refresh_token(successor, grant, now, context),
        sealed_answer=seal_answer(answer, request.refresh_token),
        now=now,
        repeat_seconds=REPEAT_SECONDS,
        repeat_limit=REPEAT_LIMIT,
    )
    match verdict:
        case Rotated():
            return answer
        case Repeated():
            return open_answer(verdict.sealed_answer, request.refresh_token)
        case Reused():
            raise build_refresh_refusal("refresh_token.reused")
        case Unknown():
            raise build_refresh_refusal("refresh_token.unknown")
        case _:
            assert_never(verdict)


def _build_refresh_token(value: str, grant: Grant, now: int, context: ServerContext) -> RefreshToken:
    return RefreshToken(
        token_hash=hash_bearer_value(value),
        grant_id=grant.id,
        issued_at=now,
        expires_at=min(now + context.tokens.refresh_token_seconds, grant.expires_at),
    )


def _build_answer(
    grant: Grant, scope: tuple[str, ...], refresh_token: str | None, now: int, context: ServerContext
) -> TokenAnswer:
    claims = build_access_token_claims(
        grant,
        scope=scope,
        issuer=context.issuer,
        now=now,
        lifetime_seconds=context.tokens.access_token_seconds,
        jti=secrets.token_urlsafe(16),
    )
    return TokenAnswer(
        # What is said of the person comes first, so that nothing of it can replace a claim of ours.
        access_token=context.signing_key.sign({**json.loads(grant.claims), **claims}, typ=ACCESS_TOKEN_TYPE),
        access_token_expires_at=claims["exp"],
        scope=build_scope(scope),
        refresh_token=refresh_token,
    )


def _store_failed(error: StoreError) -> TokenError:
    return TokenError(
        "temporarily_unavailable",
        "The server cannot keep anything just now.",
        reason="store.failed",
        detail=str(error),
        status=503,
        retry_after_seconds=10,
    )
