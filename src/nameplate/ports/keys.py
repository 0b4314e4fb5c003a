"""What the authorization server needs of whatever brings the keys that clients publish at a ``jwks_uri``."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["ClientKeySets", "ClientKeys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeys:
    """A key set that was fetched and obeys every rule.

    ``jwks`` is the canonical text that ``parse_key_document`` returns: equal sets have equal texts, so it also serves
    as the key under which to keep what was built of it. ``fetched_at`` and ``fresh_until`` are epoch seconds.
    ``stale_because`` is empty, or the cause for which a last good set past its freshness is used.
    """

    jwks: str
    fetched_at: int
    fresh_until: int
    stale_because: str = ""


class ClientKeySets(Protocol):
    """Brings the key set behind a ``jwks_uri``, from a cache or its host."""

    async def load_keys(self, jwks_uri: str, *, kid: str | None = None) -> ClientKeys:
        """The key set. ``kid`` is one that it should hold, and did not when it was last loaded.

        Then the set is fetched again, unless that was done moments ago: look for the ``kid`` in what comes. The answer
        without it means that the host does not publish such a key. Ask only for clients that hold a grant: an
        assertion costs nothing to invent (architecture decision 2).

        Raises ``FetchError`` where the set cannot be had, or where it cannot be told whether it holds ``kid``;
        ``ClientMetadataError`` where what came, or the URL, breaks a rule.
        """
        ...

    async def aclose(self) -> None:
        """End what is under way."""
        ...
