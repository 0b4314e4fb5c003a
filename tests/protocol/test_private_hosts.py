"""Private hosts: what may be declared, and that a declaration admits that and nothing beside it."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ConfigurationError
from nameplate.protocol.addresses import METADATA_ADDRESSES
from nameplate.protocol.private_hosts import (
    PrivateHost,
    find_private_host,
    is_admitted,
    is_declared,
    parse_private_host,
)

CLIENT = PrivateHost(host="client.internal", network="10.20.0.0/16", ports=(443, 8443))
BELOW = PrivateHost(host=".clients.test", network="fd12::/16", ports=(443,))
LOCAL = PrivateHost(host="localhost", network="127.0.0.0/8", ports=(9443,), address="127.0.0.5")
ALL = (CLIENT, BELOW, LOCAL)


def test_a_declaration_is_read_as_it_stands() -> None:
    assert parse_private_host(host="client.internal", network="10.20.0.0/16", ports=[443, 8443]) == CLIENT
    assert parse_private_host(host="localhost", network="127.0.0.0/8", ports=(9443,), address="127.0.0.5") == LOCAL


@pytest.mark.parametrize(
    ("declared", "member"),
    [
        ({"host": 5}, "host"),
        ({"host": ""}, "host"),
        ({"host": "."}, "host"),
        ({"host": "127.0.0.1"}, "host"),
        ({"host": "[::1]"}, "host"),
        ({"host": "::1"}, "host"),
        ({"host": "2130706433"}, "host"),
        ({"host": "Client.internal"}, "host"),
        ({"host": "client.internal."}, "host"),
        ({"host": "*.internal"}, "host"),
        ({"host": "a b"}, "host"),
        ({"host": ".com"}, "host"),
        ({"host": ".mycompany"}, "host"),
        ({"network": 5}, "network"),
        ({"network": ""}, "network"),
        ({"network": "10.20.0.1/16"}, "network"),
        ({"network": "0.0.0.0/0"}, "network"),
        ({"network": "::/0"}, "network"),
        ({"network": "10.0.0.0/7"}, "network"),
        ({"network": "169.254.0.0/16"}, "network"),
        ({"network": "169.254.169.254"}, "network"),
        ({"network": "168.63.129.16/32"}, "network"),
        ({"network": "fd00:ec2::254/128"}, "network"),
        ({"network": "fe80::/10"}, "network"),
        ({"network": "::/128"}, "network"),
        ({"network": "0.0.0.0/8"}, "network"),
        ({"network": "224.0.0.0/8"}, "network"),
        ({"network": "ff02::/16"}, "network"),
        ({"network": "::ffff:10.0.0.0/104"}, "network"),
        ({"network": "64:ff9b::/96"}, "network"),
        ({"ports": []}, "ports"),
        ({"ports": None}, "ports"),
        ({"ports": [0]}, "ports"),
        ({"ports": [65536]}, "ports"),
        ({"ports": [True]}, "ports"),
        ({"ports": ["443"]}, "ports"),
        ({"address": "10.21.0.1"}, "address"),
        ({"address": "client.internal"}, "address"),
        ({"address": 5}, "address"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused_by_its_member(declared: dict[str, object], member: str) -> None:
    valid: dict[str, Any] = {"host": "client.internal", "network": "10.20.0.0/16", "ports": [443], "address": None}
    with pytest.raises(ConfigurationError) as caught:
        parse_private_host(**{**valid, **declared})
    assert caught.value.setting == f"fetch.private_hosts.{member}"


@pytest.mark.parametrize(
    "host", ["localhost", "app", "client.internal", "app.example.com", ".clients.test", ".internal", ".acme.com"]
)
def test_names_that_dns_has_inside_may_be_declared(host: str) -> None:
    assert parse_private_host(host=host, network="10.0.0.0/8", ports=[443]).host == host


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("client.internal", 443, "10.20.0.1"),
        ("client.internal", 8443, "10.20.255.255"),
        ("client.internal", 443, "::ffff:10.20.0.1"),
        ("a.clients.test", 443, "fd12::1"),
        ("b.a.clients.test", 443, "fd12:ffff::1"),
        ("localhost", 9443, "127.0.0.5"),
    ],
)
def test_the_declared_name_reaches_its_network(host: str, port: int, address: str) -> None:
    assert is_admitted(ALL, host, port, address)


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("client.internal", 444, "10.20.0.1"),
        ("client.internal", 443, "10.21.0.1"),
        ("client.internal", 443, "fd12::1"),
        ("client.internal", 443, "127.0.0.1"),
        ("client.internal", 443, "93.184.215.14"),
        ("Client.internal", 443, "10.20.0.1"),
        ("client.internal.", 443, "10.20.0.1"),
        ("x.client.internal", 443, "10.20.0.1"),
        ("clients.test", 443, "fd12::1"),
        (".clients.test", 443, "fd12::1"),
        ("evilclients.test", 443, "fd12::1"),
        ("a.clients.test.evil.com", 443, "fd12::1"),
        ("localhost", 9443, "127.0.0.1"),
        ("evil.com", 9443, "127.0.0.5"),
        ("client.internal", 443, "10.20.0.1%eth0"),
        ("client.internal", 443, "not an address"),
        ("client.internal", 443, "2002:a14:1::"),
    ],
)
def test_nothing_else_is_admitted(host: str, port: int, address: str) -> None:
    assert not is_admitted(ALL, host, port, address)


NEVER = [
    "169.254.1.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "ff02::1",
    "::7f00:1",
    "::ffff:169.254.169.254",
]


@pytest.mark.parametrize("address", [*NEVER, *sorted(map(str, METADATA_ADDRESSES))])
def test_some_addresses_are_never_admitted_whatever_is_declared(address: str) -> None:
    wide = [PrivateHost(host="h.test", network=network, ports=(443,)) for network in ("0.0.0.0/0", "::/0", "fd00::/8")]
    assert not is_admitted(wide, "h.test", 443, address)
    assert not is_admitted([PrivateHost(host="h.test", network=f"{address}", ports=(443,))], "h.test", 443, address)


@given(st.text(max_size=30), st.integers(), st.ip_addresses(), st.text(max_size=20))
def test_without_a_declaration_nothing_is_admitted(
    host: str, port: int, address: IPv4Address | IPv6Address, junk: str
) -> None:
    assert not is_admitted((), host, port, str(address))
    assert not is_admitted(ALL, host, port, junk)


def test_the_most_exact_declaration_speaks_for_a_name() -> None:
    wide = PrivateHost(host=".test", network="10.0.0.0/8", ports=(443,))
    near = PrivateHost(host=".a.test", network="10.0.0.0/8", ports=(443,))
    exact = PrivateHost(host="b.a.test", network="10.0.0.0/8", ports=(443,))
    assert find_private_host((wide, exact, near), "b.a.test") == exact
    assert find_private_host((wide, exact, near), "c.a.test") == near
    assert find_private_host((wide, exact, near), "c.test") == wide
    assert find_private_host((wide, exact, near), "test") is None


def test_a_name_may_be_declared_for_both_address_families() -> None:
    both = (
        PrivateHost(host="localhost", network="127.0.0.0/8", ports=(9443,)),
        PrivateHost(host="localhost", network="::1/128", ports=(9443,)),
    )
    assert is_admitted(both, "localhost", 9443, "127.0.0.1")
    assert is_admitted(both, "localhost", 9443, "::1")
    assert is_declared(both, "localhost", 9443)
    assert not is_declared(both, "localhost", 443)


@pytest.mark.parametrize("network", ["127.0.0.0/8", "127.0.0.1/32", "::1/128", "126.0.0.0/7"])
def test_a_network_that_holds_loopback_says_so(network: str) -> None:
    assert PrivateHost(host="h.test", network=network, ports=(443,)).reaches_loopback


@pytest.mark.parametrize("network", ["10.0.0.0/8", "fd00::/8", "::2/128", "nonsense"])
def test_other_networks_do_not(network: str) -> None:
    assert not PrivateHost(host="h.test", network=network, ports=(443,)).reaches_loopback
