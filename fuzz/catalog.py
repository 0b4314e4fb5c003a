"""Finds the targets and their corpora."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CORPUS", "CRASHES", "FOUND", "NAMES", "Target", "load_corpus", "load_target"]

_HERE = Path(__file__).parent
_LONGEST_BYTES = 6 * 1024  # documents end at 5 KiB
CORPUS = _HERE / "corpus"
"""What is kept: a folder of small files for each target."""
FOUND = _HERE / "found"
"""Inputs that reached new code in earlier runs on this machine, by target. Not committed."""
CRASHES = _HERE / "crashes"
"""Inputs that broke an invariant, took too long or too much memory, by target. Not committed."""

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules([str(_HERE / "targets")])))
"""Every target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``check`` tries one input and raises where the invariant does not hold; ``tokens`` are worth putting in.

    Inputs beyond ``longest_bytes`` are not worth their time.
    """

    name: str
    check: Callable[[bytes], None]
    tokens: tuple[bytes, ...]
    longest_bytes: int


def load_target(name: str) -> Target:
    """The target of this name. Raises ``ModuleNotFoundError``."""
    module = importlib.import_module(f"fuzz.targets.{name}")
    longest_bytes = getattr(module, "LONGEST_BYTES", _LONGEST_BYTES)
    return Target(name=name, check=module.check, tokens=module.TOKENS, longest_bytes=longest_bytes)


def load_corpus(name: str) -> Iterator[tuple[Path, bytes]]:
    """The kept inputs of a target, with their files."""
    for path in sorted((CORPUS / name).iterdir()):
        yield path, path.read_bytes()
