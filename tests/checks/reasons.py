"""Finds the reason slugs that the source can give (``document.client_id_mismatch``): docs/errors.md has them all.

A slug is written in one of three ways: whole; as the last part of a fault, to which the caller adds what it was
reading; or as the first argument of a function that refuses.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["find_reasons", "find_reasons_in"]

SOURCE = Path(__file__).parents[2] / "src" / "nameplate"
PACKAGES = ("errors.py", "fetch", "integrations", "jose", "protocol", "resource", "server", "upstream")

# What is put before the faults of a reader, by whoever calls it.
FAULT_FAMILIES = {
    "client_id": ("client_id.{}",),
    "host_names": ("client_id.{}",),
    "idn": ("client_id.{}",),
    "strict_json": ("document.{}", "document.keys_{}"),
    "urls": ("client_id.{}",),
}
# Modules whose ``refuse("last_part", …)`` refuses a document.
DOCUMENT_MODULES = ("client_keys", "client_metadata", "document_members")
# Names of what is written to the audit trail: some of them are reasons too, but then they stand elsewhere as well.
AUDIT_MODULE = "audit"

SLUG = re.compile(r"([a-z]+(?:_[a-z]+)*)\.[a-z]+(?:_[a-z]+)*")
FAMILIES = frozenset(
    {
        "assertion",
        "authorization",
        "body",
        "browser",
        "client",
        "client_id",
        "code",
        "document",
        "fetch",
        "form",
        "grant",
        "keys",
        "parameters",
        "redirect_uri",
        "refresh_token",
        "resource",
        "scope",
        "server",
        "store",
        "token",
    }
)


def find_reasons() -> frozenset[str]:
    """Every slug in the source; ``*`` stands for a part that is put in while the program runs."""
    paths = [path for name in PACKAGES for path in [SOURCE / name, *(SOURCE / name).rglob("*.py")] if path.is_file()]
    return frozenset(
        slug for path in paths if path.stem != AUDIT_MODULE for slug in find_reasons_in(path.read_text(), path.stem)
    )


def find_reasons_in(source: str, module: str) -> Iterator[str]:
    """The slugs in one module."""
    tree = ast.parse(source)
    settings = set(_find_setting_names(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if node not in settings:
                if (match := SLUG.fullmatch(text)) and match[1] in FAMILIES:
                    yield text
            case ast.keyword(arg="reason", value=ast.Constant(value=str(text))):
                yield from _complete(text, FAULT_FAMILIES.get(module, ()))
            case ast.Call(func=ast.Name(id="refuse" | "_refuse"), args=[first, *_]) if module in DOCUMENT_MODULES:
                yield from _complete(_read_pattern(first), ("document.{}",))


def _find_setting_names(tree: ast.AST) -> Iterator[ast.expr]:
    """Names of settings look like slugs: what ``ConfigurationError`` is given, and parameters called ``setting``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="ConfigurationError"), args=[first, *_]):
                yield first
            case ast.keyword(arg="setting", value=value):
                yield value
            case ast.arguments(kwonlyargs=parameters, kw_defaults=defaults):
                yield from (
                    default
                    for parameter, default in zip(parameters, defaults, strict=True)
                    if parameter.arg == "setting" and default is not None
                )


def _read_pattern(node: ast.expr) -> str:
    """A text, with ``*`` for what a formatted one puts in; empty for anything else."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_read_pattern(each) or "*" for each in values)
    return ""


def _complete(text: str, families: tuple[str, ...]) -> Iterator[str]:
    """The slugs that the last part of one stands for; a whole slug is itself."""
    if "." in text:
        yield text
    elif text:
        yield from (family.format(text) for family in families)
