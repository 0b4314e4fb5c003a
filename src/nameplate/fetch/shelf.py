"""Where documents are kept: in memory, and those of approved clients in the store as well, if there is one.

What the store does not do never stands in the way of a document that is at hand: it is logged, and tried again with the
next document.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable

from nameplate.errors import ClientMetadataError, StoreError
from nameplate.fetch.copies import Copy, DocumentCache, build_record, forget_validators, restore_copy
from nameplate.fetch.options import DocumentOptions
from nameplate.ports.store import DocumentStore, StoredDocument
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.client_metadata import ClientMetadata

__all__ = ["DocumentShelf"]

_log = logging.getLogger("nameplate.fetch")
_REMEMBERED_REFUSALS = 4096


class DocumentShelf:
    """Copies of documents, and since when the hosts of approved clients refuse them.

    ``read`` makes metadata of a client identifier and a body, by the rules of today: a stored body was judged by those
    of the day on which it came.
    """

    def __init__(
        self,
        options: DocumentOptions,
        read: Callable[[str, bytes], ClientMetadata],
        store: DocumentStore | None,
    ) -> None:
        self._options = options
        self._read = read
        self._store = store
        self._cache = DocumentCache(options)
        self._refused_at: OrderedDict[str, float] = OrderedDict()

    def find(self, client_id: str) -> Copy | None:
        """The copy in memory, fresh or stale."""
        return self._cache.find(client_id)

    def is_kept(self, client_id: str) -> bool:
        """Whether the client is known to be approved."""
        return self._cache.is_kept(client_id)

    def keep(self, client_id: str) -> None:
        """The client is approved: protect it from strangers."""
        self._cache.keep(client_id)

    def is_refusal_old(self, client_id: str, now: float) -> bool:
        """Whether the first refusal was long enough ago for another one to confirm it."""
        return now - self._refused_at.get(client_id, now) >= self._options.confirm_seconds

    def forget_validators(self, client_id: str) -> None:
        """Let the next fetch ask for the whole document."""
        copy = self._cache.find(client_id)
        if copy is not None:
            self._cache.put(client_id, forget_validators(copy))

    async def recall(self, client_id: str) -> Copy | None:
        """The latest copy, fresh or stale, wherever it is. Raises ``StoreError``.

        A client that the store knows is approved from now on, whichever replica saw to that.
        """
        copy = self._cache.find(client_id)
        record = Unknown() if self._store is None else await self._store.load_document(client_id)
        if isinstance(record, Unknown):
            return copy
        self._cache.keep(client_id)
        self._note_refusal(client_id, record.refused_at)
        if copy is not None and copy.document.fetched_at >= record.fetched_at:
            return copy
        return self._restore(record) or copy

    async def put(self, client_id: str, copy: Copy) -> None:
        """A good document came."""
        self._refused_at.pop(client_id, None)
        if copy.freshness.may_store:
            self._cache.put(client_id, copy)
        else:
            self._cache.drop(client_id)
        if self._store is None or not self.is_kept(client_id):
            return
        try:
            if copy.freshness.may_store or await self._is_stored(self._store, client_id):
                await self._store.record_document(build_record(copy, last_good_seconds=self._options.last_good_seconds))
        except StoreError:
            _log.exception("a document was not stored")

    async def record_approval(self, client_id: str) -> None:
        """Somebody approved the client. Only the first time costs something: what is kept was stored when it came."""
        if self.is_kept(client_id):
            return
        self.keep(client_id)
        copy = self._cache.find(client_id)
        if copy is not None:
            await self.put(client_id, copy)

    async def record_refusal(self, client_id: str, now: float) -> None:
        """The host refused the client for good. Of strangers nothing is remembered."""
        if not self.is_kept(client_id):
            return
        self._note_refusal(client_id, self._refused_at.get(client_id, now))
        if self._store is None:
            return
        try:
            await self._store.record_document_refusal(client_id, int(now))
        except StoreError:
            _log.exception("a refusal was not stored")

    def _restore(self, record: StoredDocument) -> Copy | None:
        if not record.body:
            return None
        try:
            metadata = self._read(record.client_id, record.body)
        except ClientMetadataError as error:
            _log.warning("stored document refused", extra={"client_id": record.client_id, "reason": error.reason})
            return None
        copy = restore_copy(record, metadata, self._options)
        self._cache.put(record.client_id, copy)
        return copy

    def _note_refusal(self, client_id: str, refused_at: float | None) -> None:
        self._refused_at.pop(client_id, None)
        if refused_at is not None:
            self._refused_at[client_id] = refused_at
            if len(self._refused_at) > _REMEMBERED_REFUSALS:
                self._refused_at.popitem(last=False)

    async def _is_stored(self, store: DocumentStore, client_id: str) -> bool:
        """Whether the store holds anything that a document which must not be kept would have to replace."""
        record = await store.load_document(client_id)
        return isinstance(record, StoredDocument) and (record.body != b"" or record.refused_at is not None)
