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
from nameplate.server.workers import Worker, run_workers

__all__ = ["run_server"]

logger = logging.getLogger("nameplate.server")

GRACEFUL_SECONDS = 10
"""How long requests that have begun may take after the order to stop."""

CLOSING_SECONDS = 5
"""What a worker gets beyond that, for closing its store."""


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun. With several workers it returns in each process.

    Raises ``ConfigurationError`` where the address cannot be had, ``StoreError`` where the store cannot be opened, and
    ``SystemExit`` in the parent of workers that could not start.
    """
    set_up_logs()
    _check_port(settings)
    if not (settings.cimd.enabled or settings.registration.enabled):
        logger.warning(
            "cimd.enabled and registration.enabled are off: only clients that the operator registered can come"
        )
    with _listen(settings.listen) as listener:
        if settings.workers == 1:
            _run_here(settings, listener)
            return
        worker = run_workers(settings.workers, listener, stop_seconds=GRACEFUL_SECONDS + CLOSING_SECONDS)
        if worker is not None:
            _run_here(settings, listener, worker)


def _run_here(settings: Settings, listener: socket.socket, worker: Worker | None = None) -> None:
    server = AuthorizationServer(settings)
    config = _build_uvicorn_config(server, settings)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, _Server(config, worker), listener, settings))


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

    def __init__(self, config: uvicorn.Config, worker: Worker | None) -> None:
        super().__init__(config)
        self._worker = worker

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._worker is not None:
            self._worker.report_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # A terminal sends SIGINT to all processes; that of a worker comes from its parent, as SIGTERM.
        orders = (signal.SIGTERM, signal.SIGINT) if self._worker is None else (signal.SIGTERM,)
        before = {number: signal.signal(number, self.handle_exit) for number in orders}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
