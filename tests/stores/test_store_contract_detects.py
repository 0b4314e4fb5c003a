"""The contract suite finds the mistakes that stores make: each store here makes one, and must fail."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from broken_upstreams import (
    ChecksThenLeases,
    ChecksThenTakes,
    CountsThenBegins,
    DropsByTheClock,
    DropsTheTokensOfWhatEnded,
    ForgetsThePerson,
    KeepsTheLastTokens,
    KeepsTheLease,
    LeasesForEver,
    LeasesWhateverIsThere,
    LeasesWhatIsOver,
    ProlongsTheLease,
    ReplacesBlindly,
    TakesItFromEverybody,
    TurnsTheNewestAway,
)

from nameplate.ports.store import GrantFilter, Rotation, Spending, Store, StoredDocument, StoredSigningKey
from nameplate.ports.verdicts import (
    AssertionReplayed,
    ChallengeSpent,
    Full,
    Recorded,
    Redeemed,
    Repeated,
    Rotated,
    Unknown,
)
from nameplate.protocol.audit import AuditEvent, AuditFilter
from nameplate.protocol.client_proof import AssertionUse, ClientProof
from nameplate.protocol.grant import Grant
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.stores import sqlite_keys
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_contract import StoreContract
from nameplate.testing.store_samples import NOW, sample_pending

CONTRACT = StoreContract()
MONTH = 30 * 86400


class ChecksThenRedeems(SqliteStore):
    """Reads whether the code is spent, then spends it: two callers may read before either spends."""

    async def redeem_code(self, code_hash: bytes, **given: Any) -> Any:
        found = await self.load_code(code_hash)
        await asyncio.sleep(0)
        verdict = await super().redeem_code(code_hash, **given)
        return Redeemed(found[1]) if isinstance(found, tuple) and found[0].spent_at is None else verdict


class RotatesAgain(SqliteStore):
    """Gives each caller the token of its own answer."""

    async def rotate_refresh_token(self, rotation: Rotation, now: int) -> Any:
        verdict = await super().rotate_refresh_token(rotation, now)
        found = await self.load_refresh_token(rotation.token_hash)
        return Rotated(found[1]) if isinstance(verdict, Repeated) and isinstance(found, tuple) else verdict


class RepeatsForEver(SqliteStore):
    """Ignores the limit on repeats."""

    async def rotate_refresh_token(self, rotation: Rotation, now: int) -> Any:
        return await super().rotate_refresh_token(replace(rotation, repeat_limit=10**6), now)


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

    async def sweep(self, now: int, *, limit: int, audit_before: int = 0) -> int:
        return await super().sweep(now + 86400, limit=limit, audit_before=audit_before and audit_before + 1)


class HidesTheWrittenSession(SqliteStore):
    """Acknowledges before it is stored."""

    async def load_session(self, id_hash: bytes, now: int) -> Any:
        return Unknown()


class RedeemsThenAsksForTheAssertion(SqliteStore):
    """Looks at the assertion when the code is spent already."""

    async def redeem_code(self, code_hash: bytes, *, proof: ClientProof, now: int, **given: Any) -> Any:
        verdict = await super().redeem_code(code_hash, proof=replace(proof, assertion=None), now=now, **given)
        if proof.assertion is not None and not await self.record_assertion(proof.assertion, now):
            return AssertionReplayed()
        return verdict


class ChecksThenUsesTheAssertion(SqliteStore):
    """Reads whether the assertion was used, then uses it: two callers may read before either uses it."""

    used: ClassVar[set[bytes]] = set()

    async def record_assertion(self, use: AssertionUse, now: int) -> bool:
        known = use.use_hash in self.used
        await asyncio.sleep(0)
        self.used.add(use.use_hash)
        return not known


class ForgetsTheAssertionsOfRefusals(SqliteStore):
    """Records the use together with what it bought."""

    async def redeem_code(self, code_hash: bytes, *, proof: ClientProof, now: int, **given: Any) -> Any:
        verdict = await super().redeem_code(code_hash, proof=replace(proof, assertion=None), now=now, **given)
        if isinstance(verdict, Redeemed) and proof.assertion is not None:
            await self.record_assertion(proof.assertion, now)
        return verdict


class ForgetsTheNewProof(SqliteStore):
    """Goes by what the client proved at its first token."""

    async def rotate_refresh_token(self, rotation: Rotation, now: int) -> Any:
        found = await self.load_refresh_token(rotation.token_hash)
        if isinstance(found, tuple):
            proof = replace(rotation.proof, auth_method=found[1].auth_method, client_keys=found[1].client_keys)
            rotation = replace(rotation, proof=proof)
        return await super().rotate_refresh_token(rotation, now)


class ListsWhatItFinds(SqliteStore):
    """Narrows the page, not the list."""

    async def list_grants(self, which: GrantFilter, *, after: int = 0, limit: int = 100) -> list[tuple[int, Grant]]:
        page = await super().list_grants(GrantFilter(), after=after, limit=limit)
        return [(number, grant) for number, grant in page if which.username in ("", grant.username)]


class ForgetsRevocations(SqliteStore):
    """Deletes a revoked grant as soon as nothing refers to it."""

    async def sweep(self, now: int, *, limit: int, audit_before: int = 0) -> int:
        return await super().sweep(now + 1, limit=limit, audit_before=audit_before)


class CountsThenRegisters(SqliteStore):
    """Counts the clients, then registers another one."""

    async def record_client(self, client: RegisteredClient, *, limit: int, now: int) -> Recorded | Full:
        counted = len(await self.list_clients())
        return await super().record_client(client, limit=limit if counted >= limit else 10**6, now=now)


class KeepsWhoCameFirst(SqliteStore):
    """Turns newcomers away, although there are clients that nobody ever allowed anything."""

    async def record_client(self, client: RegisteredClient, *, limit: int, now: int) -> Recorded | Full:
        is_full = len(await self.list_clients()) >= limit and client.expires_at is not None
        return Full() if is_full else await super().record_client(client, limit=limit, now=now)


class ThrowsOutTheOldest(SqliteStore):
    """Makes room by forgetting whoever came first, used or not."""

    async def record_client(self, client: RegisteredClient, *, limit: int, now: int) -> Recorded | Full:
        listed = await self.list_clients()
        if len(listed) >= limit:
            await self.remove_client(listed[0][1].client_id, now)
        return await super().record_client(client, limit=limit, now=now)


class RemovesTheClientAlone(SqliteStore):
    """Leaves what the client was granted."""

    async def remove_client(self, client_id: str, now: int) -> int | None:
        held = await self.list_grants(GrantFilter(client_id=client_id, live_at=now))
        await self._writer.run(lambda connection: connection.execute("DELETE FROM clients"))
        return len(held)


class SweepsClientsByTheirAge(SqliteStore):
    """Forgets a client although it has a live grant."""

    async def sweep(self, now: int, *, limit: int, audit_before: int = 0) -> int:
        delete = "DELETE FROM clients WHERE expires_at <= ?"
        await self._writer.run(lambda connection: connection.execute(delete, (now,)))
        return await super().sweep(now, limit=limit, audit_before=audit_before)


class SucceedsWhateverIsThere(SqliteStore):
    """Reads which key is the latest, then stores the next one."""

    async def record_signing_key(self, key: StoredSigningKey, *, latest: str | None) -> Sequence[StoredSigningKey]:
        keys = await self.load_signing_keys()
        await asyncio.sleep(0)
        if (keys[0].kid if keys else None) != latest:
            return keys

        def append(connection: sqlite3.Connection) -> Sequence[StoredSigningKey]:
            stored = sqlite_keys.load_signing_keys(connection)
            return sqlite_keys.record_signing_key(connection, key=key, latest=stored[0].kid if stored else None)

        return await self._writer.run(append)


class SealsBlindly(SqliteStore):
    """Reads what a key is sealed as, then seals it anew."""

    async def reseal_signing_key(self, kid: str, *, before: bytes, after: bytes) -> bool:
        [sealed] = [key.sealed_jwk for key in await self.load_signing_keys() if key.kid == kid]
        await asyncio.sleep(0)
        reseal = "UPDATE signing_keys SET sealed_jwk = ? WHERE kid = ?"
        await self._writer.run(lambda connection: connection.execute(reseal, (after, kid)))
        return sealed == before


class ReadsOnByTheClock(SqliteStore):
    """Takes the instant of an event for its place."""

    async def load_audit_events(
        self,
        which: AuditFilter = AuditFilter(),  # noqa: B008  (frozen)
        *,
        after: str = "",
        limit: int = 1000,
    ) -> Sequence[tuple[str, AuditEvent]]:
        events = await super().load_audit_events(which)
        return [(str(event.at), event) for _, event in events if not after or event.at > int(after)][:limit]


class ReadsOnByTheCount(SqliteStore):
    """Takes how many events there are for the place of one: a sweep moves all."""

    async def load_audit_events(
        self,
        which: AuditFilter = AuditFilter(),  # noqa: B008  (frozen)
        *,
        after: str = "",
        limit: int = 1000,
    ) -> Sequence[tuple[str, AuditEvent]]:
        events = await super().load_audit_events(which)
        numbered = [(str(number), event) for number, (_, event) in enumerate(events, 1)]
        return numbered[int(after or 0) :][:limit]


class LimitsWhatIsLookedAt(SqliteStore):
    """Looks through so many events, not for so many."""

    async def load_audit_events(
        self,
        which: AuditFilter = AuditFilter(),  # noqa: B008  (frozen)
        *,
        after: str = "",
        limit: int = 1000,
    ) -> Sequence[tuple[str, AuditEvent]]:
        found = set(await super().load_audit_events(which, after=after))
        return [event for event in await super().load_audit_events(after=after, limit=limit) if event in found]


class SignsOutOnce(SqliteStore):
    """Ends the sessions of a person one by one, and counts what others ended."""

    async def end_sessions(self, subject: str, now: int) -> int:
        count = "SELECT count(*) FROM sessions WHERE subject = ?"
        counted = self._read(lambda connection: connection.execute(count, (subject,)).fetchone()[0])
        await super().end_sessions(subject, now)
        return int(counted)


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
    (SweepsTooEarly, lambda store, _: CONTRACT.test_the_sweep_leaves_an_attempt_until_it_expires(store)),
    (SweepsTooEarly, lambda store, _: CONTRACT.test_tokens_stay_until_their_grant_is_swept(store)),
    (
        RedeemsThenAsksForTheAssertion,
        lambda store, _: CONTRACT.test_a_replay_spends_no_code_and_is_no_replay_of_one(store),
    ),
    (RedeemsThenAsksForTheAssertion, CONTRACT.test_one_assertion_redeems_one_code_however_many_callers_have_one),
    (ChecksThenUsesTheAssertion, CONTRACT.test_of_competing_uses_exactly_one_counts),
    (
        ForgetsTheAssertionsOfRefusals,
        lambda store, _: CONTRACT.test_an_assertion_is_used_up_whatever_becomes_of_the_code(store),
    ),
    (ForgetsTheNewProof, lambda store, _: CONTRACT.test_a_grant_remembers_how_its_client_proved_itself_last(store)),
    (
        ListsWhatItFinds,
        lambda store, _: CONTRACT.test_grants_come_in_the_order_in_which_they_were_made_a_page_at_a_time(store),
    ),
    (
        ForgetsRevocations,
        lambda store, _: CONTRACT.test_a_revoked_grant_is_known_for_a_day_though_nothing_refers_to_it(
            store, NOW + MONTH
        ),
    ),
    (CountsThenRegisters, CONTRACT.test_competing_registrations_never_exceed_the_limit),
    (
        KeepsWhoCameFirst,
        lambda store, _: CONTRACT.test_at_the_limit_the_one_that_would_be_forgotten_first_gives_way(store),
    ),
    (ThrowsOutTheOldest, lambda store, _: CONTRACT.test_a_client_with_a_live_grant_gives_way_to_nobody(store)),
    (RemovesTheClientAlone, lambda store, _: CONTRACT.test_a_client_is_forgotten_with_all_its_grants(store)),
    (
        SweepsClientsByTheirAge,
        lambda store, _: CONTRACT.test_the_sweep_leaves_a_client_with_a_live_grant_until_that_has_ended(store),
    ),
    (SucceedsWhateverIsThere, CONTRACT.test_competing_replicas_agree_on_one_signing_key),
    (SucceedsWhateverIsThere, CONTRACT.test_competing_replicas_agree_on_one_successor),
    (SealsBlindly, CONTRACT.test_of_competing_replicas_one_seals_a_key_anew),
    (ReadsOnByTheClock, CONTRACT.test_whoever_reads_on_misses_nothing_that_was_being_written),
    (ReadsOnByTheCount, CONTRACT.test_a_reader_whose_events_were_swept_reads_on_where_he_was),
    (
        LimitsWhatIsLookedAt,
        lambda store, _: CONTRACT.test_events_are_read_as_narrowly_as_they_are_asked_for(
            store, AuditFilter(subject="sub-of-bob"), [2, 3, 4]
        ),
    ),
    (SweepsTooEarly, lambda store, _: CONTRACT.test_the_sweep_forgets_events_from_before_an_instant(store)),
    (SignsOutOnce, CONTRACT.test_competing_callers_end_each_session_once),
    (ForgetsThePerson, lambda store, _: CONTRACT.test_what_the_provider_said_stays_with_the_grant(store)),
    (KeepsTheLastTokens, CONTRACT.test_of_competing_approvals_the_one_that_counts_keeps_its_tokens),
    (KeepsTheLastTokens, lambda store, _: CONTRACT.test_only_an_approval_that_counts_keeps_tokens(store)),
    (ChecksThenTakes, CONTRACT.test_of_competing_callers_exactly_one_takes_the_attempt),
    (
        TakesItFromEverybody,
        lambda store, _: CONTRACT.test_another_browser_takes_nothing_and_leaves_the_attempt_as_it_is(store),
    ),
    (TakesItFromEverybody, CONTRACT.test_another_browser_cannot_get_in_the_way_however_often_it_tries),
    (TurnsTheNewestAway, lambda store, _: CONTRACT.test_the_oldest_attempts_of_a_browser_give_way(store)),
    (DropsByTheClock, CONTRACT.test_the_oldest_are_those_that_came_first_whatever_the_clocks_say),
    (CountsThenBegins, CONTRACT.test_competing_attempts_of_one_browser_fill_it_exactly_to_the_limit),
    (ChecksThenLeases, CONTRACT.test_one_caller_at_a_time_may_refresh),
    (LeasesForEver, CONTRACT.test_a_lease_ends_at_its_end_and_no_sooner),
    (ProlongsTheLease, CONTRACT.test_a_lease_ends_at_its_end_and_no_sooner),
    (
        LeasesWhateverIsThere,
        lambda store, _: CONTRACT.test_nobody_refreshes_what_is_not_there_or_not_any_more(store),
    ),
    (LeasesWhatIsOver, lambda store, _: CONTRACT.test_nobody_refreshes_the_tokens_of_a_grant_that_is_over(store)),
    (ReplacesBlindly, CONTRACT.test_of_competing_replacements_exactly_one_counts),
    (ReplacesBlindly, lambda store, _: CONTRACT.test_where_the_tokens_are_others_meanwhile_nothing_is_done(store)),
    (ChecksThenLeases, CONTRACT.test_whoever_has_the_lease_replaces_undisturbed),
    (
        KeepsTheLease,
        lambda store, _: CONTRACT.test_new_tokens_take_the_place_of_the_old_ones_and_end_the_lease(store),
    ),
    (DropsTheTokensOfWhatEnded, lambda store, _: CONTRACT.test_tokens_stay_until_their_grant_is_swept(store)),
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
