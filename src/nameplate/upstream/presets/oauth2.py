"""Any OAuth 2.0 server with an endpoint that says, in a JSON object, whose token it was shown."""

from dataclasses import replace

from nameplate.upstream.presets.preset import Preset, Shape, build_base, read_issuer, refuse
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import ProviderOptions

__all__ = ["PRESET", "build"]


def build(settings: UpstreamSettings) -> ProviderOptions:
    """The provider with these endpoints. ``issuer`` is what its people are known by: any URL of it that stays."""
    for member in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint"):
        if getattr(settings, member) is None:
            refuse(settings, member, "is required with type 'oauth2', which has no metadata to find it in.")
    if settings.subject_claim is None:
        # Where there is no standard, a wrong guess makes an identity of what people can change.
        refuse(settings, "subject_claim", "is required: the member of the userinfo answer that is the account's id.")
    base = build_base(
        settings,
        Shape(
            kind="oauth2",
            issuer=read_issuer(settings),
            scopes=(),
            auth_methods=("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
        ),
    )
    return replace(
        base,
        authorization_endpoint=settings.authorization_endpoint,
        token_endpoint=settings.token_endpoint,
        userinfo_endpoint=settings.userinfo_endpoint,
        revocation_endpoint=settings.revocation_endpoint,
        passes_resource=settings.passes_resource,
        subject_claim=settings.subject_claim,
        username_claims=(settings.username_claim,) if settings.username_claim else base.username_claims,
        display_name_claims=(settings.display_name_claim,) if settings.display_name_claim else base.display_name_claims,
        email_claim=settings.email_claim or base.email_claim,
        email_verified_claim=settings.email_verified_claim,
        groups_claim=settings.groups_claim,
    )


def _is_organization(_settings: UpstreamSettings) -> bool:
    return False  # whose accounts these are, only the operator knows


PRESET = Preset(
    title="Sign in",
    build=build,
    is_organization=_is_organization,
    members=frozenset(
        {
            *("issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "revocation_endpoint"),
            *("private_key_file", "passes_resource", "subject_claim", "username_claim", "display_name_claim"),
            *("email_claim", "email_verified_claim", "allowed_groups", "groups_claim"),
        }
    ),
)
