"""``nameplate audit``: what happened, for people and for programs, up to now and from now on."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
from admin_kit import HOSTILE, STORE, Outcome, fill, record_grant, run
from hypothesis import given
from hypothesis import strategies as st

from nameplate.cli import audit as audit_module
from nameplate.cli.audit import parse_moment
from nameplate.errors import ConfigurationError
from nameplate.ports.store import Store
from nameplate.protocol.audit import AuditName
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_samples import sample_session

NAMEPLATE = str(Path(sys.executable).with_name("nameplate"))
DOCS = Path(__file__).parents[2] / "docs"
NAMES: tuple[str, ...] = get_args(AuditName)
NOON = 1_790_000_000


async def record_sessions(store: Store, count: int, at: int, subject: str = "sub-of-alice") -> None:
    """That many events, a second apart."""
    for number in range(count):
        session = sample_session(
            f"{subject} {at} {number}", subject=subject, signed_in_at=at + number, expires_at=at + 86400
        )
        await store.record_session(session, replaces=None)


def fill_with_sessions(folder: Path, count: int = 5, at: int = NOON) -> None:
    async def record(store: Store) -> None:
        await record_sessions(store, count, at)

    fill(folder, record)


def times(outcome: Outcome) -> list[int]:
    assert (outcome.status, outcome.errors) == (0, "")
    return [event["at"] for event in outcome.objects]


@pytest.mark.parametrize(
    ("arguments", "offsets"),
    [
        (("--since", "0"), [0, 1, 2, 3, 4]),
        (("--since", str(NOON + 2)), [2, 3, 4]),
        (("--since", "0", "--until", str(NOON + 1)), [0, 1]),
        (("--since", "2026-09-21T14:13:22Z"), [2, 3, 4]),
        (("--since", "2026-09-21T16:13:22+02:00"), [2, 3, 4]),
        (("--since", "0", "--limit", "2"), [3, 4]),
        (("--since", "0", "--limit", "99"), [0, 1, 2, 3, 4]),
        (("--since", "0", "--name", "session.started", "--name", "session.ended"), [0, 1, 2, 3, 4]),
        (("--since", "0", "--name", "session.ended"), []),
        (("--since", "0", "--subject", "sub-of-alice"), [0, 1, 2, 3, 4]),
        (("--since", "0", "--subject", "-sub"), []),
        (("--since", "0", "--client", "https://app.example/client.json"), []),
        (("--since", "0", "--grant", "grant one"), []),
        ((), []),
    ],
)
def test_options_narrow_what_is_shown(arguments: tuple[str, ...], offsets: list[int], tmp_path: Path) -> None:
    fill_with_sessions(tmp_path)
    assert times(run(tmp_path, "audit", "--json", *arguments)) == [NOON + offset for offset in offsets]


def test_a_day_is_shown_where_nothing_else_is_said(tmp_path: Path) -> None:
    hour_ago = int(time.time()) - 3600
    fill_with_sessions(tmp_path, count=2, at=hour_ago)
    assert times(run(tmp_path, "audit", "--json")) == [hour_ago, hour_ago + 1]


def test_programs_go_on_from_the_last_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "_PAGE", 2)
    fill_with_sessions(tmp_path)
    events = run(tmp_path, "audit", "--json", "--since", "0").objects
    assert len(events) == 5
    rest = run(tmp_path, "audit", "--json", "--after", events[2]["position"]).objects
    assert rest == events[3:]
    assert run(tmp_path, "audit", "--json", "--after", events[-1]["position"]).output == ""


def test_programs_get_epoch_seconds_and_iso_time(tmp_path: Path) -> None:
    fill(tmp_path, record_grant())
    (event,) = run(tmp_path, "audit", "--json", "--grant", "grant one").objects
    assert event["name"] == "authorization.approved"
    assert event["time"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event["at"]))
    assert event["client_id"] == "https://app.example/client.json"
    assert (event["subject"], event["grant_id"]) == ("sub-of-alice", "grant one")


def test_people_get_a_line_for_each_event_with_what_applies(tmp_path: Path) -> None:
    fill_with_sessions(tmp_path, count=1)
    result = subprocess.run(
        [NAMEPLATE, "audit", "--since", "0"],
        cwd=tmp_path,
        env=os.environ | {"TZ": "Asia/Kolkata"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "2026-09-21 19:43:20 +0530  session.started       subject=sub-of-alice\n"
    assert run(tmp_path, "audit").output.startswith("There are no such events since ")


def test_an_unknown_event_is_refused_with_all_that_there_are(tmp_path: Path) -> None:
    fill_with_sessions(tmp_path)
    outcome = run(tmp_path, "audit", "--name", "session.begun")
    assert (outcome.status, outcome.output) == (2, "")
    assert all(f'"{name}"' in outcome.errors for name in NAMES)


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (("--since", "yesterday"), "--since"),
        (("--until", "2026-13-01"), "--until"),
        (("--limit", "0"), "--limit"),
        (("--limit", "5", "--after", "1"), "--limit"),
        (("--follow", "--until", "2027-01-01"), "--until"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], setting: str, tmp_path: Path) -> None:
    fill(tmp_path)
    outcome = run(tmp_path, "audit", *arguments)
    assert (outcome.status, outcome.output) == (2, "")
    assert outcome.errors.startswith(f"nameplate: {setting}: ")


@pytest.mark.parametrize("position", ["x", "-1", HOSTILE, "9" * 400, "9" * 19, f"{2**63}"])
def test_a_position_that_is_none_is_an_error_and_no_trace(position: str, tmp_path: Path) -> None:
    fill(tmp_path)
    outcome = run(tmp_path, "audit", "--after", position)
    assert (outcome.status, outcome.output) == (1, "")
    assert "position" in outcome.errors


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0),
        ("1790000000", NOON),
        ("90s", NOON - 90),
        ("5m", NOON - 300),
        ("2h", NOON - 7200),
        ("3d", NOON - 3 * 86400),
        ("1w", NOON - 7 * 86400),
        ("999999999w", 0),
        ("2026-09-21T14:13:20Z", NOON),
        ("2026-09-21T14:13:20.999Z", NOON),
        ("2026-09-21T14:13:20-01:00", NOON + 3600),
        ("20260921T141320Z", NOON),
        ("1950-01-01T00:00Z", 0),
    ],
)
def test_a_moment_is_read_in_the_forms_that_people_write(text: str, moment: int) -> None:
    assert parse_moment("--since", text, NOON) == moment


def test_a_moment_without_a_zone_is_in_that_of_this_machine() -> None:
    moment = parse_moment("--since", "2026-09-21 14:13:20", NOON)
    assert time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) == "2026-09-21 14:13:20"
    assert parse_moment("--since", "20260921", NOON) == parse_moment("--since", "2026-09-21", NOON)


@given(st.text() | st.from_regex(r"[0-9TZ:+.smhdw-]{1,30}", fullmatch=True))
def test_any_text_is_a_moment_that_a_store_takes_or_is_refused(text: str) -> None:
    try:
        moment = parse_moment("--since", text, NOON)
    except ConfigurationError as refused:
        moment, message = 0, str(refused)
    else:
        message = ""
    assert 0 <= moment < 2**48
    assert message.isprintable()


def test_what_strangers_wrote_cannot_play_with_the_terminal(tmp_path: Path) -> None:
    async def record(store: Store) -> None:
        await record_sessions(store, 1, int(time.time()), subject=HOSTILE)
        await store.revoke_grant(HOSTILE, reason=HOSTILE, now=int(time.time()))

    fill(tmp_path, record_grant(HOSTILE, id=HOSTILE, client_id=f"https://{HOSTILE}", subject=HOSTILE), record)
    lines = run(tmp_path, "audit").output
    assert lines.count("\n") == 3
    assert lines.replace("\n", "").isprintable()
    assert f"{ascii(HOSTILE)[1:3]}\\u{{1b}}[31mil" in lines
    objects = run(tmp_path, "audit", "--json")
    assert objects.output.isascii()
    assert objects.output.replace("\n", "").isprintable()
    assert objects.objects[-1]["detail"] == HOSTILE


def test_following_shows_what_happens_while_it_happens_and_misses_nothing(tmp_path: Path) -> None:
    now = int(time.time())
    fill_with_sessions(tmp_path, count=3, at=now - 30)

    async def go_on() -> None:
        # Two writers at once, as two servers over one store.
        stores = [await SqliteStore.open(str(tmp_path / STORE)) for _ in range(2)]
        await asyncio.gather(
            *(record_sessions(store, 150, now, f"sub of {number}") for number, store in enumerate(stores)),
            *(record_sessions(store, 5, now, "sub-of-alice") for store in stores[:1]),
        )
        for store in stores:
            await store.aclose()

    command = [NAMEPLATE, "audit", "--follow", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        asyncio.run(go_on())
        lines += [process.stdout.readline() for _ in range(305)]
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (130, "", "")
    positions = [json.loads(line)["position"] for line in lines]
    assert positions == [event["position"] for event in run(tmp_path, "audit", "--json").objects]


@pytest.mark.parametrize("arguments", [(), ("--follow",), ("--json",), ("--subject", "nobody"), ("--since", "0")])
@pytest.mark.parametrize("position", ["6", f"{2**63 - 1}"])
def test_a_position_behind_the_last_event_is_an_error(
    arguments: tuple[str, ...], position: str, tmp_path: Path
) -> None:
    fill_with_sessions(tmp_path)
    outcome = run(tmp_path, "audit", "--after", position, *arguments)
    assert (outcome.status, outcome.output) == (1, "")
    assert f"the position {position} is not in this audit trail, which ends at 5" in outcome.errors


def test_the_position_of_the_last_event_is_good_even_after_it_was_swept(tmp_path: Path) -> None:
    fill_with_sessions(tmp_path)

    async def sweep(store: Store) -> None:
        await store.sweep(NOON + 10, limit=100, audit_before=NOON + 10)

    fill(tmp_path, sweep)
    assert run(tmp_path, "audit", "--since", "0", "--json").output == ""
    outcome = run(tmp_path, "audit", "--after", "5", "--json")
    assert (outcome.status, outcome.output, outcome.errors) == (0, "", "")


def test_following_outlives_a_store_that_cannot_be_read_for_a_while(tmp_path: Path) -> None:
    now = int(time.time())
    fill_with_sessions(tmp_path, count=1, at=now)

    def execute(statement: str) -> None:
        with closing(sqlite3.connect(tmp_path / STORE, timeout=10)) as connection:
            connection.execute(statement)

    command = [NAMEPLATE, "audit", "--follow", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        execute("ALTER TABLE audit_events RENAME TO away")
        told = [process.stderr.readline() for _ in range(2)]
        execute("ALTER TABLE away RENAME TO audit_events")
        fill_with_sessions(tmp_path, count=1, at=now + 1)
        second, told_last = json.loads(process.stdout.readline()), process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (130, "", "")
    assert [re.sub(r".*; ", "", line) for line in told] == ["trying again in 2 s\n", "trying again in 4 s\n"]
    assert "the store cannot read" in told[0]
    assert told_last == "nameplate: the store can be read again; nothing was missed\n"
    assert int(second["position"]) == int(first["position"]) + 1


def test_following_can_be_narrowed(tmp_path: Path) -> None:
    now = int(time.time())
    fill_with_sessions(tmp_path, count=2, at=now)
    command = [NAMEPLATE, "audit", "--follow", "--json", "--subject", "sub-of-bob", "--since", "1h"]

    async def go_on() -> None:
        store = await SqliteStore.open(str(tmp_path / STORE))
        await record_sessions(store, 1, now, "sub-of-carol")
        await record_sessions(store, 1, now, "sub-of-bob")
        await store.aclose()

    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        asyncio.run(go_on())
        assert json.loads(process.stdout.readline())["subject"] == "sub-of-bob"
        process.terminate()


def test_a_reader_that_goes_away_leaves_no_trace_of_an_error(tmp_path: Path) -> None:
    fill_with_sessions(tmp_path, count=2000)
    result = subprocess.run(
        ["bash", "-c", f"{NAMEPLATE} audit --since 0 --json | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.count("\n") == 1


def test_the_page_tells_what_every_event_means() -> None:
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+) \|$", (DOCS / "administration.md").read_text(), re.MULTILINE)
    told = dict(rows)
    assert len(told) == len(rows)
    assert sorted(told) == sorted(NAMES)
    assert all(len(meaning) > 20 for meaning in told.values())
