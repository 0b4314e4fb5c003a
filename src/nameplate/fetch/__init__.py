"""The guarded fetcher: brings small JSON documents from hosts that strangers name, and reaches nothing else.

Useful alone: ``parse_client_id`` reads the URL, ``GuardedFetcher`` fetches it, ``CachedDocuments`` adds memory and
budgets.
"""

from nameplate.fetch.documents import CachedDocuments
from nameplate.fetch.https import FetchedResponse, FetchTarget, GuardedFetcher
from nameplate.fetch.options import DocumentOptions, FetchOptions
from nameplate.fetch.resolve import Resolver, SystemResolver

__all__ = [
    "CachedDocuments",
    "DocumentOptions",
    "FetchOptions",
    "FetchTarget",
    "FetchedResponse",
    "GuardedFetcher",
    "Resolver",
    "SystemResolver",
]
