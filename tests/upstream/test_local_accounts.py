"""Passwords of local accounts: who gets in, and that nobody learns which names exist."""

import threading
import time
from functools import partial

import anyio
import pytest
from argon2 import PasswordHasher

from nameplate.upstream.local_accounts import (
    MAX_PASSWORD_BYTES,
    LocalAccount,
    LocalAccounts,
    hash_password,
    is_password_hash,
)

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse"
QUICK = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def build_account(username: str, password_hash: str) -> LocalAccount:
    return LocalAccount(username=username, password_hash=password_hash, display_name=username.title())


ALICE = build_account("alice", QUICK.hash(PASSWORD))
BOB = build_account("bob", QUICK.hash("bob's own"))


async def test_username_and_password_must_belong_together() -> None:
    accounts = LocalAccounts([ALICE, BOB])
    assert await accounts.check_password("alice", PASSWORD) is ALICE
    assert await accounts.check_password("bob", "bob's own") is BOB
    assert accounts.find("alice") is ALICE


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("alice", PASSWORD + " "),
        ("alice", PASSWORD.upper()),
        ("alice", "bob's own"),
        ("Alice", PASSWORD),
        ("alice\0", PASSWORD),
        ("", ""),
        ("mallory", PASSWORD),
        ("mallory", "bob's own"),
        ("alice", "\ud800"),
        ("\ud800", PASSWORD),
        pytest.param("alice", ALICE.password_hash, id="the hash itself"),  # its salt would be another name each time
    ],
)
async def test_anything_else_lets_nobody_in(username: str, password: str) -> None:
    assert await LocalAccounts([ALICE, BOB]).check_password(username, password) is None


async def test_without_accounts_nobody_gets_in() -> None:
    assert await LocalAccounts([]).check_password("", "") is None


async def test_a_password_has_a_longest_length() -> None:
    longest = "ü" * (MAX_PASSWORD_BYTES // 2)
    accounts = LocalAccounts(
        [build_account("alice", QUICK.hash(longest)), build_account("bob", QUICK.hash(longest + "a"))]
    )
    assert await accounts.check_password("alice", longest) is not None
    assert await accounts.check_password("bob", longest + "a") is None


async def measure(accounts: LocalAccounts, username: str) -> float:
    """The processor time of one check, in seconds."""
    start = time.process_time()
    assert await accounts.check_password(username, "wrong") is None
    return time.process_time() - start


async def test_an_unknown_name_costs_as_much_as_the_costliest_known_one() -> None:
    costly = build_account("carol", PasswordHasher(time_cost=4, memory_cost=16384, parallelism=1).hash(PASSWORD))
    for accounts in (LocalAccounts([costly, ALICE]), LocalAccounts([ALICE, costly])):
        known = min([await measure(accounts, "carol") for _ in range(2)])
        unknown = min([await measure(accounts, "mallory") for _ in range(2)])
        assert unknown > known / 2


async def test_few_passwords_are_checked_at_once_whoever_is_knocking() -> None:
    costly = PasswordHasher(time_cost=3, memory_cost=16384, parallelism=1).hash(PASSWORD)
    accounts = LocalAccounts([build_account("carol", costly)])
    working = 0
    async with anyio.create_task_group() as knocking:
        for number in range(12):
            knocking.start_soon(partial(accounts.check_password, "carol" if number % 2 else "mallory", "wrong"))
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
            working = max(working, sum(thread.name == "AnyIO worker thread" for thread in threading.enumerate()))
    assert 1 <= working <= 2


def test_a_new_hash_is_one_that_is_accepted_and_differs_each_time() -> None:
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first != second
    assert first.startswith("$argon2id$")
    assert is_password_hash(first)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PASSWORD,
        "$argon2",
        "$argon2id$garbage",
        "$2b$12$" + "a" * 53,
        "$argon2id$v=19$m=65536,t=3,p=4$$",
        "$argon2id$v=19$m=65536,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$",
        "$argon2id$v=19$m=65536,t=0,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY",
        "$argon2id$v=19$m=1,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY",
        "$argon2id$v=19$m=99999999999,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY",
        "$argon2id$v=19$m=x,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY",
        "\ud800",
    ],
)
def test_what_could_never_let_anybody_in_is_no_hash(text: str) -> None:
    assert not is_password_hash(text)
