"""``/consent``: the question again, and the person's answer (architecture decision 13, MCP-80 to MCP-84)."""

from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import AuthorizationError
from nameplate.ports.verdicts import AlreadyAnswered
from nameplate.protocol.parameters import parse_parameters
from nameplate.server.approval import approve, deny
from nameplate.server.approval_budget import spend_approval
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_own_form
from nameplate.server.questions import OTHER_ACCOUNT, ask_person, narrow_to_person
from nameplate.server.sessions import load_session
from nameplate.server.upstream_sign_in import confirm_at_provider
from nameplate.server.waiting import load_waiting, show_answered

__all__ = ["answer_consent", "show_consent"]


async def show_consent(request: Request, context: ServerContext) -> Response:
    """``GET /consent``: ask (again), for instance after signing in."""
    parameters = parse_parameters(request.scope["query_string"])
    request_id = parameters.get("request") or ""
    waiting = await load_waiting(request, request_id, context)
    if isinstance(waiting, AlreadyAnswered):
        return await show_answered(waiting, request_id, context)
    is_other = parameters.get("account") == OTHER_ACCOUNT
    return await ask_person(request, waiting, request_id, context, asks_for_other_account=is_other)


async def answer_consent(request: Request, context: ServerContext) -> Response:
    """``POST /consent``: take the answer, once, and bring it to the client."""
    form = await read_own_form(request, context.issuer)
    request_id = form.get("request") or ""
    waiting = await load_waiting(request, request_id, context)
    if isinstance(waiting, AlreadyAnswered):
        return await show_answered(waiting, request_id, context)
    answer, subject = form.get("answer"), form.get("subject")
    if answer == "deny" and subject is None and context.upstreams:
        # The page before an identity provider: whoever has seen enough need not sign in to say no.
        return await deny(waiting, request_id, context)
    signed_in = await load_session(request, waiting, context)
    if signed_in is None or signed_in.session.subject != subject:
        # Signed out, or signed in as somebody else, since the page was shown: ask again, as who it is now.
        return await ask_person(request, waiting, request_id, context)
    session = signed_in.session
    if answer != "allow":
        return await deny(waiting, request_id, context, subject=session.subject)
    try:
        scope = narrow_to_person(waiting, signed_in.person)
    except AuthorizationError as why:
        return await deny(waiting, request_id, context, subject=session.subject, why=why)
    await spend_approval(session.subject, context)
    upstream = context.upstreams.find(session.upstream)
    if upstream is not None and upstream.client.keeps_tokens:
        return await confirm_at_provider(request, waiting, request_id, context, session=session, scope=scope)
    return await approve(waiting, request_id, session, context, scope=scope)
