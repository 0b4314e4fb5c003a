"""A browser on its way to an identity provider and back."""

from dataclasses import dataclass, field

__all__ = ["UpstreamAttempt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamAttempt:
    """What is kept while the browser is away; it can be taken once.

    ``state_hash`` is ``secret.hash_bearer_value`` of the ``state`` that went along, ``browser_hash`` binds it to one
    browser. ``upstream`` is the provider's name. ``sealed_memory`` is what ``complete`` needs again and the id of the
    waiting authorization request, encrypted. ``approved_subject`` is the ``sub`` of ours that had already allowed that
    request when the browser left, empty where nobody had.
    """

    state_hash: bytes
    browser_hash: bytes
    upstream: str
    sealed_memory: bytes = field(repr=False)
    approved_subject: str
    created_at: int
    expires_at: int
