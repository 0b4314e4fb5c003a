"""What comes of verifying a signed JWT."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Refused", "RefusedReason", "UnknownKey", "Verified"]

RefusedReason = Literal["oversized", "malformed", "header", "algorithm", "type", "key", "signature", "claims"]


@dataclass(frozen=True, slots=True)
class Verified:
    """The signature is good. Nothing is known yet about issuer, audience or time: ``claims`` still must be checked."""

    claims: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """The set has no key of this ``kid``. The signer may have a new key: fetching the set again can help."""

    kid: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The token is not to be believed, and fetching keys again would not change that.

    ``oversized``, ``malformed``: not read any further. ``header``: a member that must not be there. ``algorithm``,
    ``type``: not among those asked for. ``key``: no key can be chosen, or it does not fit the algorithm.
    ``signature``: wrong. ``claims``: signed, but no JSON object.
    """

    reason: RefusedReason
