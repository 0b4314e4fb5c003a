"""Every module says what it is for and what it offers. (ruff's RUF022 keeps ``__all__`` sorted.)"""

import ast
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
MODULES = [
    path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in sorted(SOURCE.rglob("*.py"))
    if path.name != "__main__.py" and path.read_text()  # a package may be empty
]


def holds_only_a_docstring(source: str) -> bool:
    return len(ast.parse(source).body) == 1


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_a_docstring_and_offers_only_what_it_has(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    if not holds_only_a_docstring(Path(str(module.__file__)).read_text()):
        offered = module.__all__
        assert len(set(offered)) == len(offered)
        assert [missing for missing in offered if not hasattr(module, missing)] == []
