"""Measures Python files: how long files, classes and functions are, and how many parameters functions take.

As a program it prints the median length of the functions of each package: ``python tests/checks/sizes.py``.
"""

import ast
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Measure", "compute_medians", "find_python_files", "measure_source"]

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "examples", "bench", "fuzz", "soak")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One size: lines of a file, class or function, or a function's parameters. ``name``: ``path:Class.function``."""

    kind: str
    name: str
    size: int


def find_python_files() -> Iterator[Path]:
    """Every Python file that is ours."""
    for folder in FOLDERS:
        yield from sorted(path for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts)


def measure_source(source: str, path: str) -> Iterator[Measure]:
    """All sizes in one file."""
    yield Measure(kind="file", name=path, size=len(source.splitlines()))
    yield from _measure_body(ast.parse(source), f"{path}:", in_class=False)


def _measure_body(node: ast.AST, prefix: str, *, in_class: bool) -> Iterator[Measure]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef():
                yield Measure(kind="class", name=prefix + child.name, size=_count_lines(child))
                yield from _measure_body(child, f"{prefix}{child.name}.", in_class=True)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield Measure(kind="function", name=prefix + child.name, size=_count_lines(child))
                yield Measure(kind="parameters", name=prefix + child.name, size=_count_parameters(child, in_class))
                yield from _measure_body(child, f"{prefix}{child.name}.", in_class=False)
            case _:
                yield from _measure_body(child, prefix, in_class=in_class)


def _count_lines(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _count_parameters(node: ast.FunctionDef | ast.AsyncFunctionDef, in_class: bool) -> int:
    """Those that a caller gives; ``*args`` and ``**options`` count as one each."""
    given = node.args
    count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) + bool(given.vararg) + bool(given.kwarg)
    is_static = any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in node.decorator_list)
    return count - (in_class and not is_static)


def compute_medians(paths: Iterable[Path]) -> dict[str, float]:
    """The median length of the functions in each folder."""
    lengths = defaultdict(list)
    for path in paths:
        for measure in measure_source(path.read_text(), str(path)):
            if measure.kind == "function":
                lengths[path.parent.relative_to(ROOT).as_posix()].append(measure.size)
    return {folder: statistics.median(sizes) for folder, sizes in lengths.items()}


if __name__ == "__main__":
    for folder, median in compute_medians(find_python_files()).items():
        print(f"{median:6.1f}  {folder}")
