"""A resource server with one JSON route: open, or behind ``nameplate.resource.protect``."""

import argparse

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nameplate.resource import protect

__all__ = ["PATH", "SCOPES"]

PATH = "/mcp"
SCOPES = ("notes:read", "notes:write")


async def _answer(_request: Request) -> Response:
    return JSONResponse({"notes": ["buy milk", "call Ada"]})


def main() -> None:
    """Serve until SIGTERM. Without an issuer the route is open."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--issuer")
    given = parser.parse_args()
    app: ASGIApp = Starlette(routes=[Route(PATH, _answer)])
    if given.issuer is not None:
        resource = f"http://127.0.0.1:{given.port}{PATH}"
        app = protect(app, resource=resource, issuer=given.issuer, scopes=SCOPES)
    uvicorn.run(
        app,
        port=given.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
    )


if __name__ == "__main__":
    main()
