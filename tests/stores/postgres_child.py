"""A server process, as far as its PostgreSQL store is concerned: ``python postgres_child.py URL COUNT``.

It writes ``open`` once its store is open, waits for a line, redeems the code of each sample and writes the numbers of
those that it was told it redeemed, one a line.
"""

import asyncio
import sys

from nameplate.ports.verdicts import Redeemed
from nameplate.stores.postgres import PostgresStore
from nameplate.testing.store_samples import NOW, PROOF, sample_code

AT_ONCE = 8


async def run(url: str, count: int) -> None:
    store = await PostgresStore.open(url)
    print("open", flush=True)
    sys.stdin.readline()
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            verdict = await store.redeem_code(
                sample_code(f"{number}").code_hash,
                refresh_token=None,
                proof=PROOF,
                now=NOW,
                replay_revokes_after_seconds=10,
            )
            if isinstance(verdict, Redeemed):
                print(number, flush=True)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
