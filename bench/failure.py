"""Why a measurement cannot go on."""

__all__ = ["BenchFailed"]


class BenchFailed(Exception):
    """Something did not start, or did not answer as it must. The message says what."""
