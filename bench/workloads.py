"""The workloads: what is prepared beforehand, what is sent while the clock runs, and what must come back."""

import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.driver import Answer, Driver, build_request, connect
from bench.failure import BenchFailed
from bench.world import Side, World

__all__ = ["INTROSPECTION", "WORKLOADS", "Batch", "Workload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests that are ready to be sent. ``keep`` takes the answers, checks them, and keeps what others need."""

    requests: Sequence[bytes]
    keep: Callable[[list[Answer]], None]


Prepare = Callable[[Side, Driver, int], Awaitable[Batch]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A row of the table. ``prepare`` is given connections to the authorization server of the side's visitor.

    ``find_sides`` picks the pair of sides; none where the world does not have what it needs. Of the requests that the
    user asked for, one in ``one_in`` is sent. ``goal`` is what the row is to reach.
    """

    name: str
    goal: str
    prepare: Prepare
    find_sides: Callable[[World], Sequence[Side]] = lambda world: world.servers
    one_in: int = 1


async def _ask_for_metadata(side: Side, _driver: Driver, count: int) -> Batch:
    return _build_same(build_request("GET", side.visitor.metadata_url), count)


async def _authorize(side: Side, _driver: Driver, count: int) -> Batch:
    """A browser that has never been here is shown the sign-in page, and the request is kept."""
    requests = [side.visitor.build_authorize(secrets.token_urlsafe(48)) for _ in range(count)]
    return Batch(requests=requests, keep=partial(_check_authorized, side))


async def _authorize_unknown_client(side: Side, _driver: Driver, count: int) -> Batch:
    publish = side.visitor.publish
    if publish is None:
        raise BenchFailed("nobody can publish a document for this server")
    requests = [side.visitor.build_authorize(secrets.token_urlsafe(48), client_id=publish()) for _ in range(count)]
    return Batch(requests=requests, keep=partial(_check_authorized, side))


async def _consent(side: Side, driver: Driver, count: int) -> Batch:
    asked = await side.visitor.ask_for_consent(driver, count)
    return Batch(requests=[each.request for each in asked], keep=partial(side.visitor.keep_codes, asked))


async def _exchange(side: Side, driver: Driver, count: int) -> Batch:
    codes = await side.visitor.take_codes(driver, count)
    return Batch(requests=[side.visitor.build_exchange(code) for code in codes], keep=side.visitor.keep_tokens)


async def _refresh(side: Side, driver: Driver, count: int) -> Batch:
    tokens = await side.visitor.take_refresh_tokens(driver, count)
    return Batch(requests=[side.visitor.build_refresh(token) for token in tokens], keep=side.visitor.keep_tokens)


async def _introspect(side: Side, driver: Driver, count: int) -> Batch:
    """Tokens that the server never saw again since it issued them, asked for by the resource server (RFC 7662)."""
    tokens = await side.visitor.take_access_tokens(driver, count)
    requests = [side.visitor.build_introspection(token) for token in tokens]
    return Batch(requests=requests, keep=_check_active)


def _check_active(answers: list[Answer]) -> None:
    for answer in answers:
        if not json.loads(answer.check(200).body)["active"]:
            raise BenchFailed("a token that was just issued is not active")


async def _show_known_token(side: Side, driver: Driver, count: int) -> Batch:
    [token] = await side.visitor.take_access_tokens(driver, 1)
    request = _build_call(side, token)
    async with connect(side.url, connections=1) as resource:
        (await resource.send([request])).answers[0].check(200)
    return _build_same(request, count)


async def _show_new_tokens(side: Side, driver: Driver, count: int) -> Batch:
    tokens = await side.visitor.take_access_tokens(driver, count)
    return Batch(requests=[_build_call(side, token) for token in tokens], keep=partial(_check, 200))


def _build_call(side: Side, token: str) -> bytes:
    return build_request("GET", side.url, headers={"Authorization": f"Bearer {token}"})


def _build_same(request: bytes, count: int) -> Batch:
    return Batch(requests=[request] * count, keep=partial(_check, 200))


def _check(status: int, answers: list[Answer]) -> None:
    for answer in answers:
        answer.check(status)


def _check_authorized(side: Side, answers: list[Answer]) -> None:
    for answer in answers:
        if answer.status not in side.visitor.authorize_statuses:
            answer.check(min(side.visitor.authorize_statuses))


def _find_publishing(world: World) -> Sequence[Side]:
    return [side for side in world.servers if side.visitor.publish is not None]


INTROSPECTION = Workload(name="introspection", goal="", prepare=_introspect)
"""Only ours can be asked: the floor has no such endpoint."""

WORKLOADS = (
    Workload(name="metadata", goal="≤ 1.05 ×", prepare=_ask_for_metadata),
    Workload(name="authorize, document warm", goal="≤ 2 ×", prepare=_authorize),
    Workload(
        name="authorize, document cold",
        goal="≤ 1.7 ×",
        prepare=_authorize_unknown_client,
        find_sides=_find_publishing,
        one_in=20,
    ),
    Workload(name="consent", goal="≤ 2 ×", prepare=_consent),
    Workload(name="code exchange", goal="≤ 2 ×", prepare=_exchange),
    Workload(name="refresh", goal="≤ 2 ×", prepare=_refresh),
    Workload(
        name="code exchange, ES256", goal="≤ 2 ×", prepare=_exchange, find_sides=lambda world: world.keyed_servers
    ),
    Workload(name="refresh, ES256", goal="≤ 2 ×", prepare=_refresh, find_sides=lambda world: world.keyed_servers),
    Workload(
        name="bearer check, seen before",
        goal="≤ 1.45 ×",
        prepare=_show_known_token,
        find_sides=lambda world: world.resources,
    ),
    Workload(
        name="bearer check, first sight",
        goal="≤ 3.4 ×",
        prepare=_show_new_tokens,
        find_sides=lambda world: world.resources,
    ),
)
