"""What every endpoint of the authorization server is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nameplate.ports.documents import ClientDocuments
from nameplate.ports.keys import ClientKeySets
from nameplate.ports.store import Store
from nameplate.protocol.authorization import AuthorizationPolicy
from nameplate.protocol.client_class import ClientClass, Lifetimes
from nameplate.protocol.resource import ProtectedResource
from nameplate.server.people import People
from nameplate.server.resource_servers import ResourceServers
from nameplate.server.settings import LimitSettings, RegistrationSettings, TokenSettings
from nameplate.server.signing_keys import SigningKeyRing
from nameplate.server.strangers import StrangerBudgets
from nameplate.server.upstreams import Upstreams
from nameplate.upstream.local_accounts import LocalAccounts
from nameplate.vault import Vault

__all__ = ["Clock", "ServerContext"]

Clock = Callable[[], float]
"""The time in epoch seconds; injected, so that tests can move it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerContext:
    """The parts of a running authorization server.

    ``lifetimes`` are those of each class of clients. ``token_endpoint_audience_clients`` are patterns, see
    ``client_assertion.choose_audiences``. ``has_accounts`` is whether anybody has a password here. ``vault`` seals what
    lies in the store and must stay secret. ``base_path`` is the issuer's path, before every link on a page.
    """

    policy: AuthorizationPolicy
    tokens: TokenSettings
    registration: RegistrationSettings
    strangers: StrangerBudgets
    limits: LimitSettings
    lifetimes: Mapping[ClientClass, Lifetimes]
    token_endpoint_audience_clients: tuple[str, ...]
    store: Store
    documents: ClientDocuments
    key_sets: ClientKeySets
    resource_servers: ResourceServers
    accounts: LocalAccounts
    has_accounts: bool
    upstreams: Upstreams
    people: People
    vault: Vault
    signing_keys: SigningKeyRing
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
