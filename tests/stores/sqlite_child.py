"""A server process, as far as its store is concerned: ``python sqlite_child.py COMMAND PATH COUNT``.

It writes ``open`` once its store is open, waits for a line, and then writes the number of each sample that it
was told is stored, one a line.
"""

import asyncio
import os
import sys

from nameplate.errors import StoreError
from nameplate.ports.verdicts import Redeemed
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_samples import NOW, PROOF, approve_sample, sample_code

AT_ONCE = 16


async def approve(store: SqliteStore, number: int) -> bool:
    await approve_sample(store, f"{number}")
    return True


async def redeem(store: SqliteStore, number: int) -> bool:
    verdict = await store.redeem_code(
        sample_code(f"{number}").code_hash,
        refresh_token=None,
        proof=PROOF,
        now=NOW,
        replay_revokes_after_seconds=10,
    )
    return isinstance(verdict, Redeemed)


COMMANDS = {"approve": approve, "redeem": redeem}


async def run(command: str, path: str, count: int) -> None:
    store = await SqliteStore.open(path)
    print("open", flush=True)
    sys.stdin.readline()
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            if await COMMANDS[command](store, number):
                print(number, flush=True)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await store.aclose()


def open_as_nobody(paths: list[str]) -> None:
    """Say what becomes of opening each path without the rights of root, for whom no file is read-only."""
    asyncio.run(asyncio.to_thread(os.geteuid))  # imports what threads need, while the libraries can be read
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    for path in paths:
        try:
            asyncio.run(SqliteStore.open(path))
            print("opened")
        except StoreError as error:
            print(f"StoreError: {error}")


if __name__ == "__main__":
    if sys.argv[1] == "open_as_nobody":
        open_as_nobody(sys.argv[2:])
    else:
        asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
