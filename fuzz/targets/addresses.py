"""Addresses: any text is judged, and what is no address, or not an ordinary public one, is special-use.

Python's own tables never call an address private, loopback, link-local, multicast or unspecified that we let pass; an
IPv4 address is judged alike inside an IPv4-mapped and a NAT64 one; and in no other spelling does a verdict change.
"""

from ipaddress import IPv4Address, IPv6Address

from fuzz.inputs import read_text
from nameplate.protocol.addresses import (
    METADATA_ADDRESSES,
    find_special_use,
    is_special_use,
    parse_address,
    unwrap_ipv4,
)

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"127.0.0.1", b"169.254.169.254", b"10.", b"::ffff:", b"64:ff9b::", b"2002:", b"::1", b"fe80::", b"%eth0"),
    *(b"0x7f", b"2001:db8::", b"5efe:", b"fd00:ec2::254", b"0177.", b".", b":", b"[", b"]", b"\xd9\xa1"),
    *(b"93.184.215.14", b"/8"),
)

_NAT64 = 0x0064FF9B << 64  # 64:ff9b::/96 without its last 32 bits


def check(data: bytes) -> None:
    """Try one address."""
    text = read_text(data)
    row = find_special_use(text)
    assert is_special_use(text) is (row is not None)
    assert row is None or row.isascii()
    address = parse_address(text)
    if address is None:
        assert row is not None
        return
    assert text.isascii()
    assert find_special_use(str(address)) == row
    assert find_special_use(text.upper()) == row
    if row is None:
        _check_public(unwrap_ipv4(address))
    if isinstance(address, IPv4Address):
        for prefix in ("::ffff:", "64:ff9b::"):
            assert is_special_use(f"{prefix}{address}") is (row is not None)


def _check_public(address: IPv4Address | IPv6Address) -> None:
    assert address not in METADATA_ADDRESSES
    assert not address.is_loopback
    assert not address.is_link_local
    assert not address.is_multicast
    assert not address.is_unspecified
    if isinstance(address, IPv4Address):
        assert not address.is_private
    elif int(address) >> 32 != _NAT64:
        # Not is_private: some versions of Python call all of 2001::/23 so, where the registry has public rows.
        assert int(address) >> 125 == 1  # 2000::/3, global unicast
