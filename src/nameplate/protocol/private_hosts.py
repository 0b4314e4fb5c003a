"""Private hosts: names that the operator admits although they lead to special-use addresses (decision 3).

Each is declared one by one, with the network that it may resolve to and the ports. Only that name reaches that
network: a stranger's document at another name does not. Link-local, unspecified and multicast addresses and the
metadata services of clouds are never admitted, whatever the declared network covers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from nameplate.errors import ConfigurationError
from nameplate.protocol.addresses import METADATA_ADDRESSES, parse_address, unwrap_ipv4
from nameplate.protocol.host_names import find_host_name_fault, find_public_name_fault, is_internal_domain

__all__ = ["PrivateHost", "find_private_host", "is_admitted", "is_declared", "parse_private_host"]

_LOOPBACK_NETWORKS = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_NEVER_IPV4 = tuple(
    IPv4Network(network)
    for network in ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")  # unspecified, link-local, multicast
)
_NEVER_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "::/128",
        "fe80::/10",
        "ff00::/8",
        # What embeds an IPv4 address reaches that instead; declare the IPv4 network.
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
    )
)
_WIDEST_PREFIX = {
    4: 8,
    6: 7,
}  # 10.0.0.0/8 and fc00::/7: anything wider is no private network but a large part of the world


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateHost:
    """A declared private host.

    ``host`` is an exact name, or begins with a dot and stands for every name below it. ``network`` is the network that
    it may resolve to, ``ports`` the ports that may be dialled, ``address`` is dialled instead of asking DNS.
    """

    host: str
    network: str
    ports: tuple[int, ...]
    address: str | None = None

    @property
    def reaches_loopback(self) -> bool:
        """Whether the network holds loopback addresses; only where issuer and listener are loopback too (X4)."""
        network = _read_network(self.network)
        return network is not None and _is_overlapping(network, _LOOPBACK_NETWORKS)

    def is_name(self, host: str) -> bool:
        """Whether the host name is the declared one, or below the declared suffix."""
        if self.host.startswith("."):
            return host.endswith(self.host) and not host.startswith(".")
        return host == self.host


def parse_private_host(
    *, host: object, network: object, ports: object, address: object = None, setting: str = "fetch.private_hosts"
) -> PrivateHost:
    """A private host from configuration. Raises ``ConfigurationError``, which names the setting at fault."""
    name = _parse_host(host, f"{setting}.host")
    declared = _parse_network(network, f"{setting}.network")
    if not isinstance(ports, (list, tuple)) or not ports:
        raise ConfigurationError(f"{setting}.ports", "list at least one port")
    if not all(type(port) is int and 1 <= port <= 65535 for port in ports):
        raise ConfigurationError(f"{setting}.ports", "every port is a number between 1 and 65535")
    fixed = None
    if address is not None:
        fixed = str(address)
        parsed = parse_address(fixed)
        if parsed is None or not _is_in(parsed, declared) or _is_never_admitted(parsed):
            raise ConfigurationError(f"{setting}.address", f"not an admissible IP address in {declared}")
    return PrivateHost(host=name, network=str(declared), ports=tuple(ports), address=fixed)


def _parse_host(host: object, setting: str) -> str:
    if not isinstance(host, str):
        raise ConfigurationError(setting, "must be a host name in quotes")
    name = host.removeprefix(".")
    fault = find_host_name_fault(name)
    if fault is not None:
        raise ConfigurationError(setting, f"not a host name: {fault.problem}")
    public_fault = find_public_name_fault(name)
    if public_fault is not None and public_fault.reason == "ip_literal":
        raise ConfigurationError(setting, "an IP address is no name; a certificate and a person need a name")
    if host.startswith(".") and "." not in name and not is_internal_domain(name):
        raise ConfigurationError(setting, f"would admit every public name under .{name}; name at least two labels")
    return host


def _parse_network(network: object, setting: str) -> IPv4Network | IPv6Network:
    declared = _read_network(network) if isinstance(network, str) else None
    if declared is None:
        raise ConfigurationError(setting, "not a network such as 10.20.0.0/16, with no bits set beyond its prefix")
    if declared.prefixlen < _WIDEST_PREFIX[declared.version]:
        raise ConfigurationError(setting, "too wide to be one private network")
    never: tuple[IPv4Network, ...] | tuple[IPv6Network, ...] = _NEVER_IPV4 if declared.version == 4 else _NEVER_IPV6
    if any(_is_within(declared, one) for one in never):
        raise ConfigurationError(
            setting, "unspecified, link-local, multicast and IPv4-embedding addresses are never admitted"
        )
    if declared.num_addresses == 1 and declared.network_address in METADATA_ADDRESSES:
        raise ConfigurationError(setting, "a cloud's metadata service is never admitted")
    return declared


def find_private_host(private_hosts: Sequence[PrivateHost], host: str) -> PrivateHost | None:
    """The declaration that speaks for this host name: an exact one before suffixes, the longest suffix first."""
    named = [one for one in private_hosts if one.is_name(host)]
    return max(named, key=lambda one: (not one.host.startswith("."), len(one.host)), default=None)


def is_declared(private_hosts: Sequence[PrivateHost], host: str, port: int) -> bool:
    """Whether a declaration covers this host name and port; which addresses it may lead to, ``is_admitted`` says."""
    return any(port in one.ports and one.is_name(host) for one in private_hosts)


def is_admitted(private_hosts: Sequence[PrivateHost], host: str, port: int, address: str) -> bool:
    """Whether a declaration lets this host name be dialled at this port and address. False for what is no address."""
    parsed = parse_address(address)
    if parsed is None or _is_never_admitted(parsed):
        return False
    return any(port in one.ports and one.is_name(host) and _admits(one, parsed) for one in private_hosts)


def _admits(private_host: PrivateHost, address: IPv4Address | IPv6Address) -> bool:
    network = _read_network(private_host.network)
    if network is None or not _is_in(address, network):
        return False
    fixed = None if private_host.address is None else parse_address(private_host.address)
    return private_host.address is None or (fixed is not None and unwrap_ipv4(fixed) == unwrap_ipv4(address))


def _is_never_admitted(address: IPv4Address | IPv6Address) -> bool:
    reached = unwrap_ipv4(address)
    if reached in METADATA_ADDRESSES:
        return True
    if isinstance(reached, IPv4Address):
        return any(reached in network for network in _NEVER_IPV4)
    compatible = int(reached) >> 32 == 0 and int(reached) != 1  # ::a.b.c.d, RFC 4291 §2.5.5.1; ::1 is loopback
    return compatible or any(reached in network for network in _NEVER_IPV6)


def _is_in(address: IPv4Address | IPv6Address, network: IPv4Network | IPv6Network) -> bool:
    return unwrap_ipv4(address) in network


def _is_within(network: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return network.network_address in other and network.prefixlen >= other.prefixlen


def _is_overlapping(network: IPv4Network | IPv6Network, others: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(_is_within(network, other) or _is_within(other, network) for other in others)


@lru_cache(maxsize=256)
def _read_network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None
