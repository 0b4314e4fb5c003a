"""GitLab, on gitlab.com and self-managed.

Differences from the standard, and where they are documented:

- The ID token lists ``groups_direct``, the userinfo endpoint ``groups`` with those that are inherited. We take the
  latter unless ``groups_claim`` says otherwise.
- There is no scope ``offline_access``; a refresh token always comes.
"""

from dataclasses import replace

from nameplate.upstream.presets.preset import OPENID_SCOPES, Preset, Shape, build_base, read_base_url
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import ProviderOptions

__all__ = ["PRESET", "build"]

_GITLAB = "https://gitlab.com"


def build(settings: UpstreamSettings) -> ProviderOptions:
    """An application of a GitLab instance."""
    base = build_base(
        settings,
        Shape(
            kind="oidc",
            # https://docs.gitlab.com/integration/openid_connect_provider#settings-discovery
            issuer=read_base_url(settings, _GITLAB),
            # The same page, "Shared information": email and email_verified come with the scope email only
            scopes=OPENID_SCOPES,
            # https://docs.gitlab.com/api/oauth2#authorization-code-flow: in the body. No offline_access: a refresh
            # token comes with every code.
            auth_methods=("client_secret_post", "client_secret_basic"),
        ),
    )
    return replace(
        base,
        username_claims=("preferred_username", "nickname", "email"),
        groups_claim=settings.groups_claim or base.groups_claim,
    )


def _is_organization(_settings: UpstreamSettings) -> bool:
    # https://docs.gitlab.com/administration/settings/sign_up_restrictions: by default anybody can sign up
    return False


PRESET = Preset(
    title="GitLab",
    build=build,
    is_organization=_is_organization,
    members=frozenset({"base_url", "allowed_groups", "groups_claim"}),
)
