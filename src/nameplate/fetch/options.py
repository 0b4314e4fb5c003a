"""What the guarded fetcher and the documents' cache may be told. Everything else about them is fixed."""

import os
import re
from dataclasses import dataclass, fields

from nameplate.errors import ConfigurationError
from nameplate.protocol.freshness import FreshnessLimits
from nameplate.protocol.limits import DOCUMENT_BYTES
from nameplate.protocol.private_hosts import PrivateHost

__all__ = ["DocumentOptions", "FetchOptions"]

_EGRESS_PROXY = re.compile(r"http://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How ``GuardedFetcher`` fetches. ``ConfigurationError`` for values that cannot work.

    ``private_hosts`` are the only names that may lead to special-use addresses, each to its own network.
    ``trusted_ca_file`` is a PEM file of authorities trusted in addition to the system's. ``deadline_seconds`` spans
    DNS, connect, TLS, headers and body. ``max_document_bytes`` caps the body as it comes from the wire,
    ``max_header_bytes`` everything before it, interim answers included. ``max_connections`` fetches run at once; one
    more is refused, not queued. A connection idles for at most ``keepalive_seconds``. ``stagger_seconds`` is how long
    one address may keep the next from being tried (RFC 8305 §5).

    ``egress_proxy`` (``http://HOST:PORT``) sends everything through an HTTP proxy by CONNECT. The rules on the URL
    and on TLS still hold, but the proxy then resolves the names, so **no address is judged here**: the proxy must do
    it.
    """

    private_hosts: tuple[PrivateHost, ...] = ()
    trusted_ca_file: str | os.PathLike[str] | None = None
    deadline_seconds: float = 5.0
    max_document_bytes: int = DOCUMENT_BYTES
    max_header_bytes: int = 16 * 1024
    max_connections: int = 128
    keepalive_seconds: float = 15.0
    stagger_seconds: float = 0.25
    egress_proxy: str | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "fetch")
        if self.keepalive_seconds > 30:
            raise ConfigurationError("fetch.keepalive_seconds", "at most 30, so that a changed policy applies soon.")
        if self.egress_proxy is not None and not _EGRESS_PROXY.fullmatch(self.egress_proxy):
            raise ConfigurationError("fetch.egress_proxy", "must read http://HOST:PORT.")

    @property
    def proxy_address(self) -> tuple[str, int] | None:
        """Host and port of the egress proxy, if there is one."""
        match = _EGRESS_PROXY.fullmatch(self.egress_proxy or "")
        return (match[1].strip("[]"), int(match[2])) if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentOptions:
    """How ``CachedDocuments`` keeps documents, and how it protects the hosts that serve them.

    **Cache.** Two segments that cannot evict each other: *kept* documents (somebody approved the client) and the
    others. Each is bounded by entries and by the bytes of the documents as they came. ``freshness`` bounds what hosts
    say; documents with keys in them are fresh for ``keys_fresh_seconds`` at the most, as a key that was withdrawn is
    good for as long.

    **Last good** (decision 5). A copy may stand in for ``last_good_seconds`` past its freshness. What refuses a
    client for good (404, 410, a broken rule) ends a live grant only when it was seen twice, ``confirm_seconds``
    apart.

    **Patience.** A call on a live grant waits ``patience_seconds`` for a fetch under way; then it goes on with the copy
    that may stand in, and the fetch goes on without it.

    **Budgets** are token buckets over fetches (``…_burst``, ``…_per_second``): for each source (the address that caused
    them), for each target host, and in all. Caps on fetches ``…_at_once`` are per site (the last two labels of a host
    name) and in all. ``reserved_share`` of what there is in all is kept back for clients that hold a grant.

    **Circuit breaker.** After ``breaker_failures`` transport failures in a row a host's port is left alone for
    ``breaker_seconds``, then tried once; each further failure doubles the pause, up to ``breaker_max_seconds``.

    ``failure_seconds`` is how long every failed load takes, so that its duration does not tell a refused address from a
    closed or a silent port. None: a little over the fetcher's deadline. What a last good copy covers is not drawn out.
    """

    kept_entries: int = 10_000
    kept_bytes: int = 16 * 1024 * 1024
    other_entries: int = 10_000
    other_bytes: int = 8 * 1024 * 1024
    keys_fresh_seconds: int = 3600
    last_good_seconds: int = 24 * 3600
    confirm_seconds: int = 3600
    patience_seconds: float = 0.5
    source_burst: int = 400
    source_per_second: float = 5.0
    host_burst: int = 500
    host_per_second: float = 20.0
    total_burst: int = 1000
    total_per_second: float = 100.0
    site_at_once: int = 32
    total_at_once: int = 128
    reserved_share: float = 0.25
    breaker_failures: int = 5
    breaker_seconds: float = 10.0
    breaker_max_seconds: float = 60.0
    failure_seconds: float | None = None
    freshness: FreshnessLimits = FreshnessLimits()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        _check_positive(self, "documents", may_be_zero=("failure_seconds", "reserved_share"))
        if self.reserved_share >= 1:
            raise ConfigurationError(
                "documents.reserved_share", "must be below 1, or no new client could ever be fetched."
            )


def _check_positive(options: FetchOptions | DocumentOptions, table: str, *, may_be_zero: tuple[str, ...] = ()) -> None:
    for field in fields(options):
        value = getattr(options, field.name)
        if isinstance(value, (int, float)) and not (value > 0 or (value == 0 and field.name in may_be_zero)):
            raise ConfigurationError(f"{table}.{field.name}", "must be greater than zero.")
