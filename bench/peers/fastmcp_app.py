"""FastMCP's OAuth proxy as an authorization server: an upstream that signs everybody in stands behind it."""

import argparse
import logging
from pathlib import Path

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth import OAuthProxy
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier
from key_value.aio.stores.memory import MemoryStore

from bench.fetch.sides import stand_in_for_dns, trust_for_fastmcp
from bench.peers.visitor import UPSTREAM

__all__ = ["STORES"]

STORES = ("default", "memory")


def main() -> None:
    """Serve until SIGTERM. The default store lies on disk, below FASTMCP_HOME."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--store", choices=STORES, required=True)
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--scopes", required=True)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    stand_in_for_dns("localhost")  # with its IPv4 address alone, as our own server is told
    trust_for_fastmcp(str(given.ca_file))
    scopes = given.scopes.split(" ")
    verifier = StaticTokenVerifier({"upstream": {"client_id": "bench", "scopes": scopes}}, required_scopes=scopes)
    auth = OAuthProxy(
        upstream_authorization_endpoint=UPSTREAM,
        upstream_token_endpoint=f"{given.upstream}/token",
        upstream_client_id="bench",
        upstream_client_secret="bench",
        token_verifier=verifier,
        base_url=f"http://127.0.0.1:{given.port}",
        valid_scopes=scopes,
        jwt_signing_key="a key for the bench, and for nothing else",
        client_storage=MemoryStore() if given.store == "memory" else None,
        require_authorization_consent=False,
    )
    app = FastMCP("bench", auth=auth).http_app(path="/mcp")
    uvicorn.run(
        app,
        port=given.port,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
    )


if __name__ == "__main__":
    main()
