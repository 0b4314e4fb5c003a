"""The contract suite finds the mistakes that stores make: each store here makes one, and must fail."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nameplate.ports.store import (
    ChallengeSpent,
    Redeemed,
    Repeated,
    Rotated,
    Spending,
    Store,
    StoredDocument,
    Unknown,
)
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_contract import StoreContract
from nameplate.testing.store_samples import sample_pending

CONTRACT = StoreContract()


class ChecksThenRedeems(SqliteStore):
    """Reads whether the code is spent, then spends it: two callers may read before either spends."""

    async def redeem_code(self, code_hash: bytes, **given: Any) -> Any:
        found = await self.load_code(code_hash)
        await asyncio.sleep(0)
        verdict = await super().redeem_code(code_hash, **given)
        return Redeemed(found[1]) if isinstance(found, tuple) and found[0].spent_at is None else verdict


class RotatesAgain(SqliteStore):
    """Gives each caller the token of its own answer."""

    async def rotate_refresh_token(self, token_hash: bytes, **given: Any) -> Any:
        verdict = await super().rotate_refresh_token(token_hash, **given)
        found = await self.load_refresh_token(token_hash)
        return Rotated(found[1]) if isinstance(verdict, Repeated) and isinstance(found, tuple) else verdict


class RepeatsForEver(SqliteStore):
    """Ignores the limit on repeats."""

    async def rotate_refresh_token(self, token_hash: bytes, **given: Any) -> Any:
        return await super().rotate_refresh_token(token_hash, **{**given, "repeat_limit": 10**6})


class ConsumesBeforeTheChallenge(SqliteStore):
    """Answers a request although its challenge turns out to be spent."""

    async def approve_authorization(self, id_hash: bytes, browser_hash: bytes, **given: Any) -> Any:
        verdict = await super().approve_authorization(id_hash, browser_hash, **given)
        if verdict == ChallengeSpent():
            await self.deny_authorization(id_hash, browser_hash, subject="", now=given["now"])
        return verdict


class TrustsAnyBrowser(SqliteStore):
    """Finds a request by its id alone."""

    async def load_authorization(self, id_hash: bytes, browser_hash: bytes, now: int) -> Any:
        return await super().load_authorization(id_hash, sample_pending().browser_hash, now)


class CountsThenRecords(SqliteStore):
    """Counts what waits, then records: all count before any records."""

    waiting = 0

    async def record_authorization(self, pending: Any, *, limit: int) -> Any:
        counted = self.waiting
        await asyncio.sleep(0)
        self.waiting += 1
        return await super().record_authorization(pending, limit=10**6 if counted < limit else 0)


class ForgivesReplays(SqliteStore):
    """Never revokes what a replayed code bought."""

    async def redeem_code(self, code_hash: bytes, **given: Any) -> Any:
        return await super().redeem_code(code_hash, **{**given, "replay_revokes_after_seconds": 10**9})


class KeepsTheOldSession(SqliteStore):
    """Lets the session that was replaced live on."""

    async def record_session(self, session: Any, *, replaces: bytes | None) -> None:
        await super().record_session(session, replaces=None)


class SpendsWhatIsNotThere(SqliteStore):
    """Gives although too little is left."""

    async def spend(self, budget: str, cost: int, **given: Any) -> bool:
        await super().spend(budget, cost, **given)
        return True


class SpendsOneByOne(SqliteStore):
    """Takes from the first budgets although the last one has too little."""

    async def spend_all(self, spendings: Sequence[Spending], *, now: float) -> str | None:
        for each in spendings:
            if await super().spend_all([each], now=now):
                return each.budget
        return None


class CountsTheLastRefusal(SqliteStore):
    """Forgets when a client was refused first."""

    async def record_document_refusal(self, client_id: str, now: int) -> None:
        found = await self.load_document(client_id)
        if isinstance(found, StoredDocument) and found.refused_at is not None:
            await self.record_document(replace(found, fetched_at=found.refused_at))
        await super().record_document_refusal(client_id, now)


class SweepsTooEarly(SqliteStore):
    """Deletes what a replay would have to meet."""

    async def sweep(self, now: int, *, limit: int) -> int:
        return await super().sweep(now + 86400, limit=limit)


class HidesTheWrittenSession(SqliteStore):
    """Acknowledges before it is stored."""

    async def load_session(self, id_hash: bytes, now: int) -> Any:
        return Unknown()


CASES: list[tuple[type[SqliteStore], Callable[[Store, Store], Awaitable[None]]]] = [
    (ChecksThenRedeems, CONTRACT.test_of_competing_redemptions_exactly_one_counts),
    (RotatesAgain, CONTRACT.test_of_competing_rotations_one_counts_and_the_others_get_its_answer),
    (RepeatsForEver, CONTRACT.test_competing_repeats_above_the_limit_end_the_grant_once),
    (ConsumesBeforeTheChallenge, CONTRACT.test_one_challenge_gets_one_code_however_many_requests_carry_it),
    (TrustsAnyBrowser, lambda store, _: CONTRACT.test_another_browser_sees_and_answers_nothing(store)),
    (CountsThenRecords, CONTRACT.test_competing_requests_fill_the_store_exactly_to_the_limit),
    (ForgivesReplays, lambda store, _: CONTRACT.test_a_later_replay_revokes_what_the_code_bought(store)),
    (KeepsTheOldSession, lambda store, _: CONTRACT.test_a_session_ends_the_one_that_it_replaces(store)),
    (SpendsWhatIsNotThere, CONTRACT.test_competing_callers_never_spend_more_than_there_is),
    (SpendsOneByOne, lambda store, _: CONTRACT.test_budgets_are_spent_together_or_not_at_all(store)),
    (
        CountsTheLastRefusal,
        lambda store, _: CONTRACT.test_only_the_first_refusal_since_the_last_good_document_counts(store),
    ),
    (SweepsTooEarly, lambda store, _: CONTRACT.test_the_sweep_leaves_a_document_for_as_long_as_it_may_stand_in(store)),
    (SweepsTooEarly, lambda store, _: CONTRACT.test_the_sweep_keeps_what_may_still_be_needed(store)),
    (HidesTheWrittenSession, CONTRACT.test_what_one_replica_wrote_the_other_reads_at_once),
]


@pytest.mark.parametrize(("broken", "contract"), CASES, ids=[broken.__name__ for broken, _ in CASES])
def test_a_store_with_a_mistake_fails_the_contract(
    broken: type[SqliteStore], contract: Callable[[Store, Store], Awaitable[None]], tmp_path: Path
) -> None:
    async def play(kind: type[SqliteStore], name: str) -> None:
        store = await kind.open(str(tmp_path / name))
        replica = await kind.open(str(tmp_path / name))
        try:
            await contract(store, replica)
        finally:
            await replica.aclose()
            await store.aclose()

    asyncio.run(play(SqliteStore, "sound.sqlite"))
    with pytest.raises(AssertionError):
        asyncio.run(play(broken, "broken.sqlite"))
