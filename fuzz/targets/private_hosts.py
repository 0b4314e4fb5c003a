"""Private hosts: any declaration is one, or ``ConfigurationError``; it admits its own name, network and ports only.

The first four lines declare: host, network, ports with spaces between, and an address (may be empty). Each further line
is an attempt: host, port and address with spaces between. Metadata services, link-local, unspecified and multicast
addresses are never admitted.
"""

from ipaddress import ip_network

from fuzz.inputs import read_lines
from nameplate.errors import ConfigurationError
from nameplate.protocol.addresses import METADATA_ADDRESSES, parse_address, unwrap_ipv4
from nameplate.protocol.private_hosts import (
    PrivateHost,
    find_private_host,
    is_admitted,
    is_declared,
    parse_private_host,
)

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b".corp.example", b"wiki.internal", b"localhost", b"10.0.0.0/8", b"127.0.0.0/8", b"fc00::/7", b"::1/128"),
    *(b"/32", b"0.0.0.0/0", b"169.254.169.254", b"::ffff:10.0.0.1", b"%1", b"443", b"8443", b"\n", b" ", b"."),
    *(b"/255.0.0.0",),
)


def check(data: bytes) -> None:
    """Try one declaration."""
    host, network, ports, address, *attempts = [*read_lines(data), "", "", ""]
    try:
        declared = parse_private_host(
            host=host, network=network, ports=_read_ports(ports), address=address or None, setting="hosts"
        )
    except ConfigurationError as error:
        assert error.setting.startswith("hosts.")
        return
    assert declared == parse_private_host(
        host=declared.host, network=declared.network, ports=declared.ports, address=declared.address
    )
    assert declared.reaches_loopback in (True, False)
    for attempt in attempts:
        name, _, rest = attempt.partition(" ")
        port, _, where = rest.partition(" ")
        _check_attempt(declared, name, int(port) if port.isascii() and port.isdigit() else 0, where)


def _read_ports(text: str) -> list[object]:
    return [int(port) if port.isascii() and port.isdigit() and len(port) < 9 else port for port in text.split(" ")]


def _check_attempt(declared: PrivateHost, name: str, port: int, where: str) -> None:
    if not is_admitted([declared], name, port, where):
        return
    assert is_declared([declared], name, port)
    assert find_private_host([declared], name) == declared
    assert name == declared.host or (declared.host.startswith(".") and name.endswith(declared.host))
    assert port in declared.ports
    parsed = parse_address(where)
    assert parsed is not None
    reached = unwrap_ipv4(parsed)
    assert reached in ip_network(declared.network)
    assert reached not in METADATA_ADDRESSES
    assert not reached.is_link_local
    assert not reached.is_multicast
    assert not reached.is_unspecified
    fixed = None if declared.address is None else parse_address(declared.address)
    assert fixed is None or unwrap_ipv4(fixed) == reached
