"""Internationalised labels in their ASCII form, ``xn--…`` (RFC 5890 to 5893), and what they would look like.

The code points are judged by the derivation of RFC 5892 §3 over the interpreter's Unicode data, so no table has to be
kept; a code point that its Unicode version does not know is refused. So are joiners outside Indic scripts, whose rule
needs data that Python does not have.
"""

import unicodedata

from nameplate.protocol.fault import Fault, is_visible

__all__ = ["find_a_label_fault"]

# RFC 5892 §2.6, Exceptions
_VALID_EXCEPTIONS = frozenset("\u00df\u03c2\u06fd\u06fe\u0f0b\u3007")
_DISALLOWED_EXCEPTIONS = frozenset("\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b")
_ARABIC_INDIC_DIGITS = frozenset(map(chr, range(0x0660, 0x066A)))
_EXTENDED_ARABIC_INDIC_DIGITS = frozenset(map(chr, range(0x06F0, 0x06FA)))
_LETTER_DIGIT = frozenset({"Ll", "Lu", "Lo", "Nd", "Lm", "Mn", "Mc"})  # RFC 5892 §2.1
# Scripts whose letters pass for each other's. One label that mixes them is a forgery, not a word (UTS #39 §5.1).
_CONFUSABLE_SCRIPTS = frozenset({"ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK", "LATIN"})


def find_a_label_fault(label: str) -> Fault | None:
    """What is wrong with a lower-case label that begins with ``xn--``. RFC 5891 §5.4."""
    decoded = _decode(label)
    if decoded is None:
        return Fault(reason="host_idn", problem="an xn-- label of the host is not valid, canonical Punycode")
    if not all(_is_permitted(decoded, position) for position in range(len(decoded))):
        return Fault(reason="host_idn", problem="an xn-- label of the host holds a character that IDNA 2008 disallows")
    if not (_ARABIC_INDIC_DIGITS.isdisjoint(decoded) or _EXTENDED_ARABIC_INDIC_DIGITS.isdisjoint(decoded)):
        return Fault(reason="host_idn", problem="an xn-- label of the host mixes two sets of Arabic digits")
    if not _obeys_bidi_rule(decoded):
        return Fault(reason="host_idn", problem="an xn-- label of the host breaks the Bidi rule of RFC 5893")
    if len(_CONFUSABLE_SCRIPTS.intersection(map(_script, decoded))) > 1:
        return Fault(
            reason="host_mixed_script", problem="an xn-- label of the host mixes letters of look-alike scripts"
        )
    return None


def _decode(label: str) -> str | None:
    """The Unicode form of an A-label, where encoding it again gives the same label and it is a possible U-label."""
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        canonical = decoded.encode("punycode").decode("ascii") == label[4:]
    except UnicodeError:
        return None
    if not canonical or decoded.isascii() or unicodedata.normalize("NFC", decoded) != decoded:
        return None
    if decoded[0] == "-" or decoded[-1] == "-" or decoded[2:4] == "--":  # RFC 5891 §4.2.3.1
        return None
    return None if unicodedata.category(decoded[0]).startswith("M") else decoded  # RFC 5891 §4.2.3.2


def _is_permitted(label: str, position: int) -> bool:
    """Whether the code point is PVALID, or CONTEXTJ or CONTEXTO in its context. RFC 5892 §3."""
    char = label[position]
    if char in _VALID_EXCEPTIONS:
        return True
    if char in _CONTEXT_RULES:
        return _CONTEXT_RULES[char](label, position)
    if char in _DISALLOWED_EXCEPTIONS or _is_old_hangul(char) or _is_ignorable(char):
        return False
    if char.isascii():
        return char == "-" or char.isdigit() or char.islower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold())
    return folded == char and unicodedata.category(char) in _LETTER_DIGIT


def _is_ignorable(char: str) -> bool:
    """RFC 5892 §2.3 and §2.4: shown as nothing at all, or a mark for symbols or music."""
    return not is_visible(char) or "\u20d0" <= char <= "\u20ff" or "\U0001d100" <= char <= "\U0001d24f"


def _is_old_hangul(char: str) -> bool:
    return "\u1100" <= char <= "\u11ff" or "\ua960" <= char <= "\ua97f" or "\ud7b0" <= char <= "\ud7ff"


def _follows_virama(label: str, position: int) -> bool:
    return position > 0 and unicodedata.combining(label[position - 1]) == 9


def _is_between_l(label: str, position: int) -> bool:
    return label[position - 1 : position] == "l" and label[position + 1 : position + 2] == "l"


def _precedes_greek(label: str, position: int) -> bool:
    return position + 1 < len(label) and _script(label[position + 1]) == "GREEK"


def _follows_hebrew(label: str, position: int) -> bool:
    return position > 0 and _script(label[position - 1]) == "HEBREW"


def _is_beside_japanese(label: str, position: int) -> bool:
    return any(char != label[position] and _script(char) in {"HIRAGANA", "KATAKANA", "CJK"} for char in label)


_CONTEXT_RULES = {  # RFC 5892 appendix A; the rules for digits concern the whole label
    "\u200c": _follows_virama,
    "\u200d": _follows_virama,
    "\u00b7": _is_between_l,
    "\u0375": _precedes_greek,
    "\u05f3": _follows_hebrew,
    "\u05f4": _follows_hebrew,
    "\u30fb": _is_beside_japanese,
}


def _script(char: str) -> str:
    """The script of a letter, as the first word of its name tells it; empty for everything else."""
    return unicodedata.name(char, "").partition(" ")[0] if unicodedata.category(char).startswith("L") else ""


def _obeys_bidi_rule(label: str) -> bool:
    """RFC 5893 §2, for one label."""
    classes = [unicodedata.bidirectional(char) for char in label]
    if not {"R", "AL", "AN"}.intersection(classes):
        return True
    spoken = [one for one in classes if one != "NSM"]
    allowed = {"R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"}
    return (
        classes[0] in {"R", "AL"}
        and allowed.issuperset(classes)
        and spoken[-1] in {"R", "AL", "EN", "AN"}
        and not {"EN", "AN"}.issubset(classes)
    )
