"""Where the authorization server's public keys come from."""

from collections.abc import Mapping
from typing import Protocol

from nameplate.errors import ConfigurationError
from nameplate.jose import KeySet

__all__ = ["Keys", "StaticKeys"]


class Keys(Protocol):
    """A source of the authorization server's keys."""

    async def load(self) -> KeySet:
        """The keys as far as they are known; the same object as before while they have not changed.

        Raises ``FetchError`` where there are none.
        """
        ...

    async def reload(self) -> KeySet:
        """The keys once more, after a token named a key that is not among them. The source decides whether it looks.

        Raises ``FetchError`` where it looked and could not.
        """
        ...

    async def aclose(self) -> None:
        """Stop whatever runs in the background."""
        ...


class StaticKeys:
    """Keys that do not change: those of an authorization server in the same process, or of a test."""

    def __init__(self, jwks: Mapping[str, object]) -> None:
        """``jwks`` is a JWK Set (RFC 7517 §5) as parsed JSON. ``ConfigurationError`` where no key in it can be used."""
        self._keys = KeySet.from_jwks(dict(jwks))
        if not len(self._keys):
            raise ConfigurationError("keys", "; ".join(self._keys.problems) or "the key set is empty")

    async def load(self) -> KeySet:
        """The keys."""
        return self._keys

    async def reload(self) -> KeySet:
        """The same keys."""
        return self._keys

    async def aclose(self) -> None:
        """Nothing runs."""
