"""Refusals that people see: each is logged once and becomes a page: what happened, which rule, what to do."""

from dataclasses import dataclass

from starlette.responses import Response

from nameplate.errors import AuthorizationPageError, ProtocolError
from nameplate.server.answers import build_page, log_refusal, new_reference
from nameplate.server.pages.render import render_error
from nameplate.server.pages.views import ErrorView, ReturnLink

__all__ = [
    "already_answered",
    "attempt_unknown",
    "browser_unknown",
    "challenge_spent",
    "foreign_callback",
    "foreign_form",
    "not_waiting",
    "refuse_on_page",
    "server_failed",
    "store_failed",
    "too_many_approvals",
    "too_many_from_here",
    "too_many_pending",
    "upstream_unknown",
]


@dataclass(frozen=True, slots=True)
class _Words:
    title: str
    sentence: str
    advice: str


_TELL_THE_DEVELOPER = (
    "You can close this window; nothing was shared. If this keeps happening, give the reference below to whoever makes "
    "the application."
)
_START_AGAIN = "Go back to the application. If it is still waiting, start signing in there again."

_BY_CODE = {
    "invalid_client": _Words(
        "This application cannot be recognised",
        "An application asked for access, but the document that says who it is cannot be accepted.",
        _TELL_THE_DEVELOPER,
    ),
    "invalid_scope": _Words(
        "The application asked for something else",
        "None of the permissions that the application asked for can be given to it here.",
        _TELL_THE_DEVELOPER,
    ),
    "invalid_target": _Words(
        "The application asked for another place",
        "The application asked for access to a server that this one does not know.",
        _TELL_THE_DEVELOPER,
    ),
    "temporarily_unavailable": _Words(
        "This cannot be done just now", "Something that is needed does not answer.", "Wait half a minute and try again."
    ),
    "server_error": _Words(
        "Something went wrong here",
        "That is this server's fault, not yours and not the application's.",
        "Try again. If it happens again, give the reference below to whoever runs this server.",
    ),
}
_OTHERWISE = _Words(
    "This request cannot be granted", "An application asked for access in a way that is not safe.", _TELL_THE_DEVELOPER
)
_UNREACHABLE = _Words(
    "This application cannot be checked just now",
    "The document that says who the application is could not be read from its host.",
    "Wait half a minute and try again. If it stays like this, its host may be down, or may turn servers away.",
)
_BY_REASON = {
    "fetch.unreachable": _UNREACHABLE,
    "fetch.busy": _UNREACHABLE,
    "fetch.status": _UNREACHABLE,
    "fetch.redirect": _UNREACHABLE,
    "fetch.media_type": _UNREACHABLE,
    "fetch.too_large": _UNREACHABLE,
    "client.unknown": _Words(
        "This application is not registered here",
        "Its registration was never made at this server, or has been forgotten since.",
        "You can close this window; nothing was shared. In the application, remove the connection and set it up anew: "
        "then it registers again.",
    ),
    "redirect_uri.missing": _Words(
        "The way back is not clear", "The application did not say where the answer should go.", _TELL_THE_DEVELOPER
    ),
    "redirect_uri.not_registered": _Words(
        "The way back is not the application's",
        "The answer would go to an address that the application has not named beforehand. "
        "Somebody may be trying to take its place.",
        _TELL_THE_DEVELOPER,
    ),
    "redirect_uri.own_url": _Words(
        "The way back leads here",
        "The answer would come back to this server instead of going to the application.",
        _TELL_THE_DEVELOPER,
    ),
    "redirect_uri.not_allowed": _Words(
        "The way back is not allowed here",
        "The answer would go to an address that whoever runs this server does not allow.",
        _TELL_THE_DEVELOPER,
    ),
    "authorization.already_answered": _Words(
        "You have answered this already",
        "Your answer was taken a moment ago, in this window or in another one. It cannot be given twice.",
        _START_AGAIN,
    ),
    "authorization.too_many": _Words(
        "You have allowed a lot just now",
        "Access was allowed in your name many times within a short while, so this one has to wait.",
        "Wait a minute, go back, and answer again. If it was not you who allowed all that, somebody is signed in as "
        "you: tell whoever runs this server.",
    ),
    "authorization.challenge_spent": _Words(
        "This link was used already",
        "The application has its answer for this sign-in. A sign-in link works once.",
        _START_AGAIN,
    ),
    "authorization.too_many_from_here": _Words(
        "Too many sign-ins from here",
        "More sign-ins were begun from your network just now than this server allows. It may not have been you.",
        "Wait a minute, then start again in the application.",
    ),
    "authorization.not_waiting": _Words(
        "Nothing is waiting for an answer",
        "The request is too old, or it belongs to another browser.",
        _START_AGAIN,
    ),
    "browser.cookie_missing": _Words(
        "This browser keeps no cookies",
        "Without a cookie this server cannot know that the browser which answers is the one that was asked.",
        "Allow cookies for this site, then go back to the application and start again.",
    ),
    "upstream.attempt_unknown": _Words(
        "This sign-in cannot be continued",
        "It was finished before, took too long, or was begun in another browser. Nothing was shared.",
        _START_AGAIN,
    ),
    "upstream.other_callback": _Words(
        "This sign-in cannot be continued",
        "The answer came from another place than the one that you went to. It was not accepted.",
        _START_AGAIN,
    ),
    "upstream.not_configured": _Words(
        "There is no such way to sign in here",
        "This server does not know the place where you would sign in, or no longer.",
        _START_AGAIN,
    ),
    "sign_in.no_scope": _Words(
        "Your account may not be used for this",
        "The application asks for permissions, and your account may not give it any of them.",
        "If you should have them, ask whoever runs this server, and tell the reference below.",
    ),
    "form.foreign": _Words(
        "That did not come from here",
        "A form was sent from another site. It was not accepted.",
        "If you did not mean to do this, close the window. Otherwise start again in the application.",
    ),
}


def refuse_on_page(
    error: ProtocolError,
    *,
    stylesheet: str,
    client_id: str = "",
    facts: tuple[tuple[str, str], ...] = (),
    return_link: ReturnLink | None = None,
    cause: Exception | None = None,
) -> Response:
    """Log the refusal and show it. Status and Retry-After are the error's; ``cause`` is set where the fault is ours."""
    reference = new_reference()
    log_refusal(error, reference=reference, client_id=client_id, cause=cause)
    words = _BY_REASON.get(error.reason) or _BY_CODE.get(error.code, _OTHERWISE)
    view = ErrorView(
        title=words.title,
        sentence=words.sentence,
        advice=words.advice,
        code=error.code,
        reason=error.reason,
        reference=reference,
        rule=error.description,
        facts=facts,
        return_link=return_link,
    )
    status, headers = 400, {}
    if isinstance(error, AuthorizationPageError):
        status = error.status
        if error.retry_after_seconds is not None:
            headers["Retry-After"] = str(error.retry_after_seconds)
    return build_page(render_error(view, stylesheet=stylesheet), status=status, form_action="'none'", headers=headers)


def already_answered() -> AuthorizationPageError:
    """A double submit, a reload, or a second tab (architecture decision 13)."""
    return AuthorizationPageError(
        "invalid_request", "The request was answered before.", reason="authorization.already_answered", status=409
    )


def challenge_spent() -> AuthorizationPageError:
    """The client already has a code for this code challenge: a reloaded authorization URL."""
    return AuthorizationPageError(
        "invalid_request",
        "A code was already issued for this code_challenge; each authorization request needs a fresh one.",
        reason="authorization.challenge_spent",
        status=409,
    )


def not_waiting() -> AuthorizationPageError:
    """Expired, unknown, or another browser's: the three are not told apart (AZ-13, AZ-14)."""
    return AuthorizationPageError(
        "invalid_request", "No such authorization request is waiting.", reason="authorization.not_waiting"
    )


def browser_unknown() -> AuthorizationPageError:
    """A form without our cookie."""
    return AuthorizationPageError(
        "invalid_request", "The browser sent no cookie of this server.", reason="browser.cookie_missing"
    )


def foreign_form() -> AuthorizationPageError:
    """A form that another site sent (CP-09)."""
    return AuthorizationPageError(
        "invalid_request", "The form was sent from another origin.", reason="form.foreign", status=403
    )


def too_many_from_here(retry_after_seconds: int) -> AuthorizationPageError:
    """One address, or one network, begins more than its share (DO-05)."""
    return AuthorizationPageError(
        "temporarily_unavailable",
        "Too many authorization requests come from this address, or from the network around it.",
        reason="authorization.too_many_from_here",
        status=429,
        retry_after_seconds=retry_after_seconds,
    )


def too_many_pending() -> AuthorizationPageError:
    """The cap on waiting requests is reached (DO-05)."""
    return AuthorizationPageError(
        "temporarily_unavailable",
        "Too many people are signing in just now.",
        reason="authorization.too_many_pending",
        status=503,
        retry_after_seconds=30,
    )


def too_many_approvals(subject: str, *, retry_after_seconds: int) -> AuthorizationPageError:
    """One person allowed more than people do: each grant can end up in every resource server's list of revoked ones."""
    return AuthorizationPageError(
        "temporarily_unavailable",
        "Too much was allowed by one person just now.",
        reason="authorization.too_many",
        detail=subject,
        status=429,
        retry_after_seconds=retry_after_seconds,
    )


def store_failed(detail: str) -> AuthorizationPageError:
    """The store does not work."""
    return AuthorizationPageError(
        "temporarily_unavailable",
        "This server cannot keep anything just now.",
        reason="store.failed",
        detail=detail,
        status=503,
        retry_after_seconds=10,
    )


def server_failed() -> AuthorizationPageError:
    """A mistake of ours: never the client's fault."""
    return AuthorizationPageError("server_error", "The server made a mistake.", reason="server.error", status=500)


def attempt_unknown(*, status: int) -> AuthorizationPageError:
    """A browser comes from a provider, but not from a sign-in that it began here and that is still under way. Used,
    expired, unknown and another browser's are not told apart (PX-02, PX-03).
    """
    return AuthorizationPageError(
        "invalid_request",
        "No such sign-in is under way in this browser.",
        reason="upstream.attempt_unknown",
        status=status,
    )


def foreign_callback(began_at: str, came_to: str) -> AuthorizationPageError:
    """A sign-in that began at one provider is answered at the callback of another one (PX-05)."""
    return AuthorizationPageError(
        "invalid_request",
        "The answer came to the callback of another identity provider.",
        reason="upstream.other_callback",
        detail=f"begun at {began_at}, answered at the callback of {came_to}",
        status=403,
    )


def upstream_unknown() -> AuthorizationPageError:
    """No identity provider of this name is configured."""
    return AuthorizationPageError(
        "invalid_request", "There is no such identity provider here.", reason="upstream.not_configured", status=404
    )
