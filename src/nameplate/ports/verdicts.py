"""What a store answers: one verdict for each way in which a sentence of the protocol can end."""

from dataclasses import dataclass

from nameplate.protocol.grant import Grant, PendingAuthorization

__all__ = [
    "AlreadyAnswered",
    "Approved",
    "AssertionReplayed",
    "ChallengeSpent",
    "Denied",
    "Full",
    "Recorded",
    "Redeemed",
    "Repeated",
    "Replayed",
    "Reused",
    "Rotated",
    "Unknown",
]


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such thing, or no longer, or not for this caller: the three are not told apart."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """It is stored."""


@dataclass(frozen=True, slots=True)
class Full:
    """The cap on things that strangers can cause to be stored is reached; try later."""


@dataclass(frozen=True, slots=True)
class Approved:
    """This call consumed the pending authorization, and the code and grant it carried now exist."""

    pending: PendingAuthorization


@dataclass(frozen=True, slots=True)
class Denied:
    """This call consumed the pending authorization; nothing was granted."""

    pending: PendingAuthorization


@dataclass(frozen=True, slots=True)
class AlreadyAnswered:
    """An earlier call consumed the pending authorization (double submit, reload, second tab)."""

    pending: PendingAuthorization


@dataclass(frozen=True, slots=True)
class ChallengeSpent:
    """The client already got a code for this code challenge, through another pending authorization."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """This call, and no other, redeemed the code. ``grant`` is what it bought."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Replayed:
    """The code had been spent before. ``grant_revoked`` says whether this call ended what it bought."""

    grant_revoked: bool


@dataclass(frozen=True, slots=True)
class Rotated:
    """This call, and no other, rotated the refresh token."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Repeated:
    """The token was rotated moments ago; ``sealed_answer`` is what its first use stored, ``answered_at`` when."""

    sealed_answer: bytes
    answered_at: int


@dataclass(frozen=True, slots=True)
class Reused:
    """The token was rotated before and may not be repeated: this call revoked its grant."""

    grant_id: str


@dataclass(frozen=True, slots=True)
class AssertionReplayed:
    """The client's assertion was used before: nothing else was done (``assertion.replayed``)."""
