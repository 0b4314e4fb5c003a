"""E-mail addresses of people, read so that none passes for another one.

They are compared byte for byte in the form given here. An identity provider's address is somebody's own text: case is
folded for ASCII letters only, because ``str.lower`` makes an ordinary k of U+212A, the sign for kelvin.
"""

from dataclasses import dataclass

from nameplate.protocol.fault import is_visible
from nameplate.protocol.host_names import find_host_name_fault

__all__ = ["EmailAddress", "read_email_address", "read_email_domain"]

_ADDRESS_CHARACTERS = 254  # RFC 5321 §4.5.3.1.3, without the angle brackets
_DOMAIN_CHARACTERS = 253
_FOLD = {ord(upper): upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
# RFC 5322 §3.2.3 specials and the blank: what a quoted local part is made of. "admin@corp.example"@evil.example is read
# in two ways by two readers, and nobody's real address needs them.
_SPECIALS = frozenset('()<>[]:;@\\," ')


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailAddress:
    """An address as it is compared: ASCII letters in lower case, the domain in A-labels without a trailing dot."""

    local_part: str
    domain: str


def read_email_address(text: str) -> EmailAddress | None:
    """The address, or None where it has another form than ``local@domain`` or is longer than RFC 5321 allows."""
    local_part, _, domain_text = text[: _ADDRESS_CHARACTERS + 1].rpartition("@")
    domain = read_email_domain(domain_text)
    if len(text) > _ADDRESS_CHARACTERS or not local_part or domain is None:
        return None
    if not is_visible(local_part) or not _SPECIALS.isdisjoint(local_part):
        return None
    return EmailAddress(local_part=local_part.translate(_FOLD), domain=domain)


def read_email_domain(text: str) -> str | None:
    """The domain in A-labels and lower case, or None where it is no host name. RFC 5891 §4.

    A label in Unicode is turned into its A-label and must be valid and canonical there (``idn``): so there is one
    spelling for each domain. An address literal (``[192.0.2.1]``) is no domain.
    """
    if len(text) > _DOMAIN_CHARACTERS:
        return None
    domain = ".".join(map(_build_a_label, text.translate(_FOLD).split(".")))
    return None if find_host_name_fault(domain) else domain


def _build_a_label(label: str) -> str:
    return label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
