"""Whether an access token of ours is good at this moment, for one of a resource server's resources."""

from collections.abc import Collection
from dataclasses import dataclass

from nameplate.errors import BearerError
from nameplate.jose import Verified
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPES, AccessToken, check_access_token_claims
from nameplate.protocol.grant import Grant
from nameplate.protocol.introspection import choose_audience, is_active
from nameplate.server.context import ServerContext
from nameplate.server.people import LostPerson

__all__ = ["ActiveToken", "find_active_token"]

_LEEWAY_SECONDS = 10  # for a token that another replica has just issued


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveToken:
    """A token that is good, and what it is a token of."""

    token: AccessToken
    grant: Grant


async def find_active_token(token: str, resources: Collection[str], context: ServerContext) -> ActiveToken | None:
    """The token, if we signed it for one of ``resources``, and it, its grant and its person are still good."""
    outcome = await context.signing_keys.verify(token, typ=ACCESS_TOKEN_TYPES)
    if not isinstance(outcome, Verified):
        return None
    resource = choose_audience(outcome.claims, resources)
    if resource is None:
        return None
    try:
        access_token = check_access_token_claims(
            outcome.claims,
            issuer=context.issuer,
            resource=resource,
            now=context.clock(),
            leeway_seconds=_LEEWAY_SECONDS,
        )
    except BearerError:
        return None
    grant = await context.store.load_grant(access_token.grant_id)
    if isinstance(grant, Unknown) or not is_active(access_token, grant, context.now()):
        return None
    # Whoever was taken out of the configuration has no access any more, whatever the grant says.
    if isinstance(context.people.find(grant), LostPerson):
        return None
    return ActiveToken(token=access_token, grant=grant)
