"""What a provider publishes about itself (OpenID Connect Discovery 1.0 §3, RFC 8414 §2, RFC 9207 §3). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

from nameplate.errors import UpstreamError
from nameplate.jose import SIGNATURE_ALGORITHMS
from nameplate.protocol.fault import build_quotation
from nameplate.upstream.provider import ProviderOptions, is_endpoint

__all__ = ["ProviderMetadata", "build_fixed_metadata", "build_metadata_urls", "read_metadata"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """Where a provider's endpoints are, and what it promises.

    ``sends_issuer`` is whether every answer to the browser has ``iss``. ``id_token_algorithms`` are those of the
    provider that can be verified here. ``auth_methods`` are those of its token endpoint, empty where it does not say.
    """

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None
    jwks_uri: str | None
    revocation_endpoint: str | None
    id_token_algorithms: frozenset[str]
    sends_issuer: bool = False
    auth_methods: tuple[str, ...] = ()


def build_metadata_urls(options: ProviderOptions) -> tuple[str, ...]:
    """Where the metadata may lie, the likelier place first.

    OpenID Connect Discovery §4 appends its suffix to the issuer, RFC 8414 §3.1 puts its own before the issuer's path.
    """
    if options.metadata_url is not None:
        return (options.metadata_url,)
    issuer = options.issuer.removesuffix("/")
    parts = urlsplit(issuer)
    appended = f"{issuer}/.well-known/openid-configuration"
    inserted = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}"
    return (appended, inserted) if options.kind == "oidc" else (inserted, appended)


def build_fixed_metadata(options: ProviderOptions) -> ProviderMetadata:
    """The metadata of a provider whose endpoints were all given: ``needs_metadata`` is False."""
    return _build_metadata({}, options)


def read_metadata(document: Mapping[str, object], options: ProviderOptions) -> ProviderMetadata:
    """The metadata in the document, endpoints that were given preferred. Raises ``UpstreamError`` ``server_error``.

    The document must name its issuer as it was configured, byte for byte (RFC 8414 §3.3): else one provider could speak
    for another.
    """
    expected = options.issuer_template or options.issuer
    # A multi-tenant provider has the template where it speaks for many, and its own issuer where it speaks for one.
    if document.get("issuer") not in (expected, options.issuer):  # compared, not hashed: it can be anything
        named = build_quotation(str(document.get("issuer")))
        _refuse(
            options,
            f"the metadata's issuer is {named}, and {expected!r} was configured: they must be equal byte for byte, and "
            "a trailing slash counts",
        )
    return _build_metadata(document, options)


def _build_metadata(document: Mapping[str, object], options: ProviderOptions) -> ProviderMetadata:
    is_oidc = options.kind == "oidc"
    return ProviderMetadata(
        authorization_endpoint=_read_needed(document, options, "authorization_endpoint"),
        token_endpoint=_read_needed(document, options, "token_endpoint"),
        userinfo_endpoint=_read_endpoint(document, options, "userinfo_endpoint")
        if is_oidc
        else _read_needed(document, options, "userinfo_endpoint"),
        jwks_uri=_read_needed(document, options, "jwks_uri") if is_oidc else None,
        revocation_endpoint=_read_endpoint(document, options, "revocation_endpoint"),
        id_token_algorithms=_read_algorithms(document, options) if is_oidc else frozenset(),
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        auth_methods=_read_texts(document, "token_endpoint_auth_methods_supported"),
    )


def _read_needed(document: Mapping[str, object], options: ProviderOptions, member: str) -> str:
    url = _read_endpoint(document, options, member)
    if url is None:
        _refuse(options, f"the metadata names no {member}; it can be given in the configuration")
    return url


def _read_endpoint(document: Mapping[str, object], options: ProviderOptions, member: str) -> str | None:
    """The endpoint; None where there is none. One that must not be used refuses the metadata: it would be a lie."""
    given = getattr(options, member)
    if isinstance(given, str):
        return given
    url = document.get(member)
    if url is None:
        return None
    if not isinstance(url, str) or not is_endpoint(url, options.issuer):
        _refuse(options, f"the metadata's {member} {build_quotation(str(url))} is no https URL")
    return url


def _read_algorithms(document: Mapping[str, object], options: ProviderOptions) -> frozenset[str]:
    """Algorithms for ID tokens: never ``none``, never one whose key would be a secret (RFC 8725 §3.1)."""
    named = options.id_token_algorithms or _read_texts(document, "id_token_signing_alg_values_supported")
    if not named:
        return SIGNATURE_ALGORITHMS  # the keys decide: each fits the algorithms of its kind only
    usable = frozenset(named) & SIGNATURE_ALGORITHMS
    if not usable:
        _refuse(options, f"of the metadata's ID token algorithms {build_quotation(' '.join(named))} none can be used")
    return usable


def _read_texts(document: Mapping[str, object], member: str) -> tuple[str, ...]:
    value = document.get(member)
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()


def _refuse(options: ProviderOptions, problem: str) -> NoReturn:
    raise UpstreamError(
        "server_error",
        "The identity provider's metadata cannot be used.",
        reason="upstream.metadata",
        detail=f"{options.name}: {problem}",
    )
