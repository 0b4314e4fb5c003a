"""Strangers' text made fit to be looked at."""

import itertools
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nameplate.protocol.display import claimed_name, exact_text, host_warnings, name_warnings, plain_text, split_host
from nameplate.protocol.lookalikes import KNOWN_NAMES, build_skeleton, is_lookalike_word, scripts_in

ANY_TEXT = st.text(st.characters(), max_size=400)  # lone surrogates too
TROUBLE = st.text(
    st.sampled_from(
        "aé \t\n\0\x85\u200b\u200d\u202e\u2066\u2069\ufeff\ufe0f\u0301\u0345\u20dd\U000e0041\ud800\ue000\u3164"
    )
)
MARKS_OF_TWO_STROKES = (
    "QUOTATION MARK",
    "DOUBLE PRIME",
    "DOUBLE ANGLE BRACKET",
    "PUNCTUATION GERSHAYIM",
    "DITTO MARK",
    "CORNER BRACKET",
)
SINGLE_MARKS = "'`´‘’‚‛‹›′‵ʹʼ׳＇｢｣"
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.proves("CIMD-96")
@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Claude Code", "Claude Code"),
        ("  spaced \t\r\n out\u00a0\u3000name  ", "spaced out name"),
        ("\u202eedualC\u202c", "edualC"),
        ("a\u2066b\u2069c", "abc"),
        ("Cl\u200bau\u2060de\ufeff", "Claude"),
        ("so\u00adft", "soft"),
        ("nul\0 and esc\x1b[31m", "nul and esc[31m"),
        ("flag \U0001f3f4\U000e0067\U000e0062\U000e007f", "flag \U0001f3f4"),
        ("\u3164\u115f\u2800x", "x"),
        ("Cafe\u0301", "Café"),
        ("z" + "\u0301\u0302" * 20 + "algo", "ź\u0302\u0301\u0302algo"),
        ("\u0301starts with a mark", "starts with a mark"),
        ("marks \u0301 on \u0301spaces", "marks on spaces"),
        ("keycap 1\u20e3", "keycap 1"),
        ("apple \uf8ff", "apple \ufffd"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("noncharacter \uffff", "noncharacter \ufffd"),
        ("line\u2028separator", "line separator"),
        ("日本語 العربية हिन्दी", "日本語 العربية हिन्दी"),
        ("\u200b", ""),
    ],
)
def test_a_name_becomes_one_calm_line(raw: str, shown: str) -> None:
    assert plain_text(raw) == shown


def test_a_long_name_is_cut_with_an_ellipsis_within_the_limit() -> None:
    assert plain_text("x" * 100_000) == "x" * 99 + "…"
    assert plain_text("word " * 30, limit=10) == "word word…"
    assert plain_text("x" * 100) == "x" * 100


def test_a_name_drowned_in_invisible_characters_is_shown_as_cut() -> None:
    assert plain_text("\u200b" * 100_000 + "x") == "…"


QUOTATION_MARKS = "".join(
    char
    for char in map(chr, (*range(0xD800), *range(0xE000, 0x1FFFF)))
    if any(words in unicodedata.name(char, "") for words in MARKS_OF_TWO_STROKES)
    and not any(word in unicodedata.name(char) for word in ("SINGLE", "HALFWIDTH"))
)


@pytest.mark.proves("CIMD-96")
@given(st.text(QUOTATION_MARKS + SINGLE_MARKS + " aé.\u200b\u0301", max_size=40) | ANY_TEXT | TROUBLE)
def test_no_quotation_mark_of_any_script_survives_in_a_claimed_name(name: str) -> None:
    """CP-02."""
    shown = claimed_name(name)
    assert not set(shown) & {*QUOTATION_MARKS, *'"“”„«»'}
    squeezed = shown.replace(" ", "")
    assert not any(one in SINGLE_MARKS and other in SINGLE_MARKS for one, other in itertools.pairwise(squeezed))
    assert claimed_name(shown) == shown
    assert plain_text(shown) == shown


def test_what_marks_a_quotation_in_unicode_is_known_here() -> None:
    assert len(QUOTATION_MARKS) > 30
    assert set('"“”„‟«»״〝〞〟＂「」『』《》″❝❞') <= set(QUOTATION_MARKS)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("O’Reilly Notes", "O’Reilly Notes"),
        ("l'Équipe", "l'Équipe"),
        ("Rock 'n' Roll", "Rock 'n' Roll"),
        ("Notes", "Notes"),
        ("Notes”. Checked. “Notes", "Notes'. Checked. 'Notes"),
        ("Notes’’ Checked", "Notes' Checked"),
        ("Notes’ ’ Checked", "Notes' Checked"),
        ("「Notes」", "'Notes'"),
    ],
)
def test_an_apostrophe_stays_and_a_quotation_mark_becomes_one(name: str, shown: str) -> None:
    assert claimed_name(name) == shown
    warned = any("quotation marks" in warning for warning in name_warnings(name, "app.example"))
    assert warned == (name != shown)


@pytest.mark.proves("CIMD-96")
@given(ANY_TEXT | TROUBLE, st.integers(min_value=1, max_value=120))
@example("\u0300" * 5 + "\u1161", 3)
def test_plain_text_is_bounded_harmless_and_settled(text: str, limit: int) -> None:
    shown = plain_text(text, limit)
    assert len(shown) <= limit
    assert plain_text(shown, limit) == shown
    assert exact_text(shown) == shown
    assert not BIDI & set(shown)
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in shown)
    shown.encode()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("https://a.example/?q=1", "https://a.example/?q=1"),
        ("two  spaces stay", "two  spaces stay"),
        ("a\u200bb", "a\\u{200b}b"),
        ("\u202ex", "\\u{202e}x"),
        ("tab\there", "tab\\u{9}here"),
        ("no\u00a0break", "no\\u{a0}break"),
        ("\ud800", "\\u{d800}"),
        ("\u0301a", "\\u{301}a"),
        ("bücher", "bücher"),
    ],
)
def test_for_comparing_nothing_disappears(raw: str, shown: str) -> None:
    assert exact_text(raw) == shown


def test_a_long_value_loses_its_middle() -> None:
    assert exact_text("a" * 500 + "z" * 500, limit=12) == "aaaaaaa…zzzz"


@given(ANY_TEXT | TROUBLE, st.integers(min_value=1, max_value=300))
def test_exact_text_is_bounded_and_tells_different_texts_apart(text: str, limit: int) -> None:
    shown = exact_text(text, limit)
    assert len(shown) <= limit
    assert not BIDI & set(shown)
    shown.encode()
    if "\\" not in text:
        assert exact_text(text + "\u200b") != exact_text(text)


@pytest.mark.parametrize(
    ("host", "before", "owner"),
    [
        ("claude.ai", "", "claude.ai"),
        ("www.example.com", "www.", "example.com"),
        ("claude.ai.login.session.evil.example", "claude.ai.login.session.", "evil.example"),
        ("app.example.co.uk", "app.", "example.co.uk"),
        ("example.co.uk", "", "example.co.uk"),
        ("nousresearch.github.io", "", "nousresearch.github.io"),
        ("claude.ai.evil.github.io", "claude.ai.", "evil.github.io"),
        ("svc-abc.a.run.app", "", "svc-abc.a.run.app"),
        ("github.io", "", "github.io"),
        ("localhost", "", "localhost"),
        ("localhost:4431", "", "localhost:4431"),
        ("a.b.example.org:8443", "a.b.", "example.org:8443"),
        ("127.0.0.1:33418", "", "127.0.0.1:33418"),
        ("[::1]:33418", "", "[::1]:33418"),
        ("www.example.com.", "www.", "example.com."),
        ("xn--bcher-kva.ch", "", "xn--bcher-kva.ch"),
        ("com.example.app:", "", "com.example.app:"),
        ("evil.com/claude.ai", "", "evil.com/claude.ai"),
        ("claude.ai@evil.com", "", "claude.ai@evil.com"),
        ("", "", "(no host)"),
    ],
)
def test_the_part_of_a_host_that_says_whose_it_is(host: str, before: str, owner: str) -> None:
    assert split_host(host) == (before, owner)


def test_an_overlong_host_loses_its_beginning_never_its_owner() -> None:
    before, owner = split_host("claude.ai." + "x" * 5000 + ".evil.example")
    assert owner == "evil.example"
    assert before.startswith("…")
    assert len(before + owner) == 300


@given(ANY_TEXT | TROUBLE)
def test_whatever_comes_a_host_has_an_owner_part(host: str) -> None:
    before, owner = split_host(host)
    assert owner
    assert len(before + owner) <= 300
    assert not BIDI & set(before + owner)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Claude Code", "claude.ai"),
        ("ChatGPT", "chatgpt.com"),
        ("Visual Studio Code", "vscode.dev"),
        ("Visual Studio Code - Insiders", "insiders.vscode.dev"),
        ("Copilot CLI", "github.com"),
        ("Slack", "slack.com"),
        ("OpenCode", "opencode.ai"),
        ("Codex", "chatgpt.com"),
        ("Zed", "zed.dev"),
        ("goose", "goose-docs.ai"),
        ("MCPJam", "www.mcpjam.com"),
        ("mcpc", "apify.github.io"),
        ("Node.js and ASP.NET tools, v1.2 (e.g. for U.S. users)", "tools.example"),
        ("app.tools.example", "tools.example"),
        ("tools.example", "app.tools.example:8443"),
        ("Яндекс Browser", "ya.ru"),
        ("Москва", "ya.ru"),
        ("ヤフーJapan 用クライアント", "yahoo.co.jp"),
        ("می\u200cخواهم", "tools.example"),
        ("👩\u200d💻 Dev ❤\ufe0f", "tools.example"),
        ("Café Überblick", "tools.example"),
        ("", "tools.example"),
    ],
)
def test_an_honest_name_gets_no_warning(name: str, host: str) -> None:
    assert name_warnings(name, host) == ()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("claude.ai", "“claude.ai”, which looks like an address; but its document lies on evil.example"),
        ("https://login.bank.example/x", "“login.bank.example”"),
        ("claude。ai", "“claude.ai”"),
        ("Claude Code", "resembles “claude”, which is known from claude.ai"),
        ("CIaude", "resembles “claude”"),
        ("C l a u d e", "resembles “claude”"),
        ("Clàude", "resembles “claude”"),
        ("ChatGPT", "resembles “chatgpt”"),
        ("Visual Studio Code", "resembles “visual studio code”"),
        ("Verified Tool", "says “verified”"),
        ("0fficial app", "says “official”"),
        ("vеrifiеd", "says “verified”"),
        ("Tool ✔", "check mark"),
        ("Tool 🔒", "check mark, a lock"),
        ("Сlaude", "different alphabets in one word (Cyrillic and Latin)"),
        ("ꓚoolTool", "different alphabets in one word (Lisu and Latin)"),
        ("Сахар", "another alphabet that look like Latin"),
        ("𝐓𝐨𝐨𝐥", "ornamental letters"),
        ("Ⓣool", "ornamental letters"),
        ("\u202elooT", "hidden characters"),
        ("To\u200bol", "hidden characters"),
        ("Tool\0", "hidden characters"),
        ("To\u200dol", "hidden characters"),
        ("T" * 101, "unusually long"),
        ("\u200b\u200b", "no visible characters"),
        ("mybank.net", "“mybank.net”"),
    ],
)
def test_a_name_that_pretends_gets_a_sentence(name: str, part: str) -> None:
    assert any(part in sentence for sentence in name_warnings(name, "evil.example"))


@pytest.mark.parametrize(
    "host",
    [
        "claude.ai",
        "chatgpt.com",
        "api.dev.example.com",
        "nousresearch.github.io",
        "localhost:4431",
        "127.0.0.1",
        "[::1]:9",
    ],
)
def test_an_ordinary_host_gets_no_warning(host: str) -> None:
    assert host_warnings(host) == ()


@pytest.mark.parametrize(
    ("host", "part"),
    [
        ("claude.ai.login.evil.example", "begins like claude.ai, but it belongs to evil.example"),
        ("www.mybank.com.evil.co.uk", "begins like another address, but it belongs to evil.co.uk"),
        ("c1aude.ai", "looks like claude.ai, but it is another one: c1aude.ai"),
        ("CIaude.ai", "looks like claude.ai"),
        ("rnicrosoft.com:8443", "looks like microsoft.com"),
        ("claude-login.example", "resembles “claude”, which is known from claude.ai"),
        ("claude.github.io", "resembles “claude”"),
        ("xn--clude-5ve.ai", "is written “clаude” by other programs. Letters of another alphabet pass for Latin ones"),
        ("xn--80ajb1au1a38g.com", "Letters of another alphabet pass for Latin ones"),
        ("xn--bcher-kva.ch", "“xn--bcher-kva”, is written “bücher” by other programs."),
        ("xn--zzzzzzzzzzzz.com", "stands for no readable text"),
        ("xn--é.com", "stands for no readable text"),
        ("xn--.com", "stands for no readable text"),
    ],
)
def test_a_host_that_may_be_taken_for_another_gets_a_sentence(host: str, part: str) -> None:
    assert any(part in sentence for sentence in host_warnings(host))


def test_a_harmless_international_host_is_not_called_a_disguise() -> None:
    (sentence,) = host_warnings("xn--bcher-kva.ch")
    assert "pass for" not in sentence


@given(ANY_TEXT | TROUBLE, ANY_TEXT | TROUBLE | st.text("xn-.0123456789abcdefé:[]", max_size=80))
def test_warnings_are_total_few_and_fit_to_be_shown(name: str, host: str) -> None:
    sentences = (*name_warnings(name, host), *host_warnings(host))
    assert len(sentences) <= 10
    for sentence in sentences:
        assert sentence.endswith(".")
        assert not BIDI & set(sentence)
        assert len(sentence) < 1000


def test_a_megabyte_of_name_and_host_is_answered_at_once() -> None:
    flood = "a." * 500_000
    assert name_warnings(flood, flood)
    assert all(len(sentence) < 1000 for sentence in host_warnings("xn--" + "9" * 1_000_000))


@pytest.mark.parametrize(
    "other", ["Сlaude", "CIaude", "c1aude", "CLAUDE", "𝐂𝗹aude", "clаudе", "сӏаυԁе", "ᴄʟᴀᴜᴅᴇ", "Ｃｌａｕｄｅ"]
)
def test_spellings_that_look_the_same_share_a_skeleton(other: str) -> None:
    assert build_skeleton(other) == build_skeleton("claude")


def test_different_words_have_different_skeletons() -> None:
    assert len({build_skeleton(name) for name in KNOWN_NAMES}) == len(KNOWN_NAMES)


def test_scripts_are_named_in_order_and_once() -> None:
    assert scripts_in("aбcд1 α") == ("Latin", "Cyrillic", "Greek")
    assert scripts_in("123 …") == ()


def test_a_word_wholly_of_lookalikes_has_three_letters_at_least() -> None:
    assert is_lookalike_word("сара")
    assert not is_lookalike_word("со")
    assert not is_lookalike_word("cope")
