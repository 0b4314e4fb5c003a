"""The locks in requirements/ hold what pyproject.toml asks for, by hash, and do not say where it comes from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = {path.stem: path.read_text() for path in (ROOT / "requirements").glob("*.txt")}
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; .+)? \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def list_pins(lock: str) -> set[tuple[str, str]]:
    return {(name, version) for name, version, _ in PIN.findall(lock)}


def list_wanted(lock: str) -> list[Requirement]:
    """What ``make lock`` resolves for the lock of this name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups, extras = project["dependency-groups"], project["project"]["optional-dependencies"]
    runtime = project["project"]["dependencies"]
    wanted = {
        "demo": runtime + extras["demo"] + groups["build"],
        "test": runtime + [each for extra in extras.values() for each in extra] + groups["build"] + groups["dev"],
        "fuzz": groups["fuzz"],
        "lock": groups["lock"],
    }
    return [Requirement(each) for each in wanted[lock]]


def test_the_locks_are_those_that_the_makefile_makes() -> None:
    assert LOCKS.keys() == {"demo", "fuzz", "lock", "test"}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_what_the_project_asks_for(lock: str) -> None:
    pins = list_pins(LOCKS[lock])
    for wanted in list_wanted(lock):
        versions = [version for name, version in pins if name == canonicalize_name(wanted.name)]
        assert versions, f"{wanted.name} is not locked: make lock"
        assert all(wanted.specifier.contains(version) for version in versions), f"{wanted} is outdated: make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_pins_with_hashes_and_nothing_else(lock: str) -> None:
    assert re.sub(r"^#.*\n", "", PIN.sub("", LOCKS[lock]), flags=re.MULTILINE) == ""


def test_what_the_demo_installs_is_what_was_tested() -> None:
    assert list_pins(LOCKS["demo"]) <= list_pins(LOCKS["test"])
