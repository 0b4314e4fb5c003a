"""What a provider's tokens say of who signed in: the part in which OpenID Connect and plain OAuth 2.0 differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from nameplate.protocol.upstream_answer import TokenAnswer
from nameplate.upstream.memory import Memory

__all__ = ["Identifier", "Identity", "SignIn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A sign-in whose code was exchanged. ``answer_issuer`` is the ``iss`` that the browser brought."""

    memory: Memory
    answer_issuer: str | None
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Claims that are known to be this issuer's."""

    issuer: str
    claims: Mapping[str, object]


class Identifier(Protocol):
    """Finds out who signed in."""

    async def identify(self, answer: TokenAnswer, sign_in: SignIn) -> Identity:
        """The claims of the person to whom these tokens belong. Raises ``UpstreamError``."""

    async def aclose(self) -> None:
        """End what is under way."""
