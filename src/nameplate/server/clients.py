"""Finding the client that a request names: a URL by its document, anything else among the registered ones.

An id that looks like a URL is never looked up as anything else, and no id made here looks like one (CIMD draft §8.1).
"""

from typing import assert_never

from nameplate.errors import ClientMetadataError, FetchError
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.authorization import RegisteredClientId, build_unknown_client_refusal
from nameplate.protocol.client_id import ClientIdUrl
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.client_refusal import build_document_refusal, build_fetch_refusal
from nameplate.server.client_auth import read_client
from nameplate.server.context import ServerContext

__all__ = ["load_client"]


async def load_client(
    client_id: ClientIdUrl | RegisteredClientId, context: ServerContext, *, source: str
) -> ClientMetadata:
    """The client that an authorization request names. ``source`` is whose budget a fetch is charged to.

    Raises ``AuthorizationPageError`` where there is none, or where its document cannot be used.
    """
    match client_id:
        case ClientIdUrl():
            return await _load_document(client_id, context, source)
        case RegisteredClientId():
            return await _load_registration(client_id, context)
        case _:
            assert_never(client_id)


async def _load_document(client_id: ClientIdUrl, context: ServerContext, source: str) -> ClientMetadata:
    document = context.documents.find_document(client_id.text)
    if document is not None:
        return document.metadata
    try:
        return (await context.documents.load_document(client_id, source=source)).metadata
    except FetchError as error:
        raise build_fetch_refusal(error, client_id.host) from error
    except ClientMetadataError as error:
        raise build_document_refusal(error) from error


async def _load_registration(client_id: RegisteredClientId, context: ServerContext) -> ClientMetadata:
    client = await context.store.load_client(client_id.text)
    if isinstance(client, Unknown):
        raise build_unknown_client_refusal()
    return read_client(client.metadata)
