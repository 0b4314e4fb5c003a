"""Okta: the org authorization server, or a custom one.

Differences from the standard, and where they are documented:

- The org server sends ``groups`` for the scope ``groups``. A custom server has the scopes that somebody made there, so
  none is asked for; its claim is set up for every scope.
- ``private_key_jwt`` is signed for the token endpoint, not the issuer.
"""

import re
from dataclasses import replace

from nameplate.upstream.presets.preset import OPENID_SCOPES, Preset, Shape, build_base, read_domain, read_issuer, refuse
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import ProviderOptions

__all__ = ["PRESET", "build"]

_CUSTOM_SERVER = re.compile(r"https://[a-z0-9.\-]+/oauth2/[A-Za-z0-9]+")


def build(settings: UpstreamSettings) -> ProviderOptions:
    """The org server of ``domain``, or the custom server with ``issuer``."""
    if (settings.domain is None) == (settings.issuer is None):
        refuse(settings, "domain", "give the Okta domain, or the issuer of a custom authorization server: one of them.")
    # https://developer.okta.com/docs/concepts/auth-servers: the org server's issuer is the domain itself
    is_custom = settings.issuer is not None
    issuer = read_issuer(settings) if is_custom else f"https://{read_domain(settings)}"
    if is_custom and not _CUSTOM_SERVER.fullmatch(issuer):
        refuse(settings, "issuer", f"{issuer!r} is not https://<domain>/oauth2/<id>; for the org server set domain.")
    base = build_base(
        settings,
        Shape(
            kind="oidc",
            issuer=issuer,
            # https://developer.okta.com/docs/guides/customize-tokens-groups-claim
            scopes=OPENID_SCOPES if is_custom else (*OPENID_SCOPES, "groups"),
            # https://developer.okta.com/docs/api/openapi/okta-oauth/guides/client-auth: Basic is the default
            auth_methods=("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
            # https://developer.okta.com/docs/guides/refresh-tokens
            offline_scopes=("offline_access",),
        ),
    )
    return replace(
        base,
        # https://developer.okta.com/docs/guides/build-self-signed-jwt: aud is the URL of the endpoint
        assertion_audience="token_endpoint",
        groups_claim=settings.groups_claim or base.groups_claim,
    )


def _is_organization(_settings: UpstreamSettings) -> bool:
    return True  # an Okta org's people are those that it made or imported


PRESET = Preset(
    title="Okta",
    build=build,
    is_organization=_is_organization,
    members=frozenset({"domain", "issuer", "private_key_file", "allowed_groups", "groups_claim"}),
)
