"""``POST /token``: codes and refresh tokens become access tokens (RFC 6749 §3.2, §5)."""

import secrets
from typing import assert_never

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nameplate.errors import ClientIdError, ClientMetadataError, FetchError, ParameterError, StoreError, TokenError
from nameplate.ports.store import Redeemed, Repeated, Replayed, Reused, Rotated, Unknown
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPE, build_access_token_claims
from nameplate.protocol.client_change import build_lost_client_refusal, check_auth_method, is_end_of_client
from nameplate.protocol.client_id import parse_client_id
from nameplate.protocol.code_grant import (
    BURNING_REASONS,
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
from nameplate.upstream.local_accounts import LocalAccount

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
        return build_token_error(_store_failed(error), client_id=client_id, cause=error)
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
    except TokenError as error:
        if error.reason in BURNING_REASONS:
            await context.store.burn_code(code_hash, now)
        raise
    resource = choose_granted_resource(form, grant.resource, context.policy.resources)
    account = context.accounts.find(grant.username)
    if account is None:
        raise build_code_refusal("grant.account_removed")
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
            return _build_answer(verdict.grant, account, scope, refresh_token, now, context)
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
    granted_scope = check_refresh(request, presented, grant, now)
    # The person's account of today: whoever was taken out of the configuration gets no more tokens.
    account = context.accounts.find(grant.username)
    if account is None:
        raise build_refresh_refusal("grant.account_removed")
    scope = narrow_to_offer(granted_scope, choose_granted_resource(form, grant.resource, context.policy.resources))
    # A second use is an honest repeat or a theft: the store knows which, and no host may keep it from saying so.
    if presented.rotated_at is None:
        await _check_client(grant, now, context)
    successor = new_bearer_value("npr")
    answer = _build_answer(grant, account, scope, successor, now, context)
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


async def _check_client(grant: Grant, now: int, context: ServerContext) -> None:
    """Judge a live grant by its client's document of today; a client that is gone for good ends it."""
    document = context.documents.find_document(grant.client_id)
    if document is None:
        try:
            client_id = parse_client_id(grant.client_id, context.policy.client_id)
            document = await context.documents.load_document(client_id, live_grant=True)
        except (ClientIdError, ClientMetadataError, FetchError) as error:
            refusal = build_lost_client_refusal(error, grant.client_id)
            if is_end_of_client(error):
                await context.store.revoke_grant(grant.id, reason=refusal.reason, now=now)
            raise refusal from error
    check_auth_method(document.metadata, "none")


def _build_refresh_token(value: str, grant: Grant, now: int, context: ServerContext) -> RefreshToken:
    return RefreshToken(
        token_hash=hash_bearer_value(value),
        grant_id=grant.id,
        issued_at=now,
        expires_at=min(now + context.tokens.refresh_token_seconds, grant.expires_at),
    )


def _build_answer(
    grant: Grant,
    account: LocalAccount,
    scope: tuple[str, ...],
    refresh_token: str | None,
    now: int,
    context: ServerContext,
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
        access_token=context.signing_key.sign({**claims, **_build_person_claims(account)}, typ=ACCESS_TOKEN_TYPE),
        access_token_expires_at=claims["exp"],
        scope=build_scope(scope),
        refresh_token=refresh_token,
    )


def _build_person_claims(account: LocalAccount) -> dict[str, object]:
    """What a token says of the person beside ``sub`` (RFC 9068 §2.2.3.1)."""
    return {"groups": list(account.groups)} if account.groups else {}


def _store_failed(error: StoreError) -> TokenError:
    return TokenError(
        "temporarily_unavailable",
        "The server cannot keep anything just now.",
        reason="store.failed",
        detail=str(error),
        status=503,
        retry_after_seconds=10,
    )
