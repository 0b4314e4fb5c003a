"""Cross-origin answers for the endpoints that browsers' scripts may call, never with credentials (architecture decision
21).
"""

from collections.abc import Sequence

__all__ = ["CORS_HEADERS", "build_preflight_headers"]

CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After",
}
"""On every answer of such an endpoint, errors included."""


def build_preflight_headers(methods: Sequence[str]) -> dict[str, str]:
    """The answer to a preflight (Fetch standard, CORS protocol). ``*`` would not cover Authorization."""
    return {
        **CORS_HEADERS,
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": "Authorization, Content-Type, MCP-Protocol-Version",
        "Access-Control-Max-Age": "86400",
    }
