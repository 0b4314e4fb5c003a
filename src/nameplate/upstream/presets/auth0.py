"""Auth0.

Differences from the standard, and where they are documented:

- The issuer ends in a slash, and identifiers are compared byte for byte.
- An access token for an API of the tenant is asked for by ``audience``.
- ``groups`` and ``roles`` are reserved names: an Action puts them into the ID token under a name with a namespace,
  which ``groups_claim`` repeats.
"""

from dataclasses import replace

from nameplate.upstream.presets.preset import OPENID_SCOPES, Preset, Shape, build_base, read_domain, refuse
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import ProviderOptions

__all__ = ["PRESET", "build"]

# https://auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims: the claims that no Action can set
_RESERVED = frozenset({"entitlements", "groups", "permissions", "roles"})


def build(settings: UpstreamSettings) -> ProviderOptions:
    """A tenant, by its domain."""
    if settings.allowed_groups is not None and settings.groups_claim is None:
        refuse(settings, "groups_claim", "is required for allowed_groups: the namespaced claim that an Action sets.")
    if settings.groups_claim in _RESERVED:
        refuse(
            settings, "groups_claim", f"Auth0 lets no Action set {settings.groups_claim}; use a name with a namespace."
        )
    base = build_base(
        settings,
        Shape(
            kind="oidc",
            # https://auth0.com/docs/get-started/applications/configure-applications-with-oidc-discovery
            issuer=f"https://{read_domain(settings)}/",
            scopes=OPENID_SCOPES,
            # https://auth0.com/docs/get-started/authentication-and-authorization-flow/authenticate-with-private-key-jwt:
            # assertions are RS256, RS384 or PS256, and ours are ES256.
            auth_methods=("client_secret_post", "client_secret_basic", "none"),
            # https://auth0.com/docs/secure/tokens/refresh-tokens/get-refresh-tokens
            offline_scopes=("offline_access",),
            # https://auth0.com/docs/get-started/authentication-and-authorization-flow/authorization-code-flow/call-your-api-using-the-authorization-code-flow
            authorize_parameters={} if settings.audience is None else {"audience": settings.audience},
        ),
    )
    return replace(
        base,
        username_claims=("preferred_username", "nickname", "email"),
        groups_claim=settings.groups_claim,
    )


def _is_organization(_settings: UpstreamSettings) -> bool:
    # https://auth0.com/docs/best-practices/connection-settings: a connection can let anybody sign up
    return False


PRESET = Preset(
    title="Auth0",
    build=build,
    is_organization=_is_organization,
    members=frozenset({"domain", "audience", "allowed_groups", "groups_claim"}),
)
