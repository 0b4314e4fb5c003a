"""``POST /revoke``: a client ends what a person authorised it for (RFC 7009; docs/decisions/0013)."""

from starlette.requests import Request
from starlette.responses import Response

from nameplate.errors import ClientIdError, ClientMetadataError, FetchError, ParameterError, StoreError, TokenError
from nameplate.jose import Verified
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPES
from nameplate.protocol.client_authentication import Credentials
from nameplate.protocol.client_change import ENDING_REASONS, check_proof
from nameplate.protocol.client_id import parse_client_id
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.cors import CORS_HEADERS
from nameplate.protocol.grant import Grant
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.protocol.revocation import REVOCATION_REASON, is_revocable_by, parse_presented_token, read_grant_id
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import NO_STORE, build_json_error
from nameplate.server.client_auth import authenticate, find_registration, read_client, read_credentials, use_up
from nameplate.server.context import ServerContext
from nameplate.server.forms import read_form
from nameplate.server.refusals import store_failed

__all__ = ["revoke"]


async def revoke(request: Request, context: ServerContext) -> Response:
    """End the grant of the token, whichever of its tokens that is. 200 says that the token is worth nothing now.

    It says so of unknown and foreign tokens too, without a word more and without authenticating a client whose document
    would have to be fetched for it. Every refusal is RFC-shaped JSON.
    """
    client_id, used_header = "", "authorization" in request.headers
    try:
        form = await read_form(request)
        credentials = read_credentials(request, form)
        client_id = credentials.client_id
        token = parse_presented_token(form)
        registered = await find_registration(credentials, context)
        grant = await _find_grant(token, context)
        if grant is not None and is_revocable_by(grant, client_id, context.now()):
            await _revoke_grant(grant, credentials, registered, context)
    except (ParameterError, TokenError) as error:
        return build_json_error(error, client_id=client_id, used_header=used_header)
    except StoreError as error:
        return build_json_error(store_failed(str(error)), client_id=client_id, cause=error)
    return Response(headers={**CORS_HEADERS, **NO_STORE})


async def _find_grant(token: str, context: ServerContext) -> Grant | None:
    """The grant behind a token of any kind and age: a refresh token by its hash, else an access token by our signature.

    So the hint of what kind it is can neither help nor mislead (RFC 7009 §2.1).
    """
    found = await context.store.load_refresh_token(hash_bearer_value(token))
    if not isinstance(found, Unknown):
        return found[1]
    outcome = await context.signing_keys.verify(token, typ=ACCESS_TOKEN_TYPES)
    grant_id = read_grant_id(outcome.claims, context.issuer) if isinstance(outcome, Verified) else None
    grant = Unknown() if grant_id is None else await context.store.load_grant(grant_id)
    return None if isinstance(grant, Unknown) else grant


async def _revoke_grant(
    grant: Grant, credentials: Credentials, registered: RegisteredClient | None, context: ServerContext
) -> None:
    if registered is None:
        client, secret_hash = await _load_client(grant, context), None
    else:
        client, secret_hash = read_client(registered.metadata), registered.secret_hash
    proof, now = await authenticate(credentials, client, secret_hash, grant, context), context.now()
    await use_up(proof, now, context)
    try:
        check_proof(proof, grant, client)
    except TokenError as refusal:
        if refusal.reason not in ENDING_REASONS:  # those end the grant anyway, which is what the client wants
            raise
    await context.store.revoke_grant(grant.id, reason=REVOCATION_REASON, now=now)


async def _load_client(grant: Grant, context: ServerContext) -> ClientMetadata:
    """The client as its document describes it today, else as on the day on which the person allowed it.

    Whatever is wrong with the document, or its host, or with what the operator admits today: it must not keep access
    alive that the client gives back (K31).
    """
    document = context.documents.find_document(grant.client_id)
    if document is None:
        try:
            client_id = parse_client_id(grant.client_id, context.policy.client_id)
            document = await context.documents.load_document(client_id, live_grant=True)
        except (ClientIdError, ClientMetadataError, FetchError):
            return read_client(grant.client_metadata)
    return document.metadata
