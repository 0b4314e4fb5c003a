"""Where a request comes from, as budgets count it: the address, and the networks around it that one party may own.

An IPv6 customer is given a /64 at the least, often a /56, and for the asking a /48 (RFC 6177): budgets for single
addresses would be no budgets. In IPv4 the neighbours of an address can be strangers to it, so they are counted widely.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from nameplate.protocol.addresses import parse_address, unwrap_ipv4
from nameplate.protocol.token_bucket import TokenBuckets

__all__ = ["SourceBudget", "SourceNetwork", "list_source_networks"]

_MAX_HOST_CHARACTERS: Final = 64
_IPV4_NETWORKS: Final = ((32, 1), (24, 4))
_IPV6_NETWORKS: Final = ((64, 1), (56, 2), (48, 4))
_WIDTHS: Final = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class SourceNetwork:
    """A network that a request comes from. It may do ``width`` times what one address may."""

    name: str
    width: int


@lru_cache(1024)
def list_source_networks(host: str) -> tuple[SourceNetwork, ...]:
    """The networks of a peer, the narrowest first: address and /24, or the /64, /56 and /48 of an IPv6 address.

    What is no address (a socket, whatever a trusted proxy says) stands for itself, cut to 64 characters.
    """
    parsed = parse_address(host.partition("%")[0])
    if parsed is None:
        return (SourceNetwork(host[:_MAX_HOST_CHARACTERS], 1),)
    address = unwrap_ipv4(parsed)
    if isinstance(address, IPv4Address):
        return tuple(SourceNetwork(_name_network(address, length), width) for length, width in _IPV4_NETWORKS)
    return tuple(SourceNetwork(_name_network(address, length), width) for length, width in _IPV6_NETWORKS)


def _name_network(address: IPv4Address | IPv6Address, length: int) -> str:
    rest = address.max_prefixlen - length
    if not rest:
        return str(address)
    return f"{type(address)(int(address) >> rest << rest)}/{length}"


class SourceBudget:
    """How often one address may do something, and the networks around it together. Kept in memory, and bounded."""

    def __init__(self, *, burst: int, per_second: float) -> None:
        self._buckets = {
            width: TokenBuckets(burst=burst * width, per_second=per_second * width, remembered=16_384)
            for width in _WIDTHS
        }

    def spend(self, host: str, now: float) -> int | None:
        """Count one use by a peer, in all its networks or in none. None where it may go on, else the whole seconds
        after which it may.
        """
        networks = list_source_networks(host)
        wait = max(self._buckets[network.width].find_wait(network.name, now) for network in networks)
        if wait:
            return max(1, math.ceil(wait))
        for network in networks:
            self._buckets[network.width].take(network.name, now)
        return None
