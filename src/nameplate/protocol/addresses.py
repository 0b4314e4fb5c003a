"""Which IP addresses are special-use: not reachable on the public Internet, or not what they seem (CIMD draft §9.6).

The tables follow the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), seen 2026-11. Only the code that
dials asks, with the address that it is about to dial. ``ipaddress.is_global`` is no substitute: it differs between
versions of Python and does not look inside transition addresses.
"""

from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

__all__ = ["METADATA_ADDRESSES", "find_special_use", "is_special_use", "parse_address", "unwrap_ipv4"]


class _Row(NamedTuple):
    """A row of a registry. ``first`` and ``last`` are the block's bounds; ``is_special`` is our verdict."""

    first: int
    last: int
    name: str
    is_special: bool


# What clouds answer on, from inside only. The first two lie outside every registry row or in ranges that operators use.
METADATA_ADDRESSES = frozenset(
    {
        IPv4Address("168.63.129.16"),  # Azure WireServer: public space, but answered by the host itself
        IPv4Address("100.100.100.200"),  # Alibaba Cloud
        IPv4Address("169.254.169.254"),  # AWS, Azure, Google and most others
        IPv4Address("169.254.170.2"),  # AWS ECS credentials
        IPv4Address("192.0.0.192"),  # Oracle Cloud
        IPv6Address("fd00:ec2::23"),  # AWS EKS pod identity
        IPv6Address("fd00:ec2::254"),  # AWS
        IPv6Address("fd20:ce::254"),  # Google Cloud
    }
)

# block, name in the registry, its RFC, whether we refuse it. The longest matching block decides.
_IPV4_BLOCKS = (
    ("0.0.0.0/8", "This network, RFC 791", True),
    ("0.0.0.0/32", "This host on this network, RFC 1122", True),
    ("10.0.0.0/8", "Private-Use, RFC 1918", True),
    ("100.64.0.0/10", "Shared Address Space, RFC 6598", True),
    ("127.0.0.0/8", "Loopback, RFC 1122", True),
    ("168.63.129.16/32", "Azure WireServer, no registry", True),
    ("169.254.0.0/16", "Link Local, RFC 3927", True),
    ("172.16.0.0/12", "Private-Use, RFC 1918", True),
    ("192.0.0.0/24", "IETF Protocol Assignments, RFC 6890", True),
    ("192.0.0.0/29", "IPv4 Service Continuity Prefix, RFC 7335", True),
    ("192.0.0.8/32", "IPv4 dummy address, RFC 7600", True),
    # Globally reachable by the registry, but an anycast that the operator's own network answers.
    ("192.0.0.9/32", "Port Control Protocol Anycast, RFC 7723", True),
    ("192.0.0.10/32", "TURN Anycast, RFC 8155", True),
    ("192.0.0.170/32", "NAT64/DNS64 Discovery, RFC 8880", True),
    ("192.0.0.171/32", "NAT64/DNS64 Discovery, RFC 8880", True),
    ("192.0.2.0/24", "Documentation (TEST-NET-1), RFC 5737", True),
    ("192.31.196.0/24", "AS112-v4, RFC 7535", False),
    ("192.52.193.0/24", "AMT, RFC 7450", False),
    ("192.88.99.0/24", "Deprecated (6to4 Relay Anycast), RFC 7526", True),
    ("192.88.99.2/32", "6a44-relay anycast address, RFC 6751", True),
    ("192.168.0.0/16", "Private-Use, RFC 1918", True),
    ("192.175.48.0/24", "Direct Delegation AS112 Service, RFC 7534", False),
    ("198.18.0.0/15", "Benchmarking, RFC 2544", True),
    ("198.51.100.0/24", "Documentation (TEST-NET-2), RFC 5737", True),
    ("203.0.113.0/24", "Documentation (TEST-NET-3), RFC 5737", True),
    ("224.0.0.0/4", "Multicast, RFC 5771", True),
    ("240.0.0.0/4", "Reserved, RFC 1112", True),
    ("255.255.255.255/32", "Limited Broadcast, RFC 8190", True),
)
_IPV6_BLOCKS = (
    ("::/0", "outside 2000::/3, the global unicast space, RFC 4291", True),
    ("::/96", "IPv4-compatible (deprecated), RFC 4291", True),
    ("::/128", "Unspecified Address, RFC 4291", True),
    ("::1/128", "Loopback Address, RFC 4291", True),
    ("::ffff:0:0/96", "IPv4-mapped Address, RFC 4291", True),  # judged by the IPv4 address instead
    ("::ffff:0:0:0/96", "IPv4-translated (deprecated), RFC 2765", True),
    ("64:ff9b::/96", "IPv4-IPv6 Translation, RFC 6052", True),  # judged by the IPv4 address instead
    ("64:ff9b:1::/48", "IPv4-IPv6 Translation (local use), RFC 8215", True),
    ("100::/64", "Discard-Only Address Block, RFC 6666", True),
    ("100:0:0:1::/64", "Dummy IPv6 Prefix, RFC 9780", True),
    ("2000::/3", "global unicast, RFC 4291", False),
    ("2001::/23", "IETF Protocol Assignments, RFC 2928", True),
    ("2001::/32", "TEREDO, RFC 4380", True),  # whatever it embeds: the tunnel ends where we cannot see
    ("2001:1::1/128", "Port Control Protocol Anycast, RFC 7723", True),
    ("2001:1::2/128", "TURN Anycast, RFC 8155", True),
    ("2001:1::3/128", "DNS-SD Service Registration Protocol Anycast, RFC 9665", True),
    ("2001:2::/48", "Benchmarking, RFC 5180", True),
    ("2001:3::/32", "AMT, RFC 7450", False),
    ("2001:4:112::/48", "AS112-v6, RFC 7535", False),
    ("2001:10::/28", "Deprecated (ORCHID), RFC 4843", True),
    # Globally reachable by the registry, but identifiers that no route leads to (RFC 7343 §2, RFC 9374 §3).
    ("2001:20::/28", "ORCHIDv2, RFC 7343", True),
    ("2001:30::/28", "Drone Remote ID Protocol Entity Tags, RFC 9374", True),
    ("2001:db8::/32", "Documentation, RFC 3849", True),
    ("2002::/16", "6to4 (deprecated), RFC 3056 and RFC 7526", True),
    ("2620:4f:8000::/48", "Direct Delegation AS112 Service, RFC 7534", False),
    ("3fff::/20", "Documentation, RFC 9637", True),
    ("5f00::/16", "Segment Routing (SRv6) SIDs, RFC 9602", True),
    ("fc00::/7", "Unique-Local, RFC 4193", True),
    ("fe80::/10", "Link-Local Unicast, RFC 4291", True),
    ("fec0::/10", "Site-Local (deprecated), RFC 3879", True),
    ("ff00::/8", "Multicast, RFC 4291", True),
)


def _rows(networks: list[tuple[IPv4Network | IPv6Network, str, bool]]) -> tuple[_Row, ...]:
    """Longest prefix first, so that the first match is the row that decides."""
    networks.sort(key=lambda one: -one[0].prefixlen)
    return tuple(
        _Row(int(network[0]), int(network[-1]), f"{network} {name}", is_special)
        for network, name, is_special in networks
    )


_IPV4_ROWS = _rows([(IPv4Network(block), name, is_special) for block, name, is_special in _IPV4_BLOCKS])
_IPV6_ROWS = _rows([(IPv6Network(block), name, is_special) for block, name, is_special in _IPV6_BLOCKS])

_IPV4_MAPPED = 0xFFFF  # ::ffff:0:0/96, the first 96 bits
_NAT64 = 0x0064FF9B << 64  # 64:ff9b::/96, likewise
_ISATAP = (0x00005EFE, 0x02005EFE)  # RFC 5214 §6.1, bits 64 to 95; the universal/local bit may be set


def is_special_use(address: str) -> bool:
    """Whether the address, in text, is special-use. What is no address, or has a zone id, is too. CIMD draft §9.6."""
    return find_special_use(address) is not None


def find_special_use(address: str) -> str | None:
    """The registry row that makes the address special-use, for the log, or None where it is an ordinary public one."""
    parsed = parse_address(address)
    if parsed is None:
        return "not an IP address"
    if isinstance(parsed, IPv4Address):
        return _find_row(int(parsed), _IPV4_ROWS)
    value = int(parsed)
    if value >> 32 in {_IPV4_MAPPED, _NAT64}:  # the packet ends at the IPv4 address: RFC 4291 §2.5.5.2, RFC 6052 §2.1
        row = _find_row(value & 0xFFFFFFFF, _IPV4_ROWS)
        return row and f"embeds {row}"
    row = _find_row(value, _IPV6_ROWS)
    if row is None and (value >> 32) & 0xFFFFFFFF in _ISATAP:  # reaches IPv4 on hosts with an ISATAP interface
        row = _find_row(value & 0xFFFFFFFF, _IPV4_ROWS)
        return row and f"ISATAP embeds {row}"
    return row


def _find_row(value: int, rows: tuple[_Row, ...]) -> str | None:
    for row in rows:
        if row.first <= value <= row.last:
            return row.name if row.is_special else None
    return None


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that the text is in its usual notation, or None: no zone ids, octal, hexadecimal or short forms."""
    if "%" in text:  # a zone id changes which socket an address means (RFC 4007 §11)
        return None
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        return None


def unwrap_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv4-mapped one (RFC 4291 §2.5.5.2), which reaches the same host; else the address."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
