"""Serves protected resource metadata (RFC 9728 §3)."""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from nameplate.protocol.cors import CORS_HEADERS, build_preflight_headers
from nameplate.resource.answers import Headers, send_answer

__all__ = ["MetadataApp"]

_METHODS = ("GET", "HEAD", "OPTIONS")


class MetadataApp:
    """An ASGI application with one document, open to every origin and without credentials."""

    def __init__(self, document: bytes) -> None:
        self._document = document

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer GET and HEAD with the document, OPTIONS as a preflight, anything else with 405."""
        method = scope["method"]
        if method == "OPTIONS":
            await send_answer(send, 204, b"", _encode(build_preflight_headers(_METHODS)))
        elif method in _METHODS:
            headers = [*_encode(CORS_HEADERS), (b"cache-control", b"public, max-age=300")]
            await send_answer(send, 200, self._document, headers)
        else:
            await send_answer(send, 405, b"{}", [(b"allow", ", ".join(_METHODS).encode())])


def _encode(headers: Mapping[str, str]) -> Headers:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
