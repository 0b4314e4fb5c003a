"""Strangers' text made fit to be looked at: names, hosts and URIs on the pages, in logs and on the command line.

Escaping for HTML is the template's work. Here is what escaping does not stop: characters that turn the line around,
hide, pile up or pass for others (CIMD draft §8.5; OAuth 2.1 draft §7.12; UTR #36).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from nameplate.protocol.lookalikes import KNOWN_NAMES, ORNAMENTS, build_skeleton, is_lookalike_word, scripts_in

__all__ = ["NAME_LIMIT", "claimed_name", "exact_text", "host_warnings", "name_warnings", "plain_text", "split_host"]

NAME_LIMIT = 100
"""Characters of a client's name that are shown."""

_ELLIPSIS = "…"
_MARKS_LIMIT = 3  # marks on one letter that real languages need (Devanagari: nukta, vowel sign, anusvara)
_HOST_LIMIT = 300  # a DNS name has at most 253 characters (RFC 1035 §3.1)

# Invisible although of category letter, mark or symbol (Unicode's Default_Ignorable_Code_Point, and the blank braille).
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d159\U000e0000-\U000e0fff]"
)
# Letters, digits and punctuation of western Europe, with our own quotation marks: no mark, nothing to normalise.
_EASY = re.compile("[ -\u02ff\u2010-\u2027]*")
# Joiners and variation selectors are part of honest Persian, Hindi and emoji.
_JOINERS = frozenset("\u200c\u200d\ufe0e\ufe0f")

# Whatever stands for a quotation mark of two strokes somewhere, or looks like one: Unicode's Quotation_Mark without the
# single ones, double primes, Hebrew gershayim, ditto marks and ornaments. With one a name could end our sentence.
_QUOTATION_MARKS = re.compile(
    '["«»“”„‟\u02ba\u02dd\u02ee\u02f5\u02f6\u05f4\u1425\u1cd3\u2033\u2034\u2036\u2037\u2057\u275d\u275e\u2760\u276e\u276f\u27ea\u27eb'
    "\u2e42\u3003\u300a-\u300f\u301d-\u301f\ufe3d\ufe3e\ufe41-\ufe44\uff02\uff5f\uff60\U0001f676-\U0001f678]"
)
# Two single ones look like a double one, and so do two of what looks like a single one.
_SINGLE = (
    "'`´‘’‚‛‹›\u02b9\u02bb-\u02bf\u02ca\u02cb\u02f4\u055a\u05f3\u1fbd\u1fbf\u1fef\u1ffd\u1ffe\u2032\u2035\u275b\u275c\u275f"
    "\uff07\uff40\uff62\uff63"
)
_DOUBLED = re.compile(f"[{_SINGLE}](?: ?[{_SINGLE}])+")

# Where anybody can have a label of his own, the label belongs to the name: "github.io" says nothing about who it is.
_SHARED_SUFFIXES = frozenset(
    {
        *("a.run.app", "appspot.com", "azurestaticapps.net", "azurewebsites.net", "blogspot.com", "cloudfront.net"),
        *("deno.dev", "firebaseapp.com", "fly.dev", "github.io", "gitlab.io", "glitch.me", "herokuapp.com", "hf.space"),
        *("lovable.app", "netlify.app", "ngrok-free.app", "ngrok.app", "ngrok.io", "onrender.com", "pages.dev"),
        *("r2.dev", "repl.co", "replit.app", "streamlit.app", "supabase.co", "surge.sh", "trycloudflare.com"),
        *("up.railway.app", "val.run", "vercel.app", "web.app", "workers.dev"),
    }
)
_COUNTRY_SECOND_LEVELS = frozenset(
    {"ac", "co", "com", "edu", "go", "gob", "gov", "gv", "ltd", "mil", "ne", "net", "nhs", "nom", "or", "org", "plc"}
)
_HOST = re.compile(r"\w[\w.-]*(:[0-9]{1,5})?")

_DOTS = str.maketrans("。｡．․", "....")
# Node.js and ASP.NET are no hosts.
_NOT_A_SUFFIX = frozenset({"cpp", "css", "exe", "html", "js", "json", "jsx", "mjs", "php", "ts", "tsx", "xml"})
_NOT_A_HOST = frozenset({"asp.net", "vb.net"})
_TRUST_WORDS = ("approved", "authentic", "certified", "endorsed", "genuine", "official", "trusted", "verified")
_TRUST_SKELETONS = {build_skeleton(word): word for word in _TRUST_WORDS}
_TRUST_SIGNS = frozenset("✓✔✅☑√⍻🗸🗹🔏🔐🔒🛡🏅🎖")
_CONFUSABLE_SCRIPTS = frozenset({"Armenian", "Cherokee", "Coptic", "Cyrillic", "Greek", "Latin", "Lisu"})
_GENERIC_SUFFIXES = frozenset({"com", "edu", "gov", "net", "org"})
_KNOWN_DOMAINS = {build_skeleton(domain): domain for domains in KNOWN_NAMES.values() for domain in domains}
_KNOWN_SKELETONS = {build_skeleton(name): name for name in KNOWN_NAMES}


def plain_text(text: str, limit: int = NAME_LIMIT) -> str:
    """The text as one calm line of at most ``limit`` characters, cut with an ellipsis.

    Control, bidirectional, zero-width and tag characters are taken out; line breaks and odd spaces become one space;
    more than three marks on a letter are dropped; what no font can show becomes U+FFFD. Applying it twice changes
    nothing.
    """
    if len(text) <= limit and _is_easy(text) and "  " not in text:
        return text.strip(" ")
    window = text[: limit * 8]  # a flood is not worth reading to its end
    kept = "".join(_plain_character(char) for char in window)
    line = " ".join("".join(_without_piled_marks(unicodedata.normalize("NFC", kept))).split())
    if len(line) <= limit and len(window) == len(text):
        return line
    return line[: limit - 1].rstrip(" ") + _ELLIPSIS


def claimed_name(name: str) -> str:
    """The name that somebody gives himself, as ``plain_text`` shows it, but without quotation marks: they all become
    an apostrophe. Only we put things into quotation marks, and no name can close one and go on in our voice.
    """
    return _unquoted(plain_text(name))


def _unquoted(text: str) -> str:
    return _DOUBLED.sub("'", _QUOTATION_MARKS.sub("'", text))


def exact_text(text: str, limit: int | None = None) -> str:
    """The text for comparing by eye: nothing disappears.

    What would be invisible or disturb the line stands as ``\\u{200b}``. Beyond ``limit`` the middle is left out, so
    that beginning and end can be seen.
    """
    if _is_easy(text):
        return text if limit is None else _without_middle(text, limit)
    raw = text if limit is None else _without_middle(text, limit)
    shown = "".join(_without_piled_marks("".join(map(_exact_character, raw)), escape=True))
    return shown if limit is None else _without_middle(shown, limit)


def split_host(host: str) -> tuple[str, str]:
    """The host as ``(what stands before, the part that says whose it is)``; both joined are the host.

    ``claude.ai.login.evil.example`` gives ``("claude.ai.login.", "evil.example")``. The second part is never empty and
    is to be shown whole; a port stays with it. Addresses, and texts that are no host, are all second part. An overlong
    text loses its beginning, never its end. It is a guess without the Public Suffix List, for the eye only.
    """
    shown = exact_text(host)
    if len(shown) > _HOST_LIMIT:
        shown = _ELLIPSIS + shown[1 - _HOST_LIMIT :]
    match = _HOST.fullmatch(shown.removeprefix(_ELLIPSIS))
    labels = shown.partition(":")[0].rstrip(".").split(".")
    if match is None or labels[-1].isdigit():
        return "", shown or "(no host)"
    before = "".join(f"{label}." for label in labels[: -_own_labels([label.lower() for label in labels])])
    return before, shown[len(before) :]


def name_warnings(name: str, host: str, *, host_is: str = "its document lies on") -> tuple[str, ...]:
    """Sentences about a client's name that tries to look like more than a claim. ``host`` is the one that the client
    has for its own, ``host_is`` says by what; the host is empty where there is none.

    Empty for ordinary names and for no name. Each sentence states what is there, not what is meant by it.
    """
    if not name:
        return ()
    shown = plain_text(name)
    if not shown:
        return ("The name it gives itself has no visible characters.",)
    reality = f"{host_is} {split_host(host)[1]}" if host else "nothing proves that it belongs there"
    borrowed = tuple(_addresses(shown, host, reality)) or _known_name(shown, host, reality)
    return (*_hidden(name), *_quoting(shown), *borrowed, *_trust(shown), *_letters(shown))


def host_warnings(host: str) -> tuple[str, ...]:
    """Sentences about a client's host that may be taken for another one. Empty for ordinary hosts."""
    before, owner = split_host(_bare(host[-_HOST_LIMIT:]))
    return (*_other_alphabet(before + owner), *_borrowed(before, owner), *_imitated(owner))


def _is_easy(text: str) -> bool:
    """Whether there is nothing to take out or to write otherwise. True for nearly everything that is ever shown."""
    return text.isprintable() and (text.isascii() or _EASY.fullmatch(text) is not None)


def _plain_character(char: str) -> str:
    category = unicodedata.category(char)
    if char in "\t\n\v\f\r\x85" or category in {"Zs", "Zl", "Zp"}:
        return " "
    if category in {"Cc", "Cf", "Me"} or _INVISIBLE.match(char):
        return ""
    return "\ufffd" if category[0] == "C" else char  # private use (the Apple logo), unassigned, lone surrogates


def _exact_character(char: str) -> str:
    category = unicodedata.category(char)
    plain = category[0] not in "CZ" and category != "Me" and not _INVISIBLE.match(char)
    return char if plain or char == " " else _escaped(char)


def _escaped(char: str) -> str:
    return f"\\u{{{ord(char):x}}}"


def _without_piled_marks(text: str, *, escape: bool = False) -> Iterator[str]:
    """The characters of the text. A mark with no letter to sit on would land on our own words: it counts as piled."""
    room = 0
    for char in text:
        if unicodedata.category(char) != "Mn":
            room = 0 if char == " " else _MARKS_LIMIT
            yield char
        elif room > 0:
            room -= 1
            yield char
        elif escape:
            yield _escaped(char)


def _without_middle(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    tail = limit // 3
    return text[: limit - tail - 1] + _ELLIPSIS + text[len(text) - tail :]


def _own_labels(labels: list[str]) -> int:
    """How many labels at the end say whose host it is: two, three under ``co.uk``, one more under a shared suffix."""
    *_, third, second, top = ("", "", *labels)
    if f"{second}.{top}" in _SHARED_SUFFIXES or (len(top) == 2 and second in _COUNTRY_SECOND_LEVELS):
        return 3
    return 4 if f"{third}.{second}.{top}" in _SHARED_SUFFIXES else 2


def _bare(host: str) -> str:
    """The host without its port, for comparison (RFC 4343: case does not count)."""
    return host.lower() if host.startswith("[") else host.partition(":")[0].lower()


def _belongs_to(host: str, domains: Iterable[str]) -> bool:
    return any(host == domain or host.endswith("." + domain) for domain in domains)


def _hidden(name: str) -> Iterator[str]:
    window = name[: NAME_LIMIT * 8]
    gone = [i for i, char in enumerate(window) if not _plain_character(char)]
    if any(window[i] not in _JOINERS or window[max(i - 1, 0)].isascii() for i in gone):
        yield "The name contained hidden characters, which are left out here."
    if len(name) > NAME_LIMIT:
        yield "The name is unusually long; only its beginning is shown."


def _quoting(shown: str) -> Iterator[str]:
    if shown != _unquoted(shown):
        yield "The name contains quotation marks, as if it were a sentence. All of it is its own words, none is ours."


def _addresses(shown: str, host: str, reality: str) -> Iterator[str]:
    owner = split_host(_bare(host))[1]
    for token in re.findall(r"[\w.-]+", unicodedata.normalize("NFKC", shown).translate(_DOTS)):
        address = token.strip(".-_").lower()
        *labels, suffix = address.split(".")
        looks_like_host = bool(labels) and all(labels) and suffix.isalpha() and len(suffix) > 1
        own = _belongs_to(_bare(host), [address]) or _belongs_to(address, [owner])
        if looks_like_host and not own and suffix not in _NOT_A_SUFFIX and address not in _NOT_A_HOST:
            yield f"The name contains “{address}”, which looks like an address; but {reality}."
            return


def _trust(shown: str) -> Iterator[str]:
    for word in re.findall(r"\w+", unicodedata.normalize("NFKC", shown)):
        if (claim := _TRUST_SKELETONS.get(build_skeleton(word))) is not None:
            yield f"The name says “{claim}”. That is its own word: nobody here has looked into it."
            break
    if not _TRUST_SIGNS.isdisjoint(shown):
        yield "The name contains a check mark, a lock or a badge. It is part of the name and proves nothing."


def _letters(shown: str) -> Iterator[str]:
    if any(unicodedata.name(char, "").split(" ")[0] in ORNAMENTS for char in shown):
        yield "The name uses ornamental letters that imitate ordinary ones."
    words = re.findall(r"[^\W\d_]+", shown)
    for word in words:
        if len(scripts := _confusable_scripts(word)) > 1:
            yield f"The name mixes letters of different alphabets in one word ({' and '.join(scripts)})."
            return
    if any(map(is_lookalike_word, words)):
        yield "The name is spelled with letters of another alphabet that look like Latin ones."


def _confusable_scripts(word: str) -> list[str]:
    """The alphabets of a word that are easily taken for each other; a Latin letter in a Japanese word is no trick."""
    return [script for script in scripts_in(word) if script in _CONFUSABLE_SCRIPTS]


def _known(shown: str, host: str) -> tuple[str, str] | None:
    """The well-known name that the text resembles, with the domain that it is known from, unless the host is there."""
    words = " " + " ".join(re.findall(r"[^\W_]+", build_skeleton(shown)))
    squeezed = words.replace(" ", "")
    for skeleton, name in _KNOWN_SKELETONS.items():
        worn = " " + skeleton in words or squeezed == skeleton
        if worn and not _belongs_to(_bare(host), KNOWN_NAMES[name]):
            return name, KNOWN_NAMES[name][0]
    return None


def _known_name(shown: str, host: str, reality: str) -> Iterator[str]:
    if (known := _known(shown, host)) is not None:
        yield f"The name resembles “{known[0]}”, which is known from {known[1]}; but {reality}."


def _other_alphabet(host: str) -> Iterator[str]:
    """What A-labels stand for (RFC 5890 §2.3.2.1). The page shows the A-labels themselves: they cannot imitate."""
    labels = [label for label in host.split(".") if label.startswith("xn--")]
    if not labels:
        return
    try:
        words = [label.removeprefix("xn--").encode().decode("punycode") for label in labels]
    except UnicodeError:
        words = [""]
    shown = ".".join(labels)
    if not all(map(plain_text, words)):
        yield f"Part of its host, “{shown}”, stands for no readable text."
        return
    tail = " Letters of another alphabet pass for Latin ones there." if any(map(_is_disguised, words)) else ""
    yield f"Part of its host, “{shown}”, is written “{'.'.join(map(plain_text, words))}” by other programs.{tail}"


def _is_disguised(word: str) -> bool:
    scripts = _confusable_scripts(word)
    return len(scripts) > 1 or ("Latin" not in scripts and build_skeleton(word).isascii())


def _borrowed(before: str, owner: str) -> Iterator[str]:
    """A host that begins like another: claude.ai.login.evil.example."""
    labels = before.rstrip(".").split(".")
    known = next((domain for domain in _KNOWN_DOMAINS.values() if f".{domain}." in "." + before), None)
    if known is not None:
        yield f"Its host begins like {known}, but it belongs to {owner}."
    elif not _GENERIC_SUFFIXES.isdisjoint(labels[1:]):
        yield f"Its host begins like another address, but it belongs to {owner}."


def _imitated(owner: str) -> Iterator[str]:
    """A host that is spelled like another: c1aude.ai, claude-login.example."""
    twin = _KNOWN_DOMAINS.get(build_skeleton(owner))
    known = _known(owner.partition(".")[0].replace("-", " "), owner)
    if twin not in {None, owner}:
        yield f"Its host looks like {twin}, but it is another one: {owner}."
    elif known is not None:
        yield f"Its host resembles “{known[0]}”, which is known from {known[1]}; but it is another one: {owner}."
