"""Host names: their syntax, and which of them can be names on the public Internet.

No name is resolved here. Whether an address may be dialled is judged by ``addresses`` at the moment of dialling.
"""

import re

from nameplate.protocol.fault import Fault
from nameplate.protocol.idn import find_a_label_fault

__all__ = ["find_host_name_fault", "find_public_name_fault", "is_internal_domain"]

_LABEL = r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_TOP_LEVEL = re.compile(r"[a-z]{2,63}|xn--[a-z0-9\-]{1,58}[a-z0-9]")  # RFC 1123 §2.1: never numeric; RFC 5890 §2.3.2.1
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Top-level domains under which there is no public name.
_INTERNAL_DOMAINS = frozenset(
    {
        "alt",  # RFC 9476
        "arpa",  # RFC 3172, infrastructure: home.arpa, in-addr.arpa, service.arpa …
        "bitnet",  # never delegated, as are those without a note
        "consul",  # service discovery
        "corp",  # ICANN name collision, as are home and mail
        "csnet",
        "domain",
        "example",  # RFC 6761 §6.5
        "gateway",
        "home",
        "host-gateway",
        "i2p",
        "internal",  # ICANN, reserved for private use in 2024
        "intra",
        "intranet",
        "invalid",  # RFC 6761 §6.4
        "kubernetes",
        "lan",
        "local",  # RFC 6762 §3, multicast DNS
        "localdomain",
        "localhost",  # RFC 6761 §6.3
        "mail",
        "nomad",
        "onion",  # RFC 7686
        "pod",
        "private",
        "router",
        "svc",  # Kubernetes search suffix
        "test",  # RFC 6761 §6.2
        "uucp",
        "workgroup",
    }
)

_INTERNAL_NAME = Fault(reason="internal_name", problem="the host lies under a domain that the public Internet lacks")


def find_host_name_fault(host: str) -> Fault | None:
    """What is wrong with a host name, which must be lower case, in LDH labels. RFC 1123 §2.1, RFC 5891 §4.2.3.1."""
    if len(host) > 253 or not _NAME.fullmatch(host):
        return _explain_syntax(host)
    if "--" not in host:
        return None
    for label in host.split("."):
        if label.startswith("xn--"):
            fault = find_a_label_fault(label)
            if fault is not None:
                return fault
        elif label[2:4] == "--":
            return Fault(reason="host", problem="a label of the host has hyphens in its third and fourth place")
    return None


def _explain_syntax(host: str) -> Fault:
    if host != host.lower():
        return Fault(reason="host_case", problem="the host must be in lower case")
    if host.endswith("."):
        return Fault(reason="host_trailing_dot", problem="the host ends in a dot")
    if host.startswith("["):
        return Fault(reason="ip_literal", problem="the host is an IP address, not a name")
    return Fault(reason="host", problem="the host has an empty, overlong or malformed label, or is over 253 characters")


def find_public_name_fault(host: str) -> Fault | None:
    """Why a well-formed host name cannot be a name on the public Internet. RFC 6761, WHATWG URL "ends in a number"."""
    parent, _, top_level = host.rpartition(".")
    if parent and _TOP_LEVEL.fullmatch(top_level):
        return _INTERNAL_NAME if top_level in _INTERNAL_DOMAINS else None
    if _NUMBER.fullmatch(top_level):  # 127.1, 2130706433 and 0x7f.1 are addresses to some resolvers
        return Fault(reason="ip_literal", problem="the host is an IP address, or ends in a number and may pass for one")
    if not parent:
        return Fault(reason="single_label", problem="the host is a single label, which is no public name")
    return Fault(reason="host", problem="the host's last label is no top-level domain")


def is_internal_domain(domain: str) -> bool:
    """Whether no public name can lie under this domain (given without a leading dot)."""
    return domain.rpartition(".")[2] in _INTERNAL_DOMAINS
