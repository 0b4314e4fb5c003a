"""What the authorization server needs of whatever brings client metadata documents."""

from dataclasses import dataclass
from typing import Protocol

from nameplate.ports.store import BudgetStore, DocumentStore
from nameplate.protocol.client_id import ClientIdUrl
from nameplate.protocol.client_metadata import ClientMetadata

__all__ = ["ClientDocument", "ClientDocuments", "DocumentRecords"]


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

    def find_document(self, client_id: str) -> ClientDocument | None:
        """The client's document if it is in memory and fresh. It costs nothing, and no budget."""
        ...

    async def load_document(
        self, client_id: ClientIdUrl, *, live_grant: bool = False, source: str = "", fetched_since: int = 0
    ) -> ClientDocument:
        """The client's document.

        ``live_grant`` says that the call serves a grant of this client which lives; then ``ClientMetadataError`` and
        ``BadStatus`` 404 or 410 mean that the client is gone for good, and everything else passes (decision 5).
        ``source`` is the address that caused the call, for the budgets; empty where there is none. A copy that was
        fetched before ``fetched_since`` (epoch seconds, in the past) will not do, be it fresh or the last good one.

        Raises ``FetchError`` where it cannot be had and ``ClientMetadataError`` where what came breaks a rule.
        """
        ...

    async def record_approval(self, client_id: str) -> None:
        """Somebody approved this client: its document is kept, here and in the store, and strangers' documents no
        longer push it out.
        """
        ...

    async def aclose(self) -> None:
        """Close connections and stop threads."""
        ...


class DocumentRecords(DocumentStore, BudgetStore, Protocol):
    """The part of a store in which whatever brings documents keeps what replicas share."""
