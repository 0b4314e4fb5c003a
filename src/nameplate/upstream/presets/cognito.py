"""Amazon Cognito user pools.

Differences from the standard, and where they are documented:

- The issuer is the pool's URL at AWS, the endpoints are on the pool's own domain.
- There is no scope ``offline_access``; a refresh token always comes. A scope that the app client does not have is an
  error.
- Groups are in ``cognito:groups``; userinfo says ``email_verified`` as a text (``person`` takes both).
- There is no introspection, which is not needed here. Tokens are ended at ``/oauth2/revoke``, by their refresh token.
"""

import re
from dataclasses import replace

from nameplate.upstream.presets.preset import OPENID_SCOPES, Preset, Shape, build_base, read_domain, refuse
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import ProviderOptions

__all__ = ["PRESET", "build"]

_USER_POOL_ID = re.compile(r"([a-z]{2}(?:-[a-z]+)+-[0-9])_[A-Za-z0-9]{1,55}")


def build(settings: UpstreamSettings) -> ProviderOptions:
    """An app client of a user pool."""
    pool = settings.tenant or ""
    match = _USER_POOL_ID.fullmatch(pool)
    if match is None:
        refuse(settings, "tenant", "is required: the user pool id, such as eu-central-1_AbCdEfGhI.")
    if match[1].startswith("cn-"):
        refuse(settings, "tenant", "AWS China has other hosts; use type 'oidc' with the issuer of its metadata.")
    # https://docs.aws.amazon.com/cognito/latest/developerguide/federation-endpoints.html
    issuer = f"https://cognito-idp.{match[1]}.amazonaws.com/{pool}"
    base = build_base(
        settings,
        Shape(
            kind="oidc",
            issuer=issuer,
            # https://docs.aws.amazon.com/cognito/latest/developerguide/authorization-endpoint.html
            scopes=OPENID_SCOPES,
            # https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
            auth_methods=("client_secret_basic", "client_secret_post", "none"),
        ),
    )
    configured = replace(
        base,
        # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
        username_claims=("cognito:username", "email", "name"),
        display_name_claims=("name", "email", "cognito:username"),
        groups_claim=settings.groups_claim or "cognito:groups",
        id_token_algorithms=("RS256",),
    )
    return configured if settings.domain is None else _use_domain(configured, read_domain(settings))


def _use_domain(options: ProviderOptions, domain: str) -> ProviderOptions:
    """The metadata names one domain of the pool, which need not be the one that people should see."""
    site = f"https://{domain}"
    return replace(
        options,
        authorization_endpoint=f"{site}/oauth2/authorize",
        token_endpoint=f"{site}/oauth2/token",
        userinfo_endpoint=f"{site}/oauth2/userInfo",
        # https://docs.aws.amazon.com/cognito/latest/developerguide/revocation-endpoint.html
        revocation_endpoint=f"{site}/oauth2/revoke",
        jwks_uri=f"{options.issuer}/.well-known/jwks.json",
    )


def _is_organization(_settings: UpstreamSettings) -> bool:
    # https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-admin-create-user-policy.html: a pool
    # that accepts sign-up makes a profile for anyone who knows the app client's id.
    return False


PRESET = Preset(
    title="Amazon Cognito",
    build=build,
    is_organization=_is_organization,
    members=frozenset({"tenant", "domain", "allowed_groups", "groups_claim"}),
)
