"""A clock that moves only when it is told to."""

__all__ = ["FixedClock"]


class FixedClock:
    """Call it for the time in epoch seconds; ``advance`` it instead of sleeping."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
