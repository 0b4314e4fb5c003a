"""How a client proved who it is in one request: what the store records with whatever that request buys."""

from dataclasses import dataclass

__all__ = ["AssertionUse", "ClientProof"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionUse:
    """The one use of a client assertion (RFC 7523 §3, ``jti``).

    ``use_hash`` is a digest over the client and the ``jti``, so that no client can collide with another one.
    ``kept_until`` is when the assertion can no longer be accepted anyway: ``exp`` plus what clocks may differ.
    """

    client_id: str
    use_hash: bytes
    kept_until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientProof:
    """A client whose authentication succeeded.

    ``auth_method`` is the name of the method (RFC 7591 §2), ``none`` for a public client. ``client_keys`` is what the
    grant remembers of the client's keys, empty where it used none (``client_change.build_key_memory``). ``assertion``
    is the use to record, where it used one.
    """

    auth_method: str
    client_keys: str = ""
    assertion: AssertionUse | None = None
