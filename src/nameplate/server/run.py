"""Running an authorization server in a process of its own."""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import uvicorn

from nameplate.errors import ConfigurationError
from nameplate.server.app import AuthorizationServer
from nameplate.server.http_limits import LimitedHttpProtocol
from nameplate.server.listener import open_listener
from nameplate.server.logs import set_up_logs
from nameplate.server.settings import Settings
from nameplate.server.settings_checks import parse_listen

__all__ = ["run_server"]

logger = logging.getLogger("nameplate.server")

GRACEFUL_SECONDS = 10


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun.

    Raises ``ConfigurationError`` where the address cannot be had, ``StoreError`` where the store cannot be opened.
    """
    set_up_logs()
    _check_port(settings)
    if not settings.cimd.enabled:
        logger.warning("cimd.enabled is off: no new client can sign in, because documents are the only way to be known")
    with _listen(settings.listen) as listener:
        server = AuthorizationServer(settings)
        config = _build_uvicorn_config(server, settings)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(server, _Server(config), listener, settings))


def _check_port(settings: Settings) -> None:
    """A plain http issuer has no proxy in front: at another port, the metadata would send everybody elsewhere."""
    issuer, (_host, port) = urlsplit(settings.issuer), parse_listen(settings.listen)
    if issuer.scheme == "http" and (issuer.port or 80) != port:
        raise ConfigurationError(
            "listen", f"port {port} is not that of the issuer {settings.issuer}: change both, --issuer and --listen."
        )


async def _serve(
    server: AuthorizationServer, listening: uvicorn.Server, listener: socket.socket, settings: Settings
) -> None:
    async with server.running():
        logger.info("serving", extra={"issuer": settings.issuer, "listen": settings.listen})
        await listening.serve(sockets=[listener])
    logger.info("stopped")


def _listen(listen: str) -> socket.socket:
    host, port = parse_listen(listen)
    try:
        return open_listener(host, port)
    except OSError as error:
        raise ConfigurationError(
            "listen", f"cannot listen on {listen}: {error.strerror}. Another port takes both --listen and --issuer."
        ) from None


def _build_uvicorn_config(server: AuthorizationServer, settings: Settings) -> uvicorn.Config:
    """How the server listens. Forwarded headers count only from the operator's own proxies (BCP-7)."""
    return uvicorn.Config(
        server.standalone_app(),
        http=LimitedHttpProtocol,
        ws="none",
        lifespan="off",  # entered here, so that what goes wrong at start is an error of ours and no trace
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        log_config=None,
        access_log=False,  # it would write down query strings, and some carry the secret of a waiting request
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, for which SIGTERM and SIGINT are orders to finish, not a death: the exit status is then 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
