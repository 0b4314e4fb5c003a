"""What an operator writes down about an identity provider: one ``[[upstreams]]`` table, before it was looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nameplate.protocol.person_claims import ClaimText
from nameplate.secret import Secret

__all__ = ["UpstreamSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """An identity provider in the configuration. What is None or empty is not set.

    ``type`` names the preset; ``name`` is our own name for it and part of the callback's path. Which of ``issuer``,
    ``tenant``, ``domain`` and ``base_url`` says where the provider is, depends on the preset; one that it has no use
    for is refused. ``scopes`` are asked for in addition to those that signing in needs. The ``…_claim`` members are
    names or paths of claims (``protocol.person_claims``).
    """

    name: str
    type: str
    client_id: str
    title: str = ""
    client_secret: Secret | None = None
    auth_method: str | None = None
    private_key_file: Path | None = None

    issuer: str | None = None
    tenant: str | None = None
    domain: str | None = None
    base_url: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = None
    revocation_endpoint: str | None = None

    scopes: tuple[str, ...] = ()
    audience: str | None = None
    extra_authorize_parameters: Mapping[str, str] = field(default_factory=dict)
    extra_token_parameters: Mapping[str, str] = field(default_factory=dict)
    passes_resource: bool = False

    allowed_emails: tuple[str, ...] | None = None
    allowed_email_domains: tuple[str, ...] | None = None
    allowed_groups: tuple[str, ...] | None = None
    allowed_claims: Mapping[str, tuple[ClaimText, ...]] | None = None
    allow_everybody: bool = False

    subject_claim: str | None = None
    username_claim: str | None = None
    display_name_claim: str | None = None
    email_claim: str | None = None
    email_verified_claim: str | None = None
    groups_claim: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)

    trusted_ca_file: Path | None = None
    deadline_seconds: float = 10
    keeps_tokens: bool = False
