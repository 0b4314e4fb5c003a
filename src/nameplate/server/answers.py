"""The shapes of answers: pages, redirects, RFC-shaped JSON errors, and the log line of a refusal."""

import logging
import secrets
from collections.abc import Mapping

from starlette.responses import HTMLResponse, JSONResponse, Response

from nameplate.errors import AnsweredError, ProtocolError, StoreError
from nameplate.protocol.cors import CORS_HEADERS
from nameplate.server.pages.render import page_headers

__all__ = ["NO_STORE", "build_json_error", "build_page", "build_redirect_response", "log_refusal", "new_reference"]

logger = logging.getLogger("nameplate.server")

MAX_LOGGED_CHARACTERS = 300

NO_STORE = {"Cache-Control": "no-store"}

# To whom a value belongs that somebody else presents is told to nobody: an unknown one gets the same words (TK-08).
_SHOWN_REASONS = {"code.other_client": "code.unknown", "refresh_token.other_client": "refresh_token.unknown"}

_REFERENCE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no characters that people mistake for each other


def new_reference() -> str:
    """A short id that stands on the page and in the log."""
    return "".join(secrets.choice(_REFERENCE_ALPHABET) for _ in range(8))


def log_refusal(error: ProtocolError, *, reference: str, client_id: str = "", cause: Exception | None = None) -> None:
    """One line for whoever looks up a reference. Bearer values are never part of an error.

    ``cause`` is set where the fault is ours: then it is an error, with its trace.
    """
    message = "refused" if cause is None else "store failed" if isinstance(cause, StoreError) else "server failed"
    logger.log(
        logging.WARNING if cause is None else logging.ERROR,
        message,
        exc_info=cause,
        extra={
            "reference": reference,
            "reason": error.reason,
            "code": error.code,
            "description": error.description,
            "detail": error.detail,
            "client_id": client_id[:MAX_LOGGED_CHARACTERS],
        },
    )


def build_page(
    body: bytes, *, status: int = 200, form_action: str = "'self'", headers: Mapping[str, str] | None = None
) -> Response:
    """A page with every security header."""
    return HTMLResponse(body, status, {**page_headers(form_action=form_action), **(headers or {})})


def build_redirect_response(url: str) -> Response:
    """303: what was posted must never be posted again to the target (OAuth 2.1 §7.5.3)."""
    # Not RedirectResponse: it would rewrite the URL, and a redirect URI goes back byte for byte.
    return Response(status_code=303, headers={"Location": url, "Referrer-Policy": "no-referrer", **NO_STORE})


def build_json_error(
    error: ProtocolError,
    *,
    client_id: str = "",
    status: int = 400,
    used_header: bool = False,
    cause: Exception | None = None,
) -> Response:
    """RFC 6749 §5.2 and RFC 7591 §3.2.2, with our reason and reference beside the code. An ``AnsweredError`` brings its
    own status.

    ``used_header`` is whether the client authenticated by the Authorization header: then its failure is a 401.
    """
    reference = new_reference()
    log_refusal(error, reference=reference, client_id=client_id, cause=cause)
    headers = {**CORS_HEADERS, **NO_STORE}
    if isinstance(error, AnsweredError):
        status = 401 if used_header and error.code == "invalid_client" else error.status
        if error.retry_after_seconds is not None:
            headers["Retry-After"] = str(error.retry_after_seconds)
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="token"'
    body = {
        "error": error.code,
        "error_description": error.description,
        "reason": _SHOWN_REASONS.get(error.reason, error.reason),
        "reference": reference,
    }
    return JSONResponse(body, status, headers)
