"""The demo's servers, composed as a user would compose them, on free ports of 127.0.0.1."""

import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from starlette.types import ASGIApp

from nameplate.demo.callback import CallbackListener, run_callback_listener
from nameplate.demo.mcp_server import SCOPES, SERVER_NAME, build_notes_app, build_unprotected_notes_app
from nameplate.demo.server_group import ServerGroup
from nameplate.demo.traffic import Traffic, WatchedApp
from nameplate.resource import Keys
from nameplate.server.app import AuthorizationServer
from nameplate.server.settings import ENVIRONMENT_PREFIX, Settings, load_settings
from nameplate.testing.document_host import DocumentHost, run_document_host
from nameplate.testing.serving import open_listener, serve_app
from nameplate.upstream.local_accounts import hash_password

__all__ = ["CLIENT_DOCUMENT", "DOCUMENT_PATH", "Account", "DemoWorld", "WorldOptions", "open_world"]

DOCUMENT_PATH = "/oauth/client.json"

CLIENT_DOCUMENT: Mapping[str, object] = {
    "client_name": "Demo notebook",
    # RFC 8252 §7.3: a program on this machine listens where it finds a free port, so the document names none. The
    # second is for other clients that somebody tries against `nameplate demo --keep`: FastMCP's calls itself localhost.
    "redirect_uris": ["http://127.0.0.1/callback", "http://localhost/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
"""The client's metadata document, without ``client_id``: that is the URL at which it lies."""

_CONFIGURATION = Template("""\
# What the demo's authorization server runs with: the settings of nameplate serve, docs/configuration.md.
issuer = "$issuer"
listen = "$listen"

[store]
url = $store_url

[[accounts]]
username = "$username"
password_hash = "$password_hash"
display_name = "$display_name"

[[resources]]
identifier = "$resource"
name = "$resource_name"
scopes = [
$scopes
]

[fetch]
trusted_ca_file = $ca_file

# The guard lets nobody reach this machine itself. This host, at this port, is the exception.
[[fetch.private_hosts]]
host = "$document_host"
network = "127.0.0.0/8"
ports = [$document_port]
address = "127.0.0.1"
""")

_PASSWORD_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105  (no characters that people mistake for each other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who can sign in to the demo's authorization server."""

    username: str
    password: str
    display_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """What may be composed otherwise, to see the demo fail as it must.

    ``document`` None: the client's document is not published. ``resource_issuer`` and ``resource_keys``: the MCP server
    trusts another authorization server, or other keys. ``is_protected`` False: it asks for no token at all.
    """

    document: Mapping[str, object] | None = field(default_factory=lambda: CLIENT_DOCUMENT)
    resource_issuer: str | None = None
    resource_keys: Keys | None = None
    is_protected: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoWorld:
    """The running servers. ``callback`` is where the client waits for answers, ``traffic`` is what the authorization
    server is asked.
    """

    host: DocumentHost
    client_id: str
    issuer: str
    resource: str
    account: Account
    config_file: Path
    callback: CallbackListener
    traffic: Traffic


@asynccontextmanager
async def open_world(directory: Path, options: WorldOptions) -> AsyncIterator[DemoWorld]:
    """Start everything, with its files in ``directory``; stop it at the end.

    Raises ``ConfigurationError``, ``RuntimeError`` (a server does not start) or ``OSError`` (no port).
    """
    async with AsyncExitStack() as stack:
        # Both ports are known before either server runs: each has the other's URL in its configuration.
        server_listener, server_port = open_listener()
        stack.callback(server_listener.close)
        mcp_listener, mcp_port = open_listener()
        stack.callback(mcp_listener.close)
        servers = await stack.enter_async_context(ServerGroup())
        host = await servers.start(run_document_host(directory))
        client_id = host.url(DOCUMENT_PATH)
        if options.document is not None:
            host.publish(DOCUMENT_PATH, options.document)
        world = DemoWorld(
            host=host,
            client_id=client_id,
            issuer=f"http://127.0.0.1:{server_port}",
            resource=f"http://127.0.0.1:{mcp_port}/mcp",
            account=_invent_account(),
            config_file=directory / "nameplate.toml",
            callback=await servers.start(run_callback_listener()),
            traffic=Traffic(),
        )
        server = AuthorizationServer(_configure(world, directory))
        await servers.start(serve_app(WatchedApp(server.standalone_app(), world.traffic), server_listener))
        await servers.start(serve_app(_build_mcp_app(world, options), mcp_listener))
        yield world


def _invent_account() -> Account:
    groups = ("".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(4)) for _ in range(3))
    return Account(username="ada", password="-".join(groups), display_name="Ada Lovelace")


def _configure(world: DemoWorld, directory: Path) -> Settings:
    """Write the configuration as a user would, and read it as ``nameplate serve`` does."""
    scopes = (f'    {{ name = "{name}", description = "{text}" }},' for name, text in SCOPES.items())
    text = _CONFIGURATION.substitute(
        issuer=world.issuer,
        listen=world.issuer.removeprefix("http://"),
        store_url=json.dumps(f"sqlite:///{directory / 'nameplate.sqlite3'}"),  # JSON's strings are TOML's
        username=world.account.username,
        password_hash=hash_password(world.account.password),
        display_name=world.account.display_name,
        resource=world.resource,
        resource_name=SERVER_NAME,
        scopes="\n".join(scopes),
        ca_file=json.dumps(str(world.host.ca_file)),
        document_host=world.host.name,
        document_port=world.host.port,
    )
    world.config_file.write_text(text, encoding="utf-8")
    with _without_own_environment():
        return load_settings(world.config_file)


@contextlib.contextmanager
def _without_own_environment() -> Iterator[None]:
    """Settings in the environment are for the user's own server, and would win over the demo's file."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(ENVIRONMENT_PREFIX)}
    try:
        yield
    finally:
        os.environ.update(kept)


def _build_mcp_app(world: DemoWorld, options: WorldOptions) -> ASGIApp:
    if not options.is_protected:
        return build_unprotected_notes_app(resource=world.resource)
    return build_notes_app(
        resource=world.resource, issuer=options.resource_issuer or world.issuer, keys=options.resource_keys
    )
