"""A TCP proxy in front of a PostgreSQL server, for what a network does: answers get lost, or do not come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

__all__ = ["Proxy", "run_proxy"]


class Proxy:
    """Passes everything on, unless told otherwise. ``url`` is the store's URL through it."""

    def __init__(self, url: str, port: int) -> None:
        parts = urlsplit(url)
        self.target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        credentials = "".join(parts.netloc.rpartition("@")[:2])
        netloc, query = f"{credentials}127.0.0.1:{port}", f"{parts.query}&sslmode=disable"
        self.url = parts._replace(netloc=netloc, query=query).geturl()
        self.answers_to_lose = 0
        self.answers_may_pass = asyncio.Event()
        self.answers_may_pass.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from beginning to end."""
        server_reader, server_writer = await asyncio.open_connection(*self.target)
        questions = asyncio.create_task(pump(reader, server_writer))
        try:
            while answer := await server_reader.read(65536):
                await self.answers_may_pass.wait()
                if self.answers_to_lose > 0:
                    self.answers_to_lose -= 1
                    break
                writer.write(answer)
                await writer.drain()
        except OSError:
            pass
        finally:
            questions.cancel()
            for each in (writer, server_writer):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def run_proxy(url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the server of a store's URL."""
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await proxy.serve(reader, writer)
        finally:
            connections.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy = Proxy(url, server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        proxy.answers_may_pass.set()
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()
