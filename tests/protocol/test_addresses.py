"""Special-use addresses: the corpus, the registries' edges, and agreement with what Python knows."""

import json
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.addresses import (
    METADATA_ADDRESSES,
    find_special_use,
    is_special_use,
    parse_address,
    unwrap_ipv4,
)

VECTORS = Path(__file__).parents[1] / "vectors"
ROWS = [json.loads(line) for line in (VECTORS / "addresses.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.proves("CIMD-29")
def test_every_row_of_the_corpus_holds() -> None:
    """The contested ones too: docs/decisions/0001-client-identifier-corpus.md says why."""
    assert len(ROWS) == 443
    assert [row["ip"] for row in ROWS if is_special_use(row["ip"]) is row["public"]] == []


# What Python calls not global although it leads where it says: the address inside is judged, or IANA says reachable.
JUDGED_OTHERWISE = [
    ip_network(network)
    for network in (
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "2001:3::/32",
        "2001:4:112::/48",
    )
]


@given(st.ip_addresses() | st.ip_addresses(network="2001::/16") | st.ip_addresses(network="192.0.0.0/8"))
def test_whatever_python_calls_not_global_is_special_use(address: IPv4Address | IPv6Address) -> None:
    judged_otherwise = any(address in one for one in JUDGED_OTHERWISE if one.version == address.version)
    if (not address.is_global or address.is_multicast) and not judged_otherwise:
        assert is_special_use(str(address))


@pytest.mark.proves("CIMD-29")
@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}"]))
def test_an_embedded_address_is_judged_as_itself(address: IPv4Address, form: str) -> None:
    embedded = str(IPv6Address(form.format(address)))
    assert is_special_use(embedded) == is_special_use(str(address))


@given(st.ip_addresses(v=4))
def test_deprecated_and_local_transition_forms_are_always_special_use(address: IPv4Address) -> None:
    value = int(address)
    forms = (
        value,
        0xFFFF0000 << 32 | value,
        0x2002 << 112 | value << 80,
        0x20010000 << 96 | value,
        0x64FF9B0001 << 80 | value,
    )
    assert all(is_special_use(str(IPv6Address(form))) for form in forms)


@given(st.ip_addresses(v=4, network="10.0.0.0/8"), st.sampled_from(["2606:4700::5efe:{}", "2606:4700::200:5efe:{}"]))
def test_a_private_address_inside_an_isatap_interface_id_is_special_use(address: IPv4Address, form: str) -> None:
    assert is_special_use(form.format(address))


@given(st.text(max_size=50) | st.from_regex(r"[0-9a-fA-Fx:.%/\[\]]{0,40}", fullmatch=True))
def test_any_text_gets_a_verdict_and_what_is_no_address_is_special_use(text: str) -> None:
    verdict = is_special_use(text)
    parsed = parse_address(text)
    assert parsed is not None or verdict
    assert verdict == (find_special_use(text) is not None)


@pytest.mark.parametrize(
    "text", ["", " 8.8.8.8", "8.8.8.8\n", "08.8.8.8", "8.8.8", "0x8080808", "[::1]", "fe80::1%eth0", "8.8.8.8/32"]
)
def test_unusual_notation_is_no_address(text: str) -> None:
    assert parse_address(text) is None
    assert find_special_use(text) == "not an IP address"


@pytest.mark.parametrize(
    ("address", "row"),
    [
        ("10.1.2.3", "10.0.0.0/8 Private-Use, RFC 1918"),
        ("192.0.0.1", "192.0.0.0/29 IPv4 Service Continuity Prefix, RFC 7335"),
        ("192.0.0.200", "192.0.0.0/24 IETF Protocol Assignments, RFC 6890"),
        ("::ffff:127.0.0.1", "embeds 127.0.0.0/8 Loopback, RFC 1122"),
        ("2001:db8::1", "2001:db8::/32 Documentation, RFC 3849"),
        ("4000::1", "::/0 outside 2000::/3, the global unicast space, RFC 4291"),
    ],
)
def test_the_log_gets_the_registry_row(address: str, row: str) -> None:
    assert find_special_use(address) == row


@pytest.mark.parametrize("address", sorted(map(str, METADATA_ADDRESSES)))
def test_metadata_services_are_special_use(address: str) -> None:
    assert is_special_use(address)


def test_only_mapped_addresses_are_unwrapped() -> None:
    assert unwrap_ipv4(ip_address("::ffff:10.0.0.1")) == ip_address("10.0.0.1")
    assert unwrap_ipv4(ip_address("10.0.0.1")) == ip_address("10.0.0.1")
    assert unwrap_ipv4(ip_address("2002:a00:1::")) == ip_address("2002:a00:1::")
