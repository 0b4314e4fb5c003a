"""Command lines that work where they are pasted: the scripts of a virtual environment need not be on the ``PATH``."""

import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

__all__ = ["find_example_client", "name_path", "name_program"]


def name_program() -> str:
    """How a person in the current directory starts this very ``nameplate``, as words for a shell."""
    script = Path(sysconfig.get_path("scripts"), "nameplate")
    if not script.exists():
        return f"{name_path(Path(sys.executable))} -m nameplate"
    found = shutil.which("nameplate")
    return "nameplate" if found is not None and Path(found).samefile(script) else name_path(script)


def name_path(path: Path) -> str:
    """The path as a word for a shell, from the current directory where it lies below it."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def find_example_client() -> Path | None:
    """``examples/sdk_client.py`` of the checkout that runs; None where the package was installed without one."""
    path = Path(__file__).parents[3] / "examples" / "sdk_client.py"
    return path if path.is_file() else None
