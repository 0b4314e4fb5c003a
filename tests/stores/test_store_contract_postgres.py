"""The PostgreSQL store passes the contract of every store. Each test has a schema of its own."""

import pytest

from nameplate.ports.store import Store
from nameplate.stores.postgres import PostgresStore
from nameplate.testing.store_contract import OpenStore, StoreContract


@pytest.mark.postgres
class TestPostgresStore(StoreContract):
    @pytest.fixture
    def open_store(self, postgres_store_url: str) -> OpenStore:
        async def open_store() -> Store:
            return await PostgresStore.open(postgres_store_url)

        return open_store
