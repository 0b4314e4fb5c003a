"""Watches what the authorization server is asked by the person's browser, and tells the steps that are seen there."""

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from nameplate.demo.pages import read_page
from nameplate.demo.steps import Detail
from nameplate.demo.story import DemoFailed, Story
from nameplate.demo.traffic import Exchange
from nameplate.demo.world import DOCUMENT_PATH, DemoWorld

__all__ = ["PersonWatch"]


_TO_SHOW_OF_DOCUMENT = ("client_name", "redirect_uris", "token_endpoint_auth_method")


class PersonWatch:
    """Listens to the traffic of the authorization server. A refusal of the client's own request ends the waiting."""

    def __init__(self, world: DemoWorld, story: Story) -> None:
        self._world = world
        self._story = story
        self._question = ""
        world.traffic.on_exchange = self._see

    def _see(self, exchange: Exchange) -> None:
        match exchange.method, exchange.path:
            case "GET", "/authorize":
                self._see_authorize(exchange)
            case "GET", "/consent" if exchange.status == 200:
                self._question = exchange.page
            case "POST", "/sign-in" if exchange.status == 303:
                self._see_sign_in()
            case "POST", "/consent" if "code" in parse_qs(urlsplit(exchange.location).query):
                self._see_consent()
            case _:
                pass

    def _see_authorize(self, exchange: Exchange) -> None:
        """The document is fetched while this request is answered."""
        if exchange.status == 200:
            self._question = exchange.page
        if not self._story.expects("document"):
            return
        if exchange.status == 200 and DOCUMENT_PATH in self._world.host.requests:
            self._story.tell("document", self._describe_document(exchange))
        elif exchange.status != 200:
            self._world.callback.give_up(_build_failure(exchange))

    def _see_sign_in(self) -> None:
        if self._story.expects("sign_in"):
            account = self._world.account
            self._story.tell("sign_in", {"account": f"{account.username} ({account.display_name})"})

    def _see_consent(self) -> None:
        if self._story.expects("consent"):
            self._story.tell("consent", _describe_question(self._question))
        elif self._story.expects("step_up_consent"):
            fetches = self._world.host.requests.count(DOCUMENT_PATH)
            self._story.tell("step_up_consent", {**_describe_question(self._question), "document_fetches": fetches})

    def _describe_document(self, exchange: Exchange) -> Mapping[str, Detail]:
        host = self._world.host
        body = host.documents[DOCUMENT_PATH].body
        document = json.loads(body)
        return {
            "request": f"GET {self._world.client_id}",
            "declared_by": f"[[fetch.private_hosts]] {host.name}, 127.0.0.0/8, port {host.port}",
            "size_bytes": len(body),
            **{name: document[name] for name in _TO_SHOW_OF_DOCUMENT if name in document},
            "page_answered_in_milliseconds": exchange.milliseconds,
        }


def _describe_question(page: str) -> Mapping[str, Detail]:
    """What the consent page said."""
    read = read_page(page)
    # The page's first paragraphs are: its document lies on / HOST / it calls itself NAME.
    lies_on, host, claim, *_rest = [*read.paragraphs, "", "", ""]
    return {
        "question": read.headline,
        "who_asks": f"{lies_on} {host}. {claim}.",
        "permissions": read.items,
        "warnings": read.warnings,
    }


def _build_failure(exchange: Exchange) -> DemoFailed:
    """The server's error page in its own words."""
    read = read_page(exchange.page)
    said: dict[str, Detail] = {"page": f"{exchange.status}: {read.headline}"}
    said |= {name.lower(): text for name, text in read.terms.items()}
    return DemoFailed("The authorization server refuses the client's request.", details=said)
