"""The life of the keys that sign access tokens: published, then signing, then published still, then gone.

A key is published as soon as it is recorded, and signs from its ``active_from`` on, until a later one does. It stays
published until the last token that it can have signed has expired. A key that the operator withdrew does neither, from
that moment on. Sequences of keys are in the order of ``active_from``, the latest first, as the store gives them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

__all__ = [
    "CLOCK_LEEWAY_SECONDS",
    "MOST_KEYS",
    "KeyPolicy",
    "KeyState",
    "KeyTimes",
    "choose_active",
    "compute_active_at_once",
    "compute_active_from",
    "find_retired",
    "find_retirement",
    "find_state",
    "find_waiting",
    "is_full",
    "is_rotation_due",
    "list_published",
]

KeyState = Literal["signing", "waiting", "superseded", "withdrawn"]

CLOCK_LEEWAY_SECONDS = 60
"""How far a verifier's clock may be behind ours: so much longer than the last token a key stays published."""

MOST_KEYS = 32
"""With so many keys published, no more are made by hand. Whoever reads a key set may refuse a long one: our own reader
does so at 64. Rotation by schedule alone never gets there: a key an hour, each kept for a day.
"""


class KeyTimes(Protocol):
    """The instants of a key's life, in epoch seconds."""

    @property
    def kid(self) -> str:
        """The key's name."""
        ...

    @property
    def active_from(self) -> int:
        """When it is to begin to sign."""
        ...

    @property
    def withdrawn_at(self) -> int | None:
        """When the operator withdrew it."""
        ...


AnyKey = TypeVar("AnyKey", bound=KeyTimes)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPolicy:
    """``rotate_seconds``: how long a key signs. ``publish_ahead_seconds``: how long it is published before.
    ``longest_token_seconds``: the longest life of a token, over all classes of clients.
    """

    rotate_seconds: int
    publish_ahead_seconds: int
    longest_token_seconds: int

    @property
    def kept_seconds(self) -> int:
        """How long after its last token a key may still be needed."""
        return self.longest_token_seconds + CLOCK_LEEWAY_SECONDS


def choose_active(keys: Sequence[AnyKey], now: int) -> AnyKey | None:
    """The key that signs: the latest whose time has come, else the one whose time comes next, else None.

    The second case is that of a withdrawn key whose successor waits already: it takes over early. So does the first key
    of all, on a replica whose clock is behind.
    """
    trusted = _list_trusted(keys)
    begun = [key for key in trusted if key.active_from <= now]
    return begun[0] if begun else (trusted[-1] if trusted else None)


def find_waiting(keys: Sequence[AnyKey], now: int, policy: KeyPolicy) -> AnyKey | None:
    """The key that takes over last, if its time has not come, and comes no later than a key of now would have it."""
    latest = next(iter(_list_foreseeable(keys, now, policy)), None)
    return latest if latest is not None and latest.active_from > now else None


def list_published(keys: Sequence[AnyKey], now: int, policy: KeyPolicy) -> tuple[AnyKey, ...]:
    """The keys that tokens may be verified with (RFC 7517 §5)."""
    ends = _find_ends(keys, policy)
    return tuple(key for key, ends_at in ends if key.withdrawn_at is None and not _is_over(ends_at, now))


def find_retired(keys: Sequence[AnyKey], now: int, policy: KeyPolicy) -> tuple[AnyKey, ...]:
    """The keys that are needed no more: every token that they can have signed has expired."""
    return tuple(key for key, ends_at in _find_ends(keys, policy) if _is_over(ends_at, now))


def find_retirement(keys: Sequence[AnyKey], kid: str, policy: KeyPolicy) -> int | None:
    """When this key is needed no more; None while that is not known."""
    return next((ends_at for key, ends_at in _find_ends(keys, policy) if key.kid == kid), None)


def is_rotation_due(keys: Sequence[KeyTimes], now: int, policy: KeyPolicy) -> bool:
    """Whether the next key must be recorded now, so that it is known everywhere before it signs."""
    foreseeable = _list_foreseeable(keys, now, policy)
    if not foreseeable:
        return True
    takes_over_at = foreseeable[0].active_from + policy.rotate_seconds
    return now >= takes_over_at - policy.publish_ahead_seconds


def compute_active_from(keys: Sequence[KeyTimes], now: int, policy: KeyPolicy) -> int:
    """From when a key that is recorded now shall sign: at once where there is no other, else once it is known."""
    return now + policy.publish_ahead_seconds if _list_trusted(keys) else now


def compute_active_at_once(keys: Sequence[KeyTimes], now: int) -> int:
    """From when a key must be said to sign that shall do so at once, even if the one before came from a clock ahead."""
    active = choose_active(keys, now)
    return now if active is None else max(now, active.active_from)


def find_state(keys: Sequence[KeyTimes], key: KeyTimes, now: int) -> KeyState:
    """Where in its life a key of these is."""
    active = choose_active(keys, now)
    if key.withdrawn_at is not None or active is None:
        return "withdrawn"
    if key.kid == active.kid:
        return "signing"
    return "waiting" if key.active_from > now else "superseded"


def is_full(keys: Sequence[KeyTimes]) -> bool:
    """Whether there are so many keys that one more, made by hand, must wait until an old one is gone."""
    return len(_list_trusted(keys)) >= MOST_KEYS


def _list_trusted(keys: Iterable[AnyKey]) -> list[AnyKey]:
    return [key for key in keys if key.withdrawn_at is None]


def _list_foreseeable(keys: Iterable[AnyKey], now: int, policy: KeyPolicy) -> list[AnyKey]:
    """The trusted keys without those that a clock far ahead of ours made, in years for example.

    Whoever waited for one of them would make no key until then.
    """
    last = now + policy.publish_ahead_seconds + CLOCK_LEEWAY_SECONDS
    return [key for key in _list_trusted(keys) if key.active_from <= last]


def _find_ends(keys: Sequence[AnyKey], policy: KeyPolicy) -> list[tuple[AnyKey, int | None]]:
    """Each key with the second from which on it is needed no more; None for the latest, which nothing replaced."""
    ends: list[tuple[AnyKey, int | None]] = []
    replaced_at: int | None = None
    for key in keys:
        last_used_at = replaced_at if key.withdrawn_at is None else key.withdrawn_at
        ends.append((key, None if last_used_at is None else last_used_at + policy.kept_seconds))
        if key.withdrawn_at is None:
            replaced_at = key.active_from
    return ends


def _is_over(ends_at: int | None, now: int) -> bool:
    return ends_at is not None and now >= ends_at
