"""Every exception that nameplate raises on purpose.

::

    Error
    ├─ ConfigurationError            start-up only; names the setting
    ├─ ProtocolError                 a peer broke a rule: wire code, wire text, reason slug, detail for the log
    │   ├─ ParameterError            the request's parameters cannot be read at all         RFC 6749 §3.1, §3.2
    │   ├─ AuthorizationError        may be returned to the client                          RFC 6749 §4.1.2.1
    │   ├─ BearerError               protected resource                                     RFC 6750 §3.1
    │   └─ AnsweredError             has an HTTP status, and says when to try again
    │       ├─ AuthorizationPageError  must not be redirected: bad client_id or redirect_uri  RFC 6749 §4.1.2.1
    │       ├─ TokenError            token, revocation and introspection endpoint           RFC 6749 §5.2
    │       └─ RegistrationError     client registration endpoint                           RFC 7591 §3.2.2
    ├─ ClientIdError                 a client identifier URL breaks a rule
    ├─ ClientMetadataError           a client metadata document breaks a rule
    ├─ FetchError                    a document could not be fetched
    │   ├─ AddressRefused            the name leads to an address that must not be reached
    │   ├─ RedirectRefused           the answer was a redirect
    │   ├─ BadStatus                 the answer's status was not 200
    │   ├─ BadMediaType              the answer was not JSON by its content type
    │   ├─ TooLarge                  the answer exceeded the limit
    │   ├─ TimedOut                  the deadline passed
    │   ├─ TlsFailed                 the certificate or its name was not trusted
    │   ├─ Unreachable               no connection, or it broke
    │   └─ Busy                      a budget is spent; try later
    ├─ StoreError                    the store cannot do its work
    └─ UpstreamError                 an identity provider refused, failed, or is not to be believed

Each is a plain class: a frozen dataclass breaks when it passes through a context manager.
"""

from typing import Literal

__all__ = [
    "AddressRefused",
    "AnsweredError",
    "AuthorizationError",
    "AuthorizationErrorCode",
    "AuthorizationPageError",
    "BadMediaType",
    "BadStatus",
    "BearerError",
    "BearerErrorCode",
    "Busy",
    "ClientIdError",
    "ClientMetadataError",
    "ConfigurationError",
    "Error",
    "FetchError",
    "ParameterError",
    "ProtocolError",
    "RedirectRefused",
    "RegistrationError",
    "RegistrationErrorCode",
    "StoreError",
    "TimedOut",
    "TlsFailed",
    "TokenError",
    "TokenErrorCode",
    "TooLarge",
    "Unreachable",
    "UpstreamError",
    "UpstreamErrorCode",
]

AuthorizationErrorCode = Literal[
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "unsupported_response_type",
    "invalid_scope",
    "server_error",
    "temporarily_unavailable",
    "invalid_target",  # RFC 8707 §2
    "login_required",  # OpenID Connect Core §3.1.2.6, for prompt=none
    "interaction_required",
    "request_not_supported",
    "request_uri_not_supported",
]
TokenErrorCode = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "unsupported_token_type",  # RFC 7009 §2.2.1
    "temporarily_unavailable",
]
RegistrationErrorCode = Literal[
    "invalid_redirect_uri", "invalid_client_metadata", "invalid_request", "temporarily_unavailable"
]
BearerErrorCode = Literal["invalid_request", "invalid_token", "insufficient_scope"]
UpstreamErrorCode = Literal["access_denied", "temporarily_unavailable", "server_error"]


class Error(Exception):
    """The root of every exception that nameplate raises on purpose."""


class ConfigurationError(Error):
    """The configuration cannot work.

    ``setting`` is the dotted name of the setting at fault; ``problem`` says what is wrong and what to do.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class ProtocolError(Error):
    """A peer's message breaks a rule.

    ``code`` is the wire code, ``description`` the fixed text for the peer (ASCII, RFC 6749 §5.2), ``reason`` a stable
    slug for log, audit and pages (``authorization.challenge_missing``), ``detail`` is for the log only.
    """

    def __init__(self, code: str, description: str, *, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {description}" + (f" ({detail})" if detail else ""))
        self.code = code
        self.description = description
        self.reason = reason
        self.detail = detail


class ParameterError(ProtocolError):
    """Query or form cannot be read: wrong encoding, a repeated parameter, too many (``invalid_request``)."""

    def __init__(self, description: str, *, reason: str) -> None:
        super().__init__("invalid_request", description, reason=reason)


class AnsweredError(ProtocolError):
    """A request that is refused with an HTTP status of its own.

    ``retry_after_seconds`` is set where trying later helps.
    """

    def __init__(
        self,
        code: str,
        description: str,
        *,
        reason: str,
        detail: str = "",
        status: int = 400,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(code, description, reason=reason, detail=detail)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class AuthorizationPageError(AnsweredError):
    """An authorization request that must end on our own page: its client or redirect URI is not proven. RFC 6749
    §4.1.2.1.
    """


class AuthorizationError(ProtocolError):
    """An authorization request that fails after its redirect URI was proven. RFC 6749 §4.1.2.1."""

    def __init__(self, code: AuthorizationErrorCode, description: str, *, reason: str, detail: str = "") -> None:
        super().__init__(code, description, reason=reason, detail=detail)


class TokenError(AnsweredError):
    """The token, revocation or introspection endpoint refuses. RFC 6749 §5.2: 400, or 401 for ``invalid_client`` where
    the Authorization header was used.
    """

    def __init__(
        self,
        code: TokenErrorCode,
        description: str,
        *,
        reason: str,
        detail: str = "",
        status: int = 400,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(
            code, description, reason=reason, detail=detail, status=status, retry_after_seconds=retry_after_seconds
        )


class RegistrationError(AnsweredError):
    """The client registration endpoint refuses. RFC 7591 §3.2.2: 400; 429 and 503 where trying later helps."""

    def __init__(
        self,
        code: RegistrationErrorCode,
        description: str,
        *,
        reason: str,
        detail: str = "",
        status: int = 400,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(
            code, description, reason=reason, detail=detail, status=status, retry_after_seconds=retry_after_seconds
        )


class BearerError(ProtocolError):
    """A protected resource refuses. RFC 6750 §3.1: 400 ``invalid_request``, 401 ``invalid_token``, 403
    ``insufficient_scope``.

    ``code`` is empty where no credentials came (the challenge then carries no error). ``scope`` is what the operation
    needs.
    """

    def __init__(
        self, code: BearerErrorCode | Literal[""], description: str, *, reason: str, scope: tuple[str, ...] = ()
    ) -> None:
        super().__init__(code, description, reason=reason)
        self.scope = scope

    @property
    def status(self) -> int:
        """The HTTP status that RFC 6750 §3.1 assigns to the code."""
        return {"invalid_request": 400, "insufficient_scope": 403}.get(self.code, 401)


class ClientIdError(Error):
    """A client identifier URL breaks a rule: ``reason`` is a slug (``client_id.fragment``), ``problem`` a sentence."""

    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(f"{reason}: {problem}")
        self.reason = reason
        self.problem = problem


class ClientMetadataError(Error):
    """A client metadata document breaks a rule.

    ``member`` is the JSON member at fault (empty for the document as a whole), ``rule`` the sentence for the client's
    developer, ``reason`` the slug (``document.client_id_mismatch``).
    """

    def __init__(self, reason: str, member: str, rule: str) -> None:
        super().__init__(f"{reason}: {member + ': ' if member else ''}{rule}")
        self.reason = reason
        self.member = member
        self.rule = rule


class FetchError(Error):
    """A fetch failed. ``reason`` is the outward slug, the same for all that an outsider must not tell apart; ``detail``
    is for the log.
    """

    reason = "fetch.unreachable"

    def __init__(self, detail: str) -> None:
        super().__init__(f"{type(self).__name__}: {detail}")
        self.detail = detail


class AddressRefused(FetchError):
    """The name leads to an address that must not be reached (or to none that may)."""


class RedirectRefused(FetchError):
    """The answer was a redirect; they are never followed (CIMD draft §5)."""


class BadStatus(FetchError):
    """The answer's status was not 200 (CIMD draft §5). ``status`` is what came."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class BadMediaType(FetchError):
    """The answer's content type was neither application/json nor application/…+json (CIMD draft §4)."""


class TooLarge(FetchError):
    """The answer exceeded the limit on bytes from the wire (CIMD draft §9.7)."""


class TimedOut(FetchError):
    """The deadline over DNS, connect, TLS, headers and body passed."""


class TlsFailed(FetchError):
    """The certificate, or its name, was not trusted."""


class Unreachable(FetchError):
    """No connection could be made, or it broke, or the answer was not HTTP."""


class Busy(FetchError):
    """A budget refuses to try just now. ``retry_after_seconds`` says when it would."""

    reason = "fetch.busy"

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class StoreError(Error):
    """The store cannot do its work: file unreadable, newer schema, disk full."""


class UpstreamError(Error):
    """An identity provider refused, failed, or sent what must not be believed.

    ``code`` is what the client is told at its redirect URI (RFC 6749 §4.1.2.1), ``description`` a fixed text for it or
    for the person, ``reason`` the slug (``upstream.wrong_issuer``). ``detail`` may quote the provider, cut and in
    visible characters; it is for the log only. ``ends_grant`` is set where the provider has ended what the person
    allowed; every other failure ends nothing. ``retry_after_seconds`` is set where trying later helps.
    """

    def __init__(
        self,
        code: UpstreamErrorCode,
        description: str,
        *,
        reason: str,
        detail: str = "",
        ends_grant: bool = False,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(f"{reason}: {description}" + (f" ({detail})" if detail else ""))
        self.code = code
        self.description = description
        self.reason = reason
        self.detail = detail
        self.ends_grant = ends_grant
        self.retry_after_seconds = retry_after_seconds
