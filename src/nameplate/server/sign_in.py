"""``/sign-in`` and ``/sign-out``: local accounts (RFC 9700 §4.16, attack list E)."""

from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from nameplate.ports.store import Spending
from nameplate.ports.verdicts import AlreadyAnswered
from nameplate.server.answers import build_redirect_response
from nameplate.server.browser import BrowserCookies
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_own_form
from nameplate.server.questions import OTHER_ACCOUNT, Failure, show_sign_in
from nameplate.server.sessions import NewSession, start_session, write_session
from nameplate.server.strangers import build_network_spendings
from nameplate.server.waiting import load_waiting, show_answered
from nameplate.upstream.local_accounts import LOCAL_ISSUER

__all__ = ["sign_in", "sign_out"]

# Attempts: (how many at once, how many a second after that). Strict for one address on one account; wide for one
# account from everywhere, and no network gets all of that: a stranger cannot lock a person out by guessing.
_PER_ACCOUNT_AND_ADDRESS = (5, 1 / 60)
_PER_ADDRESS = (30, 1 / 5)
_PER_ACCOUNT = (60, 1 / 10)

_WRONG = "The username or the password is not right."
_THROTTLED = "Too many attempts. Wait a minute, then try again."


async def sign_in(request: Request, context: ServerContext) -> Response:
    """``POST /sign-in``: a session for whoever knows the password, else the page again."""
    form = await read_own_form(request, context.issuer)
    request_id, username = form.get("request") or "", form.get("username") or ""
    waiting = await load_waiting(request, request_id, context)
    if isinstance(waiting, AlreadyAnswered):
        return await show_answered(waiting, request_id, context)
    if not await _may_try(request, username, context):
        failure = Failure(problem=_THROTTLED, status=429, username=username)
        return show_sign_in(waiting, request_id, context, failure=failure)
    account = await context.accounts.check_password(username, form.get("password") or "")
    if account is None:
        failure = Failure(problem=_WRONG, status=401, username=username)
        return show_sign_in(waiting, request_id, context, failure=failure)
    await _give_back(request, username, context)
    new = NewSession(
        issuer=LOCAL_ISSUER,
        subject=account.username,
        username=account.username,
        display_name=account.display_name,
        credential_digest=account.credential_digest,
    )
    _session, value = await start_session(request, new, context)
    response = build_redirect_response(f"{context.base_path}/consent?request={request_id}")
    write_session(response, value, context)
    return response


async def sign_out(request: Request, context: ServerContext) -> Response:
    """``POST /sign-out``: end the session and ask again who it is."""
    form = await read_own_form(request, context.issuer)
    request_id = form.get("request") or ""
    waiting = await load_waiting(request, request_id, context)
    if isinstance(waiting, AlreadyAnswered):
        return await show_answered(waiting, request_id, context)
    cookies = BrowserCookies(context.issuer)
    session_hash = cookies.session_hash(request)
    if session_hash is not None:
        await context.store.end_session(session_hash, context.now())
    other = f"&account={OTHER_ACCOUNT}" if context.upstreams else ""
    response = build_redirect_response(f"{context.base_path}/consent?request={request_id}{other}")
    cookies.clear_session(response)
    return response


def _build_spendings(request: Request, username: str, cost: int) -> list[Spending]:
    account = sha256(username.encode()).hexdigest()[:16]
    capacity, refill_per_second = _PER_ACCOUNT
    return [
        *build_network_spendings(request, "sign-in:address", _PER_ADDRESS, cost=cost),
        *build_network_spendings(request, f"sign-in:{account}", _PER_ACCOUNT_AND_ADDRESS, cost=cost),
        Spending(
            budget=f"sign-in:account:{account}", cost=cost, capacity=capacity, refill_per_second=refill_per_second
        ),
    ]


async def _may_try(request: Request, username: str, context: ServerContext) -> bool:
    """Throttle before the expensive check, and before anything about the account is known (O21-24).

    All budgets or none: an attempt that one of them refuses must not use up the others, or a single stranger could keep
    everybody out of an account.
    """
    spendings = _build_spendings(request, username, 1)
    return await context.store.spend_all(spendings, now=context.clock()) is None


async def _give_back(request: Request, username: str, context: ServerContext) -> None:
    """Only failures count: an office behind one address signs in as often as it likes."""
    await context.store.spend_all(_build_spendings(request, username, -1), now=context.clock())
