"""What the authorization server needs of whatever brings client metadata documents."""

from dataclasses import dataclass
from typing import Protocol

from nameplate.protocol.client_id import ClientIdUrl
from nameplate.protocol.client_metadata import ClientMetadata

__all__ = ["ClientDocument", "ClientDocuments"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientDocument:
    """A document that was fetched and obeys every rule.

    ``fetched_at`` and ``fresh_until`` are epoch seconds. ``stale_because`` is empty, or the cause for which a last good
    copy past its freshness is used (decision 5).
    """

    metadata: ClientMetadata
    fetched_at: int
    fresh_until: int
    stale_because: str = ""


class ClientDocuments(Protocol):
    """Brings the document behind a client identifier URL, from a cache or its host."""

    async def load_document(self, client_id: ClientIdUrl) -> ClientDocument:
        """The client's document.

        Raises ``FetchError`` where it cannot be had and ``ClientMetadataError`` where what came breaks a rule.
        """
        ...

    def keep_document(self, client_id: str) -> None:
        """Somebody approved this client: documents that strangers ask for no longer push its copy out."""
        ...

    async def aclose(self) -> None:
        """Close connections and stop threads."""
        ...
