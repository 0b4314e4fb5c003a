"""Resource indicators: any text has a canonical form or none, and another reader of URLs sees the same resource in it.

The first line is what is requested, the others are declared resources. Case of scheme and host, the default port and
one slash at the end make no difference; everything else does.
"""

import re
from urllib.parse import urlsplit

from fuzz.inputs import read_lines
from nameplate.protocol.resource import ProtectedResource, build_canonical_resource, choose_resource, find_resource

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"https://", b"http://", b"HTTPS://", b"https://mcp.example.com/notes", b"https://[2001:db8::1]", b":443"),
    *(b":80", b"/", b"//", b"?", b"#", b"@", b"\\", b"%41", b"..", b"\n", b"\xc5\xbf", b"\xe2\x84\xaa"),
    *(b"http\xc5\xbf://", b":0443"),
)

_AUTHORITY = re.compile(r"[^/?]*")


def check(data: bytes) -> None:
    """Try one resource indicator."""
    requested, *identifiers = read_lines(data)
    canonical = build_canonical_resource(requested)
    if canonical is not None:
        _check_canonical(canonical, requested)
    resources = [ProtectedResource(identifier=text, name="") for text in identifiers]
    found = find_resource(requested, resources)
    if found is not None:
        assert found in resources
        assert build_canonical_resource(found.identifier) == canonical
    chosen = choose_resource(identifiers, resources)
    assert chosen is None or all(build_canonical_resource(text) is not None for text in identifiers)


def _check_canonical(canonical: str, text: str) -> None:
    assert canonical.isascii()
    assert "#" not in canonical
    _check_other_reader(canonical, text)
    scheme, _, rest = text.partition("://")
    authority = _AUTHORITY.match(rest)
    end = authority.end() if authority else 0
    assert build_canonical_resource(f"{scheme.swapcase()}://{rest[:end].swapcase()}{rest[end:]}") == canonical


def _check_other_reader(canonical: str, text: str) -> None:
    try:
        seen, given = urlsplit(canonical), urlsplit(text)
    except ValueError:
        return  # no IPv6 address in the brackets: no resource that was declared can be meant
    assert (seen.scheme, seen.username, given.username) == (given.scheme, None, None)
    assert (seen.hostname, seen.query) == (given.hostname, given.query)
    assert given.path in {seen.path, f"{seen.path}/"}
