"""Everything at once on the same few rows: nobody waits in a circle, and what has to add up adds up."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import Spending, Store, StoredUpstreamTokens
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.client_proof import ClientProof
from nameplate.secret import hash_bearer_value
from nameplate.stores import postgres_pool
from nameplate.stores.postgres import PostgresStore
from nameplate.testing.store_samples import (
    BROWSER,
    NOW,
    PROOF,
    sample_assertion,
    sample_client,
    sample_code,
    sample_document,
    sample_grant,
    sample_pending,
    sample_refresh_token,
    sample_rotation,
    sample_session,
    sample_upstream_attempt,
)
from postgres_kit import fetch_value

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

LIMIT = 12
NAMES = [f"{number}" for number in range(8)]
CLIENTS = [f"npc_{name}" for name in NAMES[:3]]
BUDGETS = [f"budget {name}" for name in NAMES]
BROWSERS = [hash_bearer_value(f"browser {name}") for name in NAMES[:3]]
ATTEMPTS = 4
DAY = 86400
WANTED = {
    "Approved",
    "AlreadyAnswered",
    "ChallengeSpent",
    "Full",
    "Redeemed",
    "Replayed",
    "Rotated",
    "UpstreamAttempt",
    "StoredUpstreamTokens",
}


def pick_client(name: str) -> str:
    return CLIENTS[int(name) % len(CLIENTS)]


async def approve(store: Store, dice: random.Random) -> object:
    name = dice.choice(NAMES)
    grant = sample_grant(f"{name} {dice.random()}", client_id=pick_client(name))
    code = sample_code(name, client_id=pick_client(name), grant_id=grant.id, code_challenge=dice.choice(NAMES))
    return await store.approve_authorization(
        sample_pending(name).id_hash,
        BROWSER,
        grant=grant,
        code=code,
        now=NOW,
        upstream_tokens=dice.choice([None, b"sealed"]),
    )


async def redeem(store: Store, dice: random.Random) -> object:
    name = dice.choice(NAMES)
    signed = ClientProof(auth_method="private_key_jwt", assertion=sample_assertion(f"{dice.randrange(40)}"))
    return await store.redeem_code(
        sample_code(name).code_hash,
        refresh_token=sample_refresh_token(dice.choice([*NAMES, f"{dice.random()}"])),
        proof=dice.choice([PROOF, signed]),
        now=NOW + dice.randrange(20),
        replay_revokes_after_seconds=10,
    )


async def rotate(store: Store, dice: random.Random) -> object:
    rotation = sample_rotation(dice.choice(NAMES), dice.choice(NAMES), repeat_limit=2)
    return await store.rotate_refresh_token(rotation, NOW + dice.randrange(200))


async def deny(store: Store, dice: random.Random) -> object:
    id_hash = sample_pending(dice.choice(NAMES)).id_hash
    return await store.deny_authorization(id_hash, BROWSER, subject="sub", now=NOW)


async def begin_attempt(store: Store, dice: random.Random) -> object:
    name = dice.choice([*NAMES, f"{dice.random()}"])
    attempt = sample_upstream_attempt(name, browser_hash=dice.choice(BROWSERS))
    return await store.record_upstream_attempt(attempt, limit=ATTEMPTS)


async def take_attempt(store: Store, dice: random.Random) -> object:
    state_hash = sample_upstream_attempt(dice.choice(NAMES)).state_hash
    return await store.take_upstream_attempt(state_hash, dice.choice(BROWSERS), NOW)


async def refresh_upstream(store: Store, dice: random.Random) -> object:
    found = await store.load_code(sample_code(dice.choice(NAMES)).code_hash)
    if isinstance(found, Unknown):
        return found
    grant_id, now = found[1].id, NOW + dice.randrange(200)
    tokens = await store.load_upstream_tokens(grant_id)
    if isinstance(tokens, StoredUpstreamTokens):
        await store.lease_upstream_refresh(grant_id, version=tokens.version, now=now, until=now + dice.randrange(30))
        await store.replace_upstream_tokens(grant_id, version=tokens.version, sealed=b"sealed", now=now)
    return tokens


async def start_session(store: Store, dice: random.Random) -> None:
    await store.record_session(sample_session(dice.choice(NAMES)), replaces=None)


async def replace_session(store: Store, dice: random.Random) -> None:
    new, old = sample_session(f"{dice.random()}"), sample_session(dice.choice(NAMES))
    await store.record_session(new, replaces=old.id_hash)


async def spend_all(store: Store, dice: random.Random) -> object:
    budgets = dice.sample(BUDGETS, 4)
    spendings = [Spending(budget=each, cost=1, capacity=50, refill_per_second=1.0) for each in budgets]
    return await store.spend_all(spendings, now=NOW + dice.random())


# Each as often as its number says.
OPERATIONS: list[tuple[int, Callable[[Store, random.Random], Awaitable[object]]]] = [
    (30, lambda store, dice: store.record_authorization(sample_pending(dice.choice(NAMES)), limit=LIMIT)),
    (10, lambda store, dice: store.record_authorization(sample_pending(f"{dice.random()}"), limit=LIMIT)),
    (30, approve),
    (2, deny),
    (30, redeem),
    (30, rotate),
    (2, lambda store, dice: store.burn_code(sample_code(dice.choice(NAMES)).code_hash, NOW)),
    (10, lambda store, dice: store.record_client(sample_client(dice.choice(NAMES[:3])), limit=LIMIT, now=NOW)),
    (1, lambda store, dice: store.remove_client(dice.choice(CLIENTS), NOW)),
    (20, begin_attempt),
    (10, take_attempt),
    (20, refresh_upstream),
    (5, start_session),
    (5, replace_session),
    (2, lambda store, dice: store.end_sessions("sub-of-alice", NOW)),
    (5, lambda store, dice: store.record_document(sample_document(dice.choice(NAMES), fetched_at=NOW))),
    (5, lambda store, dice: store.record_document_refusal(sample_document(dice.choice(NAMES)).client_id, NOW)),
    (10, spend_all),
    (10, lambda store, dice: store.spend(dice.choice(BUDGETS), 1, capacity=50, refill_per_second=1.0, now=NOW)),
    (6, lambda store, dice: store.sweep(NOW + 600, limit=30)),
    (2, lambda store, dice: store.sweep(NOW + DAY, limit=30)),
    (1, lambda store, dice: store.sweep(NOW + 100 * DAY, limit=30)),
]


async def test_everything_at_once_ends_without_a_deadlock_and_with_true_counts(
    postgres_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_pool, "_ATTEMPTS", 1)  # so that a deadlock would show
    dice = random.Random(7)  # which operations; who comes first is luck
    stores = [await PostgresStore.open(postgres_store_url) for _ in range(2)]
    refused: list[str] = []
    verdicts: set[str] = set()

    async def play(number: int) -> None:
        own = random.Random(dice.random())
        weights = [weight for weight, _ in OPERATIONS]
        for _, operation in own.choices(OPERATIONS, weights, k=100):
            try:
                verdicts.add(type(await operation(stores[number % 2], own)).__name__)
            except StoreError as error:
                refused.append(str(error))

    for _ in range(10):
        if not verdicts >= WANTED:
            await asyncio.gather(*(play(number) for number in range(20)))
    events = [event for _, event in await stores[0].load_audit_events(limit=10_000)]
    for store in stores:
        await store.aclose()
    # An id that is there already is the one thing that may be refused.
    assert [problem for problem in refused if "duplicate key value" not in problem] == []
    assert verdicts >= WANTED
    once = ("authorization.approved", "code.redeemed", "code.burned", "grant.revoked", "refresh_token.rotated")
    counts = Counter((event.name, event.grant_id, event.detail) for event in events if event.name in once)
    assert [each for each, count in counts.items() if count > 1] == []
    wrong = f"""
    select (select count(*) from (select from upstream_attempts group by browser_hash having count(*) > {ATTEMPTS}) b)
        + (
            select count(*) from upstream_tokens t join grants g on g.id = t.grant_row where version <> 1
                + (select count(*) from audit_events e where e.grant_id = g.grant_id and name like 'upstream%')
        )
    """
    assert await fetch_value(postgres_store_url, wrong) == 0
    for kind, table in (("pending", "pending_authorizations"), ("clients", "clients")):
        wrong = f"""
        select count(*) from shares s
        where kind = '{kind}' and used <> (select count(*) from {table} t where t.share = s.share)
        """
        assert await fetch_value(postgres_store_url, wrong) == 0
