"""``POST /revoke``: a client ends what a person authorised it for (RFC 7009; docs/decisions/0013)."""

from functools import partial

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import ClientIdError, ClientMetadataError, FetchError, ParameterError, StoreError, TokenError
from nameplate.jose import Verified
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPES
from nameplate.protocol.client_authentication import Credentials
from nameplate.protocol.client_change import (
    ENDING_REASONS,
    build_lost_client_refusal,
    check_proof,
    is_end_of_client,
)
from nameplate.protocol.client_id import parse_client_id
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.cors import CORS_HEADERS
from nameplate.protocol.grant import Grant
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.protocol.revocation import REVOCATION_REASON, is_revocable_by, parse_presented_token, read_grant_id
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import NO_STORE, build_json_error
from nameplate.server.client_auth import (
    authenticate,
    authenticate_again,
    find_registration,
    read_client,
    read_credentials,
    use_up,
)
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_form
from nameplate.server.refusals import store_failed
from nameplate.server.upstream_tokens import end_tokens

__all__ = ["revoke"]


async def revoke(request: Request, context: ServerContext) -> Response:
    """End the grant of the token, whichever of its tokens that is. 200 says that the token is worth nothing now.

    It says so of unknown and foreign tokens too, without a word more and without authenticating a client whose document
    would have to be fetched for it. Every refusal is RFC-shaped JSON.
    """
    client_id, used_header = "", "authorization" in request.headers
    afterwards: BackgroundTask | None = None
    try:
        form = await read_form(request)
        credentials = read_credentials(request, form)
        client_id = credentials.client_id
        token = parse_presented_token(form)
        registered = await find_registration(credentials, context)
        found = await _find_grant(token, context)
        if found is not None and is_revocable_by(found[0], client_id, context.now()):
            grant, seen_at = found
            await _revoke_grant(grant, seen_at, credentials, registered, context)
            # The client has its answer before the provider is asked: that may be down.
            afterwards = BackgroundTask(end_tokens, grant, context)
    except (ParameterError, TokenError) as error:
        return build_json_error(error, client_id=client_id, used_header=used_header)
    except StoreError as error:
        return build_json_error(store_failed(str(error)), client_id=client_id, cause=error)
    return Response(headers={**CORS_HEADERS, **NO_STORE}, background=afterwards)


async def _find_grant(token: str, context: ServerContext) -> tuple[Grant, int] | None:
    """The grant behind a token of any kind and age, and when its client was here, as far as the token tells: a refresh
    token by its hash, else an access token by our signature.

    So the hint of what kind it is can neither help nor mislead (RFC 7009 §2.1).
    """
    found = await context.store.load_refresh_token(hash_bearer_value(token))
    if not isinstance(found, Unknown):
        refresh_token, grant = found
        return grant, refresh_token.rotated_at or refresh_token.issued_at
    outcome = await context.signing_keys.verify(token, typ=ACCESS_TOKEN_TYPES)
    grant_id = read_grant_id(outcome.claims, context.issuer) if isinstance(outcome, Verified) else None
    if not isinstance(outcome, Verified) or grant_id is None:
        return None
    owner, issued_at = await context.store.load_grant(grant_id), outcome.claims.get("iat")
    return None if isinstance(owner, Unknown) else (owner, issued_at if isinstance(issued_at, int) else 0)


async def _revoke_grant(
    grant: Grant, seen_at: int, credentials: Credentials, registered: RegisteredClient | None, context: ServerContext
) -> None:
    if registered is None:
        load_client = partial(_load_client, grant, context)
        client, proof = await authenticate_again(credentials, load_client, grant, context, seen_at=seen_at)
    else:
        client = read_client(registered.metadata)
        proof = await authenticate(credentials, client, registered.secret_hash, grant, context)
    now = context.now()
    await use_up(proof, now, context)
    try:
        check_proof(proof, grant, client)
    except TokenError as refusal:
        if refusal.reason not in ENDING_REASONS:  # those end the grant anyway, which is what the client wants
            raise
    await context.store.revoke_grant(grant.id, reason=REVOCATION_REASON, now=now)


async def _load_client(grant: Grant, context: ServerContext, fetched_since: int) -> tuple[ClientMetadata, int | None]:
    """See ``LoadClient``. The client as its document describes it today, else as on the day on which the person allowed
    it.

    Whatever is wrong with the document, or its host, or with what the operator admits today: it must not keep access
    alive that the client gives back (K31). But where a copy refused the client already, and only its host can tell
    whether that copy is too old, the client has to come again (503).
    """
    document = context.documents.find_document(grant.client_id)
    if document is None or document.fetched_at < fetched_since:
        try:
            client_id = parse_client_id(grant.client_id, context.policy.client_id)
            document = await context.documents.load_document(client_id, live_grant=True, fetched_since=fetched_since)
        except (ClientIdError, ClientMetadataError, FetchError) as error:
            if fetched_since and not is_end_of_client(error):
                raise build_lost_client_refusal(error, grant.client_id) from error
            return read_client(grant.client_metadata), None
    return document.metadata, document.fetched_at
