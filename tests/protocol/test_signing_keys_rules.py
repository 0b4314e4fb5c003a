"""The life of signing keys: tables for each rule, and what must hold over any life of keys."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.signing_keys import (
    CLOCK_LEEWAY_SECONDS,
    MOST_KEYS,
    KeyPolicy,
    choose_active,
    compute_active_from,
    find_retired,
    find_retirement,
    find_waiting,
    is_full,
    is_rotation_due,
    list_published,
)

POLICY = KeyPolicy(rotate_seconds=10_000, publish_ahead_seconds=1000, longest_token_seconds=600)
KEPT = 600 + CLOCK_LEEWAY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    kid: str
    active_from: int
    created_at: int = 0
    withdrawn_at: int | None = None


def order(*keys: Key) -> list[Key]:
    """As the store gives them: the latest first."""
    return sorted(keys, key=lambda key: key.active_from, reverse=True)


def name(keys: list[Key] | tuple[Key, ...]) -> str:
    return " ".join(key.kid for key in keys)


OLD, NOW, NEXT = Key(kid="old", active_from=1000), Key(kid="now", active_from=5000), Key(kid="next", active_from=9000)


def withdraw(key: Key, at: int = 6000) -> Key:
    return replace(key, withdrawn_at=at)


@pytest.mark.parametrize(
    ("keys", "now", "expected"),
    [
        (order(), 6000, None),
        (order(NOW), 6000, "now"),
        (order(OLD, NOW, NEXT), 4999, "old"),
        (order(OLD, NOW, NEXT), 5000, "now"),
        (order(OLD, NOW, NEXT), 8999, "now"),
        (order(OLD, NOW, NEXT), 9000, "next"),
        # of the first key of all, and a clock that is behind
        (order(NOW), 4990, "now"),
        (order(NOW, NEXT), 4990, "now"),
        # withdrawn: the one before it, else the one that waits, else none
        (order(OLD, withdraw(NOW), NEXT), 6000, "old"),
        (order(withdraw(OLD), withdraw(NOW), NEXT), 6000, "next"),
        (order(withdraw(NOW), NEXT), 6000, "next"),
        (order(NOW, withdraw(NEXT)), 9500, "now"),
        (order(withdraw(OLD), withdraw(NOW)), 6000, None),
    ],
)
def test_the_latest_key_whose_time_has_come_signs(keys: list[Key], now: int, expected: str | None) -> None:
    active = choose_active(keys, now)
    assert (active.kid if active else None) == expected


def test_of_two_keys_of_the_same_second_the_first_in_the_store_s_order_signs() -> None:
    one, two = Key(kid="one", active_from=5000), Key(kid="two", active_from=5000)
    for keys in ([one, two], [two, one]):
        assert choose_active(keys, 5000) == keys[0]
        assert find_retirement(keys, keys[1].kid, POLICY) == 5000 + KEPT
        assert find_retirement(keys, keys[0].kid, POLICY) is None


@pytest.mark.parametrize(
    ("keys", "now", "expected"),
    [
        (order(NOW), 4000, "now"),
        (order(OLD, NOW, NEXT), 4000, "next now old"),
        (order(OLD, NOW, NEXT), 5000 + KEPT - 1, "next now old"),
        (order(OLD, NOW, NEXT), 5000 + KEPT, "next now"),
        (order(OLD, NOW, NEXT), 9000 + KEPT, "next"),
        (order(NOW), 10**9, "now"),
        (order(OLD, withdraw(NOW), NEXT), 6000, "next old"),
        # what a withdrawn key would have replaced is not replaced
        (order(OLD, withdraw(NOW)), 10**6, "old"),
        (order(OLD, withdraw(NOW), NEXT), 9000 + KEPT - 1, "next old"),
        (order(OLD, withdraw(NOW), NEXT), 9000 + KEPT, "next"),
        (order(withdraw(NOW)), 6000, ""),
    ],
)
def test_a_key_is_published_until_the_last_token_it_signed_has_expired(
    keys: list[Key], now: int, expected: str
) -> None:
    assert name(list_published(keys, now, POLICY)) == expected


@pytest.mark.parametrize(
    ("keys", "now", "expected"),
    [
        (order(OLD, NOW), 5000 + KEPT - 1, ""),
        (order(OLD, NOW), 5000 + KEPT, "old"),
        (order(OLD, NOW, NEXT), 9000 + KEPT, "now old"),
        (order(OLD, withdraw(NOW)), 6000 + KEPT - 1, ""),
        (order(OLD, withdraw(NOW)), 6000 + KEPT, "now"),
        (order(withdraw(NOW)), 6000 + KEPT, "now"),
        (order(withdraw(NEXT, 6000), NOW), 6000 + KEPT, "next"),
    ],
)
def test_keys_that_nothing_needs_are_retired(keys: list[Key], now: int, expected: str) -> None:
    assert name(find_retired(keys, now, POLICY)) == expected


@pytest.mark.parametrize(
    ("keys", "now", "expected"),
    [
        (order(), 0, True),
        (order(withdraw(NOW)), 6000, True),
        (order(NOW), 5000, False),
        (order(NOW), 13_999, False),
        (order(NOW), 14_000, True),
        (order(NOW), 10**9, True),
        (order(NOW, NEXT), 8999, False),
        (order(NOW, NEXT), 17_999, False),
        (order(NOW, NEXT), 18_000, True),
        (order(OLD, withdraw(NOW)), 6000, False),
        (order(OLD, withdraw(NOW)), 10_000, True),
    ],
)
def test_the_next_key_is_due_ahead_of_its_time(keys: list[Key], now: int, expected: bool) -> None:
    assert is_rotation_due(keys, now, POLICY) is expected


def test_a_key_signs_at_once_where_there_is_no_other_and_else_when_it_is_known() -> None:
    assert compute_active_from([], 7000, POLICY) == 7000
    assert compute_active_from([withdraw(NOW)], 7000, POLICY) == 7000
    assert compute_active_from([NOW], 7000, POLICY) == 8000


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (order(), None),
        (order(NOW), None),
        (order(NOW, NEXT), "next"),
        (order(NOW, withdraw(NEXT)), None),
        (order(withdraw(NOW), NEXT), "next"),
    ],
)
def test_the_key_that_waits_is_found(keys: list[Key], expected: str | None) -> None:
    waiting = find_waiting(keys, 8500, POLICY)
    assert (waiting.kid if waiting else None) == expected


def test_nobody_waits_for_a_key_that_a_clock_far_ahead_has_made() -> None:
    ahead = 6000 + POLICY.publish_ahead_seconds + CLOCK_LEEWAY_SECONDS
    soon, far = Key(kid="soon", active_from=ahead), Key(kid="far", active_from=ahead + 1)
    for key, waits in ((soon, True), (far, False)):
        waiting = find_waiting(order(NOW, key), 6000, POLICY)
        assert (waiting == key) is waits
    years = Key(kid="years", active_from=10**9)
    assert is_rotation_due(order(NOW, years), 14_000, POLICY)
    assert is_rotation_due(order(years), 6000, POLICY)
    made = Key(kid="made", active_from=compute_active_from(order(NOW, years), 14_000, POLICY))
    assert not is_rotation_due(order(NOW, made, years), 14_000, POLICY)
    assert choose_active(order(NOW, made, years), 15_000) == made


def test_there_are_full_numbers_of_keys() -> None:
    keys = [Key(kid=f"{number}", active_from=number) for number in range(MOST_KEYS)]
    assert not is_full(keys[1:])
    assert is_full(keys)
    assert not is_full([withdraw(keys[0]), *keys[1:]])


@st.composite
def draw_policies(draw: st.DrawFn) -> KeyPolicy:
    rotate = draw(st.integers(3600, 90 * 86400))
    ahead = draw(st.integers(60, min(rotate - 1, 7 * 86400)))
    return KeyPolicy(
        rotate_seconds=rotate, publish_ahead_seconds=ahead, longest_token_seconds=draw(st.integers(1, 86400))
    )


@given(policy=draw_policies(), steps=st.lists(st.integers(1, 86400), min_size=1, max_size=40), data=st.data())
def test_over_any_life_every_token_finds_its_key_published_until_it_expires(
    policy: KeyPolicy, steps: list[int], data: st.DataObject
) -> None:
    """Somebody looks after the keys at arbitrary moments; tokens are issued in between."""
    keys: list[Key] = []
    published_since: dict[str, int] = {}
    tokens: list[tuple[str, int]] = []
    now = 0
    for number, step in enumerate(steps):
        if is_rotation_due(keys, now, policy):
            fresh = Key(kid=f"{number}", active_from=compute_active_from(keys, now, policy), created_at=now)
            keys = order(fresh, *keys)
        retired = find_retired(keys, now, policy)
        keys = [key for key in keys if key not in retired]
        published = {key.kid for key in list_published(keys, now, policy)}
        assert published == {key.kid for key in keys}
        for kid in published:
            published_since.setdefault(kid, now)
        # until the next look after them
        issued_at = data.draw(st.integers(now, now + step - 1))
        active = choose_active(keys, issued_at)
        assert active is not None
        assert active.kid in published
        assert published_since[active.kid] in (0, active.active_from - policy.publish_ahead_seconds)
        tokens.append((active.kid, issued_at + policy.longest_token_seconds))
        now += step
        seen = {key.kid for key in list_published(keys, now, policy)}
        assert all(kid in seen for kid, expires_at in tokens if expires_at + CLOCK_LEEWAY_SECONDS > now)


@given(
    keys=st.lists(
        st.builds(
            Key,
            kid=st.uuids().map(str),
            active_from=st.integers(0, 10_000),
            withdrawn_at=st.none() | st.integers(0, 10_000),
        ),
        max_size=8,
    ),
    now=st.integers(0, 20_000),
)
def test_the_key_that_signs_is_published_and_not_retired_and_withdrawn_keys_are_neither(
    keys: list[Key], now: int
) -> None:
    keys = order(*keys)
    active = choose_active(keys, now)
    published, retired = list_published(keys, now, POLICY), find_retired(keys, now, POLICY)
    assert (active is None) == all(key.withdrawn_at is not None for key in keys)
    if active is not None:
        assert active in published
    assert not any(key.withdrawn_at is not None for key in published)
    assert not set(published) & set(retired)
