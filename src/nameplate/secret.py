"""Values that must never be printed."""

import hmac
from hashlib import sha256

__all__ = ["Secret", "hash_bearer_value"]


class Secret:
    """A secret text: ``repr``, ``str`` and ``format`` hide it, ``==`` takes constant time, ``reveal()`` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the one place that sends or hashes it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_encode(self._value), _encode(other._value))

    def __hash__(self) -> int:
        return hash((Secret, self._value))


def hash_bearer_value(value: str) -> bytes:
    """The 32 bytes under which a store keeps a bearer value of at least 128 random bits (code, token, cookie).

    Plain SHA-256 is enough: what is hashed is random, so there is nothing to guess from a stolen table.
    """
    return sha256(_encode(value)).digest()


def _encode(value: str) -> bytes:
    # A lone surrogate, which a peer may have sent us inside JSON, is only another wrong value.
    return value.encode(errors="surrogatepass")
