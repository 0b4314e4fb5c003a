"""What a protected application demands, checked once at the start."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nameplate.errors import ConfigurationError
from nameplate.protocol.resource_metadata import (
    METADATA_ROOT_PATH,
    build_metadata_path,
    build_metadata_url,
    build_resource_metadata,
    check_identifier_url,
)
from nameplate.protocol.scope import OFFLINE_ACCESS, is_scope_token
from nameplate.resource.answers import build_json
from nameplate.resource.keys import Keys
from nameplate.resource.revocation import Revocation

__all__ = ["ResourceOptions", "Rules", "build_rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceOptions:
    """What most callers of ``protect`` leave as it is.

    ``required_scope`` is what every request needs, whatever it does. ``scope_implies`` maps a scope to the narrower
    ones that it includes. ``keys`` replaces the fetching of the issuer's keys (``StaticKeys`` for a server in the same
    process); ``trusted_ca_file`` is a PEM file to trust besides the system's while asking the issuer for anything.
    ``revocation`` says how tokens are refused that were revoked before they expired (``RevocationFeed``,
    ``Introspection``); without it, that they live shortly is the bound. ``name`` and ``documentation_url`` go into the
    metadata. ``leeway_seconds`` is for clocks that differ. ``max_body_bytes`` bounds
    what is read of a message to find the tools that it calls. ``clock`` gives epoch seconds.
    """

    required_scope: Sequence[str] = ()
    scope_implies: Mapping[str, Collection[str]] = field(default_factory=dict)
    keys: Keys | None = None
    trusted_ca_file: str | None = None
    revocation: Revocation | None = None
    name: str | None = None
    documentation_url: str | None = None
    leeway_seconds: int = 10
    max_body_bytes: int = 4 * 1024 * 1024  # the official SDK's own limit
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The demands of one protected application, ready for use."""

    metadata: bytes
    metadata_url: str
    metadata_paths: frozenset[str]
    challenge_scope: tuple[str, ...]
    required_scope: tuple[str, ...]
    tool_scopes: Mapping[str, tuple[str, ...]]
    every_tool_scope: tuple[str, ...]
    scope_implies: Mapping[str, Collection[str]]
    max_body_bytes: int

    def build_needed_scope(self, tools: Iterable[str]) -> tuple[str, ...]:
        """Everything that a message calling these tools needs, for one challenge (MCP authorization, SEP-2350)."""
        names = sorted(name for name in tools if name in self.tool_scopes)
        return _merge(self.required_scope, *(self.tool_scopes[name] for name in names))


def build_rules(
    *,
    resource: str,
    issuer: str,
    scopes: Iterable[str],
    tool_scopes: Mapping[str, Sequence[str]],
    options: ResourceOptions,
) -> Rules:
    """The rules, or ``ConfigurationError``: a URL that is no identifier, a scope that is needed but not offered."""
    check_identifier_url("resource", resource)
    check_identifier_url("issuer", issuer)
    offered = _read_scopes("scopes", scopes)
    required = _read_scopes("required_scope", options.required_scope)
    by_tool = {tool: _read_scopes(f"tool_scopes[{tool!r}]", needed) for tool, needed in tool_scopes.items()}
    every_tool_scope = _merge(required, *by_tool.values())
    narrower = _merge(*(_read_scopes("scope_implies", each) for each in options.scope_implies.values()))
    unknown = [
        scope for scope in _merge(every_tool_scope, tuple(options.scope_implies), narrower) if scope not in offered
    ]
    if unknown:
        raise ConfigurationError("scopes", f"lacks {', '.join(unknown)}, which a rule names")
    metadata = build_resource_metadata(
        resource,
        authorization_servers=[issuer],
        scopes=offered,
        name=options.name,
        documentation_url=options.documentation_url,
    )
    return Rules(
        metadata=build_json(metadata),
        metadata_url=build_metadata_url(resource),
        metadata_paths=frozenset({METADATA_ROOT_PATH, build_metadata_path(resource)}),
        challenge_scope=required or offered,
        required_scope=required,
        tool_scopes=by_tool,
        every_tool_scope=every_tool_scope,
        scope_implies=options.scope_implies,
        max_body_bytes=options.max_body_bytes,
    )


def _read_scopes(setting: str, scopes: Iterable[str]) -> tuple[str, ...]:
    if isinstance(scopes, str):
        raise ConfigurationError(setting, "must be a list of scopes, not one text")
    read = _merge(tuple(scopes))
    for scope in read:
        if not is_scope_token(scope):
            raise ConfigurationError(setting, f"{scope!r} is no scope (RFC 6749 §3.3)")
        if scope == OFFLINE_ACCESS:
            raise ConfigurationError(setting, "offline_access is no scope of a resource")
    return read


def _merge(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """All of them, each once, in the order in which they came."""
    return tuple(dict.fromkeys(scope for group in groups for scope in group))
