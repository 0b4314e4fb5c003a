"""What becomes of each member of a client metadata document: the table that the documentation is rendered from.

It lists every name of the IANA registry "OAuth Dynamic Client Registration Metadata" (RFC 7591 §4.1), those of OpenID
Connect Relying Party Metadata Choices, and those that real documents use without being registered. A member that is not
in the table is ignored (RFC 7591 §2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["MEMBER_FATES", "Fate", "MemberFate"]

Fate = Literal["verified", "used", "shown", "ignored", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFate:
    """What becomes of one member; ``sentence`` says the rest.

    ``verified``: compared with something we know. ``used``: decides what the client may do. ``shown``: to people, as a
    claim. ``ignored``: may say anything. ``refused``: its presence refuses the document.
    """

    fate: Fate
    sentence: str


_NO_LOGOUT = "Nobody is logged out through a client here; the URL is never fetched."
_NO_OPENID = "No ID tokens or UserInfo answers are issued."
_NO_REQUEST_OBJECT = "Request objects are not supported; a request that carries one is refused."
_NO_ENCRYPTION = "Nothing is encrypted to the client."
_NO_MTLS = "Certificates are not used to authenticate clients."
_NO_SIGNED_RESPONSE = "Responses are plain, not signed."
_NO_CIBA = "Backchannel authentication is not offered."
_ONLY_IN_REGISTRATION = "Belongs to a registration response, not to a document; says nothing here."
_PUBLISHED = "A published secret is none, and a document must not carry one (CIMD draft §4.1)."
_FEDERATION = "Belongs to OpenID Federation, which is not consulted."

_ROWS: tuple[tuple[Fate, str, tuple[str, ...]], ...] = (
    (
        "verified",
        "Must equal, byte for byte, the URL that the document was fetched from (CIMD draft §4).",
        ("client_id",),
    ),
    (
        "verified",
        (
            "At least one usable entry. An authorization request must name one of them exactly; only the port of a "
            "loopback http URI may differ. Entries that break a rule are dropped, a script-like scheme refuses the "
            "document."
        ),
        ("redirect_uris",),
    ),
    (
        "used",
        (
            "How the client authenticates: none or private_key_jwt. It must be among the plural member's values if "
            "both are there; if neither is, the method is none (CIMD draft §6). A shared-secret method refuses the "
            "document."
        ),
        ("token_endpoint_auth_method",),
    ),
    (
        "used",
        (
            "The methods that the client can use; any that this server performs too may be used. A shared-secret "
            "method refuses the document."
        ),
        ("token_endpoint_auth_methods_supported",),
    ),
    ("used", "The only algorithm accepted in the client's assertions.", ("token_endpoint_auth_signing_alg",)),
    (
        "used",
        (
            "authorization_code must be among them. A refresh token is issued if refresh_token is listed or the member "
            "is absent; other values are skipped."
        ),
        ("grant_types",),
    ),
    ("used", "code must be among them, or the member be absent; other values are skipped.", ("response_types",)),
    ("used", "Narrows what the client may be granted. Spaces around it are tolerated.", ("scope",)),
    (
        "used",
        (
            "Public keys for private_key_jwt. Private or symmetric keys, and several keys without kid, refuse the "
            "document; keys of unknown types are skipped."
        ),
        ("jwks",),
    ),
    (
        "used",
        "Where the public keys lie; fetched under the rules of the document itself. Not together with jwks.",
        ("jwks_uri",),
    ),
    (
        "shown",
        "Required by MCP. Shown as a claim below the host; characters that do not show are removed.",
        ("client_name",),
    ),
    (
        "shown",
        "Shown with its host if it is an https URL, else dropped. Never fetched.",
        ("client_uri", "policy_uri", "tos_uri"),
    ),
    ("shown", "Kept if it is an https URL. Never fetched: a monogram of the host stands in its place.", ("logo_uri",)),
    ("shown", "Kept for the operator. Never contacted.", ("contacts",)),
    ("shown", "Kept for the operator as a claim; identity is the URL alone.", ("software_id", "software_version")),
    (
        "shown",
        "web or native, kept as a claim. Whether a client is native is told by its redirect URIs.",
        ("application_type",),
    ),
    ("refused", _PUBLISHED, ("client_secret", "client_secret_expires_at", "registration_access_token")),
    ("ignored", _ONLY_IN_REGISTRATION, ("client_id_issued_at", "client_id_expires_at", "registration_client_uri")),
    (
        "ignored",
        "Not trusted, because no issuer is. Its claims must not carry secrets either (CIMD draft §4.1).",
        ("software_statement",),
    ),
    (
        "ignored",
        "Access tokens are bearer tokens here, whatever the document asks for.",
        ("dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens", "use_mtls_endpoint_aliases"),
    ),
    (
        "ignored",
        "Subjects are the same for every client; the URL is never fetched.",
        ("sector_identifier_uri", "subject_type", "subject_types_supported"),
    ),
    ("ignored", "Nothing is started at the client; the URL is never fetched.", ("initiate_login_uri",)),
    (
        "ignored",
        "How a person signs in is not the client's choice.",
        ("default_acr_values", "default_max_age", "require_auth_time"),
    ),
    (
        "ignored",
        "Describes a server, not a client. PKCE with S256 is required of every client.",
        ("code_challenge_methods_supported", "code_challenge_methods_used"),
    ),
    ("ignored", "Rich authorization requests are not offered.", ("authorization_details_types",)),
    ("ignored", "Pushed requests are not offered.", ("require_pushed_authorization_requests",)),
    (
        "ignored",
        "The singular member names the algorithm; without it, every supported one is accepted.",
        ("token_endpoint_auth_signing_alg_values_supported",),
    ),
    (
        "ignored",
        _NO_OPENID,
        (
            "claims_redirect_uris",
            "id_token_encrypted_response_alg",
            "id_token_encrypted_response_enc",
            "id_token_encryption_alg_values_supported",
            "id_token_encryption_enc_values_supported",
            "id_token_signed_response_alg",
            "id_token_signing_alg_values_supported",
            "userinfo_encrypted_response_alg",
            "userinfo_encrypted_response_enc",
            "userinfo_encryption_alg_values_supported",
            "userinfo_encryption_enc_values_supported",
            "userinfo_signed_response_alg",
            "userinfo_signing_alg_values_supported",
        ),
    ),
    (
        "ignored",
        _NO_REQUEST_OBJECT,
        (
            "request_object_encryption_alg",
            "request_object_encryption_alg_values_supported",
            "request_object_encryption_enc",
            "request_object_encryption_enc_values_supported",
            "request_object_signing_alg",
            "request_object_signing_alg_values_supported",
            "request_uris",
            "require_signed_request_object",
        ),
    ),
    (
        "ignored",
        _NO_LOGOUT,
        (
            "backchannel_logout_session_required",
            "backchannel_logout_uri",
            "frontchannel_logout_session_required",
            "frontchannel_logout_uri",
            "post_logout_redirect_uris",
        ),
    ),
    (
        "ignored",
        _NO_CIBA,
        (
            "backchannel_authentication_request_signing_alg",
            "backchannel_authentication_request_signing_alg_values_supported",
            "backchannel_client_notification_endpoint",
            "backchannel_token_delivery_mode",
            "backchannel_user_code_parameter",
        ),
    ),
    (
        "ignored",
        _NO_MTLS,
        (
            "tls_client_auth_san_dns",
            "tls_client_auth_san_email",
            "tls_client_auth_san_ip",
            "tls_client_auth_san_uri",
            "tls_client_auth_subject_dn",
        ),
    ),
    (
        "ignored",
        _NO_SIGNED_RESPONSE,
        (
            "authorization_signed_response_alg",
            "authorization_signing_alg_values_supported",
            "introspection_signed_response_alg",
            "introspection_signing_alg_values_supported",
        ),
    ),
    (
        "ignored",
        _NO_ENCRYPTION,
        (
            "authorization_encrypted_response_alg",
            "authorization_encrypted_response_enc",
            "authorization_encryption_alg_values_supported",
            "authorization_encryption_enc_values_supported",
            "introspection_encrypted_response_alg",
            "introspection_encrypted_response_enc",
            "introspection_encryption_alg_values_supported",
            "introspection_encryption_enc_values_supported",
            "nfv_token_encrypted_response_alg",
            "nfv_token_encrypted_response_enc",
            "nfv_token_signed_response_alg",
        ),
    ),
    (
        "ignored",
        _FEDERATION,
        (
            "client_registration_types",
            "description",
            "display_name",
            "information_uri",
            "keywords",
            "organization_name",
            "organization_uri",
            "signed_jwks_uri",
        ),
    ),
    (
        "ignored",
        "Verifiable presentations are not asked for.",
        ("encrypted_response_enc_values_supported", "vp_formats_supported"),
    ),
)

MEMBER_FATES: Mapping[str, MemberFate] = MappingProxyType(
    {name: MemberFate(fate=fate, sentence=sentence) for fate, sentence, names in _ROWS for name in names}
)
"""Member → what becomes of it."""
