"""``protect``: one line that makes an ASGI application a protected resource."""

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from starlette.types import ASGIApp

from nameplate.resource.keys import Keys
from nameplate.resource.protected_app import ProtectedApp
from nameplate.resource.revocation import (
    CheckedTokenVerifier,
    GrantCheck,
    Introspection,
    Revocation,
    RevocationFeed,
    TokenVerifier,
    check_revocation_options,
)
from nameplate.resource.rules import ResourceOptions, build_rules
from nameplate.resource.verifier import AccessTokenVerifier

__all__ = ["build_verifier", "protect"]


def protect(
    app: ASGIApp,
    *,
    resource: str,
    issuer: str,
    scopes: Iterable[str],
    tool_scopes: Mapping[str, Sequence[str]] | None = None,
    options: ResourceOptions | None = None,
) -> ProtectedApp:
    """The application behind a guard that admits only bearers of access tokens issued for it.

    ``resource`` is its own URL as clients know it, ``issuer`` the authorization server's: both are compared with
    tokens byte for byte. ``scopes`` are all the scopes there are (a mapping from scope to description will do).
    An MCP ``tools/call`` needs what ``tool_scopes`` says for its tool, and any request what ``options.required_scope``
    says.

    The guard serves the protected resource metadata (RFC 9728) at its well-known paths, answers 401, 403 and 400 with
    a challenge (RFC 6750 §3), and 503 while no key of the issuer can be had, or while ``options.revocation`` wants to
    know more than the issuer says. A request that passes carries its
    ``AccessToken`` in ``scope["nameplate.access_token"]`` and ``current_access_token()``.

    An issuer that ends in a slash, or names its default port, is not refused although ``nameplate serve`` never has
    one: other authorization servers do (RFC 9068 tokens are alike). Where the issuer's metadata disagrees by a byte, no
    token is accepted and the log shows both, at the first token (RFC 8414 §3.3).

    A name in ``tool_scopes`` that no tool has protects nothing, and goes unnoticed: the tools of an application cannot
    be known here.

    Browsers' cross-origin requests need a CORS middleware around all of this. Raises ``ConfigurationError`` for
    settings that cannot work.
    """
    options = options or ResourceOptions()
    rules = build_rules(
        resource=resource,
        issuer=issuer,
        scopes=scopes,
        tool_scopes=tool_scopes or {},
        options=options,
    )
    return ProtectedApp(app, rules, build_verifier(resource=resource, issuer=issuer, options=options))


def build_verifier(*, resource: str, issuer: str, options: ResourceOptions) -> TokenVerifier:
    """The verifier that the options describe. Raises ``ConfigurationError`` for settings that cannot work."""
    verifier = AccessTokenVerifier(
        issuer=issuer,
        resource=resource,
        keys=options.keys or _build_remote_keys(issuer, options.trusted_ca_file),
        leeway_seconds=options.leeway_seconds,
        clock=options.clock,
    )
    if options.revocation is None:
        return verifier
    check_revocation_options(options.revocation)
    return CheckedTokenVerifier(verifier, _build_grant_check(options.revocation, issuer, resource, options))


def _build_remote_keys(issuer: str, trusted_ca_file: str | None) -> Keys:
    from nameplate.resource.remote_keys import RemoteKeys  # httpx2, which a server with its own keys never needs

    return RemoteKeys(issuer, trusted_ca_file=trusted_ca_file)


def _build_grant_check(revocation: Revocation, issuer: str, resource: str, options: ResourceOptions) -> GrantCheck:
    from nameplate.resource.feed_reader import FeedReader
    from nameplate.resource.introspector import Introspector

    match revocation:
        case RevocationFeed():
            return FeedReader(
                revocation,
                issuer=issuer,
                resource=resource,
                trusted_ca_file=options.trusted_ca_file,
                clock=options.clock,
            )
        case Introspection():
            return Introspector(revocation, issuer=issuer, trusted_ca_file=options.trusted_ca_file, clock=options.clock)
        case _:
            assert_never(revocation)
