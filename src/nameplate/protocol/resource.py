"""Resource indicators (RFC 8707) and the resources that an operator declares."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ProtectedResource", "ScopeOffer", "build_canonical_resource", "choose_resource", "find_resource"]

_PCHAR = r"A-Za-z0-9\-._~!$&'()*+,;=:@%"  # RFC 3986 §3.3
_RESOURCE = re.compile(
    r"(?i:(https?))://((?:[A-Za-z0-9\-._~]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)"
    rf"(/[{_PCHAR}/]*)?(\?[{_PCHAR}/?]*)?",
    re.ASCII,  # or U+017F, a long s, would pass for the s of https
)
_DEFAULT_PORT = {"https": ":443", "http": ":80"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeOffer:
    """One scope of a resource, with the sentence that the consent page shows for it."""

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedResource:
    """An MCP server that tokens are issued for. ``identifier`` becomes the token's ``aud``, byte for byte."""

    identifier: str
    name: str
    scopes: tuple[ScopeOffer, ...] = ()

    @property
    def scope_names(self) -> tuple[str, ...]:
        """The names of its scopes in the operator's order."""
        return tuple(scope.name for scope in self.scopes)


def build_canonical_resource(text: str) -> str | None:
    """MCP's canonical form of a resource URI, None where it is no absolute http(s) URI without a fragment.

    Lower-case scheme and host, no default port, no single trailing slash (MCP authorization, "Canonical Server URI").
    """
    match = _RESOURCE.fullmatch(text)
    if match is None:
        return None
    scheme, authority, path, query = match[1].lower(), match[2].lower(), match[3] or "", match[4] or ""
    return f"{scheme}://{authority.removesuffix(_DEFAULT_PORT[scheme])}{path.removesuffix('/')}{query}"


def find_resource(requested: str, resources: Sequence[ProtectedResource]) -> ProtectedResource | None:
    """The declared resource that a requested indicator means (architecture decision 1), or None."""
    canonical = build_canonical_resource(requested)
    if canonical is None:
        return None
    return next((found for found in resources if build_canonical_resource(found.identifier) == canonical), None)


def choose_resource(requested: Sequence[str], resources: Sequence[ProtectedResource]) -> ProtectedResource | None:
    """The one resource that a request is for, or None (RFC 8707 §2: ``invalid_target``).

    Several indicators are fine while they mean one resource. A request without any means the only resource there is;
    with several declared it must say which.
    """
    if not requested:
        return resources[0] if len(resources) == 1 else None
    found = [find_resource(text, resources) for text in requested]
    return found[0] if all(resource == found[0] for resource in found) else None
