"""The resource servers that may ask about tokens: who they are, and how they prove it."""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import AnsweredError, ParameterError, TokenError
from nameplate.protocol.client_authentication import SharedSecret, parse_credentials
from nameplate.protocol.cors import CORS_HEADERS
from nameplate.protocol.parameters import Parameters
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import build_json_error
from nameplate.server.settings import ResourceServerSettings

__all__ = ["ResourceServer", "ResourceServers", "build_resource_servers", "refuse_resource_server"]

_NO_SECRET_HASH = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceServer:
    """A resource server with credentials of its own. ``resources`` are the identifiers of what it serves;
    ``may_exchange`` is whether it may have the identity provider's tokens.
    """

    id: str
    secret_hash: bytes = field(repr=False)
    resources: frozenset[str]
    may_exchange: bool = False


class ResourceServers:
    """All of them."""

    def __init__(self, servers: Iterable[ResourceServer]) -> None:
        self._servers = {server.id: server for server in servers}
        self.may_exchange = any(server.may_exchange for server in self._servers.values())
        """Whether any of them may have the identity provider's tokens."""

    def authenticate(self, request: Request, form: Parameters) -> ResourceServer:
        """Who asks, by Basic credentials or by ``client_id`` and ``client_secret`` in the form (RFC 7662 §2.1).

        Raises ``TokenError`` ``invalid_client`` (401), the same for all that is not right.
        """
        headers = request.headers.getlist("authorization")
        try:
            # Two headers are one list (RFC 9110 §5.3), and no list is good credentials.
            credentials = parse_credentials(form, ", ".join(headers) if headers else None)
        except TokenError as error:
            raise _build_refusal(error.reason) from error
        if not isinstance(credentials, SharedSecret):
            raise _build_refusal("no secret")
        server = self._servers.get(credentials.client_id)
        # As long for an id that nobody has as for one that somebody has (TK-07).
        expected = _NO_SECRET_HASH if server is None else server.secret_hash
        is_right = hmac.compare_digest(hash_bearer_value(credentials.secret), expected)
        if server is None or not is_right:
            raise _build_refusal("unknown id or wrong secret")
        return server


def build_resource_servers(settings: Iterable[ResourceServerSettings]) -> ResourceServers:
    """The resource servers that the operator declared."""
    return ResourceServers(
        ResourceServer(
            id=server.id,
            secret_hash=bytes.fromhex(server.secret_hash.removeprefix("sha256:")),
            resources=frozenset(server.resources),
            may_exchange=server.may_exchange,
        )
        for server in settings
    )


def refuse_resource_server(error: AnsweredError | ParameterError, *, cause: Exception | None = None) -> Response:
    """RFC-shaped JSON, but not for scripts of other origins: no browser has these credentials (TK-06)."""
    response = build_json_error(error, cause=cause)
    for name in CORS_HEADERS:
        del response.headers[name]
    return response


def _build_refusal(detail: str) -> TokenError:
    return TokenError(
        "invalid_client",
        "Only resource servers with credentials of their own may ask.",
        reason="resource_server.unknown",
        detail=detail,
        status=401,
    )
