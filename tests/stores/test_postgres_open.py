"""A store is opened by its URL; the driver of PostgreSQL is only needed, and only loaded, where the URL asks for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from nameplate.errors import ConfigurationError, StoreError
from nameplate.stores.open import open_store
from nameplate.stores.postgres import PostgresStore
from nameplate.stores.sqlite import SqliteStore

WITHOUT_ASYNCPG = """
import asyncio, sys
sys.modules["asyncpg"] = None
from nameplate.errors import ConfigurationError
from nameplate.stores.open import open_store
asyncio.run(asyncio.wait_for(open_store(sys.argv[1]), 10))
print("opened")
try:
    asyncio.run(open_store("postgresql://127.0.0.1:1/x"))
except ConfigurationError as error:
    print(error.setting, error.problem)
"""


@pytest.mark.anyio
@pytest.mark.postgres
@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
async def test_the_scheme_of_the_url_says_which_store_it_is(
    scheme: str, postgres_store_url: str, tmp_path: Path
) -> None:
    for kind, url in (
        (SqliteStore, f"sqlite:///{tmp_path}/store.sqlite3"),
        (PostgresStore, postgres_store_url.replace("postgresql", scheme, 1)),
    ):
        store = await open_store(url)
        assert type(store) is kind
        await store.check()
        await store.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["", "store.sqlite3", "sqlite:store", "mysql://db/np", "postgresql+asyncpg://db/np"])
async def test_another_scheme_is_a_mistake_in_the_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must begin with sqlite:/// or postgresql://") as refusal:
        await open_store(url)
    assert refusal.value.setting == "store.url"


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_a_store_error_that_shows_no_password() -> None:
    with pytest.raises(StoreError, match="cannot connect to PostgreSQL") as refusal:
        await open_store("postgresql://u:pazzword@127.0.0.1:1/np")
    assert "pazzword" not in str(refusal.value)


def test_without_the_extra_sqlite_works_and_postgresql_says_what_to_install(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_ASYNCPG, f"sqlite:///{tmp_path}/store.sqlite3"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == "opened\nstore.url PostgreSQL needs the extra postgres: pip install 'nameplate[postgres]'.\n"


def test_reading_settings_does_not_load_the_driver() -> None:
    program = "import sys, nameplate.server.settings; print('asyncpg' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == "False\n"
