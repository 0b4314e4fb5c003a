"""The guarded fetcher: brings small JSON documents from hosts that strangers name, and reaches nothing else.

Useful alone: ``parse_client_id`` reads the URL, ``GuardedFetcher`` fetches it, ``CachedDocuments`` adds memory and
budgets. ``CachedKeySets`` does the same for the keys at a document's ``jwks_uri``.
"""

from nameplate.fetch.documents import CachedDocuments
from nameplate.fetch.https import FetchedResponse, FetchTarget, GuardedFetcher
from nameplate.fetch.jwks import CachedKeySets
from nameplate.fetch.key_options import KeySetOptions
from nameplate.fetch.options import DocumentOptions, FetchOptions
from nameplate.fetch.resolve import Resolver, SystemResolver

__all__ = [
    "CachedDocuments",
    "CachedKeySets",
    "DocumentOptions",
    "FetchOptions",
    "FetchTarget",
    "FetchedResponse",
    "GuardedFetcher",
    "KeySetOptions",
    "Resolver",
    "SystemResolver",
]
