"""Microsoft Entra ID, by its v2.0 endpoints.

Differences from the standard, and where they are documented:

- A tenant has its own issuer; ``common`` and ``organizations`` have a template for one.
- A person is ``oid`` within a tenant. ``sub`` is another one for each app registration.
- ``email`` is whatever a tenant's administrator typed; ``xms_edov`` says whether that tenant owns the domain.
- Beyond 200 groups, a token has only a hint that there are some (``sign_in_policy`` knows it).
- Scopes say for which API a token is (``api://…``), and a ``resource`` parameter is an error.
"""

import re
from dataclasses import replace

from nameplate.upstream.presets.preset import OPENID_SCOPES, Preset, Shape, build_base, read_base_url, refuse
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import TENANT_MARK, ProviderOptions

__all__ = ["PRESET", "build"]

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud: other clouds have other hosts
_GLOBAL_CLOUD = "https://login.microsoftonline.com"
# https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc: values of {tenant}. "consumers" is one tenant.
_CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
# https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-issuer: metadata that speaks for many
# tenants names https://login.microsoftonline.com/{tenantid}/v2.0, and {tenantid} is the token's tid.
_MANY_TENANTS = frozenset({"common", "organizations"})


def build(settings: UpstreamSettings) -> ProviderOptions:
    """The tenant, or the tenants, of an app registration."""
    tenant = _read_tenant(settings)
    cloud = read_base_url(settings, _GLOBAL_CLOUD)
    # https://github.com/microsoft/vscode/issues/254009: AADSTS901002, "The 'resource' request parameter is not
    # supported". https://learn.microsoft.com/entra/identity-platform/scopes-oidc: the scope names the API instead.
    for member in ("extra_authorize_parameters", "extra_token_parameters"):
        if "resource" in getattr(settings, member):
            refuse(settings, member, "Entra refuses resource; name the API in scopes: api://<its id>/<scope>.")
    base = build_base(
        settings,
        Shape(
            kind="oidc",
            issuer=f"{cloud}/{tenant}/v2.0",
            scopes=OPENID_SCOPES,  # oid is sent with profile only
            # https://learn.microsoft.com/entra/identity-platform/certificate-credentials: an assertion is signed by
            # PS256 with a certificate, whose thumbprint stands in its header. Ours are ES256 with a bare key.
            auth_methods=("client_secret_post", "client_secret_basic"),
            # https://learn.microsoft.com/entra/identity-platform/scopes-oidc#offline_access
            offline_scopes=("offline_access",),
        ),
    )
    return replace(
        base,
        issuer_template=f"{cloud}/{TENANT_MARK}/v2.0" if tenant in _MANY_TENANTS else None,
        # https://learn.microsoft.com/entra/identity-platform/userinfo: it takes tokens for Microsoft Graph only, and an
        # ID token has everything that it has.
        asks_userinfo=False,
        # https://learn.microsoft.com/entra/identity-platform/optional-claims-reference: auth_time is optional
        has_auth_time=False,
        # https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference: oid is immutable and never
        # reused; sub changes with the app registration, which operators make anew now and then.
        subject_claim="oid",
        # The same page: Entra sends no email_verified, and says never to rely on email. xms_edov (optional claim) is
        # true where the domain is verified for the very tenant of the account.
        email_verified_claim="xms_edov",
        groups_claim=settings.groups_claim or base.groups_claim,
    )


def _read_tenant(settings: UpstreamSettings) -> str:
    tenant = settings.tenant
    if tenant is None:
        refuse(settings, "tenant", "is required: the directory (tenant) id, or organizations, common or consumers.")
    if tenant == "consumers":
        return _CONSUMERS
    if tenant not in _MANY_TENANTS and not _GUID.fullmatch(tenant):
        # The issuer of contoso.onmicrosoft.com's metadata is the GUID, and an issuer must be known to the byte.
        refuse(settings, "tenant", f"{tenant!r} is no tenant id in lower case; copy the directory (tenant) id.")
    return tenant


def _is_organization(settings: UpstreamSettings) -> bool:
    return settings.tenant not in {*_MANY_TENANTS, "consumers", _CONSUMERS}


PRESET = Preset(
    title="Microsoft",
    build=build,
    is_organization=_is_organization,
    members=frozenset({"tenant", "base_url", "allowed_groups", "groups_claim"}),
)
