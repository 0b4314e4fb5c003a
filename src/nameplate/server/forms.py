"""Reading what was posted: bounded before parsing, and only from our own pages where that matters."""

from starlette.requests import ClientDisconnect, Request

from nameplate.errors import ParameterError
from nameplate.protocol.parameters import MAX_PARAMETERS_BYTES, Parameters, is_form_media_type, parse_parameters
from nameplate.server.browser import is_own_form
from nameplate.server.refusals import foreign_form

__all__ = ["read_form", "read_own_form"]


async def read_form(request: Request) -> Parameters:
    """The parameters of a form body. Raises ``ParameterError`` ``invalid_request``.

    A body that grows past the limit is not read any further, whatever its Content-Length said.
    """
    if not is_form_media_type(request.headers.get("content-type", "")):
        raise ParameterError("The body must be application/x-www-form-urlencoded.", reason="parameters.media_type")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_PARAMETERS_BYTES:
                raise ParameterError("The parameters are too long.", reason="parameters.too_long")
    except ClientDisconnect:
        raise ParameterError("The body ended before it was whole.", reason="parameters.disconnected") from None
    return parse_parameters(bytes(body))


async def read_own_form(request: Request, issuer: str) -> Parameters:
    """The parameters of a form on one of our own pages. Raises ``AuthorizationPageError`` for any other site's."""
    if not is_own_form(request, issuer):
        raise foreign_form()
    return await read_form(request)
