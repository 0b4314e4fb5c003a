"""Finds what tests say they prove: ``@pytest.mark.proves("CIMD-1", …)``, read from their source and not run."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Proof", "find_proofs", "find_proofs_in"]

TESTS = Path(__file__).parents[1]
_MARK = "pytest.mark.proves"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A test, and one requirement that it says it proves. ``file`` is relative to the repository."""

    requirement: str
    file: str
    test: str


def find_proofs() -> tuple[Proof, ...]:
    """The proofs of all tests, in the order of their files. Raises ``ValueError`` for a mark that proves nothing."""
    files = sorted(path for path in TESTS.rglob("test_*.py") if "node_modules" not in path.parts)
    sources = ((path.relative_to(TESTS.parent).as_posix(), path.read_text(encoding="utf-8")) for path in files)
    return tuple(proof for file, source in sources for proof in find_proofs_in(source, file))


def find_proofs_in(source: str, file: str) -> Iterator[Proof]:
    """The proofs in one file. Raises ``ValueError`` where the mark is no decorator of a test, or names no text."""
    if f"@{_MARK}" not in source:
        return
    tree = ast.parse(source)
    decorators = {
        id(decorator): node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
        for decorator in node.decorator_list
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_mark(node.func)]
    marks = [node for node in ast.walk(tree) if _is_mark(node)]
    for call in calls:
        names = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
        if id(call) not in decorators or not names or len(names) != len(call.args) or call.keywords:
            raise ValueError(f"{file}:{call.lineno}: {_MARK} decorates a test, and names requirements as texts")
        for name in names:
            yield Proof(requirement=str(name), file=file, test=decorators[id(call)])
    if len(marks) != len(calls):
        raise ValueError(f"{file}: {_MARK} names no requirement")


def _is_mark(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "proves" and ast.unparse(node) == _MARK
