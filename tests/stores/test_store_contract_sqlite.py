"""The SQLite store passes the contract of every store."""

from pathlib import Path

import pytest

from nameplate.ports.store import Store
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_contract import OpenStore, StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        async def open_store() -> Store:
            return await SqliteStore.open(str(tmp_path / "store.sqlite"))

        return open_store
