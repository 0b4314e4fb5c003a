"""What should become of signing keys (docs/decisions/0014). Pure, and written from the decision, not from the code."""

from dataclasses import dataclass, field

__all__ = ["KeyTerms", "SigningKey", "SigningKeys"]

LEEWAY_SECONDS = 60
"""What clocks may differ: so much longer than the last token a key stays published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """What the operator decided. ``longest_token_seconds`` is over all classes of clients."""

    rotate_seconds: int
    publish_ahead_seconds: int
    longest_token_seconds: int


@dataclass(eq=False, slots=True, kw_only=True)
class SigningKey:
    """A key. ``withdrawn_at`` is set once nobody may trust it any more."""

    number: int
    active_from: int
    withdrawn_at: int | None = None


@dataclass(kw_only=True)
class SigningKeys:
    """All keys that there are, in the order in which they take over. ``events`` are names for the audit trail."""

    terms: KeyTerms
    now: int
    keys: list[SigningKey] = field(default_factory=list)
    made: int = 0
    events: list[str] = field(default_factory=list)

    def find_signing(self) -> SigningKey:
        """The latest key whose time has come; where there is none, the one that waits, before its time."""
        trusted = self._list_trusted()
        begun = [key for key in trusted if key.active_from <= self.now]
        return begun[-1] if begun else trusted[0]

    def list_published(self) -> list[SigningKey]:
        """The keys that tokens verify with: all that are trusted, and not yet forgotten."""
        return self._list_trusted()

    def rotate(self, *, at_once: bool) -> SigningKey:
        """Have a new key take over: now, or once it is known everywhere. One that waits already is as good."""
        if at_once:
            return self._make(max(self.now, self.find_signing().active_from))
        latest = self._list_trusted()[-1]
        return latest if latest.active_from > self.now else self._make(self.now + self.terms.publish_ahead_seconds)

    def withdraw(self, key: SigningKey) -> SigningKey:
        """Trust a key no more; what signs then. Where nothing else could, a new key is made before."""
        if self._list_trusted() == [key]:
            self._make(self.now)
        key.withdrawn_at = self.now
        self.events.append("signing_key.withdrawn")
        return self.find_signing()

    def look_after(self, now: int) -> None:
        """What the server does every half minute: the next key where one is due, and none that nothing needs."""
        self.now = now
        trusted = self._list_trusted()
        if not trusted:
            self._make(now)
        elif now >= trusted[-1].active_from + self.terms.rotate_seconds - self.terms.publish_ahead_seconds:
            self._make(now + self.terms.publish_ahead_seconds)
        over = [key for key in self.keys if self._is_over(key)]
        self.keys = [key for key in self.keys if key not in over]
        self.events.extend("signing_key.retired" for _ in over)

    def _is_over(self, key: SigningKey) -> bool:
        """Whether every token that the key can have signed has expired."""
        ended_at = key.withdrawn_at if key.withdrawn_at is not None else self._find_replaced_at(key)
        return ended_at is not None and self.now >= ended_at + self.terms.longest_token_seconds + LEEWAY_SECONDS

    def _find_replaced_at(self, key: SigningKey) -> int | None:
        trusted = self._list_trusted()
        later = trusted[trusted.index(key) + 1 :]
        return later[0].active_from if later else None

    def _make(self, active_from: int) -> SigningKey:
        key = SigningKey(number=self.made, active_from=active_from)
        self.made += 1
        self.keys = sorted([*self.keys, key], key=lambda each: (each.active_from, each.number))
        self.events.append("signing_key.created")
        return key

    def _list_trusted(self) -> list[SigningKey]:
        return [key for key in self.keys if key.withdrawn_at is None]
