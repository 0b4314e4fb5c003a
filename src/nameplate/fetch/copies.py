"""Copies of documents in memory, and a cache in which strangers cannot push out clients that hold a grant."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from nameplate.errors import BadStatus
from nameplate.fetch.answer import Headers, find_header
from nameplate.fetch.https import FetchedResponse
from nameplate.fetch.options import DocumentOptions
from nameplate.ports.documents import ClientDocument
from nameplate.ports.store import StoredDocument
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.freshness import Freshness, FreshnessLimits, parse_freshness

__all__ = [
    "Copy",
    "DocumentCache",
    "build_copy",
    "build_record",
    "forget_validators",
    "renew_copy",
    "restore_copy",
]

# What a 304 without them leaves as it was (RFC 9111 §4.3.4). Date and Age belong to one answer and are never carried
# over.
_CARRIED_OVER = ("cache-control", "expires", "vary", "etag", "last-modified")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A document as read and as it came, with its freshness and the ``headers`` that a 304 may leave out."""

    document: ClientDocument
    body: bytes
    headers: Headers
    freshness: Freshness

    @property
    def size_bytes(self) -> int:
        """How much of a cache it takes."""
        return len(self.body)


def build_copy(metadata: ClientMetadata, response: FetchedResponse, options: DocumentOptions) -> Copy:
    """The copy of a document that came with status 200."""
    headers = tuple(field for field in response.headers if field[0] in _CARRIED_OVER)
    limits = _choose_limits(metadata, options)
    freshness = parse_freshness(response.headers, received_at=response.received_at, limits=limits)
    document = ClientDocument(metadata=metadata, fetched_at=response.received_at, fresh_until=freshness.fresh_until)
    return Copy(document=document, body=response.body, headers=headers, freshness=freshness)


def _choose_limits(metadata: ClientMetadata, options: DocumentOptions) -> FreshnessLimits:
    """Keys in a document are credentials, like those at a ``jwks_uri``: one that was withdrawn must not last a day."""
    limits, seconds = options.freshness, options.keys_fresh_seconds
    if metadata.jwks is None:
        return limits
    return FreshnessLimits(
        minimum_seconds=min(limits.minimum_seconds, seconds),
        default_seconds=min(limits.default_seconds, seconds),
        maximum_seconds=min(limits.maximum_seconds, seconds),
    )


def renew_copy(copy: Copy, response: FetchedResponse, options: DocumentOptions) -> Copy:
    """The copy after a 304. Raises ``BadStatus`` where that speaks of another version than ours. RFC 9111 §4.3.4."""
    answered = find_header(response.headers, "etag")
    asked = copy.freshness.etag
    if answered and asked and [tag.removeprefix("W/") for tag in answered] != [asked.removeprefix("W/")]:
        raise BadStatus(304)
    replaced = {name for name, _value in response.headers}
    merged = (*response.headers, *(field for field in copy.headers if field[0] not in replaced))
    return build_copy(copy.document.metadata, replace(response, headers=merged, body=copy.body), options)


def build_record(copy: Copy, *, last_good_seconds: int) -> StoredDocument:
    """What the store keeps of a copy: no body where the host forbids it."""
    document, freshness = copy.document, copy.freshness
    stands_in_seconds = 0 if freshness.must_revalidate or not freshness.may_store else last_good_seconds
    return StoredDocument(
        client_id=document.metadata.client_id,
        body=copy.body if freshness.may_store else b"",
        headers=copy.headers if freshness.may_store else (),
        fetched_at=document.fetched_at,
        fresh_until=document.fresh_until,
        last_good_until=document.fresh_until + stands_in_seconds,
    )


def restore_copy(record: StoredDocument, metadata: ClientMetadata, options: DocumentOptions) -> Copy:
    """The copy that ``build_record`` was given; ``metadata`` is what its body says."""
    limits = _choose_limits(metadata, options)
    freshness = parse_freshness(record.headers, received_at=record.fetched_at, limits=limits)
    fresh_until = min(record.fresh_until, record.fetched_at + limits.maximum_seconds)  # by the limits of today
    return Copy(
        document=ClientDocument(metadata=metadata, fetched_at=record.fetched_at, fresh_until=fresh_until),
        body=record.body,
        headers=record.headers,
        # The age that the answer had when it came is in fresh_until, and in none of the headers.
        freshness=replace(freshness, fresh_until=fresh_until),
    )


def forget_validators(copy: Copy) -> Copy:
    """The copy without what a revalidation would send."""
    return replace(copy, freshness=replace(copy.freshness, etag=None, last_modified=None))


class _Segment:
    """Least recently used entries go first, once there are too many of them or they hold too many bytes."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self.entries: OrderedDict[str, Copy | None] = OrderedDict()

    def put(self, client_id: str, copy: Copy | None) -> None:
        self.pop(client_id)
        self.entries[client_id] = copy
        self._bytes += copy.size_bytes if copy else 0
        while len(self.entries) > self._max_entries or self._bytes > self._max_bytes:
            self.pop(next(iter(self.entries)))

    def pop(self, client_id: str) -> Copy | None:
        copy = self.entries.pop(client_id, None)
        self._bytes -= copy.size_bytes if copy else 0
        return copy


class DocumentCache:
    """Two segments that cannot evict each other: *kept* ids (with or without a copy just now), and everybody else."""

    def __init__(self, options: DocumentOptions) -> None:
        self._kept = _Segment(options.kept_entries, options.kept_bytes)
        self._others = _Segment(options.other_entries, options.other_bytes)

    def find(self, client_id: str) -> Copy | None:
        """The copy, fresh or stale."""
        for entries in (self._kept.entries, self._others.entries):
            if client_id in entries:
                entries.move_to_end(client_id)
                return entries[client_id]
        return None

    def is_kept(self, client_id: str) -> bool:
        """Whether the id is protected from strangers."""
        return client_id in self._kept.entries

    def put(self, client_id: str, copy: Copy) -> None:
        """Store a copy where its id belongs."""
        (self._kept if self.is_kept(client_id) else self._others).put(client_id, copy)

    def keep(self, client_id: str) -> None:
        """Protect the id, and its copy if there is one."""
        if not self.is_kept(client_id):
            self._kept.put(client_id, self._others.pop(client_id))

    def drop(self, client_id: str) -> None:
        """Forget the copy; a kept id stays kept."""
        if self.is_kept(client_id):
            self._kept.put(client_id, None)
        self._others.pop(client_id)
