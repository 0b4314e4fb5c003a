"""Why a piece of hostile text was refused, as a value.

Readers that serve several callers answer with a ``Fault``; the caller turns it into the error of what it was reading.
"""

from dataclasses import dataclass

from nameplate.protocol.limits import QUOTED_CHARACTERS

__all__ = ["Fault", "build_quotation", "is_blank", "is_visible"]

# Unicode Default_Ignorable_Code_Point and blanks that str.isprintable() lets pass: they are shown as nothing at all, so
# two texts that look alike would differ (UTS #39).
_BLANK = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A broken rule: ``reason`` is the last part of a slug (``fragment``), ``problem`` what to tell the developer."""

    reason: str
    problem: str


def is_visible(text: str) -> bool:
    """Whether every character shows: no controls, bidirectional overrides, invisible or unassigned characters."""
    return text.isprintable() and (text.isascii() or _BLANK.isdisjoint(text))


def is_blank(text: str) -> bool:
    """Whether the text shows nothing: only spaces, controls and invisible characters."""
    return not any(char != " " and is_visible(char) for char in text)


def build_quotation(text: str) -> str:
    """A hostile text for a sentence or the log: ASCII, one line, in quotes, cut to a bounded length."""
    return ascii(text if len(text) <= QUOTED_CHARACTERS else text[:QUOTED_CHARACTERS] + "...")
