"""What all tests share: the outside tools that some of them need, and Hypothesis' profile.

A test that needs a tool carries its marker (or asks for its fixture). Where the tool is missing the test is skipped,
and pytest's summary gives the reason. ``NAMEPLATE_REQUIRE="browser npm postgres"`` turns such a skip into a failure.
"""

import asyncio
import functools
import importlib.util
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import hypothesis
import pytest

# What we are told is taken out of the environment: nameplate refuses variables that are no settings of its own, and
# settings of the developer's own must not reach the tests.
TOLD = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("NAMEPLATE_")}

# One conftest.py, so that mypy knows which module that is; fixtures of a subject lie in a module of its name.
pytest_plugins = ("chromium", "fetch_kit", "flow_world", "key_set_kit", "postgres_kit")
pytest.register_assert_rewrite("nameplate.testing.store_contract")

NODE_PEERS = Path(__file__).parent / "interop" / "node" / "node_modules"
OLDEST_NODE = 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Machines differ in speed: how long an example takes is no finding. On CI the examples are the same for the same code:
# a verdict on a change must not depend on luck. New ones are looked for on every other machine, and by the fuzzer.
hypothesis.settings.register_profile(
    "nameplate",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
)
hypothesis.settings.load_profile("nameplate")


class ToolMissing(Exception):
    """A tool cannot be used here; the message says why and what would help."""


@functools.cache
def find_chromium() -> str:
    """The path of a Chromium: ``CHROMIUM``, or the first on the PATH."""
    named = os.environ.get("CHROMIUM")
    found = [path for name in ([named] if named else BROWSERS) if (path := shutil.which(name))]
    if not found:
        raise ToolMissing(f"no {named or 'chromium on the PATH'}; install chromium, or name one in CHROMIUM")
    return found[0]


@functools.cache
def find_node_peers() -> Path:
    """The ``node_modules`` that ``npm ci`` made in tests/interop/node."""
    node = shutil.which("node")
    if not node:
        raise ToolMissing("no node on the PATH")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        raise ToolMissing(f"node {version.strip()} is older than {OLDEST_NODE}, which the peers need")
    if not NODE_PEERS.is_dir():
        raise ToolMissing("the peers from npm are not installed; run: npm --prefix tests/interop/node ci")
    return NODE_PEERS


@functools.cache
def find_postgres() -> str:
    """The URL of a PostgreSQL server that lets us in: ``NAMEPLATE_TEST_POSTGRES``, or the one on this machine."""
    url = TOLD.get("NAMEPLATE_TEST_POSTGRES", "postgresql://127.0.0.1:5432/postgres")
    try:
        asyncio.run(execute_sql(url, "select 1"))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ToolMissing(f"no PostgreSQL at {url} ({error}); name one in NAMEPLATE_TEST_POSTGRES") from error
    return url


async def execute_sql(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def find_atheris() -> None:
    """Whether atheris can be imported."""
    if importlib.util.find_spec("atheris") is None:
        raise ToolMissing("not installed; run make fuzz (it has wheels for Linux on x86-64)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that some tests need: the marker and the fixture by which they say so, and how to find it."""

    marker: str
    fixture: str | None
    find: Callable[[], object]

    def is_needed_by(self, item: pytest.Item) -> bool:
        """Whether the test says that it needs this tool."""
        return item.get_closest_marker(self.marker) is not None or self.fixture in getattr(item, "fixturenames", ())


# By the names that NAMEPLATE_REQUIRE uses.
TOOLS = {
    "atheris": Tool(marker="fuzz", fixture=None, find=find_atheris),
    "browser": Tool(marker="browser", fixture="chromium_executable", find=find_chromium),
    "npm": Tool(marker="interop", fixture="node_peers", find=find_node_peers),
    "postgres": Tool(marker="postgres", fixture="postgres_url", find=find_postgres),
}


@pytest.hookimpl(trylast=True)  # after -k and -m took their pick
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests whose tool is missing, or refuse to run where that tool is required."""
    required = TOLD.get("NAMEPLATE_REQUIRE", "").split()
    if unknown := set(required) - TOOLS.keys():
        raise pytest.UsageError(f"NAMEPLATE_REQUIRE: unknown {sorted(unknown)}, known: {sorted(TOOLS)}")
    for name, tool in TOOLS.items():
        needing = [item for item in items if tool.is_needed_by(item)]
        if not needing:
            continue
        try:
            tool.find()
        except ToolMissing as missing:
            if name in required:
                raise pytest.UsageError(f"NAMEPLATE_REQUIRE: {len(needing)} tests need {name}: {missing}") from missing
            for item in needing:
                item.add_marker(pytest.mark.skip(reason=f"{name}: {missing}"))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """What ``@pytest.mark.anyio`` runs tests on."""
    return "asyncio", {"use_uvloop": False}


@pytest.fixture(scope="session")
def chromium_executable() -> str:
    """The path of the Chromium to drive."""
    return find_chromium()


@pytest.fixture(scope="session")
def node_peers() -> Path:
    """The ``node_modules`` folder with the peers from npm."""
    return find_node_peers()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of an empty database, dropped when the tests end."""
    server = find_postgres()
    name = f"nameplate_test_{secrets.token_hex(6)}"
    asyncio.run(execute_sql(server, f"create database {name}"))
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    asyncio.run(execute_sql(server, f"drop database {name} with (force)"))
