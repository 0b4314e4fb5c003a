"""What strangers can make the server do before anybody signs in, counted by where they come from (decision 0016)."""

from dataclasses import dataclass

from starlette.requests import Request

from nameplate.ports.store import Spending
from nameplate.protocol.source_networks import SourceBudget, list_source_networks
from nameplate.server.browser import client_host
from nameplate.server.settings import LimitSettings

__all__ = ["StrangerBudgets", "build_network_spendings", "build_stranger_budgets"]

# Registrations that are only looked at: (how many at once, how many a second after that). Whoever mends a registration
# step by step sends a dozen.
_REGISTRATION_ATTEMPTS = (120, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrangerBudgets:
    """Budgets in this process's memory: a commit for each would cost as much as what they protect from. The caps in the
    store, which all processes share, stay behind them.
    """

    authorizations: SourceBudget
    registration_attempts: SourceBudget


def build_stranger_budgets(limits: LimitSettings) -> StrangerBudgets:
    """Full budgets."""
    burst, per_second = _REGISTRATION_ATTEMPTS
    return StrangerBudgets(
        authorizations=SourceBudget(burst=limits.authorizations_at_once, per_second=limits.authorizations_per_second),
        registration_attempts=SourceBudget(burst=burst, per_second=per_second),
    )


def build_network_spendings(
    request: Request, prefix: str, budget: tuple[int, float], *, cost: int = 1
) -> list[Spending]:
    """What one use costs in the store: ``budget`` of the address (how many at once, how many a second after that), and
    of the networks around it in proportion.
    """
    capacity, refill_per_second = budget
    return [
        Spending(
            budget=f"{prefix}:{network.name}",
            cost=cost,
            capacity=capacity * network.width,
            refill_per_second=refill_per_second * network.width,
        )
        for network in list_source_networks(client_host(request))
    ]
