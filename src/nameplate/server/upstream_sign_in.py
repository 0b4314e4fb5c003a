"""``/sign-in/NAME`` and ``/callback/NAME``: people who sign in at an identity provider (docs/decisions/0015).

Consent first, then the provider (architecture decision 13, MCP-80 to MCP-84): nothing is sent to a provider before the
person pressed a button on a page that shows the whole question. What has to be known when the browser comes back lies
in the store, sealed, under the ``state``; it can be taken once, by the browser that left.
"""

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import AuthorizationError, AuthorizationPageError, StoreError, UpstreamError
from nameplate.ports.store import Spending
from nameplate.ports.verdicts import AlreadyAnswered, Full, Unknown
from nameplate.protocol.email_address import read_email_address
from nameplate.protocol.fault import Fault
from nameplate.protocol.grant import PendingAuthorization, Session
from nameplate.protocol.parameters import Parameters, parse_parameters
from nameplate.protocol.person_record import build_person_record, parse_person_record
from nameplate.protocol.session import choose_authenticated_at
from nameplate.protocol.sign_in_policy import find_sign_in_refusal
from nameplate.protocol.strict_json import read_json_object
from nameplate.protocol.upstream_attempt import UpstreamAttempt
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import build_redirect_response, log_refusal, new_reference
from nameplate.server.approval import approve, deny, redirect_refusal
from nameplate.server.browser import BrowserCookies, client_address, new_bearer_value
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_own_form
from nameplate.server.people import LostPerson
from nameplate.server.questions import OTHER_ACCOUNT, Failure, ask_person, narrow_to_person, show_sign_in
from nameplate.server.refusals import (
    attempt_unknown,
    browser_unknown,
    foreign_callback,
    upstream_unknown,
)
from nameplate.server.sessions import NewSession, start_session, write_session
from nameplate.server.upstreams import ServedUpstream
from nameplate.server.waiting import load_waiting, show_answered
from nameplate.upstream.port import Completed, SignInHints, UpstreamTokens

__all__ = ["come_back", "confirm_at_provider", "leave_for_provider"]

ATTEMPT_SECONDS = 600
"""How long the browser may be away (MCP-84)."""

MAX_ATTEMPTS_PER_BROWSER = 20
"""Tabs that one browser may have at providers; the oldest give way."""

# One address, whatever cookies it has: how many at once, how many a second after that. Each attempt can make us ask the
# provider.
_PER_ADDRESS = (120, 2)

_THROTTLED = "Too many attempts. Wait a minute, then try again."


async def leave_for_provider(request: Request, context: ServerContext) -> Response:
    """``POST /sign-in/NAME``: the person agreed to the client, and goes on to the provider."""
    form = await read_own_form(request, context.issuer)
    request_id = form.get("request") or ""
    waiting = await load_waiting(request, request_id, context)
    if isinstance(waiting, AlreadyAnswered):
        return await show_answered(waiting, request_id, context)
    upstream = _find_upstream(request, context)
    if not await _may_leave(request, context):
        return show_sign_in(waiting, request_id, context, failure=Failure(problem=_THROTTLED, status=429))
    hints = _build_hints(waiting, upstream, is_other_account=form.get("account") == OTHER_ACCOUNT)
    journey = _Journey(request_id=request_id, was_asked=waiting.signed_in_after is not None)
    return await _leave(request, waiting, upstream, _Departure(journey=journey, hints=hints), context)


async def confirm_at_provider(
    request: Request,
    pending: PendingAuthorization,
    request_id: str,
    context: ServerContext,
    *,
    session: Session,
    scope: tuple[str, ...],
) -> Response:
    """The person of the session allowed ``scope``: once more to the provider, for the tokens that go with the grant.

    It knows the person already, and normally answers without asking.
    """
    upstream = context.upstreams.find(session.upstream)
    if upstream is None:
        raise upstream_unknown()
    hint = parse_person_record(session.person).email or session.username
    journey = _Journey(request_id=request_id, scope=scope)
    hints = SignInHints(login_hint=hint, resource=pending.resource)
    departure = _Departure(journey=journey, hints=hints, approved_subject=session.subject)
    return await _leave(request, pending, upstream, departure, context)


async def come_back(request: Request, context: ServerContext) -> Response:
    """``GET /callback/NAME``: the browser is back, with a code or an error."""
    upstream = _find_upstream(request, context)
    parameters = parse_parameters(request.scope["query_string"])
    attempt = await _take_attempt(request, parameters, context)
    if attempt.upstream != upstream.name:
        raise foreign_callback(attempt.upstream, upstream.name)
    journey = _open_journey(attempt, context)
    waiting = await load_waiting(request, journey.request_id, context)
    if isinstance(waiting, AlreadyAnswered):
        return await show_answered(waiting, journey.request_id, context)
    try:
        completed = await upstream.client.complete(
            parameters, memory=journey.memory, callback=upstream.callback, now=context.now()
        )
    except UpstreamError as error:
        return await _fail(error, waiting, journey.request_id, context)
    return await _sign_in(request, _Return(attempt=attempt, journey=journey, completed=completed), waiting, context)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Journey:
    """What has to be known again: the waiting request, and what the port remembers.

    ``was_asked`` is whether the provider was asked for a fresh sign-in. ``scope`` is what the person had allowed before
    leaving.
    """

    request_id: str
    memory: bytes = field(default=b"", repr=False)
    was_asked: bool = False
    scope: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Departure:
    journey: _Journey
    hints: SignInHints
    approved_subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Return:
    attempt: UpstreamAttempt
    journey: _Journey
    completed: Completed


def _find_upstream(request: Request, context: ServerContext) -> ServedUpstream:
    upstream = context.upstreams.find(request.path_params["name"])
    if upstream is None:
        raise upstream_unknown()
    return upstream


async def _may_leave(request: Request, context: ServerContext) -> bool:
    capacity, refill_per_second = _PER_ADDRESS
    spending = Spending(
        budget=f"upstream:address:{client_address(request)}",
        cost=1,
        capacity=capacity,
        refill_per_second=refill_per_second,
    )
    return await context.store.spend_all([spending], now=context.clock()) is None


def _build_hints(pending: PendingAuthorization, upstream: ServedUpstream, *, is_other_account: bool) -> SignInHints:
    max_age_seconds = None
    if pending.signed_in_after is not None:
        max_age_seconds = max(0, pending.created_at - pending.signed_in_after)
    prompts = ["login"] if max_age_seconds == 0 else []
    if is_other_account:
        prompts.append("select_account")
    return SignInHints(
        login_hint=None if is_other_account else _choose_login_hint(pending.login_hint, upstream),
        prompt=" ".join(prompts) or None,
        max_age_seconds=max_age_seconds,
        resource=pending.resource,
    )


def _choose_login_hint(login_hint: str | None, upstream: ServedUpstream) -> str | None:
    """An address is no business of a provider that the operator gave other domains."""
    address = read_email_address(login_hint) if login_hint else None
    domains = upstream.plan.email_domains
    return None if address and domains and address.domain not in domains else login_hint


async def _leave(
    request: Request,
    pending: PendingAuthorization,
    upstream: ServedUpstream,
    departure: _Departure,
    context: ServerContext,
) -> Response:
    state, journey = new_bearer_value("npu"), departure.journey
    try:
        begun = await upstream.client.begin(state=state, callback=upstream.callback, hints=departure.hints)
    except UpstreamError as error:
        if error.code != "temporarily_unavailable":
            return redirect_refusal(error, pending, context)
        _log_failure(error, pending)
        problem = f"{upstream.client.title} does not answer just now. Wait half a minute, then try again."
        failure = Failure(problem=problem, status=503)
        return await ask_person(request, pending, journey.request_id, context, failure=failure)
    state_hash, now = hash_bearer_value(state), context.now()
    attempt = UpstreamAttempt(
        state_hash=state_hash,
        browser_hash=pending.browser_hash,
        upstream=upstream.name,
        sealed_memory=_seal_journey(journey, begun.memory, state_hash, context),
        approved_subject=departure.approved_subject,
        created_at=now,
        expires_at=min(now + ATTEMPT_SECONDS, pending.expires_at),
    )
    if isinstance(await context.store.record_upstream_attempt(attempt, limit=MAX_ATTEMPTS_PER_BROWSER), Full):
        raise StoreError("the store keeps no attempt to sign in")
    return build_redirect_response(begun.url)


async def _take_attempt(request: Request, parameters: Parameters, context: ServerContext) -> UpstreamAttempt:
    """The attempt that this answer belongs to, once, and in the browser that left (PX-02, PX-03)."""
    state, browser_hash = parameters.get("state"), BrowserCookies(context.issuer).browser_hash(request)
    if state is None:
        raise attempt_unknown(status=400)
    if browser_hash is None:
        raise browser_unknown()
    found = await context.store.take_upstream_attempt(hash_bearer_value(state), browser_hash, context.now())
    match found:
        case UpstreamAttempt():
            return found
        case Unknown():
            raise attempt_unknown(status=403)
        case _:
            assert_never(found)


async def _fail(
    error: UpstreamError, pending: PendingAuthorization, request_id: str, context: ServerContext
) -> Response:
    """Tell the client. Only a no ends its request: after any other failure the person may try again from the page."""
    if error.code == "access_denied":
        why = AuthorizationError("access_denied", error.description, reason=error.reason, detail=error.detail)
        return await deny(pending, request_id, context, why=why)
    return redirect_refusal(error, pending, context)


async def _sign_in(request: Request, back: _Return, pending: PendingAuthorization, context: ServerContext) -> Response:
    """Somebody is there: is it somebody who may be here, and who had allowed this already?"""
    upstream = context.upstreams.find(back.attempt.upstream)
    if upstream is None:
        raise upstream_unknown()
    person, request_id = back.completed.person, back.journey.request_id
    record = build_person_record(
        person,
        issuer=person.issuer,
        needs=upstream.plan.record_needs,
        authenticated_at=choose_authenticated_at(
            person.claims.get("auth_time"), was_asked=back.journey.was_asked, now=context.now()
        ),
    )
    # By what is remembered, so that later tokens are judged as this sign-in is.
    refusal = find_sign_in_refusal(upstream.plan.policy, parse_person_record(record))
    if refusal is not None:
        detail = f"{person.subject!a} of {person.issuer}, {person.username!a}"
        why = AuthorizationError("access_denied", refusal.description, reason=refusal.reason, detail=detail)
        return await deny(pending, request_id, context, why=why)
    new = NewSession(
        issuer=person.issuer,
        subject=person.subject,
        username=person.username,
        display_name=person.display_name,
        upstream=upstream.name,
        person=record,
    )
    session, cookie = await start_session(request, new, context)
    response = await _go_on(back, session, pending, context)
    write_session(response, cookie, context)
    return response


async def _go_on(back: _Return, session: Session, pending: PendingAuthorization, context: ServerContext) -> Response:
    """To the client, if this very person allowed it before leaving; else to the question, with the account (CP-10)."""
    request_id = back.journey.request_id
    if back.attempt.approved_subject != session.subject:
        return build_redirect_response(f"{context.base_path}/consent?request={request_id}")
    known = context.people.find(session)
    if isinstance(known, LostPerson):
        raise attempt_unknown(status=403)
    try:
        possible = narrow_to_person(pending, known)
    except AuthorizationError as why:
        return await deny(pending, request_id, context, subject=session.subject, why=why)
    # No more than what the page showed, whatever groups came since.
    scope = tuple(name for name in possible if name in back.journey.scope)
    return await approve(
        pending, request_id, session, context, scope=scope, upstream_tokens=_keep(back, session, context)
    )


def _keep(back: _Return, session: Session, context: ServerContext) -> UpstreamTokens | None:
    upstream = context.upstreams.find(session.upstream)
    return back.completed.tokens if upstream is not None and upstream.client.keeps_tokens else None


def _log_failure(error: UpstreamError, pending: PendingAuthorization) -> None:
    refusal = AuthorizationPageError(error.code, error.description, reason=error.reason, detail=error.detail)
    log_refusal(refusal, reference=new_reference(), client_id=pending.client_id)


def _build_purpose(state_hash: bytes) -> str:
    return f"upstream attempt {state_hash.hex()}"


def _seal_journey(journey: _Journey, memory: bytes, state_hash: bytes, context: ServerContext) -> bytes:
    members = {
        "request": journey.request_id,
        "memory": base64.b64encode(memory).decode(),
        "was_asked": journey.was_asked,
        "scope": journey.scope,
    }
    return context.vault.seal(json.dumps(members).encode(), purpose=_build_purpose(state_hash))


def _open_journey(attempt: UpstreamAttempt, context: ServerContext) -> _Journey:
    """Raises ``StoreError`` where the store returned something else than what was sealed."""
    members = read_json_object(context.vault.open(attempt.sealed_memory, purpose=_build_purpose(attempt.state_hash)))
    match members:
        case {
            "request": str(request_id),
            "memory": str(memory),
            "was_asked": bool(was_asked),
            "scope": list(scope),
        } if not isinstance(members, Fault) and all(isinstance(name, str) for name in scope):
            try:
                return _Journey(
                    request_id=request_id,
                    memory=base64.b64decode(memory, validate=True),
                    was_asked=was_asked,
                    scope=tuple(scope),
                )
            except binascii.Error:
                pass
    raise StoreError("an attempt to sign in is damaged, or a newer nameplate wrote it")
