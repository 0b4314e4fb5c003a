"""What an identity provider answers, to the browser and at its token endpoint (RFC 6749 §4.1.2, §5, RFC 9207).

Nothing that a provider writes is shown to anybody: its codes are mapped to the three that a client can do something
with, its texts go to the log, cut and in visible characters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from nameplate.errors import UpstreamError
from nameplate.protocol.fault import build_quotation
from nameplate.protocol.parameters import Parameters
from nameplate.secret import Secret

__all__ = [
    "AuthorizationAnswer",
    "ExpectedAnswer",
    "TokenAnswer",
    "TokenResponse",
    "parse_authorization_answer",
    "parse_token_answer",
]

# RFC 6749 appendix A.11, A.12, A.17, without the space: what can be sent again in a header or a form.
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_MAX_LIFETIME_SECONDS = 10 * 366 * 24 * 3600
_SCOPE_CHARACTERS = 8192
_READ_CHARACTERS = 4096  # of a text of which far fewer are shown
# A provider's texts sometimes repeat a code or a token: long, and of mixed characters. Names of errors in one case,
# numbers, and the UUIDs under which a provider finds its own log lines are left. (Not every token has a digit in it.)
_LONG_WORD = re.compile(r"[A-Za-z0-9_.~+=-]{20,}")
_NAME = re.compile(r"[a-z_.~+=-]+|[A-Z_.~+=-]+")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TENANT = r"[A-Za-z0-9-]{1,64}"
_TENANT_MARK = "{tenantid}"

_BUSY_STATUSES = frozenset({408, 425, 429})
_BUSY_ERRORS = frozenset({"server_error", "slow_down", "temporarily_unavailable"})
_OWN_FAULTS = frozenset({"invalid_client", "unauthorized_client"})

_DENIED = "The sign-in at the identity provider was declined."
_BUSY = "The identity provider cannot do this just now."
_FAILED = "The identity provider refused the sign-in."
_UNREADABLE = "The identity provider's answer cannot be used."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAnswer:
    """Who must have sent the browser back. ``sends_issuer`` is whether its metadata promises ``iss`` (RFC 9207 §3).

    ``issuer_template`` takes the place of ``issuer`` at a provider of many tenants, with ``{tenantid}`` for one.
    """

    state: str
    issuer: str
    issuer_template: str | None = None
    sends_issuer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationAnswer:
    """A code, and the ``iss`` that came with it."""

    code: Secret
    issuer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """What a token endpoint sent. ``members`` is None where it was no JSON object.

    ``is_refresh`` is whether it was asked with a refresh token; else it was a code.
    """

    status: int
    media_type: str
    members: Mapping[str, object] | None
    is_refresh: bool
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """The tokens in an answer. None stands for what it does not say."""

    access_token: Secret
    token_type: str
    expires_in: int | None
    refresh_token: Secret | None
    id_token: Secret | None
    scope: str | None


def parse_authorization_answer(parameters: Parameters, expected: ExpectedAnswer) -> AuthorizationAnswer:
    """The code with which the browser came back. Raises ``UpstreamError`` with what the client is told.

    Who speaks is checked before anything is believed, errors included: else one provider could answer for another (RFC
    9207 §2.4, RFC 9700 §4.4).
    """
    if parameters.get("state") != expected.state:
        _refuse(_UNREADABLE, reason="upstream.state_mismatch", detail="the answer belongs to another sign-in")
    issuer = parameters.get("iss")
    if issuer is None and expected.sends_issuer:
        _refuse(
            _UNREADABLE,
            reason="upstream.issuer_missing",
            detail="the answer has no iss, which the provider's metadata promises",
        )
    if issuer is not None and not _is_issuer(issuer, expected):
        wanted = expected.issuer_template or expected.issuer
        _refuse(
            _UNREADABLE,
            reason="upstream.wrong_issuer",
            detail=f"the answer's iss is {build_quotation(issuer)}, and must be {wanted!r} byte for byte",
        )
    if parameters.get("error") is not None:
        raise _build_authorization_refusal(parameters)
    code = parameters.get("code")
    if code is None or _TOKEN.fullmatch(code) is None:
        _refuse(_UNREADABLE, reason="upstream.code_missing", detail="the answer has neither an error nor a code")
    return AuthorizationAnswer(code=Secret(code), issuer=issuer)


def parse_token_answer(response: TokenResponse) -> TokenAnswer:
    """The tokens in what the token endpoint sent.

    Raises ``UpstreamError``: ``ends_grant`` only for ``invalid_grant`` to a refresh token, and never with a status that
    says that the provider is not well.
    """
    if response.status >= 500 or response.status in _BUSY_STATUSES:
        raise _build_busy(response)
    members = response.members or {}
    if members.get("error") not in (None, ""):  # whatever the status: GitHub has 200
        raise _build_token_refusal(response, members)
    if response.status != 200 or response.members is None:
        _refuse(_UNREADABLE, reason="upstream.token_answer", detail=f"{_describe(response)}, which is no token answer")
    token_type = members.get("token_type")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":  # RFC 6749 §5.1: case does not count
        _refuse(
            _UNREADABLE,
            reason="upstream.token_type",
            detail=f"the token_type is {_quote(token_type)}, and only bearer can be used",
        )
    access_token = _read_token(members, "access_token")
    if access_token is None:
        _refuse(_UNREADABLE, reason="upstream.token_missing", detail="the answer has no access_token")
    return TokenAnswer(
        access_token=access_token,
        token_type="Bearer",  # noqa: S106 - the type's name, as RFC 6750 spells it
        expires_in=_read_lifetime(members.get("expires_in")),
        refresh_token=_read_token(members, "refresh_token"),
        id_token=_read_token(members, "id_token"),
        scope=_read_scope(members.get("scope")),
    )


def _is_issuer(issuer: str, expected: ExpectedAnswer) -> bool:
    if expected.issuer_template is None:
        return issuer == expected.issuer
    before, _, after = expected.issuer_template.partition(_TENANT_MARK)
    return re.fullmatch(f"{re.escape(before)}{_TENANT}{re.escape(after)}", issuer) is not None


def _build_authorization_refusal(parameters: Parameters) -> UpstreamError:
    error = parameters.get("error")
    said = f"error {_quote(error)}, error_description {_quote(parameters.get('error_description'))}"
    if error == "access_denied":
        return UpstreamError("access_denied", _DENIED, reason="upstream.denied", detail=said)
    if error == "temporarily_unavailable":
        return UpstreamError(
            "temporarily_unavailable", _BUSY, reason="upstream.unavailable", detail=said, retry_after_seconds=10
        )
    return UpstreamError("server_error", _FAILED, reason="upstream.refused", detail=said)


def _build_token_refusal(response: TokenResponse, members: Mapping[str, object]) -> UpstreamError:
    error = members.get("error")
    said = f"{_describe(response)}: error {_quote(error)}, error_description {_quote(members.get('error_description'))}"
    if error == "invalid_grant" and response.is_refresh:
        return UpstreamError(
            "access_denied",
            "The identity provider has ended this sign-in.",
            reason="upstream.grant_ended",
            detail=said,
            ends_grant=True,
        )
    if isinstance(error, str) and error in _BUSY_ERRORS:
        return _build_busy(response, said)
    if error == "access_denied":
        return UpstreamError("access_denied", _DENIED, reason="upstream.denied", detail=said)
    if error == "invalid_grant":
        return UpstreamError("server_error", _FAILED, reason="upstream.code_refused", detail=said)
    if isinstance(error, str) and error in _OWN_FAULTS:
        return UpstreamError("server_error", _FAILED, reason="upstream.client_refused", detail=said)
    return UpstreamError("server_error", _FAILED, reason="upstream.token_refused", detail=said)


def _build_busy(response: TokenResponse, said: str = "") -> UpstreamError:
    return UpstreamError(
        "temporarily_unavailable",
        _BUSY,
        reason="upstream.unavailable",
        detail=said or _describe(response),
        retry_after_seconds=response.retry_after_seconds or 10,
    )


def _describe(response: TokenResponse) -> str:
    kind = build_quotation(response.media_type) if response.media_type else "no media type"
    return f"the token endpoint answered {response.status} with {kind}"


def _quote(value: object) -> str:
    """What a provider wrote, for the log: cut, in visible characters, without what may be a code or a token."""
    if value is None:
        return "missing"
    return build_quotation(_LONG_WORD.sub(_hide_token, str(value)[:_READ_CHARACTERS]))


def _hide_token(match: re.Match[str]) -> str:
    word = match[0]
    is_harmless = word.isdecimal() or _NAME.fullmatch(word) or _UUID.fullmatch(word.rstrip("."))
    return word if is_harmless else "***"


def _read_token(members: Mapping[str, object], name: str) -> Secret | None:
    """The token; None where there is none. One that could not be sent again is refused, without being quoted."""
    value = members.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or _TOKEN.fullmatch(value) is None:
        _refuse(
            _UNREADABLE,
            reason="upstream.token_malformed",
            detail=f"{name} is no text, has a character that no token has, or is too long",
        )
    return Secret(value)


def _read_lifetime(value: object) -> int | None:
    """Whole seconds; None where the provider does not say, or says what cannot be meant. Some send a text."""
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        return None
    return int(min(value, _MAX_LIFETIME_SECONDS))


def _read_scope(value: object) -> str | None:
    """The granted scope, as one text; some send a list."""
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        value = " ".join(value)
    if not isinstance(value, str) or not value.isprintable() or len(value) > _SCOPE_CHARACTERS:
        return None
    return value


def _refuse(description: str, *, reason: str, detail: str) -> NoReturn:
    raise UpstreamError("server_error", description, reason=reason, detail=detail)
