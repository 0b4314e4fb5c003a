"""The store contract: a request waits for the person's answer, and is answered once."""
# ruff: noqa: S101  (a contract suite asserts)

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import Store
from nameplate.ports.verdicts import AlreadyAnswered, Approved, ChallengeSpent, Denied, Full, Recorded, Unknown
from nameplate.protocol.audit import AuditEvent
from nameplate.secret import hash_bearer_value
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names, race
from nameplate.testing.store_samples import BROWSER, NOW, approve_sample, sample_code, sample_grant, sample_pending

__all__ = ["AuthorizationContract"]

OTHER_BROWSER = hash_bearer_value("other browser")
ONE = sample_pending()


async def approve(store: Store, name: str = "one", *, browser: bytes = BROWSER, now: int = NOW) -> object:
    """The verdict on an approval of the pending authorization ``name``."""
    id_hash, grant, code = sample_pending(name).id_hash, sample_grant(name), sample_code(name)
    return await store.approve_authorization(id_hash, browser, grant=grant, code=code, now=now)


async def deny(store: Store, name: str = "one", *, browser: bytes = BROWSER, now: int = NOW) -> object:
    """The verdict on a denial of the pending authorization ``name``."""
    return await store.deny_authorization(sample_pending(name).id_hash, browser, subject="sub-of-alice", now=now)


class AuthorizationContract(StoreFixtures):
    """``record_authorization``, ``load_``, ``approve_``, ``deny_`` and ``is_challenge_spent``."""

    async def test_a_pending_authorization_comes_back_as_it_was_recorded(self, store: Store) -> None:
        bare = sample_pending("bare", state=None, scope=(), issues_refresh_token=False)
        full = sample_pending("full", login_hint="alice@example.com", signed_in_after=NOW - 300)
        for pending in (bare, full):
            assert await store.record_authorization(pending, limit=10) == Recorded()
            assert await store.load_authorization(pending.id_hash, BROWSER, NOW) == pending

    async def test_another_browser_sees_and_answers_nothing(self, store: Store) -> None:
        await store.record_authorization(ONE, limit=10)
        assert await store.load_authorization(ONE.id_hash, OTHER_BROWSER, NOW) == Unknown()
        assert await approve(store, browser=OTHER_BROWSER) == Unknown()
        assert await deny(store, browser=OTHER_BROWSER) == Unknown()
        assert await approve(store) == Approved(ONE)
        assert await store.load_authorization(ONE.id_hash, OTHER_BROWSER, NOW) == Unknown()

    async def test_a_pending_authorization_that_was_never_recorded_is_unknown(self, store: Store) -> None:
        assert await store.load_authorization(ONE.id_hash, BROWSER, NOW) == Unknown()
        assert await approve(store) == Unknown()
        assert await deny(store) == Unknown()
        assert await load_audit_names(store) == []

    async def test_a_pending_authorization_is_over_from_its_expiry_on(self, store: Store) -> None:
        await store.record_authorization(ONE, limit=10)
        assert await store.load_authorization(ONE.id_hash, BROWSER, ONE.expires_at - 1) == ONE
        for now in (ONE.expires_at, ONE.expires_at + 1):
            assert await store.load_authorization(ONE.id_hash, BROWSER, now) == Unknown()
            assert await approve(store, now=now) == Unknown()
            assert await deny(store, now=now) == Unknown()
        assert await approve(store, now=ONE.expires_at - 1) == Approved(ONE)

    @pytest.mark.parametrize("answer", [approve, deny])
    async def test_an_answered_one_is_told_from_an_unknown_one_until_it_expires(
        self, store: Store, answer: Callable[[Store], Awaitable[object]]
    ) -> None:
        await store.record_authorization(ONE, limit=10)
        await answer(store)
        last = ONE.expires_at - 1
        assert await store.load_authorization(ONE.id_hash, BROWSER, last) == AlreadyAnswered(ONE)
        assert await approve(store, now=last) == AlreadyAnswered(ONE)
        assert await deny(store, now=last) == AlreadyAnswered(ONE)
        assert await store.load_authorization(ONE.id_hash, BROWSER, ONE.expires_at) == Unknown()

    async def test_no_more_are_kept_than_the_limit_allows_until_the_sweep(self, store: Store) -> None:
        for name in ("one", "two", "three"):
            assert await store.record_authorization(sample_pending(name), limit=3) == Recorded()
        await deny(store, "two")
        assert await store.record_authorization(sample_pending("four"), limit=3) == Full()
        assert await store.load_authorization(sample_pending("four").id_hash, BROWSER, NOW) == Unknown()
        await store.sweep(ONE.expires_at, limit=100)
        late = sample_pending("four", created_at=ONE.expires_at, expires_at=ONE.expires_at + 600)
        assert await store.record_authorization(late, limit=1) == Recorded()
        assert await store.record_authorization(sample_pending("five"), limit=1) == Full()

    async def test_competing_requests_fill_the_store_exactly_to_the_limit(self, store: Store, replica: Store) -> None:
        verdicts = await race(
            store, replica, lambda handle, number: handle.record_authorization(sample_pending(f"{number}"), limit=10)
        )
        assert Counter(verdicts) == {Recorded(): 10, Full(): 40}

    async def test_one_id_cannot_be_recorded_twice(self, store: Store) -> None:
        await store.record_authorization(ONE, limit=10)
        with pytest.raises(StoreError):
            await store.record_authorization(sample_pending(browser_hash=OTHER_BROWSER), limit=10)
        assert await store.load_authorization(ONE.id_hash, BROWSER, NOW) == ONE

    async def test_of_competing_approvals_exactly_one_counts(self, store: Store, replica: Store) -> None:
        await store.record_authorization(ONE, limit=10)

        async def approve_once(handle: Store, number: int) -> object:
            grant = sample_grant(f"{number}")
            code = sample_code(f"{number}", code_challenge=ONE.code_challenge)
            return await handle.approve_authorization(ONE.id_hash, BROWSER, grant=grant, code=code, now=NOW)

        verdicts = await race(store, replica, approve_once)
        assert verdicts.count(Approved(ONE)) == 1
        assert verdicts.count(AlreadyAnswered(ONE)) == 49
        found = [await store.load_code(sample_code(f"{number}").code_hash) for number in range(50)]
        assert [number for number in range(50) if found[number] != Unknown()] == [verdicts.index(Approved(ONE))]
        assert await load_audit_names(store) == ["authorization.approved"]

    async def test_of_competing_denials_exactly_one_counts(self, store: Store, replica: Store) -> None:
        await store.record_authorization(ONE, limit=10)
        verdicts = await race(store, replica, lambda handle, _: deny(handle))
        assert verdicts.count(Denied(ONE)) == 1
        assert verdicts.count(AlreadyAnswered(ONE)) == 49
        assert await load_audit_names(store) == ["authorization.denied"]

    async def test_an_approval_and_a_denial_cannot_both_count(self, store: Store, replica: Store) -> None:
        await store.record_authorization(ONE, limit=10)
        verdicts = await race(
            store, replica, lambda handle, number: approve(handle) if number % 4 < 2 else deny(handle)
        )
        assert verdicts.count(AlreadyAnswered(ONE)) == 49
        has_code = await store.load_code(sample_code().code_hash) != Unknown()
        assert has_code == (Approved(ONE) in verdicts)

    async def test_one_challenge_gets_one_code_however_many_requests_carry_it(
        self, store: Store, replica: Store
    ) -> None:
        for number in range(50):
            await store.record_authorization(sample_pending(f"{number}", code_challenge="shared"), limit=100)

        async def approve_own(handle: Store, number: int) -> object:
            id_hash, grant = sample_pending(f"{number}").id_hash, sample_grant(f"{number}")
            code = sample_code(f"{number}", code_challenge="shared")
            return await handle.approve_authorization(id_hash, BROWSER, grant=grant, code=code, now=NOW)

        verdicts = await race(store, replica, approve_own)
        assert verdicts.count(ChallengeSpent()) == 49
        [winner] = [number for number in range(50) if isinstance(verdicts[number], Approved)]
        loser = (winner + 1) % 50
        assert await store.load_code(sample_code(f"{loser}").code_hash) == Unknown()
        assert await store.revoke_grant(sample_grant(f"{loser}").id, reason="test", now=NOW) is False
        assert isinstance(await deny(store, f"{loser}"), Denied), "a refused approval must not consume the request"

    async def test_another_client_may_use_the_same_challenge(self, store: Store) -> None:
        await approve_sample(store, "one", code=sample_code("one", code_challenge="shared"))
        other = "https://other.example/client.json"
        await approve_sample(store, "two", code=sample_code("two", code_challenge="shared", client_id=other))
        assert await store.is_challenge_spent(other, "shared")

    async def test_a_challenge_is_spent_from_the_approval_on(self, store: Store) -> None:
        code = sample_code()
        await store.record_authorization(ONE, limit=10)
        assert not await store.is_challenge_spent(code.client_id, code.code_challenge)
        await approve(store)
        assert await store.is_challenge_spent(code.client_id, code.code_challenge)
        assert not await store.is_challenge_spent("https://other.example/client.json", code.code_challenge)
        assert not await store.is_challenge_spent(code.client_id, "another challenge")
        await store.revoke_grant(code.grant_id, reason="test", now=NOW)
        await store.sweep(code.issued_at + 86399, limit=100)
        assert await store.is_challenge_spent(code.client_id, code.code_challenge)

    async def test_an_approval_that_cannot_be_stored_leaves_nothing_behind(self, store: Store) -> None:
        await approve_sample(store, "one")
        await store.record_authorization(sample_pending("two"), limit=10)
        grant_of_one, code = sample_grant("one"), sample_code("two", grant_id="grant one")
        with pytest.raises(StoreError):
            await store.approve_authorization(
                sample_pending("two").id_hash, BROWSER, grant=grant_of_one, code=code, now=NOW
            )
        assert await store.load_code(code.code_hash) == Unknown()
        assert await load_audit_names(store) == ["authorization.approved"]
        assert await approve(store, "two") == Approved(sample_pending("two"))

    async def test_answers_are_audited(self, store: Store) -> None:
        await approve_sample(store, "one")
        await store.record_authorization(sample_pending("two"), limit=10)
        await deny(store, "two", now=NOW + 5)
        grant = sample_grant("one")
        approved = AuditEvent(
            name="authorization.approved",
            at=NOW,
            client_id=grant.client_id,
            subject=grant.subject,
            grant_id=grant.id,
            detail=ONE.id_hash.hex()[:16],
        )
        denied = AuditEvent(
            name="authorization.denied",
            at=NOW + 5,
            client_id=grant.client_id,
            subject=grant.subject,
            detail=sample_pending("two").id_hash.hex()[:16],
        )
        assert [event for _, event in await store.load_audit_events()] == [approved, denied]
