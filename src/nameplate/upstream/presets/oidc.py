"""Any OpenID provider."""

from dataclasses import replace

from nameplate.upstream.presets.preset import OPENID_SCOPES, Preset, Shape, build_base, read_issuer
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import ProviderOptions

__all__ = ["PRESET", "build"]


def build(settings: UpstreamSettings) -> ProviderOptions:
    """The provider with this issuer; endpoints that are given are preferred to those of its metadata."""
    base = build_base(
        settings,
        Shape(
            kind="oidc",
            issuer=read_issuer(settings),
            # profile and email are left to the operator as soon as scopes are named: some providers refuse what they
            # do not know (RFC 6749 §3.3).
            scopes=("openid",) if settings.scopes else OPENID_SCOPES,
            auth_methods=("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
            offline_scopes=("offline_access",),
        ),
    )
    return replace(
        base,
        authorization_endpoint=settings.authorization_endpoint,
        token_endpoint=settings.token_endpoint,
        userinfo_endpoint=settings.userinfo_endpoint,
        jwks_uri=settings.jwks_uri,
        revocation_endpoint=settings.revocation_endpoint,
        passes_resource=settings.passes_resource,
        username_claims=(settings.username_claim,) if settings.username_claim else base.username_claims,
        display_name_claims=(settings.display_name_claim,) if settings.display_name_claim else base.display_name_claims,
        email_claim=settings.email_claim or base.email_claim,
        email_verified_claim=settings.email_verified_claim or base.email_verified_claim,
        groups_claim=settings.groups_claim or base.groups_claim,
    )


def _is_organization(_settings: UpstreamSettings) -> bool:
    return False  # whose accounts these are, only the operator knows


PRESET = Preset(
    title="Single sign-on",
    build=build,
    is_organization=_is_organization,
    members=frozenset(
        {
            *("issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"),
            *("revocation_endpoint", "private_key_file", "passes_resource", "allowed_groups", "groups_claim"),
            *("username_claim", "display_name_claim", "email_claim", "email_verified_claim"),
        }
    ),
)
