"""Four server processes over one store, killed and restarted while people and clients use them (list D, G, H; HT-06).

Short here and seeded; ``make soak`` plays for as long as it is told.
"""

from pathlib import Path

import pytest

from soak.play import Play, play_and_check

SECONDS = 40
PROCESSES = 4


async def check(tmp_path: Path, store: str) -> None:
    play = Play(directory=tmp_path, store=store, seconds=SECONDS, processes=PROCESSES, at_once=12, seed=20261126)
    outcome = await play_and_check(play, say=print)
    print(outcome.summary, dict(outcome.ledger.answers))
    assert outcome.contradictions == []
    # The play was one: things did happen, and things did go wrong.
    assert outcome.kills >= 3
    assert sum(outcome.ledger.answers.values()) >= 1000
    assert {grant.ended for grant in outcome.ledger.grants.values()} >= {"", "revocation"}
    assert any(len(grants) for grants in outcome.ledger.grants_by_code.values())


@pytest.mark.anyio
@pytest.mark.proves("O21-4", "O21-16", "JWT-6")
async def test_over_one_sqlite_file_nothing_is_won_twice_and_nothing_lost(tmp_path: Path) -> None:
    await check(tmp_path, "sqlite")


@pytest.mark.anyio
@pytest.mark.postgres
async def test_over_one_postgresql_database_nothing_is_won_twice_and_nothing_lost(
    tmp_path: Path, postgres_url: str
) -> None:
    await check(tmp_path, postgres_url)
