"""How a client authenticates in a request: which method it uses, and the parts of that method that can be judged here.

RFC 6749 §2.3 and §3.2.1, OAuth 2.1 §2.4, RFC 7521 §4.2, RFC 7523 §2.2. Assertions are read in ``client_assertion``.
"""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NoReturn
from urllib.parse import unquote_to_bytes

from nameplate.errors import TokenError
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.limits import URL_CHARACTERS
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.strict_json import read_json_object
from nameplate.secret import hash_bearer_value

__all__ = [
    "ASSERTION_TYPE",
    "AUTH_METHODS",
    "Assertion",
    "AuthMethod",
    "Credentials",
    "NoSecret",
    "SharedSecret",
    "check_auth_method",
    "check_no_secret",
    "check_secret",
    "parse_credentials",
]

AuthMethod = Literal["none", "private_key_jwt", "client_secret_basic", "client_secret_post"]

AUTH_METHODS: tuple[AuthMethod, ...] = ("none", "private_key_jwt", "client_secret_basic", "client_secret_post")
"""The methods that are performed, in the order in which they are advertised: several clients do without their document
where ``none`` is missing, and one takes the first entry.
"""

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The one ``client_assertion_type`` (RFC 7523 §2.2)."""

MAX_HEADER_CHARACTERS = 8192
"""A longer Authorization header is not decoded."""

# RFC 9110 §11.4: a scheme of any case, then token68
_BASIC = re.compile(r"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+={0,2})")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSecret:
    """A client that says who it is and proves nothing."""

    client_id: str
    method: ClassVar[AuthMethod] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSecret:
    """A client with a secret that we gave it."""

    client_id: str
    secret: str = field(repr=False)
    method: Literal["client_secret_basic", "client_secret_post"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A client with a JWT that it signed. ``client_id`` is not proven by anything yet."""

    client_id: str
    token: str = field(repr=False)
    method: ClassVar[AuthMethod] = "private_key_jwt"


Credentials = NoSecret | SharedSecret | Assertion


def parse_credentials(form: Parameters, authorization: str | None) -> Credentials:
    """By which method the request authenticates its client, and with what.

    ``authorization`` is the value of the Authorization header; None where there is none. Raises ``TokenError``:
    ``invalid_client``, with status 401 where the header was used, or ``invalid_request`` for several methods at once
    (RFC 6749 §5.2) and where no client is named.
    """
    secret, assertion = form.get("client_secret"), form.get("client_assertion")
    assertion_type = form.get("client_assertion_type")
    is_asserted = assertion is not None or assertion_type is not None
    if (authorization is not None) + (secret is not None) + is_asserted > 1:
        raise TokenError(
            "invalid_request",
            "The request uses more than one way of client authentication.",
            reason="client.auth_methods_several",
        )
    if authorization is not None:
        return _parse_basic(authorization, form.get("client_id"))
    if is_asserted:
        return _parse_assertion(assertion, assertion_type, form.get("client_id"))
    client_id = form.get("client_id")
    if client_id is None:
        raise TokenError(
            "invalid_request", "The request names no client (client_id).", reason="token.client_id_missing"
        )
    if secret is not None:
        return SharedSecret(client_id=client_id, secret=secret, method="client_secret_post")
    return NoSecret(client_id=client_id)


def _parse_basic(authorization: str, stated: str | None) -> SharedSecret:
    """RFC 6749 §2.3.1: both parts are form-encoded before they are joined, as a client id may hold a colon."""
    match = _BASIC.fullmatch(authorization) if len(authorization) <= MAX_HEADER_CHARACTERS else None
    joined = None if match is None else _decode_base64(match[1])
    if joined is None:
        _refuse_header("The Authorization header does not hold Basic credentials.")
    first, colon, second = joined.partition(b":")
    client_id, secret = _decode_form(first), _decode_form(second)
    if not colon or not client_id or not secret:
        _refuse_header("The Authorization header must hold client_id and secret, each form-encoded.")
    if stated not in (None, client_id):
        _refuse_header("The client_id in the body is not the one in the Authorization header.")
    return SharedSecret(client_id=client_id, secret=secret, method="client_secret_basic")


def _refuse_header(description: str) -> NoReturn:
    raise TokenError("invalid_client", description, reason="client.authorization_header", status=401)


def _decode_base64(text: str) -> bytes | None:
    """The bytes, unless another text stands for them too (RFC 4648 §3.5)."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None


def _decode_form(part: bytes) -> str | None:
    """A value of ``application/x-www-form-urlencoded``; None where it is no UTF-8 or has a broken escape."""
    if _BAD_ESCAPE.search(part):
        return None
    try:
        return unquote_to_bytes(part.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None


def _parse_assertion(token: str | None, assertion_type: str | None, stated: str | None) -> Assertion:
    """RFC 7521 §4.2. Where no ``client_id`` comes along, the assertion's subject says whose keys to look for; that it
    is the right one is found out with them.
    """
    if token is None or assertion_type != ASSERTION_TYPE:
        raise TokenError(
            "invalid_client",
            f"An assertion needs client_assertion, and client_assertion_type={ASSERTION_TYPE}.",
            reason="assertion.request",
        )
    client_id = stated or _read_subject(token)
    if client_id is None:
        raise TokenError(
            "invalid_client", "The client assertion is no JWT that names its client.", reason="assertion.malformed"
        )
    return Assertion(client_id=client_id, token=token)


def _read_subject(token: str) -> str | None:
    """``sub`` as an unverified token has it."""
    parts = token.split(".")
    if len(parts) != 3 or not parts[1].isascii():
        return None
    try:
        payload = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    claims = read_json_object(payload)
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) and 0 < len(subject) <= URL_CHARACTERS else None


def check_auth_method(client: ClientMetadata, method: AuthMethod, *, pinned: str = "") -> None:
    """The client offers this method, in its document or by its registration.

    A client that took a method back will be known by another one: whoever still comes with the old one may be somebody
    else, whatever else he holds (decision 6). ``pinned`` is the method by which the grant's tokens were obtained so
    far. Raises ``TokenError`` ``invalid_client``.
    """
    if method in client.auth_methods:
        return
    detail = f"used {method}, the client offers {' '.join(client.auth_methods)[:200]!a}"
    if method == pinned:
        raise TokenError(
            "invalid_client",
            "The client no longer offers this way of client authentication.",
            reason="client.auth_method_withdrawn",
            detail=detail,
        )
    raise TokenError(
        "invalid_client",
        f"The client does not offer {method} as its way of client authentication.",
        reason="client.auth_method_unsupported",
        detail=detail,
    )


def check_no_secret(credentials: Credentials) -> None:
    """A client that is known by its document comes without a secret: everybody could read it there (CIMD draft §4.1).

    Raises ``TokenError`` ``invalid_client``.
    """
    if isinstance(credentials, SharedSecret):
        raise TokenError(
            "invalid_client",
            "A client that is known by its document has no secret; use none or private_key_jwt.",
            reason="client.auth_method_unsupported",
        )


def check_secret(credentials: SharedSecret, secret_hash: bytes | None) -> None:
    """The secret is the client's; ``secret_hash`` is ``secret.hash_bearer_value`` of that, None where it has none.

    Constant time. Raises ``TokenError`` ``invalid_client``.
    """
    if secret_hash is None or not hmac.compare_digest(hash_bearer_value(credentials.secret), secret_hash):
        raise TokenError("invalid_client", "The client secret is wrong.", reason="client.wrong_secret")
