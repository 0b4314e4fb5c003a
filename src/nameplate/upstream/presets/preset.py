"""What a preset is, and what all presets do alike: read the settings and say which one is wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, get_args

from nameplate.errors import ConfigurationError
from nameplate.jose import SigningKey
from nameplate.protocol.host_names import find_host_name_fault
from nameplate.protocol.resource_metadata import check_identifier_url
from nameplate.protocol.scope import OFFLINE_ACCESS, is_scope_token
from nameplate.protocol.sign_in_policy import AllowedPeople
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import AuthMethod, ProviderOptions

__all__ = [
    "OPENID_SCOPES",
    "Preset",
    "Shape",
    "build_base",
    "read_allowed_people",
    "read_base_url",
    "read_domain",
    "read_issuer",
    "refuse",
]

OPENID_SCOPES = ("openid", "profile", "email")
"""What signing in asks of an OpenID provider: who it is, the name, the address (OpenID Connect Core §5.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One kind of provider. A module of this package that has a ``PRESET`` is one; ``type`` is the module's name.

    ``members`` are the settings that it has a use for, beside those that every provider has. ``is_organization`` is
    whether all accounts there are given out by the operator's own organization, so that nobody need be named.
    """

    title: str
    build: Callable[[UpstreamSettings], ProviderOptions]
    is_organization: Callable[[UpstreamSettings], bool]
    members: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a preset puts in for every operator: its protocol, where it is, and what is asked of it.

    ``auth_methods`` are those that the provider takes, the usual one first. ``offline`` is what gets a refresh token,
    where the operator keeps tokens.
    """

    kind: Literal["oidc", "oauth2"]
    issuer: str
    scopes: tuple[str, ...]
    auth_methods: tuple[AuthMethod, ...]
    offline_scopes: tuple[str, ...] = ()
    authorize_parameters: Mapping[str, str] | None = None


def build_base(settings: UpstreamSettings, shape: Shape) -> ProviderOptions:
    """The options of a provider without quirks. Raises ``ConfigurationError``."""
    for scope in settings.scopes:
        if not is_scope_token(scope):
            refuse(settings, "scopes", f"{scope!r} is not a scope token (RFC 6749 §3.3).")
    if OFFLINE_ACCESS in settings.scopes and not settings.keeps_tokens:
        refuse(settings, "scopes", "offline_access asks for a refresh token, and keeps_tokens is off.")
    offline = shape.offline_scopes if settings.keeps_tokens else ()
    auth_method = _choose_auth_method(settings, shape.auth_methods)
    return ProviderOptions(
        name=settings.name,
        title=settings.title or settings.name,
        kind=shape.kind,
        issuer=shape.issuer,
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        auth_method=auth_method,
        signing_key=_read_key(settings) if auth_method == "private_key_jwt" else None,
        scopes=tuple(dict.fromkeys((*shape.scopes, *offline, *settings.scopes))),
        authorize_parameters={**(shape.authorize_parameters or {}), **settings.extra_authorize_parameters},
        token_parameters=dict(settings.extra_token_parameters),
        keeps_tokens=settings.keeps_tokens,
        trusted_ca_file=None if settings.trusted_ca_file is None else str(settings.trusted_ca_file),
        deadline_seconds=settings.deadline_seconds,
    )


def _choose_auth_method(settings: UpstreamSettings, offered: tuple[AuthMethod, ...]) -> AuthMethod:
    known = {str(method): method for method in offered}
    default = "private_key_jwt" if settings.private_key_file and not settings.client_secret else offered[0]
    asked = settings.auth_method or default
    if asked not in get_args(AuthMethod):
        refuse(settings, "auth_method", f"{asked!r} is none of {', '.join(get_args(AuthMethod))}.")
    if asked not in known:
        refuse(
            settings, "auth_method", f"{settings.type} takes {', '.join(known)}, but not {asked} as it is done here."
        )
    if asked.startswith("client_secret") and settings.client_secret is None:
        refuse(settings, "client_secret", f"is required for {asked}, which is how {settings.type} knows its clients.")
    if not asked.startswith("client_secret") and settings.client_secret is not None:
        refuse(settings, "client_secret", f"is given, but {asked} has no use for it.")
    if (asked == "private_key_jwt") != (settings.private_key_file is not None):
        refuse(settings, "private_key_file", "goes with auth_method private_key_jwt, and with no other.")
    return known[asked]


def _read_key(settings: UpstreamSettings) -> SigningKey:
    file = settings.private_key_file
    try:
        return SigningKey.from_private_jwk("" if file is None else file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        refuse(settings, "private_key_file", f"{file} cannot be read: {type(error).__name__}.")
    except ConfigurationError as error:
        refuse(settings, "private_key_file", f"{file} {error.problem}.")


def read_allowed_people(settings: UpstreamSettings) -> AllowedPeople:
    """Who may sign in, as the settings say it."""
    return AllowedPeople(
        emails=settings.allowed_emails,
        email_domains=settings.allowed_email_domains,
        groups=settings.allowed_groups,
        claims=settings.allowed_claims,
        everybody=settings.allow_everybody,
    )


def read_domain(settings: UpstreamSettings) -> str:
    """The required ``domain``: a host name alone."""
    domain = settings.domain
    if domain is None:
        refuse(settings, "domain", f"is required with type {settings.type!r}.")
    if find_host_name_fault(domain) or "." not in domain:
        refuse(
            settings, "domain", f"{domain!r} is not a host name; write it alone and in lower case: login.example.com."
        )
    return domain


def read_issuer(settings: UpstreamSettings) -> str:
    """The required ``issuer``, as it stands: identifiers are compared byte for byte."""
    if settings.issuer is None:
        refuse(settings, "issuer", f"is required with type {settings.type!r}.")
    return _check_url(settings, "issuer", settings.issuer)


def read_base_url(settings: UpstreamSettings, default: str) -> str:
    """``base_url`` or the default: where a provider is that people can run themselves. Without a slash at its end."""
    if settings.base_url is None:
        return default
    if settings.base_url.endswith("/"):
        refuse(settings, "base_url", f"{settings.base_url!r} ends in a slash; leave it out.")
    return _check_url(settings, "base_url", settings.base_url)


def _check_url(settings: UpstreamSettings, member: str, url: str) -> str:
    try:
        check_identifier_url(member, url)
    except ConfigurationError as error:
        refuse(settings, member, f"{url!r} {error.problem}.")
    return url


def refuse(settings: UpstreamSettings, member: str, problem: str) -> NoReturn:
    """Raises ``ConfigurationError`` for one member of the provider's table."""
    raise ConfigurationError(f"upstreams.{settings.name}.{member}", problem)
