"""A client that is known by an entry of ours instead of a document of its own (RFC 7591, RFC 6749 §2.2)."""

from dataclasses import dataclass, field

__all__ = ["RegisteredClient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClient:
    """A registered client as it lies in the store.

    ``metadata`` is the text of ``client_metadata.build_snapshot``, whose ``known_by`` says who registered it.
    ``secret_hash`` is ``secret.hash_bearer_value`` of its secret, None where it has none. ``expires_at`` is when it is
    forgotten unless a live grant is its own, and an approval puts it off; None for what the operator registered.
    """

    client_id: str
    metadata: str
    created_at: int
    secret_hash: bytes | None = field(default=None, repr=False)
    expires_at: int | None = None
