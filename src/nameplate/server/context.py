"""What every endpoint of the authorization server is given."""

from collections.abc import Callable
from dataclasses import dataclass

from nameplate.jose.signing_key import SigningKey
from nameplate.ports.documents import ClientDocuments
from nameplate.ports.store import Store
from nameplate.protocol.authorization import AuthorizationPolicy
from nameplate.protocol.resource import ProtectedResource
from nameplate.server.settings import TokenSettings
from nameplate.upstream.local_accounts import LocalAccounts

__all__ = ["Clock", "ServerContext"]

Clock = Callable[[], float]
"""The time in epoch seconds; injected, so that tests can move it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerContext:
    """The parts of a running authorization server. ``base_path`` is the issuer's path, before every link on a page."""

    policy: AuthorizationPolicy
    tokens: TokenSettings
    store: Store
    documents: ClientDocuments
    accounts: LocalAccounts
    signing_key: SigningKey
    clock: Clock
    base_path: str

    @property
    def issuer(self) -> str:
        """The issuer, byte for byte as configured."""
        return self.policy.issuer

    @property
    def stylesheet(self) -> str:
        """The path of the stylesheet, for a link on a page."""
        return f"{self.base_path}/style.css"

    def find_resource(self, identifier: str) -> ProtectedResource | None:
        """The declared resource of exactly this identifier; None where the operator took it away since."""
        return next((found for found in self.policy.resources if found.identifier == identifier), None)

    def now(self) -> int:
        """The time in whole epoch seconds."""
        return int(self.clock())
