"""One side in a process of its own, so that its CPU time is its own. Orders come as lines of JSON, answers likewise."""

import asyncio
import gc
import json
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.fetch.sides import OURS, SIDES, Fetch, Place, stand_in_for_dns
from nameplate.errors import Busy, FetchError
from nameplate.fetch import CachedDocuments, GuardedFetcher, SystemResolver
from nameplate.fetch.resolve import look_up_addresses
from nameplate.protocol.client_id import ClientIdPolicy, ClientIdUrl

__all__ = ["main"]


async def fetch_again_and_again(fetch: Fetch, url: str, count: int) -> dict[str, object]:
    """Fetch one after another, after one that does not count: seconds of CPU for each, and how long each took."""
    expected = await fetch(url)
    took: list[float] = []
    gc.collect()
    before = time.process_time()
    for _ in range(count):
        started = time.perf_counter()
        body = await fetch(url)
        took.append(time.perf_counter() - started)
        if body != expected:
            return {"failure": f"another body than before: {body[:80]!r}"}
    return {"cpu_seconds": (time.process_time() - before) / count, "took_seconds": took}


def build_documents(place: Place, fetcher: GuardedFetcher) -> CachedDocuments:
    """Our cache over this fetcher, which it closes."""
    return CachedDocuments(fetcher, policy=ClientIdPolicy(private_hosts=(place.private_host,)))


async def load_at_once(place: Place, url: str, count: int) -> dict[str, object]:
    """Load one document that is in no cache, as many times as that at once."""
    documents = build_documents(place, GuardedFetcher(place.fetch_options))
    try:
        client_id = place.parse_url(url)
        loaded = await asyncio.gather(*(documents.load_document(client_id) for _ in range(count)))
    finally:
        await documents.aclose()
    return {"loaded": len(loaded)}


async def load_beside_slow_names(
    place: Place, urls: Sequence[str], slow_names: int, slow_seconds: float
) -> dict[str, object]:
    """How long each document but the first took, one by one, while strangers' names wait for their name servers.

    Each slow name is a site of its own, so that the bound per site does not help.
    """

    loop, settled = asyncio.get_running_loop(), asyncio.Semaphore(0)

    def look_up(host: str) -> Sequence[str]:
        if host == place.name:
            return look_up_addresses(host)
        loop.call_soon_threadsafe(settled.release)
        time.sleep(slow_seconds)
        raise OSError("no such name")

    documents = build_documents(place, GuardedFetcher(place.fetch_options, resolver=SystemResolver(lookup=look_up)))
    slow = [asyncio.create_task(_load_slow(documents, number, settled)) for number in range(slow_names)]
    try:
        for _ in slow:
            await settled.acquire()  # each waits, or was refused
        await documents.load_document(place.parse_url(urls[0]), live_grant=True)
        gc.collect()
        took: list[float] = []
        for url in urls[1:]:
            started = time.perf_counter()
            await documents.load_document(place.parse_url(url), live_grant=True)
            took.append(time.perf_counter() - started)
        still_waiting = sum(not task.done() for task in slow)
    finally:
        await documents.aclose()
        await asyncio.gather(*slow)
    return {"took_seconds": took, "still_waiting": still_waiting}


async def _load_slow(documents: CachedDocuments, number: int, settled: asyncio.Semaphore) -> None:
    host = f"www.slow-{number}.example"
    url = ClientIdUrl(text=f"https://{host}/client.json", host=host, port=443, target="/client.json")
    try:
        await documents.load_document(url)
    except Busy:
        settled.release()
    except FetchError:
        pass  # the fetcher was closed, or the name servers answered at last


async def _work(side: str, place: Place) -> None:
    stand_in_for_dns(place.name)
    logging.getLogger("nameplate.fetch").setLevel(logging.ERROR)  # the slow names' failures are meant
    async with SIDES[side](place) as fetch:
        while line := await asyncio.to_thread(sys.stdin.readline):
            order: dict[str, Any] = json.loads(line)
            match order.pop("work"):
                case "fetch":
                    answer = await fetch_again_and_again(fetch, **order)
                case "load at once" if side == OURS:
                    answer = await load_at_once(place, **order)
                case "load beside slow names" if side == OURS:
                    answer = await load_beside_slow_names(place, **order)
                case work:
                    answer = {"failure": f"{side} does not {work}"}
            print(json.dumps(answer), flush=True)


def main() -> None:
    """Serve orders until standard input ends. Arguments: the side, and the place as JSON."""
    side, place = sys.argv[1:]
    asyncio.run(_work(side, Place(**json.loads(place))))


if __name__ == "__main__":
    main()
