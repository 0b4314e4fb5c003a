"""The parts of the demo that decide what is believed, and how it is shown."""

import asyncio
import io
import json
import os
import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest

from nameplate.demo.callback import CallbackListener, run_callback_listener
from nameplate.demo.commands import name_program
from nameplate.demo.logs import keep_log
from nameplate.demo.pages import read_page
from nameplate.demo.report import JsonReporter, Notice, RichReporter
from nameplate.demo.steps import STORY, Detail, StepEvent
from nameplate.demo.story import DemoFailed, Story
from nameplate.demo.tokens import UsedToken, describe_token, prove_tokens
from nameplate.demo.world import WorldOptions, open_world
from nameplate.jose import SigningKey
from nameplate.secret import Secret


class FakeTerminal(io.StringIO):
    """A terminal as far as rich can tell."""

    def isatty(self) -> bool:
        return True


def tell_everything(reporter: RichReporter | JsonReporter, details: dict[str, Detail]) -> None:
    story = Story(reporter)
    for step in STORY:
        story.tell(step.name, details)
    reporter.close()


# The story


def test_a_step_out_of_order_is_a_failure_that_names_both() -> None:
    story = Story(JsonReporter(io.StringIO(), io.StringIO()))
    story.tell("start", {})
    with pytest.raises(DemoFailed, match=r"'The tool answers' came about when 'The MCP server asks for a token'"):
        story.tell("tool_result", {})
    assert story.expects("challenge")


def test_a_failure_is_reported_at_the_step_that_was_due_with_what_to_do() -> None:
    output = io.StringIO()
    story = Story(JsonReporter(output, io.StringIO()))
    story.tell("start", {})
    story.fail(DemoFailed("It rains.", details={"reason": "weather"}))
    line = json.loads(output.getvalue().splitlines()[-1])
    assert (line["step"], line["ok"]) == ("challenge", False)
    assert line["details"] == {"problem": "It rains.", "reason": "weather", "remedy": STORY[1].remedy}
    assert not story.is_complete


def test_every_step_says_what_it_is_for_and_what_to_do_where_it_fails() -> None:
    assert len({step.name for step in STORY}) == len(STORY)
    assert all(step.title and step.why and step.remedy for step in STORY)


def test_the_time_of_a_person_at_a_browser_is_not_told() -> None:
    output, shown = io.StringIO(), io.StringIO()
    for reporter in (JsonReporter(output, io.StringIO()), RichReporter(shown)):
        story = Story(reporter, is_timed=False)
        for step in STORY:
            story.tell(step.name, {})
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    untimed = [line["step"] for line in lines if line["milliseconds"] is None]
    assert untimed == ["document", "sign_in", "consent", "step_up_consent"]
    assert shown.getvalue().count(" ms\n") == len(STORY) - len(untimed)


# What people see


def test_on_a_terminal_long_lines_fold_below_their_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = FakeTerminal()
    RichReporter(terminal).say(Notice(title="A title", facts={"label": "word " * 20}))
    shown = [line for line in terminal.getvalue().splitlines() if "word" in line]
    assert len(shown) > 1
    assert shown[0].startswith("  label  word")
    assert all(line.startswith(" " * 9 + "word") and len(line) <= 60 for line in shown[1:])


def test_an_address_to_open_is_never_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal, address = FakeTerminal(), f"http://127.0.0.1:1/authorize?{'x' * 200}"
    reporter = RichReporter(terminal)
    reporter.say(Notice(title="Your turn", link=address, waits_for="waiting"))
    reporter.close()
    assert address in terminal.getvalue()


@pytest.mark.parametrize(("ok", "mark"), [(True, " + All three"), (False, " x All three")])
def test_an_output_that_knows_only_ascii_gets_ascii_marks(ok: bool, mark: str) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace", write_through=True)
    RichReporter(output).report(StepEvent(step=STORY[0], ok=ok, milliseconds=1234.5, details={}))
    output.seek(0)
    assert mark in output.read()


def test_a_command_is_shown_as_it_works_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    assert name_program() == "nameplate"
    monkeypatch.setenv("PATH", "/nowhere")
    assert name_program() == str(scripts / "nameplate")
    monkeypatch.chdir(scripts.parent)
    assert name_program() == f"{scripts.name}/nameplate"


def test_another_nameplate_on_the_path_is_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "nameplate"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert name_program() == str(Path(sys.executable).with_name("nameplate"))


def test_details_of_every_kind_can_be_shown() -> None:
    output = io.StringIO()
    details: dict[str, Detail] = {
        "request": "GET /",
        "answer": 401,
        "needed_scope": ["notes:read", "notes:write"],
        "resource_metadata": True,
        "token_claims": {"iss": "https://as.example", "exp": 1},
    }
    tell_everything(RichReporter(output), details)
    text = output.getvalue()
    for shown in ("answer        401", "read on at    yes", "notes:write", "exp  1", "iss  https://as.example"):
        assert shown in text


def test_programs_see_neither_notices_nor_narration_on_their_output() -> None:
    output, messages = io.StringIO(), io.StringIO()
    reporter = JsonReporter(output, messages)
    reporter.narrate(Notice(title="Once upon a time"))
    reporter.say(Notice(title="Your turn"))
    assert output.getvalue() == ""
    assert messages.getvalue().strip() == "Your turn"


def test_a_page_is_read_by_the_meaning_of_its_elements() -> None:
    page = read_page(
        "<h1>A <b>question</b></h1><p>One</p><ul><li>Read\n it</ul><ul><li>Read it</li></ul>"
        "<dl><dt>Reason</dt><dd><code>x.y</code><p role=note>Careful</p></dd></dl><p>unfinished"
    )
    assert (page.headline, page.paragraphs, page.warnings) == ("A question", ["One"], ["Careful"])
    assert page.items[-1] == "Read it"
    assert read_page("no page at all <<<").headline == ""


def test_only_warnings_of_our_own_parts_are_kept_and_none_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    with keep_log() as log:
        logging.getLogger("nameplate.server").warning("refused", extra={"reason": "a.reason", "detail": "why"})
        logging.getLogger("nameplate.server").info("not so important")
        logging.getLogger("mcp.client.auth").error("OAuth flow error")
        assert list(log.lines) == ["nameplate.server: refused: a.reason: why"]
        output = io.StringIO()
        log.write_to(output)
        logging.getLogger("nameplate.server").warning("refused again")
    assert json.loads(output.getvalue())["message"] == "refused again"
    assert capsys.readouterr() == ("", "")


# The callback listener


async def visit(callback: CallbackListener, **query: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.get(callback.redirect_uri, params=query)


def check_style(page: httpx2.Response) -> None:
    """The page asks the listener for nothing more, and its policy lets the style in it pass."""
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert "body" in style
    assert 'rel="stylesheet"' not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}';" in policy


@pytest.mark.parametrize(("error", "title"), [("access_denied", "You declined"), ("server_error", "No access")])
def test_an_answer_that_is_a_refusal_is_not_called_finished(error: str, title: str) -> None:
    async def scenario() -> None:
        async with run_callback_listener() as callback:
            callback.expect("s")
            page = await visit(callback, error=error, state="s")
            assert read_page(page.text).headline == title

    asyncio.run(scenario())


def test_the_listener_takes_the_awaited_answer_and_no_other() -> None:
    async def scenario() -> None:
        async with run_callback_listener() as callback:
            assert (await visit(callback, code="early", state="s")).status_code == 400
            callback.expect("s")
            assert (await visit(callback, code="foreign", state="t")).status_code == 400
            assert (await visit(callback, code="foreign")).status_code == 400
            finished = await visit(callback, code="c", state="s", iss="i")
            assert (finished.status_code, "Finished" in finished.text) == (200, True)
            check_style(finished)
            assert (await visit(callback, code="second", state="s")).status_code == 200
            assert await callback.wait(seconds=5) == {"code": "c", "state": "s", "iss": "i"}

    asyncio.run(scenario())


def test_the_listener_stops_waiting_when_no_answer_can_come() -> None:
    async def scenario() -> None:
        async with run_callback_listener() as callback:
            callback.expect("s")
            callback.give_up(DemoFailed("refused"))
            callback.give_up(DemoFailed("refused again"))
            with pytest.raises(DemoFailed, match=r"^refused$"):
                await callback.wait(seconds=5)

    asyncio.run(scenario())


def test_the_listener_waits_no_longer_than_it_is_told() -> None:
    async def scenario() -> None:
        async with run_callback_listener() as callback:
            callback.expect("s")
            with pytest.raises(TimeoutError):
                await callback.wait(seconds=0.01)

    asyncio.run(scenario())


# The proof


def test_a_token_is_described_without_its_signature() -> None:
    token = SigningKey.generate().sign({"iss": "https://as.example"}, typ="at+jwt")
    described = describe_token(token)
    assert described["token_claims"] == {"iss": "https://as.example"}
    assert token.rpartition(".")[2] not in json.dumps(described)
    with pytest.raises(DemoFailed, match="no signed JWT"):
        describe_token("opaque")


def test_no_token_or_a_token_of_somebody_else_proves_nothing(tmp_path: Path) -> None:
    stranger = SigningKey.generate().sign({"iss": "https://as.example"}, typ="at+jwt")

    async def scenario() -> None:
        async with open_world(tmp_path, WorldOptions()) as world:
            with pytest.raises(DemoFailed, match="without any token"):
                await prove_tokens(world, [])
            with pytest.raises(DemoFailed, match="not our server's"):
                await prove_tokens(world, [UsedToken(tool="list_notes", token=Secret(stranger))])

    asyncio.run(scenario())
