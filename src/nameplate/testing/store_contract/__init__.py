"""What every store must do, as a pytest suite that anybody's store can run.

::

    pytest.register_assert_rewrite("nameplate.testing.store_contract")  # in conftest.py: failures show their values

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            async def open_store():
                return await MyStore.open(tmp_path / "store")
            return open_store

Each call of what the fixture ``open_store`` returns opens one more handle on the same data, as another replica or a
restarted server would; each test must get data of its own. The tests run on asyncio through anyio's pytest plugin.
Where callers compete there are fifty of them, spread over two handles.
"""

from nameplate.testing.store_contract.assertions import AssertionContract
from nameplate.testing.store_contract.audit import AuditContract
from nameplate.testing.store_contract.authorizations import AuthorizationContract
from nameplate.testing.store_contract.base import OpenStore
from nameplate.testing.store_contract.clients import ClientContract
from nameplate.testing.store_contract.codes import CodeContract
from nameplate.testing.store_contract.documents import DocumentContract
from nameplate.testing.store_contract.grants import GrantContract
from nameplate.testing.store_contract.keeping import KeepingContract
from nameplate.testing.store_contract.keys import KeyContract
from nameplate.testing.store_contract.people import PersonContract
from nameplate.testing.store_contract.tokens import RefreshTokenContract
from nameplate.testing.store_contract.upstreams import (
    UpstreamAttemptContract,
    UpstreamRefreshContract,
    UpstreamTokensContract,
)

__all__ = ["OpenStore", "StoreContract"]


class StoreContract(
    AuthorizationContract,
    CodeContract,
    RefreshTokenContract,
    AssertionContract,
    GrantContract,
    PersonContract,
    UpstreamAttemptContract,
    UpstreamTokensContract,
    UpstreamRefreshContract,
    DocumentContract,
    ClientContract,
    KeyContract,
    AuditContract,
    KeepingContract,
):
    """The whole contract of ``ports.store.Store``. Subclass it and override the fixture ``open_store``."""
