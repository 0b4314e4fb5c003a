"""A listening TCP socket, made before the server that uses it: its port is known, and a failure is ours to explain."""

import socket

__all__ = ["open_listener"]

_BACKLOG = 2048


def open_listener(host: str, port: int) -> socket.socket:
    """Listen on an address: IPv6 where it holds a colon, else IPv4; a free port for 0. Raises ``OSError``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With IPPROTO_TCP named, asyncio knows what is accepted for TCP and sets TCP_NODELAY; otherwise answers may wait
    # for the delayed acknowledgement of the peer, some 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
