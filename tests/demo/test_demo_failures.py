"""The demo must not succeed where something is wrong: what it says, and where it stops."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from nameplate.demo.play import FAILED, DemoOptions, play_demo
from nameplate.demo.report import Notice
from nameplate.demo.steps import Detail, Step, StepEvent
from nameplate.demo.world import CLIENT_DOCUMENT, WorldOptions
from nameplate.jose import SigningKey
from nameplate.resource import StaticKeys


@dataclass
class Notebook:
    """A reporter that writes down what it is told."""

    events: list[StepEvent] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    is_closed: bool = False

    def wait_for(self, step: Step) -> None:
        """Nothing to note."""

    def report(self, event: StepEvent) -> None:
        self.events.append(event)

    def narrate(self, notice: Notice) -> None:
        self.notices.append(notice)

    def say(self, notice: Notice) -> None:
        self.notices.append(notice)

    def close(self) -> None:
        self.is_closed = True


def play(options: DemoOptions) -> tuple[int, StepEvent]:
    """The exit status, and the last step, all before it being good."""
    notebook = Notebook()
    status = asyncio.run(play_demo(options, notebook))
    assert all(event.ok for event in notebook.events[:-1])
    assert notebook.is_closed
    return status, notebook.events[-1]


def play_in(world: WorldOptions) -> tuple[str, Mapping[str, Detail]]:
    """The step that fails in this world, and what is said about it."""
    status, last = play(DemoOptions(world=world))
    assert (status, last.ok) == (FAILED, False)
    assert last.details["problem"]
    assert last.details["remedy"]
    return last.step.name, last.details


def test_a_document_that_was_not_published() -> None:
    step, details = play_in(WorldOptions(document=None))
    assert step == "document"
    assert str(details["reason"]).startswith("fetch.")
    assert str(details["page"]).startswith("4")
    assert details["log"]


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("client_id", "https://localhost/oauth/other.json", "document.client_id_mismatch"),
        ("redirect_uris", ["https://app.example.com/callback"], "redirect_uri.not_registered"),
    ],
)
def test_a_document_that_does_not_speak_for_this_client(member: str, value: object, reason: str) -> None:
    step, details = play_in(WorldOptions(document={**CLIENT_DOCUMENT, member: value}))
    assert step == "document"
    assert details["reason"] == reason


def test_a_resource_that_trusts_another_issuer() -> None:
    step, _details = play_in(WorldOptions(resource_issuer="http://127.0.0.1:1"))
    assert step == "server_metadata"


def test_a_resource_that_verifies_with_other_keys() -> None:
    stranger = SigningKey.generate()
    keys = StaticKeys({"keys": [stranger.public_jwk()]})
    step, details = play_in(WorldOptions(resource_keys=keys))
    assert step == "tool_result"
    assert details["reason"] == "token.unknown_key"


def test_a_resource_that_answers_without_any_token() -> None:
    step, details = play_in(WorldOptions(is_protected=False))
    assert step == "challenge"
    assert "The tool answers" in str(details["problem"])


def test_a_person_who_declines() -> None:
    status, last = play(DemoOptions(answer="deny"))
    assert (status, last.ok, last.step.name) == (FAILED, False, "consent")
    assert last.details["error"] == "access_denied"


def test_a_person_who_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "true")
    status, last = play(DemoOptions(browser=True, patience_seconds=0.2))
    assert (status, last.ok, last.step.name) == (FAILED, False, "document")
    assert "Nobody answered" in str(last.details["problem"])
