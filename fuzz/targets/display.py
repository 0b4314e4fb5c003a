"""Texts for the eye: any text becomes one calm line, and doing so twice changes nothing.

The first line is a host, the rest a name. In no line is a character that cannot be seen or that turns the line around.
The parts of a split host, joined, are the host. Every warning is itself fit to be shown.
"""

import unicodedata

from fuzz.inputs import read_text
from nameplate.protocol.display import NAME_LIMIT, exact_text, host_warnings, name_warnings, plain_text, split_host

__all__ = ["LONGEST_BYTES", "TOKENS", "check"]

LONGEST_BYTES = 1000

TOKENS = (
    *(
        text.encode()
        for text in ("\u202e", "\u2066", "\u200b", "\u200d", "\ufe0f", "\u0301", "\u0345", "\u3164", "\ufeff")
    ),
    *(
        text.encode()
        for text in ("\U000e0041", "\ufb2c", "\u1100\u1161\u11a8", "\u0958", "\u09c7\u09be", "\u2028", "\x85")
    ),
    *(
        text.encode()
        for text in ("claude", "\u0441laude", "verified", "claude.ai", "\u2714", "\U0001d402", "\u3002com", "\x00")
    ),
    *(b"xn--", b"xn--clude-3ve.com", b".github.io", b".co.uk", b":8443", b"\n", b"\xff", b"\xed\xa0\x80", b"  "),
    *(b"[::1]",),
)

_LIMITS = (1, 20, NAME_LIMIT)


def check(data: bytes) -> None:
    """Try one host and name."""
    host, _, name = read_text(data).partition("\n")
    for text in (host, name):
        _check_lines(text)
    before, owner = split_host(host)
    assert owner
    assert before + owner == (exact_text(host) or "(no host)") or (len(exact_text(host)) > 300 and owner)
    for warning in (*host_warnings(host), *name_warnings(name, host)):
        _check_calm(warning)


def _check_lines(text: str) -> None:
    for limit in _LIMITS:
        plain, exact = plain_text(text, limit), exact_text(text, limit)
        for line in (plain, exact):
            _check_calm(line)
            assert len(line) <= limit
        assert plain_text(plain, limit) == plain
    exact = exact_text(text)
    _check_calm(exact)
    assert exact_text(exact) == exact


def _check_calm(line: str) -> None:
    """No line breaks, no controls, nothing bidirectional or unassigned (Cc, Cf, Cs, Cn, Zl, Zp)."""
    assert not {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}.intersection(map(unicodedata.category, line)), ascii(line)
