"""The tree drawn in the docstring of ``nameplate.errors`` is the tree of its classes."""

import inspect
import re

from nameplate import errors


def parse_tree(drawing: str) -> set[tuple[str, str]]:
    """The pairs (class, its parent) of a tree drawn with box characters, four columns to a level."""
    pairs, path = set(), ["Exception"]
    for line in drawing.splitlines():
        if found := re.match(r" {4}((?:│ {3}| {4})*(?:├─ |└─ )?)([A-Z]\w*)", line):
            depth = (len(found[1]) + 1) // 4 + 1
            pairs.add((found[2], path[depth - 1]))
            path[depth:] = [found[2]]
    return pairs


def test_the_drawn_tree_is_the_tree_of_the_classes() -> None:
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]
    pairs = {(each.__name__, base.__name__) for each in classes for base in each.__bases__}
    assert parse_tree(inspect.getdoc(errors) or "") == pairs


def test_a_tree_is_read_as_it_is_drawn() -> None:
    drawing = "    A        text\n    ├─ B\n    │   ├─ C   Text\n    │   └─ D\n    └─ E\n        └─ F\n"
    assert parse_tree(drawing) == {("A", "Exception"), ("B", "A"), ("C", "B"), ("D", "B"), ("E", "A"), ("F", "E")}
