"""Letters that pass for other letters, and names that strangers like to wear.

Data and folding only; what to say about it stands in ``display``. The idea of a skeleton is that of Unicode UTS #39 §4,
the table is small and our own. It serves warnings, never decisions: a name that fools the table is still only a claim.

"""

import unicodedata
from collections.abc import Mapping

__all__ = ["KNOWN_NAMES", "ORNAMENTS", "build_skeleton", "is_lookalike_word", "scripts_in"]

KNOWN_NAMES: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("anthropic.com", "claude.ai", "claude.com"),
    "chatgpt": ("chatgpt.com", "openai.com"),
    "claude": ("claude.ai", "claude.com", "anthropic.com"),
    "codex": ("chatgpt.com", "openai.com"),
    "copilot": ("github.com", "microsoft.com", "vscode.dev"),
    "cursor": ("cursor.com", "cursor.sh"),
    "github": ("github.com", "githubusercontent.com"),
    "google": ("google.com",),
    "microsoft": ("microsoft.com", "visualstudio.com", "vscode.dev"),
    "notion": ("notion.so", "notion.com"),
    "openai": ("openai.com", "chatgpt.com"),
    "opencode": ("opencode.ai",),
    "slack": ("slack.com",),
    "visual studio code": ("vscode.dev", "visualstudio.com", "microsoft.com"),
    "vs code": ("vscode.dev", "visualstudio.com", "microsoft.com"),
    "vscode": ("vscode.dev", "visualstudio.com", "microsoft.com"),
    "windsurf": ("windsurf.com", "codeium.com"),
}
"""Name in lower case → the hosts (and everything below them) that may wear it without a remark."""

_CYRILLIC = dict(zip("асԁеһіјӏорԛѕԝхуѵАВСЕНІЈКМОРЅТХУѴӀ", "acdehijlopqswxyvABCEHIJKMOPSTXYVl", strict=True))
_GREEK = dict(zip("αινορυκϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aivopukcjABEZHIKMNOPTYX", strict=True))
_ARMENIAN = dict(zip("օոսհցյՕՍ", "onuhgjOU", strict=True))
_CAPITAL_SHAPES = dict(zip("вкмнт", "bkmht", strict=True))  # shaped like small capitals; every Russian text has them
_FOREIGN = {**_CYRILLIC, **_GREEK, **_ARMENIAN}
_LATIN = dict(zip("ıɑɡɩᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "iagiabcdefghijklmnoprstuvwyz", strict=True))
_FOLD = str.maketrans({**_FOREIGN, **_CAPITAL_SHAPES, **_LATIN})
# The pairs that fonts hardly tell apart fall together on both sides of a comparison: I l i 1 |, O 0.
_MERGE = str.maketrans({"i": "l", "1": "l", "|": "l", "0": "o"})

ORNAMENTS = frozenset({"MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER", "CIRCLED", "NEGATIVE", "SQUARED"})
"""First words of the Unicode names of ornamental letters: bold mathematical, circled, squared."""


def build_skeleton(text: str) -> str:
    """The text with look-alike letters folded together: ``Сlaude``, ``CIaude``, ``𝐂𝗹aude`` all give ``claude``'s.

    Only good for comparison with another skeleton.
    """
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    folded = bare.translate(_FOLD).casefold().translate(_MERGE)
    return folded.replace("rn", "m").replace("vv", "w")


def scripts_in(text: str) -> tuple[str, ...]:
    """The scripts of the text's letters, each once, in order: ``("Latin", "Cyrillic")``.

    The first word of a letter's Unicode name is its script, for all alphabets that matter here.
    """
    letters = (char for char in unicodedata.normalize("NFKC", text) if char.isalpha())
    return tuple(dict.fromkeys(unicodedata.name(char, "unknown").split(" ")[0].capitalize() for char in letters))


def is_lookalike_word(word: str) -> bool:
    """Whether the word has three letters or more and all of them are foreign letters that pass for Latin ones."""
    letters = [char for char in word if char.isalpha()]
    return len(letters) > 2 and all(char in _FOREIGN for char in letters)
