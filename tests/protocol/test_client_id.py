"""Client identifier URLs: the corpus, the slugs, the operator's policy, and what no string may do."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ClientIdError
from nameplate.protocol.addresses import is_special_use
from nameplate.protocol.client_id import (
    CIMD_DRAFT,
    ClientIdPolicy,
    ClientIdUrl,
    is_client_id_url,
    parse_client_id,
)
from nameplate.protocol.private_hosts import PrivateHost

DEFAULT = ClientIdPolicy()
VECTORS = Path(__file__).parents[1] / "vectors"
ROWS = [json.loads(line) for line in (VECTORS / "client_id_urls.jsonl").read_text(encoding="utf-8").splitlines()]

# Contested rows on which we decide otherwise than the corpus: docs/decisions/0001-client-identifier-corpus.md
DECIDED_OTHERWISE = {"https://example.com/x;https://evil-public.com"}


def find_reason(text: str, policy: ClientIdPolicy = DEFAULT) -> str | None:
    """The last part of the slug with which a string is refused; None where it is accepted."""
    try:
        parse_client_id(text, policy)
    except ClientIdError as error:
        return error.reason.removeprefix("client_id.")
    return None


def is_accepted(row: dict[str, object]) -> bool:
    """What a fetcher that follows these rules makes of a row: the URL first, then every address of the answer."""
    if find_reason(str(row["url"])) is not None:
        return False
    answers = row["dns"] if row["layer"] == "dns" else ["93.184.215.14"]
    return isinstance(answers, list) and bool(answers) and not any(map(is_special_use, answers))


@pytest.mark.proves("CIMD-1", "CIMD-2", "CIMD-4", "CIMD-6", "CIMD-7", "CIMD-12", "CIMD-29")
def test_every_uncontested_row_of_the_corpus_holds() -> None:
    rows = [row for row in ROWS if not row.get("contested")]
    assert len(rows) == 1105
    assert [row["url"] for row in rows if is_accepted(row) != (row["expect"] == "accept")] == []


def test_contested_rows_are_decided_as_the_record_says() -> None:
    rows = [row for row in ROWS if row.get("contested")]
    assert len(rows) == 148
    assert {row["url"] for row in rows if is_accepted(row) != (row["expect"] == "accept")} == DECIDED_OTHERWISE


def test_what_the_corpus_leaves_to_dns_passes_the_url_rules() -> None:
    assert [row["url"] for row in ROWS if row["layer"] == "dns" and find_reason(row["url"])] == []


@pytest.mark.proves("CIMD-1", "CIMD-2", "CIMD-4", "CIMD-5", "CIMD-6", "CIMD-7", "CIMD-12")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://example.com/c", "scheme"),
        ("ftp://example.com/c", "scheme"),
        ("HTTPS://example.com/c", "scheme"),
        ("HTTPS:/x", "scheme"),
        ("data:text/plain,x", "scheme"),
        ("", "scheme"),
        ("https:/example.com/c", "scheme"),
        ("https:///c", "host"),
        ("https://:443/c", "host"),
        ("https://u@example.com/c", "userinfo"),
        ("https://u:p@example.com/c", "userinfo"),
        ("https://@example.com/c", "userinfo"),
        ("https://:@example.com/c", "userinfo"),
        ("https://claude.ai@[::1]/c", "userinfo"),
        ("https://example.com", "path_missing"),
        ("https://example.com?x", "path_missing"),
        ("https://example.com#f", "fragment"),
        ("https://example.com/c#f", "fragment"),
        ("https://example.com/c#", "fragment"),
        ("https://example.com/", "root_path"),
        ("https://example.com//", "root_path"),
        ("https://example.com/?x=1", "root_path"),
        ("https://example.com/./c", "dot_segment"),
        ("https://example.com/a/../c", "dot_segment"),
        ("https://example.com/a/..", "dot_segment"),
        ("https://example.com/%2e%2e/c", "dot_segment"),
        ("https://example.com/.%2E/c", "dot_segment"),
        ("https://example.com/..;x/c", "dot_segment"),
        ("https://example.com/a%2fb", "encoded_separator"),
        ("https://example.com/a%5Cb", "encoded_separator"),
        ("https://example.com/%252e%252e/c", "double_encoding"),
        ("https://example.com/c%0d%0aHost:x", "encoded_character"),
        ("https://example.com/c?x=%00", "encoded_character"),
        ("https://example.com/%e2%80%ae", "encoded_character"),
        ("https://example.com/%c0%af", "encoded_character"),
        ("https://example.com/%ef%b8%8f", "encoded_character"),
        ("https://example.com/%zz", "percent_encoding"),
        ("https://example.com/c%", "percent_encoding"),
        ("https://example.com/c\r\n", "character"),
        ("https://example.com/c d", "character"),
        ("https://exämple.com/c", "character"),
        ("https://example.com/é", "character"),
        ('https://example.com/"c', "character"),
        ("https://example.com/[c", "character"),
        ("https://h\\@evil.com/c", "backslash"),
        ("https://example.com:/c", "port"),
        ("https://example.com:0443/c", "port"),
        ("https://example.com:0/c", "port"),
        ("https://example.com:65536/c", "port"),
        ("https://example.com:abc/c", "port"),
        ("https://example.com:80/c", "port"),
        ("https://example.com:22/c", "port"),
        ("https://example.com:6000/c", "port"),
        ("https://example.com:6379/c", "port"),
        ("https://Example.com/c", "host_case"),
        ("https://example.com./c", "host_trailing_dot"),
        ("https://example..com/c", "host"),
        ("https://-example.com/c", "host"),
        ("https://ab--cd.com/c", "host"),
        ("https://example.c/c", "host"),
        ("https://ex_ample.com/c", "host"),
        ("https://xn--zzzzzzzzzzzz.com/c", "host_idn"),
        ("https://xn--clude-5ve.ai/c", "host_mixed_script"),
        ("https://[2606:4700::1111]/c", "ip_literal"),
        ("https://1.1.1.1/c", "ip_literal"),
        ("https://2130706433/c", "ip_literal"),
        ("https://0x7f.1/c", "ip_literal"),
        ("https://127.1/c", "ip_literal"),
        ("https://intranet/c", "single_label"),
        ("https://localhost/c", "single_label"),
        ("https://a.localhost/c", "internal_name"),
        ("https://printer.local/c", "internal_name"),
        ("https://metadata.google.internal/c", "internal_name"),
        ("https://a.home.arpa/c", "internal_name"),
        ("https://" + "a" * 64 + ".com/c", "host"),
        ("https://" + "a." * 127 + "com/c", "host"),
        ("https://example.com/" + "a" * 2030, "too_long"),
    ],
)
def test_a_refusal_names_the_first_broken_rule(text: str, reason: str) -> None:
    assert find_reason(text) == reason


@pytest.mark.proves("CIMD-3", "CIMD-6", "CIMD-8", "CIMD-9")
@pytest.mark.parametrize(
    ("text", "host", "port", "target"),
    [
        ("https://claude.ai/oauth/claude-code-client-metadata", "claude.ai", 443, "/oauth/claude-code-client-metadata"),
        ("https://example.com:443/c", "example.com", 443, "/c"),
        ("https://example.com:8443/c?v=1", "example.com", 8443, "/c?v=1"),
        ("https://example.com/c?", "example.com", 443, "/c?"),
        ("https://example.com/.well-known/c", "example.com", 443, "/.well-known/c"),
        ("https://example.com/a..b/c", "example.com", 443, "/a..b/c"),
        ("https://example.com/...", "example.com", 443, "/..."),
        ("https://example.com/%63", "example.com", 443, "/%63"),
        ("https://example.com/a//b/", "example.com", 443, "/a//b/"),
        ("https://xn--bcher-kva.ch/c", "xn--bcher-kva.ch", 443, "/c"),
        ("https://example.com/" + "a" * 2028, "example.com", 443, "/" + "a" * 2028),
    ],
)
def test_an_identifier_is_kept_to_the_byte(text: str, host: str, port: int, target: str) -> None:
    assert parse_client_id(text) == ClientIdUrl(text=text, host=host, port=port, target=target)


@pytest.mark.proves("CIMD-9")
def test_second_spellings_of_one_url_are_other_clients_or_none() -> None:
    spellings = ("https://e.com/c", "https://e.com:443/c", "https://E.com/c", "https://e.com/c/", "https://e.com/%63")
    clients = [parse_client_id(text) for text in spellings if find_reason(text) is None]
    assert len({client.text for client in clients}) == len(clients) == 4


@pytest.mark.proves("CIMD-5")
def test_a_root_path_is_admitted_by_policy_only_and_only_as_one_slash() -> None:
    policy = ClientIdPolicy(allow_root_path=True)
    assert parse_client_id("https://example.com/", policy).target == "/"
    assert find_reason("https://example.com//", policy) == "root_path"
    assert find_reason("https://example.com", policy) == "path_missing"


PRIVATE = ClientIdPolicy(
    private_hosts=(
        PrivateHost(host="localhost", network="127.0.0.0/8", ports=(9443,)),
        PrivateHost(host=".clients.test", network="10.0.0.0/8", ports=(443,)),
        PrivateHost(host="app", network="10.0.0.0/8", ports=(80,)),
    )
)


@pytest.mark.parametrize("text", ["https://localhost:9443/c", "https://a.clients.test/c", "https://app:80/c"])
def test_a_declared_private_host_is_admitted_at_its_ports(text: str) -> None:
    assert parse_client_id(text, PRIVATE).text == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://localhost/c", "single_label"),
        ("https://localhost:9444/c", "single_label"),
        ("https://LOCALHOST:9443/c", "host_case"),
        ("https://localhost.:9443/c", "host_trailing_dot"),
        ("https://x.localhost:9443/c", "internal_name"),
        ("https://clients.test/c", "internal_name"),
        ("https://evilclients.test/c", "internal_name"),
        ("https://a.clients.test.evil.test/c", "internal_name"),
        ("https://app/c", "single_label"),
        ("https://127.0.0.1:9443/c", "ip_literal"),
        ("https://u@localhost:9443/c", "userinfo"),
        ("https://localhost:9443/../c", "dot_segment"),
    ],
)
def test_a_declared_private_host_opens_nothing_beside_itself(text: str, reason: str) -> None:
    assert find_reason(text, PRIVATE) == reason


def test_a_public_name_stays_public_beside_a_declared_suffix() -> None:
    policy = ClientIdPolicy(private_hosts=(PrivateHost(host=".acme.com", network="10.0.0.0/8", ports=(8443,)),))
    assert parse_client_id("https://www.acme.com/c", policy).port == 443


@pytest.mark.proves("CIMD-14")
@pytest.mark.parametrize("text", ["https://a", "HTTPS:x", "http://a/", "hTTp:", "https:"])
def test_what_begins_like_a_web_url_claims_to_be_one(text: str) -> None:
    assert is_client_id_url(text)


@pytest.mark.proves("CIMD-14")
@pytest.mark.parametrize("text", ["", "http", "abc", "urn:https:", " https://a", "ftp://a", "ｈttps://a"])
def test_other_identifiers_claim_nothing(text: str) -> None:
    assert not is_client_id_url(text)


def test_the_implemented_draft_is_named_with_its_date() -> None:
    assert CIMD_DRAFT == "draft-ietf-oauth-client-id-metadata-document-02 (2026-07-06)"


def test_a_refusal_never_repeats_the_identifier() -> None:
    """What is logged or shown must not carry a stranger's line breaks."""
    with pytest.raises(ClientIdError) as caught:
        parse_client_id("https://example.com/c\r\nSet-Cookie: a=b")
    assert "Set-Cookie" not in str(caught.value)


PIECES = st.sampled_from(
    [
        "https://",
        "example.com",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "/",
        "c",
        ".",
        "..",
        "%2e",
        "%",
        "?",
        "#",
        "@",
        ":",
        ";",
        *("443", "0", "\\", "\n", "\x00", "é", "xn--", "-", "a" * 300, "%00", "%2f", "\ud800", "。", "test"),
    ]
)


@pytest.mark.proves("CIMD-12")
@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join)))
def test_any_text_is_an_identifier_to_the_byte_or_our_error(text: str) -> None:
    if find_reason(text) is not None:
        return
    client_id = parse_client_id(text)
    port = f":{client_id.port}" if f"{client_id.host}:" in text else ""
    assert client_id.text == text == f"https://{client_id.host}{port}{client_id.target}"
    assert text.isascii()
    assert is_client_id_url(text)


REFUSED = [
    row["url"] for row in ROWS if row["expect"] == "reject" and row["layer"] == "url" and not row.get("contested")
]
UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


@given(st.sampled_from(REFUSED), st.data())
def test_a_refused_url_stays_refused_when_letters_change_their_case(text: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, min(len(text), 40)))
    assert find_reason(text[:end].swapcase() + text[end:]) is not None


@given(st.sampled_from(REFUSED), st.data())
def test_a_refused_url_stays_refused_when_characters_are_percent_encoded(text: str, data: st.DataObject) -> None:
    """Encoding an unreserved character gives an equivalent URI (RFC 3986 §6.2.2.2), so it must not help."""
    places = [place for place, char in enumerate(text) if char in UNRESERVED and place < 200]
    for place in sorted(data.draw(st.sets(st.sampled_from(places), max_size=3)) if places else (), reverse=True):
        text = f"{text[:place]}%{ord(text[place]):02{data.draw(st.sampled_from('xX'))}}{text[place + 1 :]}"
    assert find_reason(text) is not None


@pytest.mark.proves("CIMD-12")
@given(st.sampled_from(REFUSED), st.sampled_from(["\t", "\n", "\r", " ", "\u200b", "\u00ad", "\ufeff"]), st.data())
def test_a_refused_url_stays_refused_with_characters_that_parsers_drop(
    text: str, char: str, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, min(len(text), 100)))
    assert find_reason(text[:place] + char + text[place:]) is not None
