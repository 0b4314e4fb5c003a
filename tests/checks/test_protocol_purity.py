"""The rules in ``nameplate.protocol`` do no I/O, read no clock and draw no random numbers.

import-linter forbids the worst imports by name. This check is the other way round: what is not known to be pure is
refused, also inside a function.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROTOCOL = Path(__file__).parents[2] / "src" / "nameplate" / "protocol"

PURE_MODULES = {
    "__future__",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "collections.abc",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "string",
    "struct",
    "types",
    "typing",
    "unicodedata",
    "urllib.parse",
}
OUR_MODULES = ("nameplate.protocol", "nameplate.errors", "nameplate.secret")
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "compile", "breakpoint", "__import__"}
CLOCKS = {"now", "utcnow", "today"}  # of datetime, whose other members are values


def find_impurities(source: str) -> Iterator[str]:
    """The lines of a module that import or call what is not known to be pure."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                imported = [each.name for each in names]
            case ast.ImportFrom(module=str(module), level=0):
                imported = [module]
            case ast.ImportFrom():
                imported = ["a relative import"]
            case ast.Call(func=ast.Name(id=called)) if called in IMPURE_CALLS:
                yield f"{node.lineno}: calls {called}"
                continue
            case ast.Call(func=ast.Attribute(attr=called)) if called in CLOCKS:
                yield f"{node.lineno}: calls {called}"
                continue
            case _:
                continue
        yield from (f"{node.lineno}: imports {name}" for name in imported if not is_pure(name))


def is_pure(module: str) -> bool:
    return module in PURE_MODULES or any(module == ours or module.startswith(f"{ours}.") for ours in OUR_MODULES)


@pytest.mark.parametrize("path", sorted(PROTOCOL.rglob("*.py")), ids=lambda path: path.relative_to(PROTOCOL).as_posix())
def test_a_rule_touches_nothing_outside_itself(path: Path) -> None:
    assert list(find_impurities(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import json, os.path",
        "datetime.now(tz=UTC)",
        "from urllib.request import urlopen",
        "from . import urls",
        "from nameplate.stores import sqlite",
        "def f():\n    import socket",
        "def f():\n    return open('a')",
        "print('a')",
    ],
)
def test_an_impure_line_is_found_wherever_it_stands(source: str) -> None:
    assert len(list(find_impurities(source))) == 1


def test_pure_lines_are_left_alone() -> None:
    assert (
        list(find_impurities("import json\nfrom urllib.parse import quote\nfrom nameplate.protocol.urls import x"))
        == []
    )
