"""Google, for Workspace organizations and for everybody.

Differences from the standard, and where they are documented:

- A refresh token is asked for by ``access_type=offline``, and comes only when the person consents (``prompt=consent``).
- ``hd`` in the request is a hint for Google's page; ``hd`` in the ID token says in whose organization the account is.
- ``email_verified`` says that the address was the person's once. Google answers for it today only where it is a
  Gmail address or ``hd`` is there.
- There are no groups.
"""

from collections.abc import Mapping
from dataclasses import replace

from nameplate.errors import UpstreamError
from nameplate.protocol.email_address import read_email_address, read_email_domain
from nameplate.upstream.person import ClaimNames, read_person
from nameplate.upstream.port import UpstreamPerson
from nameplate.upstream.presets.preset import OPENID_SCOPES, Preset, Shape, build_base, read_domain, refuse
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import ProviderOptions, ReadPerson

__all__ = ["PRESET", "build"]

# https://developers.google.com/identity/openid-connect/reference: the issuer; "accounts.google.com" is of the past
_ISSUER = "https://accounts.google.com"
# https://developers.google.com/identity/protocols/oauth2/web-server#offline and #creatingclient
_OFFLINE_PARAMETERS = {"access_type": "offline", "prompt": "consent"}
_GMAIL = "gmail.com"


def build(settings: UpstreamSettings) -> ProviderOptions:
    """Google; with ``domain``, one organization there."""
    domain = None if settings.domain is None else read_domain(settings)
    if "hd" in settings.extra_authorize_parameters:
        refuse(settings, "extra_authorize_parameters", "hd is only a hint; set domain, which is checked as well.")
    base = build_base(
        settings,
        Shape(
            kind="oidc",
            issuer=_ISSUER,
            scopes=OPENID_SCOPES,
            # https://developers.google.com/identity/openid-connect/openid-connect#exchangecode: in the body
            auth_methods=("client_secret_post", "client_secret_basic"),
            authorize_parameters={
                **(_OFFLINE_PARAMETERS if settings.keeps_tokens else {}),
                **({} if domain is None else {"hd": domain}),
            },
        ),
    )
    return replace(
        base,
        asks_userinfo=False,  # the ID token has all claims, and hd is believed from there only
        has_auth_time=False,  # it is not in the reference's list of claims that are always there
        username_claims=("email", "name"),
        groups_claim=None,
        read_person=_build_reader(domain),
    )


def _build_reader(domain: str | None) -> ReadPerson:
    def read(claims: Mapping[str, object], issuer: str, names: ClaimNames) -> UpstreamPerson:
        hosted = claims.get("hd")
        # https://developers.google.com/identity/openid-connect/openid-connect#hd-param: the parameter can be edited in
        # the browser, so the claim must be compared.
        if domain is not None and (not isinstance(hosted, str) or read_email_domain(hosted) != domain):
            raise UpstreamError(
                "access_denied",
                "This account does not belong to the organization whose accounts may sign in here.",
                reason="upstream.wrong_organization",
                detail=f"the ID token's hd is not {domain}",
            )
        person = read_person(claims, issuer, names)
        return person if _is_authoritative(person) else replace(person, email_verified=False)

    return read


def _is_authoritative(person: UpstreamPerson) -> bool:
    """https://developers.google.com/identity/gsi/web/guides/verify-google-id-token: for other addresses, whoever left
    a company keeps the account with that company's address, verified long ago.
    """
    address = None if person.email is None else read_email_address(person.email)
    hosted = person.claims.get("hd")
    return address is not None and (address.domain == _GMAIL or (isinstance(hosted, str) and hosted != ""))


def _is_organization(settings: UpstreamSettings) -> bool:
    return settings.domain is not None


PRESET = Preset(title="Google", build=build, is_organization=_is_organization, members=frozenset({"domain"}))
