"""A file that a flood filled gives the disk back once the flood is swept (DO-05)."""

from pathlib import Path

import pytest

from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_samples import NOW, sample_pending

pytestmark = pytest.mark.anyio


async def test_what_a_flood_filled_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    store = await SqliteStore.open(f"sqlite:///{path}")
    for number in range(2000):
        pending = sample_pending(f"{number}", client_metadata="x" * 20_000)
        await store.record_authorization(pending, limit=10_000)
    await store.aclose()
    flooded = path.stat().st_size
    assert flooded > 35_000_000
    store = await SqliteStore.open(f"sqlite:///{path}")
    while await store.sweep(NOW + 3600, limit=200) == 200:
        pass
    for _ in range(4):
        await store.sweep(NOW + 3600, limit=200)
    await store.record_authorization(sample_pending("next"), limit=1)
    await store.aclose()
    assert path.stat().st_size < 20_000_000, "sixteen MiB are kept for what comes next"
