"""No operation of the SQLite store does more work because more is stored.

Work is counted in instructions of SQLite's virtual machine, triggers and foreign keys included: no clock, no luck.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nameplate.ports.store import GrantFilter, Spending
from nameplate.ports.verdicts import Repeated, Rotated
from nameplate.protocol.audit import AuditFilter
from nameplate.protocol.client_proof import ClientProof
from nameplate.secret import hash_bearer_value
from nameplate.stores import (
    sqlite_assertions,
    sqlite_audit,
    sqlite_authorizations,
    sqlite_budgets,
    sqlite_clients,
    sqlite_codes,
    sqlite_documents,
    sqlite_grants,
    sqlite_keys,
    sqlite_people,
    sqlite_refresh_tokens,
    sqlite_upstreams,
)
from nameplate.stores.sqlite_file import connect_writer, make_durable
from nameplate.stores.sqlite_lister import Listing, load_stretch
from nameplate.stores.sqlite_schema import migrate
from nameplate.stores.sqlite_sweep import Swept, build_sweeps
from nameplate.testing.store_samples import (
    BROWSER,
    NOW,
    sample_assertion,
    sample_client,
    sample_code,
    sample_document,
    sample_grant,
    sample_pending,
    sample_refresh_token,
    sample_rotation,
    sample_session,
    sample_signing_key,
    sample_upstream_attempt,
)

FEW, MANY = 20, 1000
DAY = 86400
LATE = NOW + 365 * DAY

Operation = Callable[[sqlite3.Connection, str], object]


def record(connection: sqlite3.Connection, name: str) -> object:
    return sqlite_authorizations.record_authorization(connection, pending=sample_pending(name), limit=10**6)


def approve(connection: sqlite3.Connection, name: str) -> object:
    return sqlite_authorizations.approve_authorization(
        connection,
        request=(sample_pending(name).id_hash, BROWSER),
        grant=sample_grant(name),
        code=sample_code(name),
        now=NOW,
        upstream_tokens=b"sealed",
    )


def prove(name: str) -> ClientProof:
    return ClientProof(auth_method="private_key_jwt", client_keys="keys", assertion=sample_assertion(name))


def redeem(connection: sqlite3.Connection, name: str) -> object:
    return sqlite_codes.redeem_code(
        connection,
        code_hash=sample_code(name).code_hash,
        refresh_token=sample_refresh_token(name),
        proof=prove(f"code {name}"),
        now=NOW,
        replay_revokes_after_seconds=10,
    )


def rotate(connection: sqlite3.Connection, name: str) -> Rotated | Repeated:
    rotation = sample_rotation(name, f"successor of {name}")
    verdict = sqlite_refresh_tokens.rotate_refresh_token(connection, rotation=rotation, now=NOW)
    assert isinstance(verdict, Rotated | Repeated)
    return verdict


def start_session(connection: sqlite3.Connection, name: str) -> None:
    sqlite_people.record_session(connection, session=sample_session(name), replaces=None)


def record_subject(connection: sqlite3.Connection, name: str) -> object:
    return sqlite_people.record_subject(connection, person=("issuer", name), candidate=f"sub of {name}", now=NOW)


def spend(connection: sqlite3.Connection, name: str) -> object:
    return sqlite_budgets.spend(connection, budget=name, cost=1, capacity=10, refill_per_second=1e-9, now=NOW)


def begin_attempt(connection: sqlite3.Connection, name: str, browser: str = "") -> object:
    attempt = sample_upstream_attempt(name, browser_hash=hash_bearer_value(browser or f"browser {name}"))
    return sqlite_upstreams.record_upstream_attempt(connection, attempt=attempt, limit=5)


def record_document(connection: sqlite3.Connection, name: str) -> None:
    sqlite_documents.record_document(connection, document=sample_document(name))


def record_client(connection: sqlite3.Connection, name: str) -> object:
    return sqlite_clients.record_client(connection, client=sample_client(name), limit=10**6, now=NOW)


def list_some(connection: sqlite3.Connection, listing: Listing[Any]) -> None:
    found, _ = load_stretch(connection, listing=listing, after=5, limit=9)
    assert len(found) == 9


STORED = (
    record,
    approve,
    redeem,
    rotate,
    start_session,
    record_subject,
    begin_attempt,
    spend,
    record_document,
    record_client,
)

# What is done to things that are there already, then to a name that nothing has.
OPERATIONS: dict[str, Operation] = {
    "load_authorization": lambda connection, name: sqlite_authorizations.load_authorization(
        connection, id_hash=sample_pending(name).id_hash, browser_hash=BROWSER, now=NOW
    ),
    "is_challenge_spent": lambda connection, name: sqlite_authorizations.is_challenge_spent(
        connection, client_id=sample_code(name).client_id, code_challenge=sample_code(name).code_challenge
    ),
    "load_code": lambda connection, name: sqlite_codes.load_code(connection, code_hash=sample_code(name).code_hash),
    "load_refresh_token": lambda connection, name: sqlite_refresh_tokens.load_refresh_token(
        connection, token_hash=sample_refresh_token(name).token_hash
    ),
    "replay": redeem,
    "repeat": lambda connection, name: rotate(connection, "filling 1"),
    "load_session": lambda connection, name: sqlite_people.load_session(
        connection, id_hash=sample_session(name).id_hash, now=NOW
    ),
    "end_session": lambda connection, name: sqlite_people.end_session(
        connection, id_hash=sample_session(name).id_hash, now=NOW
    ),
    "record_upstream_attempt, in one browser": lambda connection, name: [
        begin_attempt(connection, f"{name} {number}", "browser of all") for number in range(10)
    ],
    "take_upstream_attempt": lambda connection, name: sqlite_upstreams.take_upstream_attempt(
        connection,
        state_hash=sample_upstream_attempt(name).state_hash,
        browser_hash=hash_bearer_value(f"browser {name}"),
        now=NOW,
    ),
    "load_upstream_tokens": lambda connection, name: sqlite_upstreams.load_upstream_tokens(
        connection, grant_id=sample_grant(name).id
    ),
    "lease_upstream_refresh": lambda connection, name: sqlite_upstreams.lease_upstream_refresh(
        connection, grant_id=sample_grant(name).id, version=1, now=NOW, until=NOW + 30
    ),
    "replace_upstream_tokens": lambda connection, name: sqlite_upstreams.replace_upstream_tokens(
        connection, grant_id=sample_grant(name).id, version=1, sealed=b"sealed", now=NOW
    ),
    "spend again": spend,
    "spend_all": lambda connection, name: sqlite_budgets.spend_all(
        connection,
        spendings=[Spending(budget=each, cost=1, capacity=10, refill_per_second=1e-9) for each in (name, "other")],
        now=NOW,
    ),
    "load_document": lambda connection, name: sqlite_documents.load_document(
        connection, client_id=sample_document(name).client_id
    ),
    "record_document again": record_document,
    "record_document_refusal": lambda connection, name: sqlite_documents.record_document_refusal(
        connection, client_id=sample_document(name).client_id, now=NOW
    ),
    "revoke_grant": lambda connection, name: sqlite_grants.revoke_grant(
        connection, grant_id=sample_grant(name).id, reason="test", now=NOW
    ),
    "load_grant": lambda connection, name: sqlite_grants.load_grant(connection, grant_id=sample_grant(name).id),
    "load_revocations": lambda connection, name: sqlite_grants.load_revocations(
        connection, resource=sample_grant(name).resource, since=NOW
    ),
    "list_grants": lambda connection, name: list_some(connection, sqlite_grants.build_grant_listing(GrantFilter())),
    "list_grants, narrowed": lambda connection, name: list_some(
        connection, sqlite_grants.build_grant_listing(GrantFilter(subject=sample_grant().subject, live_at=NOW))
    ),
    "record_assertion": lambda connection, name: sqlite_assertions.record_assertion(
        connection, use=sample_assertion(f"code {name}"), now=NOW
    ),
    "end_sessions": lambda connection, name: sqlite_people.end_sessions(connection, subject=name, now=NOW),
    "list_subjects": lambda connection, name: list_some(connection, sqlite_people.SUBJECTS),
    "load_client": lambda connection, name: sqlite_clients.load_client(
        connection, client_id=sample_client(name).client_id
    ),
    "list_clients": lambda connection, name: list_some(connection, sqlite_clients.CLIENTS),
    "remove_client": lambda connection, name: sqlite_clients.remove_client(
        connection, client_id=sample_client(name).client_id, now=NOW
    ),
    "load_audit_events": lambda connection, name: list_some(
        connection, sqlite_audit.build_event_listing(AuditFilter(since=NOW, names=("code.redeemed",)))
    ),
    "load_audit_events, since the future": lambda connection, name: sqlite_audit.find_start(connection, since=LATE),
    "record_signing_key": lambda connection, name: sqlite_keys.record_signing_key(
        connection, key=sample_signing_key("one"), latest=None
    ),
    "drop_signing_key": lambda connection, name: sqlite_keys.drop_signing_key(
        connection, kid=sample_signing_key(name).kid, now=NOW
    ),
}


@contextmanager
def open_filled(path: Path, count: int) -> Iterator[sqlite3.Connection]:
    connection = connect_writer(path)
    make_durable(connection)
    migrate(connection)
    connection.execute("BEGIN IMMEDIATE")
    for number in range(count):
        for store in STORED:
            store(connection, f"filling {number}")
    sqlite_keys.record_signing_key(connection, key=sample_signing_key(), latest=None)
    yield connection
    connection.close()


def count_steps(connection: sqlite3.Connection, operation: Callable[[], object]) -> int:
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    connection.set_progress_handler(count, 1)
    operation()
    connection.set_progress_handler(None, 1)
    return steps


def measure(path: Path, count: int) -> dict[str, int]:
    """The steps of each operation in a store that holds ``count`` of everything."""
    with open_filled(path, count) as connection:
        steps = {store.__name__: count_steps(connection, partial(store, connection, "new")) for store in STORED}
        for name, operation in OPERATIONS.items():
            steps[name] = count_steps(connection, partial(operation, connection, "filling 7"))
            steps[f"{name}, unknown"] = count_steps(connection, partial(operation, connection, "unknown"))
        for number, sweep in enumerate(build_sweeps(now=0, audit_before=0)):
            steps[f"idle sweep {number}"] = count_steps(connection, partial(sweep, connection, limit=9))
        for number, sweep in enumerate(build_sweeps(now=LATE, audit_before=LATE)):
            steps[f"sweep {number}"] = count_steps(connection, partial(sweep, connection, limit=9))
        return steps


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], dict[str, int]]:
    directory = tmp_path_factory.mktemp("growth")
    return measure(directory / "few.sqlite", FEW), measure(directory / "many.sqlite", MANY)


def test_fifty_times_the_rows_cost_no_operation_more_work(steps: tuple[dict[str, int], dict[str, int]]) -> None:
    few, many = steps
    assert few.keys() == many.keys()
    assert {name: (few[name], many[name]) for name in few if many[name] > few[name] * 1.1 + 5} == {}


def test_an_ended_grant_that_is_still_referred_to_is_put_off_and_not_looked_at_each_time(tmp_path: Path) -> None:
    with open_filled(tmp_path / "store.sqlite", FEW) as connection:
        for number in range(FEW):
            sqlite_grants.revoke_grant(connection, grant_id=sample_grant(f"filling {number}").id, reason="", now=NOW)
        [*_, sweep_grants, _] = build_sweeps(now=NOW + DAY - 1, audit_before=0)
        assert sweep_grants(connection, limit=100) == Swept(examined=0, deleted=0)
        [*_, sweep_grants, _] = build_sweeps(now=NOW + DAY, audit_before=0)
        assert sweep_grants(connection, limit=100) == Swept(examined=FEW, deleted=0)
        assert sweep_grants(connection, limit=100) == Swept(examined=0, deleted=0)


def test_a_document_costs_the_sweep_no_more_because_its_client_has_many_grants(tmp_path: Path) -> None:
    def measure_sweep(count: int) -> int:
        with open_filled(tmp_path / f"{count}.sqlite", count) as connection:
            document = sample_document(last_good_until=NOW)
            sqlite_documents.record_document(connection, document=document)
            [*_, sweep_documents, _, _, _] = build_sweeps(now=NOW, audit_before=0)
            steps = count_steps(connection, lambda: sweep_documents(connection, limit=9))
            assert sqlite_documents.load_document(connection, client_id=document.client_id) == document
            return steps

    assert measure_sweep(MANY) <= measure_sweep(FEW) * 1.1 + 5


def test_a_registered_client_costs_the_sweep_no_more_because_it_has_many_grants(tmp_path: Path) -> None:
    def measure_sweep(count: int) -> int:
        with open_filled(tmp_path / f"{count}.sqlite", count) as connection:
            client = sample_client(client_id=sample_grant().client_id, expires_at=NOW)
            sqlite_clients.record_client(connection, client=client, limit=10**6, now=NOW)
            [*_, sweep_clients, _, _] = build_sweeps(now=NOW, audit_before=0)
            steps = count_steps(connection, lambda: sweep_clients(connection, limit=9))
            assert sqlite_clients.load_client(connection, client_id=client.client_id) == client
            return steps

    assert measure_sweep(MANY) <= measure_sweep(FEW) * 1.1 + 5


def test_the_count_of_steps_would_see_a_scan(tmp_path: Path) -> None:
    def count_scan(count: int) -> int:
        with open_filled(tmp_path / f"{count}.sqlite", count) as connection:
            scan = "SELECT count(*) FROM sessions WHERE username = 'nobody'"
            return count_steps(connection, lambda: connection.execute(scan).fetchone())

    assert count_scan(MANY) > count_scan(FEW) * 10
