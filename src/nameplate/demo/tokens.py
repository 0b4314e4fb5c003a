"""What may be said about an access token, and the proof that our server issued it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nameplate.demo.steps import Detail
from nameplate.demo.story import DemoFailed
from nameplate.demo.world import DemoWorld
from nameplate.errors import BearerError, FetchError
from nameplate.jose import Refused, read_json
from nameplate.jose.compact import read_compact
from nameplate.resource import AccessTokenVerifier
from nameplate.resource.remote_keys import RemoteKeys
from nameplate.secret import Secret

__all__ = ["UsedToken", "describe_token", "prove_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedToken:
    """A token that went with a call to a tool that was let pass."""

    tool: str
    token: Secret


def describe_token(token: str) -> Mapping[str, Mapping[str, object]]:
    """Header and claims, to look at; nothing is believed. The signature is left out, so this is no token any more."""
    compact = read_compact(token)
    claims = None if isinstance(compact, Refused) else read_json(compact.payload)
    if isinstance(compact, Refused) or not isinstance(claims, dict):
        raise DemoFailed("The access token is no signed JWT.")
    return {"token_header": dict(compact.header), "token_claims": claims}


async def prove_tokens(world: DemoWorld, used: Sequence[UsedToken]) -> Mapping[str, Detail]:
    """Verify every token with the keys that the authorization server publishes; the facts of the last one.

    Raises ``DemoFailed`` where there is none, or one is not good: issued by somebody else, for another server or to
    another client, or run out.
    """
    if not used:
        raise DemoFailed("The tools answered without any token.")
    keys = RemoteKeys(world.issuer)
    verifier = AccessTokenVerifier(issuer=world.issuer, resource=world.resource, keys=keys)
    fetched_by_server = world.traffic.count("GET", "/jwks")
    try:
        tokens = [await verifier.verify(each.token.reveal()) for each in used]
    except (BearerError, FetchError) as error:
        raise DemoFailed(f"A token that a tool accepted is not our server's: {error}.") from error
    finally:
        await verifier.aclose()
    foreign = [token.client_id for token in tokens if token.client_id != world.client_id]
    if foreign:
        raise DemoFailed(f"A token that a tool accepted was issued to another client: {foreign[0]}.")
    last = tokens[-1]
    return {
        "issuer": last.issuer,
        "audience": last.resource,
        "client_id": last.client_id,
        "subject": last.subject,
        "verified_calls": [
            f"{each.tool}, token for {' '.join(token.scope)}" for each, token in zip(used, tokens, strict=True)
        ],
        "key_fetches_by_mcp_server": fetched_by_server,
    }
