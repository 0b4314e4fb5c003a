"""Plays the official SDK's client: it is given nothing but the MCP server's URL and its own document's URL."""

import ssl
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types import CallToolResult
from pydantic import AnyUrl

from nameplate.demo.client_watch import ClientWatch
from nameplate.demo.people import Person
from nameplate.demo.steps import Detail, StepName
from nameplate.demo.story import DemoFailed, Story
from nameplate.demo.tokens import UsedToken
from nameplate.demo.world import DemoWorld

__all__ = ["Player"]

_ANSWER_SECONDS = 30
_NEW_NOTE = "Call grandmother"


class _MemoryStorage:
    """The SDK's ``TokenStorage``, for as long as the demo runs."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


class Player:
    """The client, and the person whom it sends to the authorization server."""

    def __init__(self, world: DemoWorld, story: Story, person: Person, *, patience_seconds: float) -> None:
        """``patience_seconds`` is how long the person may take for one answer."""
        self._world = world
        self._story = story
        self._callback = world.callback
        self._person = person
        self._patience_seconds = patience_seconds
        self._watch = ClientWatch(world, story)
        self._provider = self._build_provider()

    async def play(self) -> Sequence[UsedToken]:
        """Call both tools, and one of them again with a renewed token; the tokens of all calls that were let pass.

        Raises ``DemoFailed``, whatever the SDK or httpx2 raises, or an ``ExceptionGroup`` of these.
        """
        async with (
            httpx2.AsyncClient(
                auth=self._provider,
                event_hooks={"response": [self._watch.see]},
                timeout=_ANSWER_SECONDS,
                trust_env=False,
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # trusts nobody: all it talks to is http on loopback
            ) as http,
            Client(
                streamable_http_client(self._world.resource, http_client=http), read_timeout_seconds=_ANSWER_SECONDS
            ) as client,
        ):
            await self._call(client, "tool_result", "list_notes")
            await self._call(client, "step_up_result", "add_note", text=_NEW_NOTE)
            # The access token lives ten minutes. Nobody waits that long for a demo, so the client is told otherwise.
            self._provider.context.token_expiry_time = 1.0
            await self._call(client, "refresh", "list_notes")
        return self._watch.used_tokens

    async def _call(self, client: Client, step: StepName, tool: str, **arguments: str) -> None:
        result = await client.call_tool(tool, arguments)
        details: dict[str, Detail] = {"tool": _write_call(tool, arguments), "result": _read_result(result)}
        self._story.tell(step, {**self._watch.renewal, **details})

    def _build_provider(self) -> OAuthClientProvider:
        return OAuthClientProvider(
            server_url=self._world.resource,
            client_metadata=OAuthClientMetadata(
                redirect_uris=[AnyUrl(self._callback.redirect_uri)],
                grant_types=["authorization_code", "refresh_token"],
                token_endpoint_auth_method="none",  # noqa: S106  (it is the method's name)
            ),
            storage=_MemoryStorage(),
            redirect_handler=self._send_person,
            callback_handler=self._await_answer,
            client_metadata_url=self._world.client_id,
        )

    async def _send_person(self, url: str) -> None:
        """The SDK's redirect handler."""
        endpoint, query = url.split("?", 1)
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        self._callback.expect(asked["state"])
        if self._story.expects("authorization_request"):
            shown = ("client_id", "redirect_uri", "scope", "resource", "code_challenge_method")
            details = {name: asked[name] for name in shown if name in asked}
            self._story.tell("authorization_request", {"sends_person_to": endpoint, **details})
        try:
            await self._person.authorize(url)
        except DemoFailed as failure:
            self._callback.give_up(failure)  # without effect where the server's refusal was seen already

    async def _await_answer(self) -> AuthorizationCodeResult:
        """The SDK's callback handler."""
        try:
            answer = await self._callback.wait(seconds=self._patience_seconds)
        except TimeoutError:
            problem = f"Nobody answered within {self._patience_seconds:.0f} seconds."
            raise DemoFailed(problem, "Run it again, and finish in the browser.") from None
        if "code" not in answer:
            said = {name: answer[name] for name in ("error", "error_description") if name in answer}
            raise DemoFailed("The client was sent back without a code.", details=said)
        if self._story.expects("code"):
            self._story.tell("code", self._describe_answer(answer.get("iss", "none")))
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer.get("iss"))

    def _describe_answer(self, iss: str) -> dict[str, Detail]:
        parts = urlsplit(self._callback.redirect_uri)
        return {
            "received_at": f"GET {parts.scheme}://{parts.netloc}{parts.path}",
            "iss": iss,
        }


def _write_call(tool: str, arguments: dict[str, str]) -> str:
    written = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return f"{tool}({written})"


def _read_result(result: CallToolResult) -> Sequence[str]:
    lines = [block.text for block in result.content if block.type == "text"]
    if result.is_error or not lines:
        raise DemoFailed(f"The tool reports an error: {' '.join(lines) or 'nothing came back'}.")
    return lines
