"""The store contract: browsers on their way to an identity provider, and what it issued for a grant."""
# ruff: noqa: S101  (a contract suite asserts)

from collections import Counter
from dataclasses import replace

import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import GrantFilter, Store, StoredUpstreamTokens
from nameplate.ports.verdicts import AlreadyAnswered, Approved, ChallengeSpent, Full, Recorded, Rotated, Unknown
from nameplate.protocol.audit import AuditEvent
from nameplate.protocol.upstream_attempt import UpstreamAttempt
from nameplate.secret import hash_bearer_value
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names, race
from nameplate.testing.store_contract.tokens import rotate
from nameplate.testing.store_samples import (
    BROWSER,
    NOW,
    approve_sample,
    redeem_sample,
    sample_code,
    sample_grant,
    sample_pending,
    sample_refresh_token,
    sample_upstream_attempt,
)

__all__ = ["UpstreamAttemptContract", "UpstreamRefreshContract", "UpstreamTokensContract"]

DAY = 86400
OTHER_BROWSER = hash_bearer_value("other browser")
ATTEMPT = sample_upstream_attempt()
PENDING, GRANT, CODE = sample_pending(), sample_grant(), sample_code()
SEALED = b"\0sealed tokens\xff"
FIRST = StoredUpstreamTokens(sealed=SEALED, version=1)
SECOND = StoredUpstreamTokens(sealed=b"two", version=2)


async def take(
    store: Store, name: str = "one", *, browser: bytes = BROWSER, now: int = NOW
) -> UpstreamAttempt | Unknown:
    """What a browser gets for the attempt of this name."""
    return await store.take_upstream_attempt(sample_upstream_attempt(name).state_hash, browser, now)


async def take_all(store: Store, *names: str, browser: bytes = BROWSER) -> list[str]:
    """Which of the attempts of these names were there; none is after that."""
    return [name for name in names if await take(store, name, browser=browser) != Unknown()]


async def lease(store: Store, *, grant_id: str = GRANT.id, version: int = 1, now: int = NOW, until: int) -> bool:
    """Whether the caller may refresh the tokens of the grant."""
    return await store.lease_upstream_refresh(grant_id, version=version, now=now, until=until)


async def refresh(
    store: Store, *, grant_id: str = GRANT.id, version: int = 1, sealed: bytes = b"two", now: int = NOW
) -> bool:
    """Whether the tokens of the grant could be replaced."""
    return await store.replace_upstream_tokens(grant_id, version=version, sealed=sealed, now=now)


class UpstreamAttemptContract(StoreFixtures):
    """``record_upstream_attempt`` and ``take_``."""

    async def test_an_attempt_is_taken_once_as_it_was_recorded(self, store: Store) -> None:
        full = sample_upstream_attempt("full", approved_subject="sub-of-alice", sealed_memory=b"\0sealed\xff")
        bare = sample_upstream_attempt("bare", approved_subject="", sealed_memory=b"")
        for attempt in (full, bare):
            assert await store.record_upstream_attempt(attempt, limit=2) == Recorded()
        for attempt in (full, bare):
            assert await store.take_upstream_attempt(attempt.state_hash, BROWSER, NOW) == attempt
            assert await store.take_upstream_attempt(attempt.state_hash, BROWSER, NOW) == Unknown()
        assert await load_audit_names(store) == []

    async def test_an_attempt_that_never_began_is_unknown(self, store: Store) -> None:
        await store.record_upstream_attempt(ATTEMPT, limit=9)
        assert await take(store, "other") == Unknown()

    async def test_another_browser_takes_nothing_and_leaves_the_attempt_as_it_is(self, store: Store) -> None:
        await store.record_upstream_attempt(ATTEMPT, limit=9)
        for _ in range(2):
            assert await take(store, browser=OTHER_BROWSER) == Unknown()
        assert await take(store) == ATTEMPT
        assert await take(store, browser=OTHER_BROWSER) == Unknown()

    async def test_an_attempt_is_over_from_its_expiry_on(self, store: Store) -> None:
        await store.record_upstream_attempt(ATTEMPT, limit=9)
        assert await take(store, now=ATTEMPT.expires_at + 1) == Unknown()
        assert await take(store, now=ATTEMPT.expires_at) == Unknown()
        assert await take(store, now=ATTEMPT.expires_at - 1) == ATTEMPT

    async def test_of_competing_callers_exactly_one_takes_the_attempt(self, store: Store, replica: Store) -> None:
        await store.record_upstream_attempt(ATTEMPT, limit=9)
        taken = await race(store, replica, lambda handle, _: take(handle))
        assert taken.count(ATTEMPT) == 1
        assert taken.count(Unknown()) == 49

    async def test_another_browser_cannot_get_in_the_way_however_often_it_tries(
        self, store: Store, replica: Store
    ) -> None:
        await store.record_upstream_attempt(ATTEMPT, limit=9)
        taken = await race(
            store, replica, lambda handle, number: take(handle, browser=BROWSER if number == 40 else OTHER_BROWSER)
        )
        assert [number for number in range(50) if taken[number] != Unknown()] == [40]

    async def test_the_oldest_attempts_of_a_browser_give_way(self, store: Store) -> None:
        others = sample_upstream_attempt("others", browser_hash=OTHER_BROWSER)
        await store.record_upstream_attempt(others, limit=2)
        for name in "abcde":
            assert await store.record_upstream_attempt(sample_upstream_attempt(name), limit=2) == Recorded()
        assert await take_all(store, *"abcde") == ["d", "e"]
        assert await take(store, "others", browser=OTHER_BROWSER) == others

    async def test_the_oldest_are_those_that_came_first_whatever_the_clocks_say(
        self, store: Store, replica: Store
    ) -> None:
        for number, name in enumerate("abcd"):
            behind = sample_upstream_attempt(name, created_at=NOW - number, expires_at=NOW + 600 - number)
            await (store, replica)[number % 2].record_upstream_attempt(behind, limit=2)
        assert await take_all(store, *"abcd") == ["c", "d"]

    async def test_an_attempt_that_was_taken_makes_room(self, store: Store) -> None:
        for name in "ab":
            await store.record_upstream_attempt(sample_upstream_attempt(name), limit=2)
        await take(store, "b")
        await store.record_upstream_attempt(sample_upstream_attempt("c"), limit=2)
        assert await take_all(store, *"abc") == ["a", "c"]

    async def test_a_lower_limit_counts_from_the_next_attempt_on(self, store: Store) -> None:
        for name, limit in (("a", 4), ("b", 4), ("c", 4), ("d", 2)):
            await store.record_upstream_attempt(sample_upstream_attempt(name), limit=limit)
        assert await take_all(store, *"abcd") == ["c", "d"]

    async def test_where_none_may_be_kept_none_is_and_none_gives_way(self, store: Store) -> None:
        await store.record_upstream_attempt(ATTEMPT, limit=1)
        assert await store.record_upstream_attempt(sample_upstream_attempt("two"), limit=0) == Full()
        assert await take_all(store, "one", "two") == ["one"]

    async def test_competing_attempts_of_one_browser_fill_it_exactly_to_the_limit(
        self, store: Store, replica: Store
    ) -> None:
        verdicts = await race(
            store,
            replica,
            lambda handle, number: handle.record_upstream_attempt(sample_upstream_attempt(f"{number}"), limit=10),
        )
        assert Counter(verdicts) == {Recorded(): 50}
        assert len(await take_all(store, *(f"{number}" for number in range(50)))) == 10

    async def test_browsers_do_not_take_room_from_one_another(self, store: Store, replica: Store) -> None:
        async def record(handle: Store, number: int) -> object:
            attempt = sample_upstream_attempt(f"{number}", browser_hash=hash_bearer_value(f"browser {number % 25}"))
            return await handle.record_upstream_attempt(attempt, limit=2)

        await race(store, replica, record)
        for number in range(50):
            assert await take(store, f"{number}", browser=hash_bearer_value(f"browser {number % 25}")) != Unknown()

    async def test_one_state_cannot_be_recorded_twice(self, store: Store) -> None:
        await store.record_upstream_attempt(ATTEMPT, limit=1)
        for browser in (BROWSER, OTHER_BROWSER):
            with pytest.raises(StoreError):
                await store.record_upstream_attempt(replace(ATTEMPT, upstream="other", browser_hash=browser), limit=1)
        assert await take(store) == ATTEMPT

    async def test_the_sweep_leaves_an_attempt_until_it_expires(self, store: Store) -> None:
        await store.record_upstream_attempt(ATTEMPT, limit=9)
        longer = sample_upstream_attempt("longer", expires_at=ATTEMPT.expires_at + 1)
        await store.record_upstream_attempt(longer, limit=9)
        assert await store.sweep(ATTEMPT.expires_at - 1, limit=100) == 0
        assert await store.sweep(ATTEMPT.expires_at, limit=100) == 1
        assert await take(store) == Unknown()
        assert await take(store, "longer") == longer


class UpstreamTokensContract(StoreFixtures):
    """``load_upstream_tokens``, and what else a grant keeps of what the provider said."""

    async def test_what_the_provider_said_stays_with_the_grant(self, store: Store) -> None:
        grant = sample_grant(upstream="corp", person='{"email":"älice@corp.example"}')
        await approve_sample(store, grant=grant)
        assert await store.load_code(CODE.code_hash) == (CODE, grant)
        assert await store.load_grant(grant.id) == grant
        await redeem_sample(store, "two", grant=replace(grant, id="grant two"))
        held = replace(grant, id="grant two", auth_method="none")
        one, other = sample_refresh_token("two", grant_id="grant two"), sample_refresh_token("other")
        assert await store.load_refresh_token(one.token_hash) == (one, held)
        assert await rotate(store, "two", "other") == Rotated(held)
        assert await store.load_refresh_token(other.token_hash) == (replace(other, grant_id="grant two"), held)
        assert [listed for _, listed in await store.list_grants(GrantFilter())] == [grant, held]

    async def test_the_tokens_that_come_with_an_approval_are_kept_with_its_grant(self, store: Store) -> None:
        for grant_id in (GRANT.id, "grant two", "grant three"):
            assert await store.load_upstream_tokens(grant_id) == Unknown()
        await approve_sample(store, upstream_tokens=SEALED)
        await approve_sample(store, "two", upstream_tokens=b"")
        await approve_sample(store, "three")
        assert await store.load_upstream_tokens(GRANT.id) == FIRST
        assert await store.load_upstream_tokens("grant two") == StoredUpstreamTokens(sealed=b"", version=1)
        assert await store.load_upstream_tokens("grant three") == Unknown()
        assert await load_audit_names(store) == ["authorization.approved"] * 3

    async def test_only_an_approval_that_counts_keeps_tokens(self, store: Store) -> None:
        async def approve(name: str, grant_id: str, *, browser: bytes = BROWSER) -> object:
            code = sample_code(grant_id, grant_id=grant_id, code_challenge=CODE.code_challenge)
            grant = sample_grant(id=grant_id)
            id_hash = sample_pending(name).id_hash
            return await store.approve_authorization(
                id_hash, browser, grant=grant, code=code, now=NOW, upstream_tokens=grant_id.encode()
            )

        for name in ("one", "two"):
            await store.record_authorization(sample_pending(name), limit=9)
        assert await approve("one", "a", browser=OTHER_BROWSER) == Unknown()
        assert await approve("one", "b") == Approved(PENDING)
        assert await approve("one", "c") == AlreadyAnswered(PENDING)
        assert await approve("two", "d") == ChallengeSpent()
        assert await store.load_upstream_tokens("b") == StoredUpstreamTokens(sealed=b"b", version=1)
        for grant_id in "acd":
            assert await store.load_upstream_tokens(grant_id) == Unknown()

    async def test_of_competing_approvals_the_one_that_counts_keeps_its_tokens(
        self, store: Store, replica: Store
    ) -> None:
        await store.record_authorization(PENDING, limit=9)

        async def approve(handle: Store, number: int) -> object:
            grant = sample_grant(f"{number}")
            code = sample_code(f"{number}", code_challenge=CODE.code_challenge)
            return await handle.approve_authorization(
                PENDING.id_hash, BROWSER, grant=grant, code=code, now=NOW, upstream_tokens=b"%d" % number
            )

        verdicts = await race(store, replica, approve)
        winner = verdicts.index(Approved(PENDING))
        for number in range(50):
            kept = StoredUpstreamTokens(sealed=b"%d" % number, version=1) if number == winner else Unknown()
            assert await replica.load_upstream_tokens(f"grant {number}") == kept

    async def test_an_approval_that_cannot_be_stored_leaves_the_tokens_of_others(self, store: Store) -> None:
        await approve_sample(store, upstream_tokens=SEALED)
        await store.record_authorization(sample_pending("two"), limit=9)
        code = sample_code("two", grant_id=GRANT.id)
        with pytest.raises(StoreError):
            await store.approve_authorization(
                sample_pending("two").id_hash, BROWSER, grant=GRANT, code=code, now=NOW, upstream_tokens=b"other"
            )
        assert await store.load_upstream_tokens(GRANT.id) == FIRST

    async def test_tokens_stay_until_their_grant_is_swept(self, store: Store) -> None:
        await approve_sample(store, upstream_tokens=SEALED)
        await lease(store, until=NOW + 30)
        await store.revoke_grant(GRANT.id, reason="test", now=NOW)
        await approve_sample(store, "two", grant=sample_grant("two", expires_at=NOW + 60), upstream_tokens=SEALED)
        await store.sweep(NOW + DAY - 1, limit=100)
        for grant_id in (GRANT.id, "grant two"):
            assert await store.load_upstream_tokens(grant_id) == FIRST
        assert await store.sweep(NOW + DAY, limit=100) == 4, "two codes and two grants, and what lies with them"
        for grant_id in (GRANT.id, "grant two"):
            assert await store.load_upstream_tokens(grant_id) == Unknown()
        await store.sweep(NOW + 600 + DAY, limit=100)
        await approve_sample(store)
        assert await store.load_upstream_tokens(GRANT.id) == Unknown(), "a new grant begins with nothing"


class UpstreamRefreshContract(StoreFixtures):
    """``lease_upstream_refresh`` and ``replace_upstream_tokens``."""

    async def test_one_caller_at_a_time_may_refresh(self, store: Store, replica: Store) -> None:
        async def compete(now: int) -> Counter[bool]:
            return Counter(await race(store, replica, lambda handle, _: lease(handle, now=now, until=now + 30)))

        await approve_sample(store, upstream_tokens=SEALED)
        for now in (NOW, NOW + 30, NOW + 60):
            assert await compete(now) == {True: 1, False: 49}
        assert await store.load_upstream_tokens(GRANT.id) == FIRST
        assert await load_audit_names(store) == ["authorization.approved"]

    async def test_a_lease_ends_at_its_end_and_no_sooner(self, store: Store, replica: Store) -> None:
        await approve_sample(store, upstream_tokens=SEALED)
        assert await lease(store, until=NOW + 30)
        for now in (NOW - 5, NOW, NOW + 29):
            assert not await lease(replica, now=now, until=now + 99)
        assert await lease(replica, now=NOW + 30, until=NOW + 31), "a lease that was refused prolongs nothing"
        assert not await lease(store, now=NOW + 30, until=NOW + 60)
        assert await lease(store, now=NOW + 31, until=NOW + 60)

    async def test_grants_are_leased_apart(self, store: Store) -> None:
        for name in ("one", "two"):
            await approve_sample(store, name, upstream_tokens=SEALED)
        assert [await lease(store, grant_id=f"grant {name}", until=NOW + 9) for name in ("one", "two")] == [True, True]

    async def test_nobody_refreshes_what_is_not_there_or_not_any_more(self, store: Store) -> None:
        await approve_sample(store, "without")
        for grant_id in ("grant without", "no grant"):
            assert not await lease(store, grant_id=grant_id, until=NOW + 30)
            assert not await refresh(store, grant_id=grant_id)
            assert await store.load_upstream_tokens(grant_id) == Unknown()
        await approve_sample(store, upstream_tokens=SEALED)
        for version in (0, 2):
            assert not await lease(store, version=version, until=NOW + 30)
        assert await refresh(store)
        assert not await lease(store, version=1, until=NOW + 30)
        assert await lease(store, version=2, until=NOW + 30)

    async def test_nobody_refreshes_the_tokens_of_a_grant_that_is_over(self, store: Store) -> None:
        await approve_sample(store, upstream_tokens=SEALED)
        for now in (GRANT.expires_at, GRANT.expires_at + 1):
            assert not await lease(store, now=now, until=now + 30)
        last = GRANT.expires_at - 1
        assert await lease(store, now=last, until=last)
        await store.revoke_grant(GRANT.id, reason="test", now=NOW)
        assert not await lease(store, now=last, until=last + 30)

    async def test_new_tokens_take_the_place_of_the_old_ones_and_end_the_lease(self, store: Store) -> None:
        await approve_sample(store, upstream_tokens=SEALED)
        await lease(store, until=NOW + 30)
        assert await refresh(store, now=NOW + 5)
        assert await store.load_upstream_tokens(GRANT.id) == SECOND
        assert await lease(store, version=2, now=NOW + 5, until=NOW + 30)
        refreshed = AuditEvent(
            name="upstream_tokens.refreshed",
            at=NOW + 5,
            client_id=GRANT.client_id,
            subject=GRANT.subject,
            grant_id=GRANT.id,
        )
        assert [event for _, event in await store.load_audit_events()][1:] == [refreshed]

    async def test_where_the_tokens_are_others_meanwhile_nothing_is_done(self, store: Store) -> None:
        await approve_sample(store, upstream_tokens=SEALED)
        await refresh(store)
        await lease(store, version=2, until=NOW + 30)
        for version in (0, 1, 3):
            assert not await refresh(store, version=version, sealed=b"late")
        assert await store.load_upstream_tokens(GRANT.id) == SECOND
        assert not await lease(store, version=2, until=NOW + 30), "the lease goes on"
        assert await load_audit_names(store) == ["authorization.approved", "upstream_tokens.refreshed"]

    async def test_new_tokens_that_come_late_are_kept(self, store: Store) -> None:
        """The provider may take the old ones back once it issued these: after the lease, after the grant too."""
        await approve_sample(store, upstream_tokens=SEALED)
        await lease(store, until=NOW + 30)
        await lease(store, now=NOW + 30, until=NOW + 60)
        assert await refresh(store, now=NOW + 31)
        await store.revoke_grant(GRANT.id, reason="test", now=NOW + 32)
        assert await refresh(store, version=2, sealed=b"three", now=NOW + 33)
        assert await store.load_upstream_tokens(GRANT.id) == StoredUpstreamTokens(sealed=b"three", version=3)

    async def test_of_competing_replacements_exactly_one_counts(self, store: Store, replica: Store) -> None:
        await approve_sample(store, upstream_tokens=SEALED)
        replaced = await race(store, replica, lambda handle, number: refresh(handle, sealed=b"%d" % number))
        assert Counter(replaced) == {True: 1, False: 49}
        kept = StoredUpstreamTokens(sealed=b"%d" % replaced.index(True), version=2)
        assert await replica.load_upstream_tokens(GRANT.id) == kept
        assert (await load_audit_names(store)).count("upstream_tokens.refreshed") == 1

    async def test_whoever_has_the_lease_replaces_undisturbed(self, store: Store, replica: Store) -> None:
        await approve_sample(store, upstream_tokens=SEALED)

        async def refresh_once(handle: Store, number: int) -> tuple[bool, bool]:
            found = await handle.load_upstream_tokens(GRANT.id)
            assert isinstance(found, StoredUpstreamTokens)
            if not await lease(handle, version=found.version, until=NOW + 30):
                return False, False
            return True, await refresh(handle, version=found.version, sealed=b"%d" % number)

        played = Counter(await race(store, replica, refresh_once))
        assert played.keys() <= {(True, True), (False, False)}, "nobody else replaces what is leased"
        refreshes = played[True, True]
        assert refreshes > 0
        found = await store.load_upstream_tokens(GRANT.id)
        assert isinstance(found, StoredUpstreamTokens)
        assert found.version == 1 + refreshes
        assert (await load_audit_names(store)).count("upstream_tokens.refreshed") == refreshes
