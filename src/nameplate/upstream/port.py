"""The port to an identity provider at which people sign in: begin, complete, refresh, revoke.

A person goes through ``begin`` (the browser leaves for the provider) and ``complete`` (it came back). What must be
known again then is ``memory``, which the caller keeps sealed and bound to the browser. Who signed in is ``issuer`` and
``subject`` together: never the e-mail address, which providers let people change (OpenID Connect Core §5.7).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from nameplate.errors import StoreError
from nameplate.protocol.fault import Fault
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.strict_json import read_json_object
from nameplate.secret import Secret

__all__ = ["Begun", "Completed", "SignInHints", "Upstream", "UpstreamPerson", "UpstreamTokens"]

_NO_CLAIMS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInHints:
    """What the client asked for and the provider should know (OpenID Connect Core §3.1.2.1).

    ``max_age_seconds`` is checked when the person comes back, the others are only passed on. ``resource`` (RFC 8707) is
    passed on where the provider takes it.
    """

    login_hint: str | None = None
    prompt: str | None = None
    max_age_seconds: int | None = None
    acr_values: str | None = None
    ui_locales: str | None = None
    resource: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Where to send the browser, and what to give back to ``complete``. ``memory`` holds secrets: seal it."""

    url: str
    memory: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamPerson:
    """Who signed in. ``(issuer, subject)`` is the identity; all else is what the provider says today.

    ``email`` is None where there is none; ``email_verified`` only where the provider says so of that address.
    ``username`` and ``display_name`` are never empty and hold visible characters only. ``claims`` are all claims that
    were read, for rules about who may sign in.
    """

    issuer: str
    subject: str
    username: str
    display_name: str
    email: str | None = None
    email_verified: bool = False
    groups: tuple[str, ...] = ()
    claims: Mapping[str, object] = field(default_factory=lambda: _NO_CLAIMS, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTokens:
    """What the provider issued. It never reaches the client (architecture decision 17).

    ``expires_at`` is epoch seconds, None where the provider does not say. ``scope`` is what was granted.
    """

    access_token: Secret
    token_type: str
    expires_at: int | None
    refresh_token: Secret | None
    scope: str

    def to_json(self) -> bytes:
        """The tokens in clear, for the vault alone."""
        members = {
            "access_token": self.access_token.reveal(),
            "token_type": self.token_type,
            "expires_at": self.expires_at,
            "refresh_token": None if self.refresh_token is None else self.refresh_token.reveal(),
            "scope": self.scope,
        }
        return json.dumps(members, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "UpstreamTokens":
        """What ``to_json`` wrote. Raises ``StoreError`` for anything else; its message holds none of it."""
        members = read_json_object(data)
        match members:
            case {
                "access_token": str(access_token),
                "token_type": str(token_type),
                "expires_at": int() | None as expires_at,
                "refresh_token": str() | None as refresh_token,
                "scope": str(scope),
            } if not isinstance(members, Fault):
                return cls(
                    access_token=Secret(access_token),
                    token_type=token_type,
                    expires_at=expires_at,
                    refresh_token=None if refresh_token is None else Secret(refresh_token),
                    scope=scope,
                )
        raise StoreError("an identity provider's tokens are damaged, or a newer nameplate wrote them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A sign-in that passed every check."""

    person: UpstreamPerson
    tokens: UpstreamTokens


class Upstream(Protocol):
    """An identity provider. Failures are ``UpstreamError``, which says what the client is told and what ends."""

    @property
    def name(self) -> str:
        """The provider's name in the configuration: ``[a-z0-9-]``."""

    @property
    def title(self) -> str:
        """What the button says."""

    @property
    def keeps_tokens(self) -> bool:
        """Whether the operator wants its tokens kept with the grant."""

    async def begin(self, *, state: str, callback: str, hints: SignInHints) -> Begun:
        """The way to the provider.

        ``state`` is the caller's: random, single use, bound to the browser. ``callback`` is our own URL, one for each
        provider (RFC 9700 §4.4.2.2). Raises ``UpstreamError`` where the provider's endpoints are not known yet.
        """

    async def complete(self, parameters: Parameters, *, memory: bytes, callback: str, now: int) -> Completed:
        """What the browser brought back, checked; the code exchanged, the person identified.

        ``memory`` and ``callback`` are those of ``begin``, which the caller found by ``state``. It can be done once: a
        code is spent by it. Raises ``UpstreamError``.
        """

    async def refresh(self, tokens: UpstreamTokens, now: int) -> UpstreamTokens:
        """New tokens; the old refresh token stays where no new one comes (RFC 6749 §6).

        Raises ``UpstreamError``, with ``ends_grant`` only where the provider says ``invalid_grant``. One at a time for
        one grant: a provider that rotates refresh tokens takes a second use for theft.
        """

    async def revoke(self, tokens: UpstreamTokens) -> None:
        """End them at the provider (RFC 7009), where it has that. Raises ``UpstreamError``."""

    async def aclose(self) -> None:
        """Close connections, end what is under way."""
