"""What is the same for everybody who asks: metadata, keys, the stylesheet. Built once, served as bytes."""

import json
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from nameplate.protocol.cors import CORS_HEADERS
from nameplate.server.pages.render import STYLESHEET, STYLESHEET_ETAG

__all__ = ["build_json_document", "show_stylesheet"]


def build_json_document(document: Mapping[str, object], *, max_age_seconds: int) -> Response:
    """A JSON answer that is the same for everybody, so that one object can answer every request."""
    headers = {
        **CORS_HEADERS,
        "Cache-Control": f"public, max-age={max_age_seconds}",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(json.dumps(document).encode(), media_type="application/json", headers=headers)


async def show_stylesheet(request: Request) -> Response:
    """The one stylesheet; 304 for a browser that has it."""
    headers = {"ETag": STYLESHEET_ETAG, "Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == STYLESHEET_ETAG:
        return Response(status_code=304, headers=headers)
    return Response(STYLESHEET, media_type="text/css", headers=headers)
