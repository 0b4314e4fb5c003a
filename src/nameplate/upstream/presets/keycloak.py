"""Keycloak, and Red Hat's build of it.

It keeps to the standard. What there is to know: the issuer is the realm's URL, and neither groups nor roles are in an
ID token before a mapper puts them there (https://www.keycloak.org/docs/latest/server_admin/#_protocol-mappers). Groups
then are paths (``/staff``) unless the mapper's "Full group path" is off.
"""

from dataclasses import replace

from nameplate.upstream.presets.preset import OPENID_SCOPES, Preset, Shape, build_base, read_issuer, refuse
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import ProviderOptions

__all__ = ["PRESET", "build"]


def build(settings: UpstreamSettings) -> ProviderOptions:
    """A client of a realm."""
    issuer = read_issuer(settings)
    # https://www.keycloak.org/securing-apps/oidc-layers: /realms/{realm-name}, after /auth in versions before 17
    if "/realms/" not in issuer or issuer.endswith("/"):
        refuse(
            settings,
            "issuer",
            f"{issuer!r} is not a realm's URL: https://<host>/realms/<realm>, without a slash after.",
        )
    base = build_base(
        settings,
        Shape(
            kind="oidc",
            issuer=issuer,
            scopes=OPENID_SCOPES,
            auth_methods=("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
            # https://www.keycloak.org/docs/latest/server_admin/#_offline-access: outlives the person's session
            offline_scopes=("offline_access",),
        ),
    )
    return replace(base, groups_claim=settings.groups_claim or base.groups_claim)


def _is_organization(_settings: UpstreamSettings) -> bool:
    # https://www.keycloak.org/docs/latest/server_admin/#con-user-registration_server_administration_guide: a realm lets
    # nobody register before its administrator enables that.
    return True


PRESET = Preset(
    title="Keycloak",
    build=build,
    is_organization=_is_organization,
    members=frozenset({"issuer", "private_key_file", "allowed_groups", "groups_claim"}),
)
