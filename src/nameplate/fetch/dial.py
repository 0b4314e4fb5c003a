"""The dial: the only place where a name becomes a connection, and therefore where addresses are judged.

There is no "check this URL" that resolves a name beforehand: between such a check and the connection the name may move
(DNS rebinding). Here every answer is judged, any bad one refuses the whole name, the address is judged again in the
moment in which it is dialled, as a number, and the connected socket is asked where it really leads.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import zip_longest

import httpcore2

from nameplate.errors import AddressRefused, Unreachable
from nameplate.fetch.options import FetchOptions
from nameplate.fetch.resolve import Resolver
from nameplate.fetch.wire import PlainStream, StreamLimits
from nameplate.protocol.addresses import find_special_use, parse_address, unwrap_ipv4
from nameplate.protocol.private_hosts import find_private_host, is_admitted, is_declared
from nameplate.protocol.urls import is_permitted_port

__all__ = ["Dialler", "ProxyDialler", "connect_first", "interleave_families"]

Attempt = Callable[[str], Coroutine[None, None, socket.socket]]
_ADDRESSES_TRIED = 6
# Judging one takes 10 µs of the event loop, and an answer by TCP has room for four thousand.
_ADDRESSES_JUDGED = 64


class Dialler(httpcore2.AsyncNetworkBackend):
    """httpcore2's way to the network: connects to a host, at addresses that may be reached and at no other."""

    def __init__(self, options: FetchOptions, resolver: Resolver) -> None:
        self._private_hosts = options.private_hosts
        self._stagger_seconds = options.stagger_seconds
        self._limits = _read_limits(options)
        self._resolver = resolver

    async def connect_tcp(self, host: str, port: int, *_: object, **_options: object) -> PlainStream:
        """A connection to ``host``. Raises ``AddressRefused``, ``Unreachable`` or ``Busy``: httpcore2 retries none."""
        self._check_port(host, port)
        addresses = await self._find_addresses(host)
        for address in addresses:  # all of them, before the first is dialled: one bad answer refuses the name
            self._check_address(host, port, address)

        async def attempt(address: str) -> socket.socket:
            self._check_address(host, port, address)
            return await _connect_address(address, port)

        ordered = interleave_families(addresses)[:_ADDRESSES_TRIED]
        return PlainStream(await connect_first(ordered, attempt, self._stagger_seconds), self._limits)

    def _check_port(self, host: str, port: int) -> None:
        if not (is_permitted_port(port) or is_declared(self._private_hosts, host, port)):
            raise AddressRefused(f"port {port} may not be dialled")

    async def _find_addresses(self, host: str) -> Sequence[str]:
        literal = host.removeprefix("[").removesuffix("]")
        if parse_address(literal) is not None:
            return [literal]
        declared = find_private_host(self._private_hosts, host)
        if declared is not None and declared.address is not None:
            return [declared.address]
        try:
            answers = await self._resolver(host)
        except (OSError, ValueError) as error:
            raise Unreachable(f"DNS: {error}") from error
        if not 0 < len(answers) <= _ADDRESSES_JUDGED:
            raise Unreachable(f"DNS: {len(answers)} addresses")
        return list(dict.fromkeys(answers))

    def _check_address(self, host: str, port: int, address: str) -> None:
        """The judgement (CIMD draft §9.6): a declared host leads to its own network, any other to public addresses."""
        if is_declared(self._private_hosts, host, port):
            if not is_admitted(self._private_hosts, host, port, address):
                raise AddressRefused(f"{address} is outside the network declared for {host}")
            return
        special_use = find_special_use(address)
        if special_use is not None:
            raise AddressRefused(f"{host} leads to {address}: {special_use}")


class ProxyDialler(httpcore2.AsyncNetworkBackend):
    """The way to an egress proxy that the operator named: its address is trusted configuration and is not judged."""

    def __init__(self, options: FetchOptions) -> None:
        self._stagger_seconds = options.stagger_seconds
        self._limits = _read_limits(options)

    async def connect_tcp(self, host: str, port: int, *_: object, **_options: object) -> PlainStream:
        """A connection to the proxy. Raises ``Unreachable``."""
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            raise Unreachable(f"egress proxy: {error}") from error
        addresses = interleave_families(list(dict.fromkeys(str(answer[4][0]) for answer in answers)))
        sock = await connect_first(addresses, lambda address: _connect_address(address, port), self._stagger_seconds)
        return PlainStream(sock, self._limits)


def _read_limits(options: FetchOptions) -> StreamLimits:
    return StreamLimits(header_bytes=options.max_header_bytes, idle_seconds=options.keepalive_seconds)


def interleave_families(addresses: Sequence[str]) -> list[str]:
    """IPv6 and IPv4 in turn, IPv6 first, each in the order in which the resolver put them. RFC 8305 §4."""
    ipv6 = [address for address in addresses if ":" in address]
    ipv4 = [address for address in addresses if ":" not in address]
    return [address for pair in zip_longest(ipv6, ipv4) for address in pair if address is not None]


async def connect_first(addresses: Sequence[str], attempt: Attempt, stagger_seconds: float) -> socket.socket:
    """The socket of the first attempt that succeeds (Happy Eyeballs, RFC 8305 §5).

    The next address is tried as soon as one fails, or after ``stagger_seconds``. The sockets of all other attempts
    are closed, also where the caller is cancelled in the moment in which one of them won. Raises what the last failed
    attempt raised.
    """
    if len(addresses) == 1:
        return await attempt(addresses[0])
    waiting = list(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    losers: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException = Unreachable("no address")
    try:
        while waiting or running:
            if waiting:
                task = asyncio.create_task(attempt(waiting.pop(0)))
                running.add(task)
                losers.add(task)
            patience = stagger_seconds if waiting else None
            done, running = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    losers.remove(task)
                    return task.result()
                failure = error
        raise failure
    finally:
        _abandon(losers)


def _abandon(tasks: Iterable[asyncio.Task[socket.socket]]) -> None:
    for task in tasks:
        if not task.done():
            task.cancel()  # it closes its own socket
        elif not task.cancelled() and task.exception() is None:
            task.result().close()


async def _connect_address(address: str, port: int) -> socket.socket:
    """A socket connected to a numeric address; ``Unreachable``, or ``AddressRefused`` where it leads elsewhere."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock: socket.socket | None = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
        _check_peer(sock, address, port)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise Unreachable(f"{address} port {port}: {error}") from error
        raise
    return sock


def _check_peer(sock: socket.socket, address: str, port: int) -> None:
    """The last word: where the socket really leads, whoever below us asked a resolver again or redirected it."""
    peer = sock.getpeername()
    wanted, reached = parse_address(address), parse_address(str(peer[0]))
    if wanted is None or reached is None or unwrap_ipv4(wanted) != unwrap_ipv4(reached) or peer[1] != port:
        raise AddressRefused(f"dialled {address} port {port}, but reached {peer[0]} port {peer[1]}")
