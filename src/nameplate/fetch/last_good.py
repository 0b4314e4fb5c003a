"""What a failed fetch means for a client that was known before: decision 5, row by row. Pure."""

from nameplate.errors import AddressRefused, BadStatus, ClientMetadataError, FetchError, TlsFailed, Unreachable
from nameplate.fetch.copies import Copy

__all__ = ["Failure", "choose_error", "describe_failure", "is_final", "may_stand_in"]

Failure = FetchError | ClientMetadataError


def is_final(failure: Failure) -> bool:
    """Whether the host itself says that there is no such client: rows 3 and 4 of the table."""
    return isinstance(failure, ClientMetadataError) or (isinstance(failure, BadStatus) and failure.status in {404, 410})


def may_stand_in(
    copy: Copy | None, failure: Failure, *, now: float, last_good_seconds: int, live_grant: bool, is_confirmed: bool
) -> bool:
    """Whether the last good copy may be used in spite of ``failure``.

    ``live_grant`` is whether a grant exists that the call serves; ``is_confirmed`` whether a final failure was seen
    twice, long enough apart. The host may forbid it: ``no-store`` was never copied, and RFC 9111 §5.2.2.2
    (``must-revalidate``) is obeyed.
    """
    if copy is None or copy.freshness.must_revalidate or now >= copy.document.fresh_until + last_good_seconds:
        return False
    if isinstance(failure, (TlsFailed, AddressRefused)):  # row 2: somebody may be standing between us and the host
        return False
    if is_final(failure):  # rows 3 and 4
        return live_grant and not is_confirmed
    return True  # row 1


def choose_error(failure: Failure, *, live_grant: bool, is_confirmed: bool) -> Failure:
    """What to raise where no copy stands in: a live grant does not end before its client's end is confirmed."""
    if live_grant and is_final(failure) and not is_confirmed:
        return Unreachable(f"to be confirmed: {describe_failure(failure)}")
    return failure


def describe_failure(failure: Failure) -> str:
    """The failure in a line for the log."""
    return failure.reason if isinstance(failure, ClientMetadataError) else str(failure)
