"""``POST /token``: codes and refresh tokens become access tokens (RFC 6749 §3.2, §5)."""

import secrets
from functools import partial
from typing import assert_never

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nameplate.errors import ClientIdError, ClientMetadataError, FetchError, ParameterError, StoreError, TokenError
from nameplate.ports.store import Rotation
from nameplate.ports.verdicts import AssertionReplayed, Redeemed, Repeated, Replayed, Reused, Rotated, Unknown
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPE, build_access_token_claims
from nameplate.protocol.client_assertion import build_replay_refusal
from nameplate.protocol.client_authentication import Credentials, NoSecret
from nameplate.protocol.client_change import (
    ENDING_REASONS,
    build_lost_client_refusal,
    check_proof,
    is_end_of_client,
    is_weaker,
)
from nameplate.protocol.client_class import Lifetimes, choose_client_class
from nameplate.protocol.client_id import parse_client_id
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.client_proof import ClientProof
from nameplate.protocol.code_grant import (
    REPLAY_REVOKES_AFTER_SECONDS,
    build_code_refusal,
    check_code,
    check_code_binding,
    is_code_burned,
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
    narrow_scope,
    parse_refresh_request,
)
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.protocol.scope import build_scope, parse_scope
from nameplate.protocol.token_exchange import TOKEN_EXCHANGE
from nameplate.protocol.token_request import (
    check_client_admitted,
    choose_granted_resource,
    narrow_to_offer,
    parse_grant_type,
)
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import NO_STORE, build_json_error
from nameplate.server.browser import new_bearer_value
from nameplate.server.client_auth import (
    authenticate,
    authenticate_again,
    find_registration,
    read_client,
    read_credentials,
    use_up,
)
from nameplate.server.context import ServerContext
from nameplate.server.exchange import exchange
from nameplate.server.forms import read_form
from nameplate.server.people import KnownPerson, LostPerson
from nameplate.server.repeat_answer import TokenAnswer, open_answer, seal_answer

__all__ = ["token"]


async def token(request: Request, context: ServerContext) -> Response:
    """Answer a token request; every refusal is RFC-shaped JSON."""
    client_id, used_header = "", "authorization" in request.headers
    try:
        form = await read_form(request)
        arrived_at = context.now()
        if form.get("grant_type") == TOKEN_EXCHANGE and context.resource_servers.may_exchange:
            return await exchange(request, form, context)
        grant_type = parse_grant_type(form)
        credentials = read_credentials(request, form)
        client_id = credentials.client_id
        check_client_admitted(client_id, documents_enabled=context.policy.documents_enabled)
        registered = await find_registration(credentials, context)
        match grant_type:
            case "authorization_code":
                answer = await _redeem_code(form, credentials, registered, context, arrived_at=arrived_at)
            case "refresh_token":
                answer = await _refresh(form, credentials, registered, context, arrived_at=arrived_at)
            case _:
                assert_never(grant_type)
    except (ParameterError, TokenError) as error:
        return build_json_error(error, client_id=client_id, used_header=used_header)
    except StoreError as error:
        return build_json_error(_store_failed(error), client_id=client_id, cause=error)
    return JSONResponse(answer.build_body(context.now()), headers={**CORS_HEADERS, **NO_STORE})


async def _redeem_code(
    form: Parameters,
    credentials: Credentials,
    registered: RegisteredClient | None,
    context: ServerContext,
    *,
    arrived_at: int,
) -> TokenAnswer:
    request = parse_code_request(form, credentials.client_id)
    code_hash = hash_bearer_value(request.code)
    found = await context.store.load_code(code_hash)
    if isinstance(found, Unknown):
        raise build_code_refusal("code.unknown")
    code, grant = found
    # The document that the code was authorized by: one snapshot serves the whole flow.
    client, proof = read_client(grant.client_metadata), None
    try:
        check_code(request, code, grant, context.now())
        proof = await _prove(credentials, client, registered, grant, context)
        now = context.now()  # the store, or a host with keys, may have let this wait
        check_code(request, code, grant, now)
        check_code_binding(request, code)
        resource = choose_granted_resource(form, grant.resource, context.policy.resources)
        person = context.people.find(grant)
        if isinstance(person, LostPerson):
            raise build_code_refusal(person.reason)
    except TokenError as refusal:
        if proof is not None:
            await use_up(proof, context.now(), context)
        if is_code_burned(refusal.reason, client):
            await context.store.burn_code(code_hash, context.now())
        raise
    lifetimes = context.lifetimes[choose_client_class(client, proof.auth_method)]
    refresh_token = new_bearer_value("npr") if code.issues_refresh_token else None
    verdict = await context.store.redeem_code(
        code_hash,
        refresh_token=_build_refresh_token(refresh_token, grant, lifetimes, now) if refresh_token else None,
        proof=proof,
        now=now,
        # A replay counts by when it arrived: an honest client that lost patience may have waited where the first did.
        replay_revokes_after_seconds=REPLAY_REVOKES_AFTER_SECONDS + max(0, now - arrived_at),
    )
    match verdict:
        case Redeemed():
            scope = narrow_to_offer(person.narrow(verdict.grant.scope), resource)
            return _build_answer(verdict.grant, person, scope, refresh_token, lifetimes, context)
        case Replayed():
            raise build_code_refusal("code.replayed_and_revoked" if verdict.grant_revoked else "code.replayed")
        case AssertionReplayed():
            raise build_replay_refusal()
        case Unknown():
            raise build_code_refusal("code.unknown")
        case _:
            assert_never(verdict)


async def _refresh(
    form: Parameters,
    credentials: Credentials,
    registered: RegisteredClient | None,
    context: ServerContext,
    *,
    arrived_at: int,
) -> TokenAnswer:
    request = parse_refresh_request(form, credentials.client_id)
    token_hash = hash_bearer_value(request.refresh_token)
    found = await context.store.load_refresh_token(token_hash)
    if isinstance(found, Unknown):
        raise build_refresh_refusal("refresh_token.unknown")
    presented, grant = found
    check_refresh(request, presented, grant, context.now())
    client, proof = await _recognise(credentials, registered, presented, grant, context)
    now = context.now()  # the store, or the client's host, may have let this wait
    try:
        check_refresh(request, presented, grant, now)
        check_proof(proof, grant, client)
        granted_scope = narrow_scope(request, grant)
        # By the configuration of today: whoever was taken out of it gets no more tokens.
        person = context.people.find(grant)
        if isinstance(person, LostPerson):
            raise build_refresh_refusal(person.reason)
        resource = choose_granted_resource(form, grant.resource, context.policy.resources)
    except TokenError as refusal:
        await use_up(proof, now, context)
        if refusal.reason in ENDING_REASONS:
            await context.store.revoke_grant(grant.id, reason=refusal.reason, now=now)
        raise
    lifetimes = context.lifetimes[choose_client_class(client, proof.auth_method)]
    scope, successor = narrow_to_offer(person.narrow(granted_scope), resource), new_bearer_value("npr")
    answer = _build_answer(grant, person, scope, successor, lifetimes, context)
    rotation = Rotation(
        token_hash=token_hash,
        successor=_build_refresh_token(successor, grant, lifetimes, now),
        sealed_answer=seal_answer(answer, request.refresh_token),
        proof=proof,
        repeat_seconds=REPEAT_SECONDS + max(0, now - arrived_at),  # as with codes: when it arrived counts
        repeat_limit=REPEAT_LIMIT,
    )
    verdict = await context.store.rotate_refresh_token(rotation, now)
    match verdict:
        case Rotated():
            return answer
        case Repeated():
            first = open_answer(verdict.sealed_answer, request.refresh_token)
            return _repeat(first, grant, person, scope, lifetimes, context)
        case Reused():
            raise build_refresh_refusal("refresh_token.reused")
        case AssertionReplayed():
            raise build_replay_refusal()
        case Unknown():
            raise build_refresh_refusal("refresh_token.unknown")
        case _:
            assert_never(verdict)


def _repeat(
    first: TokenAnswer,
    grant: Grant,
    person: KnownPerson,
    scope: tuple[str, ...],
    lifetimes: Lifetimes,
    context: ServerContext,
) -> TokenAnswer:
    """The answer to a repeat: the first one. Where its access token is over, or allows what this request does not ask
    for, there is a new one; the refresh token stays.
    """
    is_enough = set(parse_scope(first.scope) or ()) <= set(scope)
    if is_enough and first.access_token_expires_at > context.now():
        return first
    return _build_answer(grant, person, scope, first.refresh_token, lifetimes, context)


async def _prove(
    credentials: Credentials,
    client: ClientMetadata,
    registered: RegisteredClient | None,
    grant: Grant,
    context: ServerContext,
) -> ClientProof:
    """The client's proof; a registered client is known by its entry, and not by what a grant remembers of it."""
    if registered is None:
        return await authenticate(credentials, client, None, grant, context, at_token_endpoint=True)
    entry = read_client(registered.metadata)
    return await authenticate(credentials, entry, registered.secret_hash, grant, context, at_token_endpoint=True)


async def _recognise(
    credentials: Credentials,
    registered: RegisteredClient | None,
    presented: RefreshToken,
    grant: Grant,
    context: ServerContext,
) -> tuple[ClientMetadata, ClientProof]:
    """The client of today, by which a live grant is judged, and its proof."""
    client = None if registered is None else read_client(registered.metadata)
    is_repeat = presented.rotated_at is not None and isinstance(credentials, NoSecret)
    if client is None and is_repeat and not is_weaker(credentials.method, grant.auth_method):
        # A second use is an honest repeat or a theft. The store knows which, and no host may keep it from saying so.
        client = read_client(grant.client_metadata)
    if client is not None:
        return client, await _prove(credentials, client, registered, grant, context)
    load_client = partial(_load_client, grant, context)
    return await authenticate_again(
        credentials,
        load_client,
        grant,
        context,
        seen_at=presented.rotated_at or presented.issued_at,
        at_token_endpoint=True,
    )


async def _load_client(grant: Grant, context: ServerContext, fetched_since: int) -> tuple[ClientMetadata, int | None]:
    """See ``LoadClient``. A client that is gone for good ends the grant."""
    document = context.documents.find_document(grant.client_id)
    if document is None or document.fetched_at < fetched_since:
        try:
            client_id = parse_client_id(grant.client_id, context.policy.client_id)
            document = await context.documents.load_document(client_id, live_grant=True, fetched_since=fetched_since)
        except (ClientIdError, ClientMetadataError, FetchError) as error:
            refusal = build_lost_client_refusal(error, grant.client_id)
            if is_end_of_client(error):
                await context.store.revoke_grant(grant.id, reason=refusal.reason, now=context.now())
            raise refusal from error
    return document.metadata, document.fetched_at


def _build_refresh_token(value: str, grant: Grant, lifetimes: Lifetimes, now: int) -> RefreshToken:
    return RefreshToken(
        token_hash=hash_bearer_value(value),
        grant_id=grant.id,
        issued_at=now,
        expires_at=min(now + lifetimes.refresh_token_seconds, grant.expires_at),
    )


def _build_answer(
    grant: Grant,
    person: KnownPerson,
    scope: tuple[str, ...],
    refresh_token: str | None,
    lifetimes: Lifetimes,
    context: ServerContext,
) -> TokenAnswer:
    claims = build_access_token_claims(
        grant,
        scope=scope,
        issuer=context.issuer,
        now=context.now(),
        lifetime_seconds=lifetimes.access_token_seconds,
        jti=secrets.token_urlsafe(16),
    )
    return TokenAnswer(
        access_token=context.signing_keys.sign({**claims, **person.claims}, typ=ACCESS_TOKEN_TYPE),
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
