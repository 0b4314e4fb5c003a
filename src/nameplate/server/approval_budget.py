"""How often one person may allow something: each grant can end up in a list of revoked ones (docs/decisions/0013)."""

import math

from nameplate.server.context import ServerContext
from nameplate.server.refusals import too_many_approvals

__all__ = ["spend_approval"]


async def spend_approval(subject: str, context: ServerContext) -> None:
    """Count one approval by the person with this ``sub``. Raises ``AuthorizationPageError`` (429) where it is one too
    many; the question stays open then, and may be answered a little later.
    """
    limits = context.limits
    is_spent = await context.store.spend(
        f"approve:{subject}",
        1,
        capacity=limits.approvals_at_once,
        refill_per_second=limits.approvals_per_second,
        now=context.clock(),
    )
    if not is_spent:
        raise too_many_approvals(subject, retry_after_seconds=math.ceil(1 / limits.approvals_per_second))
