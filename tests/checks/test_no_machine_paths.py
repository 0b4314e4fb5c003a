"""Nothing committed names a package registry's host, or a path of the machine on which it was written."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Written so that this file does not match itself.
FORBIDDEN = re.compile(
    r"""
    (?<![\w.-]) (?: \w+\. )* (?: deb\.debian\.org | pypi\.org | pythonhosted\.org | npmjs\.(?:org|com) | yarnpkg\.com )
    | (?<![\w.~-]) / (?: work | root | home/\w+ | Users/\w+ ) /
    | / opt/ (?: pypi | wheels )
    | [.]pyenv/
    | [.][.]/shared
    """,
    re.VERBOSE,
)


def find_machine_traces(text: str) -> list[str]:
    """The lines that name a registry's host or a machine's path, with their numbers."""
    return [
        f"{number}: {line.strip()[:120]}" for number, line in enumerate(text.splitlines(), 1) if FORBIDDEN.search(line)
    ]


def list_tracked_files() -> list[Path]:
    """What is committed or would be."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_tracked_file_names_a_registry_or_a_path_of_a_machine() -> None:
    traces = {}
    for path in list_tracked_files():
        content = path.read_bytes()
        if b"\0" not in content and (found := find_machine_traces(content.decode(errors="replace"))):
            traces[path.relative_to(ROOT).as_posix()] = found
    assert traces == {}


@pytest.mark.parametrize(
    "line",
    [
        "https://files.python" + "hosted.org/packages/a.whl",
        '"resolved": "https://registry.npm' + 'js.org/a/-/a-1.tgz"',
        "--index-url https://py" + "pi.org/simple",
        "see /wo" + "rk/main/README.md",
        "open('/ro" + "ot/x')",
        "/home/" + "alice/nameplate",
        "../sha" + "red/spec",
    ],
)
def test_a_trace_of_a_machine_is_found(line: str) -> None:
    assert find_machine_traces(line) == [f"1: {line}"]


@pytest.mark.parametrize("line", ["https://as.example/work/", "a/root/b", "~/home/x", "/home", "tests/interop/node"])
def test_an_innocent_line_is_left_alone(line: str) -> None:
    assert find_machine_traces(line) == []
