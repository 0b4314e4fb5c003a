"""Who a provider's claims speak of. Pure; what is said here is the provider's word, cut to what can be shown."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from nameplate.errors import UpstreamError
from nameplate.protocol.email_address import read_email_address
from nameplate.protocol.fault import is_blank, is_visible
from nameplate.protocol.person_claims import read_claim
from nameplate.upstream.port import UpstreamPerson

__all__ = ["ClaimNames", "merge_claims", "read_person"]

SUBJECT_CHARACTERS = 255  # OpenID Connect Core §2
_NAME_CHARACTERS = 200
_GROUP_CHARACTERS = 256
_GROUPS = 1000
# OpenID Connect Core §2, RFC 7519 §4.1: of the token and of the act of signing in, not of the person.
_SIGN_IN_CLAIMS = frozenset(
    {
        *("iss", "sub", "aud", "exp", "iat", "nbf", "jti"),
        *("acr", "amr", "at_hash", "auth_time", "azp", "c_hash", "nonce", "sid"),
    }
)


class ClaimNames(Protocol):
    """Where a provider's claims have what. ``ProviderOptions`` is one."""

    @property
    def subject_claim(self) -> str:
        """Of the stable id."""

    @property
    def username_claims(self) -> tuple[str, ...]:
        """Of the name to show beside the account; the first that there is."""

    @property
    def display_name_claims(self) -> tuple[str, ...]:
        """Of the person's name; the first that there is."""

    @property
    def email_claim(self) -> str:
        """Of the e-mail address."""

    @property
    def email_verified_claim(self) -> str | None:
        """Of whether the provider verified that address; None where it never says."""

    @property
    def groups_claim(self) -> str | None:
        """Of the groups; None where there are none."""


def read_person(claims: Mapping[str, object], issuer: str, names: ClaimNames) -> UpstreamPerson:
    """The person of these claims, which are known to be ``issuer``'s.

    Only the subject must be there: a text, or a whole number (GitHub has those). Raises ``UpstreamError``
    ``server_error``.
    """
    subject = _read_subject(read_claim(claims, names.subject_claim))
    username = _find_text(claims, names.username_claims) or subject
    email = _read_email(read_claim(claims, names.email_claim))
    return UpstreamPerson(
        issuer=issuer,
        subject=subject,
        username=username[:_NAME_CHARACTERS],
        display_name=_find_text(claims, names.display_name_claims) or username[:_NAME_CHARACTERS],
        email=email,
        email_verified=email is not None and _is_verified(claims, names.email_verified_claim),
        groups=_read_groups(None if names.groups_claim is None else read_claim(claims, names.groups_claim)),
        claims=MappingProxyType(dict(claims)),
    )


def merge_claims(
    signed: Mapping[str, object], userinfo: Mapping[str, object], names: ClaimNames
) -> Mapping[str, object]:
    """An ID token's claims, filled up by what the userinfo endpoint says of the person.

    What was signed is never replaced, and what an ID token says of the sign-in is taken from nowhere else.
    """
    added = {name: value for name, value in userinfo.items() if name not in _SIGN_IN_CLAIMS}
    merged = {**added, **signed}
    email, verified = names.email_claim, names.email_verified_claim
    # Whether an address is verified is said of that address, and of no other that the second source has.
    is_other = email in signed and userinfo.get(email) != signed[email]
    if verified is not None and verified not in signed and is_other:
        merged.pop(verified, None)
    return merged


def _read_subject(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= SUBJECT_CHARACTERS:
        raise UpstreamError(
            "server_error",
            "The identity provider did not say who signed in.",
            reason="upstream.subject_missing",
            detail=f"the subject is missing, empty, longer than {SUBJECT_CHARACTERS} characters, or no text",
        )
    if not is_visible(value) or is_blank(value):
        raise UpstreamError(
            "server_error",
            "The identity provider did not say who signed in.",
            reason="upstream.subject_missing",
            detail="the subject has characters that do not show",
        )
    return value


def _find_text(claims: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = read_claim(claims, name)
        if isinstance(value, str):
            # A person can put anything into such a claim; control characters and overrides must not reach a page.
            shown = "".join(char for char in value[:_NAME_CHARACTERS] if is_visible(char)).strip()
            if shown:
                return shown
    return None


def _read_email(value: object) -> str | None:
    """The address as the provider writes it; None for what is none."""
    return value if isinstance(value, str) and read_email_address(value) is not None else None


def _is_verified(claims: Mapping[str, object], name: str | None) -> bool:
    """OpenID Connect Core §5.1 has a truth value; Cognito and others send the text."""
    value = None if name is None else read_claim(claims, name)
    return value is True or value == "true"


def _read_groups(value: object) -> tuple[str, ...]:
    """Names of groups, without repeats; what is no text is left out, for nothing can be allowed by it."""
    entries = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    texts = (entry for entry in entries[:_GROUPS] if isinstance(entry, str) and 0 < len(entry) <= _GROUP_CHARACTERS)
    return tuple(dict.fromkeys(texts))
