"""How a resource server learns that a token was revoked before it expired, and how late it may learn that."""

from dataclasses import dataclass
from typing import Protocol, assert_never

from nameplate.errors import Busy, ConfigurationError
from nameplate.protocol.access_token import AccessToken
from nameplate.resource.verifier import AccessTokenVerifier
from nameplate.secret import Secret

__all__ = [
    "UNCHECKED_REASON",
    "CheckedTokenVerifier",
    "GrantCheck",
    "Introspection",
    "Revocation",
    "RevocationFeed",
    "TokenVerifier",
    "build_unchecked",
    "check_revocation_options",
]

UNCHECKED_REASON = "grant.unchecked"
"""The reason of the refusal (503) where it cannot be found out whether the grant was revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationFeed:
    """Read the list of revoked grants now and then, never per request. For authorization servers of nameplate.

    While the authorization server answers, a revoked token is refused ``refresh_seconds`` after its revocation at the
    latest, or one fetch of the list later where that takes longer (five seconds at the most). While it does not, the
    last list serves until it is ``stale_seconds`` old; then every token is refused with 503, so that is the bound in
    any case. A fetch that failed is repeated ``refresh_seconds`` later.

    ``resource_server_id`` and ``secret`` are those of a ``[[resource_servers]]`` table of the authorization server.
    """

    resource_server_id: str
    secret: Secret
    refresh_seconds: float = 10
    stale_seconds: float = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """Ask the authorization server about each token (RFC 7662), and remember its answer for a while.

    A revoked token is refused ``remember_seconds`` after its revocation at the latest, or one request later where that
    takes longer (five seconds at the most); with 0, at once: then each request asks a question of its own. No answer is
    remembered past the token's ``exp``. What is remembered is bounded, and requests with one token at the same time ask
    once, unless that is 0. While the authorization server does not answer, tokens without an answer that is remembered
    are refused with 503.

    ``resource_server_id`` and ``secret`` are those by which the authorization server knows this resource server, for
    nameplate those of a ``[[resource_servers]]`` table. Any server with an ``introspection_endpoint`` will do.
    """

    resource_server_id: str
    secret: Secret
    remember_seconds: float = 10


Revocation = RevocationFeed | Introspection


class GrantCheck(Protocol):
    """Says whether what an access token stands for was revoked."""

    async def check(self, token: str, access_token: AccessToken) -> None:
        """Raises ``BearerError`` ``invalid_token`` (401) where it was, ``FetchError`` where that cannot be found out.

        ``token`` is what the client sent, ``access_token`` the same, verified.
        """
        ...

    async def aclose(self) -> None:
        """Stop whatever runs in the background."""
        ...


class TokenVerifier(Protocol):
    """Judges access tokens."""

    async def verify(self, token: str) -> AccessToken:
        """The token, if it is good.

        Raises ``BearerError`` ``invalid_token`` (401), or ``FetchError`` where that cannot be told now.
        """
        ...

    async def aclose(self) -> None:
        """Stop whatever runs in the background."""
        ...


class CheckedTokenVerifier:
    """An ``AccessTokenVerifier`` that lets no revoked token pass.

    Only tokens that are good in every other way are looked up: junk causes no request to anybody.
    """

    def __init__(self, verifier: AccessTokenVerifier, check: GrantCheck) -> None:
        self._verifier = verifier
        self._check = check

    async def verify(self, token: str) -> AccessToken:
        """As ``TokenVerifier.verify``."""
        access_token = await self._verifier.verify(token)
        await self._check.check(token, access_token)
        return access_token

    async def aclose(self) -> None:
        """Close both."""
        await self._check.aclose()
        await self._verifier.aclose()


def check_revocation_options(revocation: Revocation) -> None:
    """Raises ``ConfigurationError`` for options that cannot work."""
    if not revocation.resource_server_id or not revocation.secret.reveal():
        raise ConfigurationError("revocation", "needs the id and the secret of a resource server")
    match revocation:
        case RevocationFeed(refresh_seconds=refresh, stale_seconds=stale):
            if not 0 < refresh < stale:
                raise ConfigurationError(
                    "revocation", "stale_seconds must exceed refresh_seconds, and that must exceed 0"
                )
        case Introspection(remember_seconds=remember):
            if not remember >= 0:
                raise ConfigurationError("revocation", "remember_seconds must not be negative")
        case _:
            assert_never(revocation)


def build_unchecked(detail: str, *, retry_after_seconds: int) -> Busy:
    """The refusal where it cannot be found out whether a grant was revoked. The token may be good: never 401."""
    error = Busy(detail, retry_after_seconds=retry_after_seconds)
    error.reason = UNCHECKED_REASON
    return error
