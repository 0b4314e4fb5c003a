"""Authenticating clients at the endpoints that they call themselves: ``/token``, and those like it.

The order is the same everywhere: ``read_credentials``, ``find_registration``, then the grant to which the presented
code or token belongs, and with that ``authenticate``. Before there is a grant, nothing is fetched for anybody: an
assertion costs nothing to invent (architecture decision 2).
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import assert_never

from starlette.requests import Request

from nameplate.errors import ClientMetadataError, FetchError, StoreError, TokenError
from nameplate.jose import KeySet, Refused, UnknownKey, Verified, read_json
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.client_assertion import (
    ASSERTION_TYPES,
    build_replay_refusal,
    build_signature_refusal,
    check_assertion_claims,
    choose_algorithms,
    choose_audiences,
)
from nameplate.protocol.client_authentication import (
    Assertion,
    Credentials,
    NoSecret,
    SharedSecret,
    check_auth_method,
    check_no_secret,
    check_secret,
    parse_credentials,
)
from nameplate.protocol.client_change import build_key_memory, build_lost_keys_refusal, is_doubtful
from nameplate.protocol.client_id import is_client_id_url
from nameplate.protocol.client_metadata import ClientMetadata, parse_snapshot
from nameplate.protocol.client_proof import ClientProof
from nameplate.protocol.grant import Grant
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.protocol.server_metadata import build_endpoints
from nameplate.server.context import ServerContext

__all__ = [
    "LoadClient",
    "authenticate",
    "authenticate_again",
    "find_registration",
    "read_client",
    "read_credentials",
    "use_up",
]

logger = logging.getLogger("nameplate.server")

LoadClient = Callable[[int], Awaitable[tuple[ClientMetadata, int | None]]]
"""Brings the client of today, by a copy of its document that was fetched since an instant, and when that was; None
where there is no younger one.
"""

_NO_KEYS = '{"keys":[]}'


def read_credentials(request: Request, form: Parameters) -> Credentials:
    """How the request authenticates its client. Raises ``TokenError``, see ``parse_credentials``."""
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise TokenError(
            "invalid_request",
            "The request has more than one Authorization header.",
            reason="client.auth_methods_several",
        )
    return parse_credentials(form, headers[0] if headers else None)


async def find_registration(credentials: Credentials, context: ServerContext) -> RegisteredClient | None:
    """The entry of a registered client; None for one that is known by its document.

    A secret is settled here already, whatever the rest of the request is worth. Raises ``TokenError``
    ``invalid_client``, also for a client that is not registered any more: real clients then register anew.
    """
    if is_client_id_url(credentials.client_id):
        check_no_secret(credentials)
        return None
    registered = await context.store.load_client(credentials.client_id)
    if isinstance(registered, Unknown):
        raise TokenError("invalid_client", "No client is registered under this client_id.", reason="client.unknown")
    if isinstance(credentials, SharedSecret):
        check_auth_method(read_client(registered.metadata), credentials.method)
        check_secret(credentials, registered.secret_hash)
    return registered


def read_client(snapshot: str) -> ClientMetadata:
    """The client in a snapshot from the store. Raises ``StoreError`` where it is damaged: no fault of the client's."""
    try:
        return parse_snapshot(snapshot)
    except ClientMetadataError as error:
        raise StoreError("a stored client is damaged") from error


async def authenticate(
    credentials: Credentials,
    client: ClientMetadata,
    secret_hash: bytes | None,
    grant: Grant,
    context: ServerContext,
    *,
    at_token_endpoint: bool = False,
) -> ClientProof:
    """The proof that the request comes from ``client``, by a method that this offers.

    ``secret_hash`` is that of its registration, if any. ``grant`` is what the client asks about: only with one may keys
    at a ``jwks_uri`` be fetched. The proof of an assertion is to be recorded with whatever becomes of the request
    (``redeem_code``, ``rotate_refresh_token``; ``use_up`` where it comes to nothing).

    Raises ``TokenError``: ``invalid_client``, or ``temporarily_unavailable`` (503) where keys cannot be fetched now.
    Whoever fails by one method is never taken for one who used a weaker one.
    """
    check_auth_method(client, credentials.method, pinned=grant.auth_method)
    match credentials:
        case NoSecret():
            return ClientProof(auth_method=credentials.method)
        case SharedSecret():
            check_secret(credentials, secret_hash)
            return ClientProof(auth_method=credentials.method)
        case Assertion():
            claims = await _verify_signature(credentials.token, client, context)
            return _check_claims(claims, client, context, at_token_endpoint=at_token_endpoint)
        case _:
            assert_never(credentials)


async def authenticate_again(
    credentials: Credentials,
    load_client: LoadClient,
    grant: Grant,
    context: ServerContext,
    *,
    seen_at: int,
    at_token_endpoint: bool = False,
) -> tuple[ClientMetadata, ClientProof]:
    """The client of today and its proof, for one that is known by its document and was here before, at ``seen_at``.

    Each replica has a copy of the document of its own. One that was fetched before ``seen_at`` may be older than what
    the client was let in by then: where it would refuse the client, or end the grant, a younger one decides. Raises as
    ``authenticate`` does, and what ``load_client`` does.
    """
    client, fetched_at = await load_client(0)
    is_old = fetched_at is not None and fetched_at < seen_at
    outcome: ClientProof | TokenError
    try:
        outcome = await authenticate(credentials, client, None, grant, context, at_token_endpoint=at_token_endpoint)
    except TokenError as refusal:
        if not is_old:
            raise
        outcome = refusal
    if is_old and is_doubtful(outcome, grant, client):
        client, _ = await load_client(seen_at)
        outcome = await authenticate(credentials, client, None, grant, context, at_token_endpoint=at_token_endpoint)
    if isinstance(outcome, TokenError):
        raise outcome
    return client, outcome


async def use_up(proof: ClientProof, now: int, context: ServerContext) -> None:
    """Use up the assertion of a request that is refused for another reason: it must not serve in a better one.

    Raises ``TokenError`` ``invalid_client`` where it was used before; then that is the reason.
    """
    if proof.assertion is not None and not await context.store.record_assertion(proof.assertion, now):
        raise build_replay_refusal()


def _check_claims(
    claims: Mapping[str, object], client: ClientMetadata, context: ServerContext, *, at_token_endpoint: bool
) -> ClientProof:
    audiences = choose_audiences(
        client.client_id,
        issuer=context.issuer,
        token_endpoint=build_endpoints(context.issuer).token if at_token_endpoint else None,
        patterns=context.token_endpoint_audience_clients,
    )
    use = check_assertion_claims(claims, client_id=client.client_id, audiences=audiences, now=context.clock())
    is_strict = claims["aud"] == context.issuer
    logger.log(
        logging.DEBUG if is_strict else logging.INFO,
        "client assertion for the issuer" if is_strict else "client assertion for the token endpoint",
        extra={"client_id": client.client_id},
    )
    return ClientProof(auth_method="private_key_jwt", client_keys=build_key_memory(client), assertion=use)


async def _verify_signature(token: str, client: ClientMetadata, context: ServerContext) -> Mapping[str, object]:
    """The claims of an assertion that one of the client's keys signed."""
    if client.jwks_uri is None:
        keys = _read_keys(client.jwks or _NO_KEYS)
    else:
        keys = await _load_keys(client.jwks_uri, context)
    outcome = _verify(keys, token, client)
    if isinstance(outcome, UnknownKey) and client.jwks_uri is not None:
        # The key may be new. Fetching again is bounded, however many kids somebody invents.
        keys = await _load_keys(client.jwks_uri, context, kid=outcome.kid)
        outcome = _verify(keys, token, client)
    match outcome:
        case Verified():
            return outcome.claims
        case UnknownKey():
            raise build_signature_refusal("unknown_key", "; ".join((f"kid {outcome.kid[:100]!a}", *keys.problems)))
        case Refused():
            raise build_signature_refusal(outcome.reason, "; ".join(keys.problems))
        case _:
            assert_never(outcome)


def _verify(keys: KeySet, token: str, client: ClientMetadata) -> Verified | UnknownKey | Refused:
    return keys.verify(token, typ=ASSERTION_TYPES, algorithms=choose_algorithms(client))


async def _load_keys(jwks_uri: str, context: ServerContext, *, kid: str | None = None) -> KeySet:
    try:
        return _read_keys((await context.key_sets.load_keys(jwks_uri, kid=kid)).jwks)
    except (ClientMetadataError, FetchError) as error:
        raise build_lost_keys_refusal(error, jwks_uri) from error


@lru_cache(maxsize=256)  # by the canonical text: equal key sets have equal texts
def _read_keys(jwks: str) -> KeySet:
    return KeySet.from_jwks(read_json(jwks.encode()))
