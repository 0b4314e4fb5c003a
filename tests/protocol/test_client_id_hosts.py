"""Host names of client identifiers: labels in their ASCII form, judged no more leniently than the IDNA library does."""

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.host_names import find_host_name_fault, find_public_name_fault, is_internal_domain


def build_a_label(text: str) -> str:
    return "xn--" + text.encode("punycode").decode("ascii")


@pytest.mark.parametrize(
    "name",
    [
        "bücher",
        "faß",
        "例え",
        "пример",
        "εφαρμογή",
        "col·lega",
        "ਪੰਜਾਬ",
        "עברית",
        "العربية",
        "کتاب۱۲",
        "カタカナ・中",
        "שק״ל",
        "αβ͵γ",
        "क्\u200dष",
    ],
)
def test_honest_international_names_are_accepted(name: str) -> None:
    assert find_host_name_fault(build_a_label(name)) is None


def test_a_joiner_outside_indic_scripts_is_refused() -> None:
    """IDNA allows it by a rule over joining types (RFC 5892 appendix A.1), for which Python has no data."""
    assert find_host_name_fault(build_a_label("نامه\u200cای")) is not None


@pytest.mark.parametrize(
    "name",
    [
        "\u0301a",
        "\u202eabc",
        "☃",
        "😀",
        "ÄB",
        "ａｂ",
        "a\u200db",
        "a·b",
        "͵a",
        "׳a",
        "・a",
        "٠۰",
        "א1a",
        "1א",
        "א-",
        "-א",
        "ᄀ",
        "ـ",
        "a\u00adé",
        "a\u034fé",
        "cl\u17b4aude",
        "claude\ufe0f",
        "claude\U000e0100",
        "a\u20d0",
        "a\U0001d165",
        "\ud800é",
    ],
)
def test_labels_that_idna_disallows_are_refused(name: str) -> None:
    fault = find_host_name_fault(build_a_label(name))
    assert fault is not None
    assert fault.reason in {"host_idn", "host", "host_case"}


@pytest.mark.parametrize("name", ["clаude", "gіthub", "microsοft", "οо", "աa"])
def test_labels_that_mix_look_alike_scripts_are_refused(name: str) -> None:
    fault = find_host_name_fault(f"{build_a_label(name)}.com")
    assert fault is not None
    assert fault.reason == "host_mixed_script"


@pytest.mark.parametrize("label", ["xn--a", "xn--abc-", "xn--", "xn--99999999", "xn--a-ecp", "xn--bcher-kv", "xn--é"])
def test_punycode_that_is_none_or_not_canonical_is_refused(label: str) -> None:
    assert find_host_name_fault(f"{label}.com") is not None


ALPHABET = [
    chr(code)
    for first, last in (
        *((0x61, 0x7A), (0xE0, 0xFF), (0x370, 0x3FF), (0x430, 0x45F), (0x561, 0x587), (0x5D0, 0x5F4), (0x620, 0x669)),
        *(
            (0x6F0, 0x6F9),
            (0x900, 0x97F),
            (0xE01, 0xE5B),
            (0x3041, 0x30FF),
            (0x4E00, 0x4E20),
            (0x300, 0x310),
            (0x30, 0x39),
        ),
        *((0x2000, 0x200F), (0x1F600, 0x1F604), (0xB7, 0xB7), (0x2D, 0x2D)),
    )
    for code in range(first, last + 1)
]


@given(st.text(st.sampled_from(ALPHABET), min_size=1, max_size=6).filter(lambda text: not text.isascii()))
def test_no_label_is_accepted_that_the_idna_library_refuses(text: str) -> None:
    label = build_a_label(text)
    if find_host_name_fault(label) is None:
        assert idna.ulabel(label) == text


@given(st.text(max_size=40))
def test_any_text_is_judged_without_an_exception(text: str) -> None:
    if find_host_name_fault(text) is None:
        assert text == text.lower()
        assert "." in text or find_public_name_fault(text) is not None


@pytest.mark.parametrize("domain", ["test", "internal", "a.b.local", "arpa", "home.arpa"])
def test_domains_without_public_names_are_known(domain: str) -> None:
    assert is_internal_domain(domain)


@pytest.mark.parametrize("domain", ["com", "example.com", "localhost.example.com", ""])
def test_public_domains_are_not_internal(domain: str) -> None:
    assert not is_internal_domain(domain)
