"""Watches the client's own traffic, and tells the steps that are seen there."""

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth.utils import extract_field_from_www_auth

from nameplate.demo.steps import Detail
from nameplate.demo.story import DemoFailed, Story
from nameplate.demo.tokens import UsedToken, describe_token
from nameplate.demo.world import DemoWorld
from nameplate.secret import Secret

__all__ = ["ClientWatch"]

_RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
_SERVER_METADATA = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
_TO_SHOW_OF_SERVER = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "client_id_metadata_document_supported",
    "token_endpoint_auth_methods_supported",
)


class ClientWatch:
    """A response hook for the client's HTTP. ``used_tokens`` went with tool calls that were let pass, in order;
    ``renewal`` is what the last refresh brought.
    """

    def __init__(self, world: DemoWorld, story: Story) -> None:
        self.used_tokens: list[UsedToken] = []
        self.renewal: Mapping[str, Detail] = {}
        self._world = world
        self._story = story
        self._token_endpoint = ""
        self._refresh_token = Secret("")

    async def see(self, response: httpx2.Response) -> None:
        """Called with every response. Raises ``DemoFailed`` for one that ends the story."""
        url, path = str(response.request.url), response.request.url.path
        if url == self._world.resource and response.request.method == "POST":
            await self._see_mcp(response)
        elif path.startswith(_RESOURCE_METADATA):
            await self._see_resource_metadata(response)
        elif path in _SERVER_METADATA:
            await self._see_server_metadata(response)
        elif url == self._token_endpoint:
            await self._see_token(response)

    async def _see_mcp(self, response: httpx2.Response) -> None:
        message = json.loads(response.request.content)
        bearer = response.request.headers.get("authorization", "").removeprefix("Bearer ")
        tool = message["params"]["name"] if message.get("method") == "tools/call" else ""
        if response.status_code == 401 and not bearer and self._story.expects("challenge"):
            self._story.tell("challenge", _describe_challenge(response, message["method"]))
        elif response.status_code == 403 and self._story.expects("step_up_challenge"):
            self._story.tell("step_up_challenge", _describe_challenge(response, f"tools/call, {tool}"))
        elif response.status_code >= 400:
            raise await _build_failure(response, "The MCP server refuses")
        elif tool and bearer:
            self.used_tokens.append(UsedToken(tool=tool, token=Secret(bearer)))

    async def _see_resource_metadata(self, response: httpx2.Response) -> None:
        if response.status_code == 200 and self._story.expects("resource_metadata"):
            metadata = await _read_object(response)
            shown = _pick(metadata, ("resource", "authorization_servers", "scopes_supported"))
            self._story.tell("resource_metadata", {"request": _name_request(response), **shown})

    async def _see_server_metadata(self, response: httpx2.Response) -> None:
        if response.status_code == 200 and self._story.expects("server_metadata"):
            metadata = await _read_object(response)
            self._token_endpoint = str(metadata.get("token_endpoint", ""))
            self._story.tell(
                "server_metadata", {"request": _name_request(response), **_pick(metadata, _TO_SHOW_OF_SERVER)}
            )

    async def _see_token(self, response: httpx2.Response) -> None:
        if response.status_code != 200:
            raise await _build_failure(response, "The token endpoint refuses")
        answer = await _read_object(response)
        form = {name: values[0] for name, values in parse_qs(response.request.content.decode()).items()}
        details = self._describe_token_answer(response, form, answer)
        if form.get("grant_type") == "refresh_token":
            self.renewal = details
        elif self._story.expects("step_up_token"):
            self._story.tell("step_up_token", details)
        else:
            self._story.tell("token", details)

    def _describe_token_answer(
        self, response: httpx2.Response, form: Mapping[str, str], answer: Mapping[str, object]
    ) -> Mapping[str, Detail]:
        details: dict[str, Detail] = {"request": _name_request(response), "grant_type": form.get("grant_type", "")}
        if "code_verifier" in form:
            details["proved_by"] = "code_verifier"
        details |= _pick(answer, ("token_type", "expires_in", "scope"))
        refresh_token = Secret(str(answer.get("refresh_token", "")))
        details["refresh_token_issued"] = refresh_token != Secret("")
        details["refresh_token_replaced"] = Secret("") != self._refresh_token != refresh_token
        self._refresh_token = refresh_token
        return {**details, **describe_token(str(answer.get("access_token", "")))}


def _describe_challenge(response: httpx2.Response, method: str) -> Mapping[str, Detail]:
    details: dict[str, Detail] = {
        "request": f"{_name_request(response)} ({method})",
        "answer": f"{response.status_code} {response.reason_phrase}",
    }
    for name in ("error", "scope", "resource_metadata"):
        value = extract_field_from_www_auth(response, name)
        if value is not None:
            details["needed_scope" if name == "scope" else name] = value
    return details


async def _build_failure(response: httpx2.Response, who: str) -> DemoFailed:
    """The refusal in the refuser's own words, which hold no bearer value."""
    words = await _read_object(response)
    said = {name: str(words[name]) for name in ("error", "error_description", "reason", "reference") if name in words}
    problem = f"{who}: {response.status_code} {response.reason_phrase}."
    return DemoFailed(problem, details={"request": _name_request(response), **said})


async def _read_object(response: httpx2.Response) -> Mapping[str, object]:
    await response.aread()
    try:
        value = response.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _name_request(response: httpx2.Response) -> str:
    parts = urlsplit(str(response.request.url))
    return f"{response.request.method} {parts.scheme}://{parts.netloc}{parts.path}"


def _pick(metadata: Mapping[str, object], names: tuple[str, ...]) -> dict[str, Detail]:
    picked: dict[str, Detail] = {}
    for name in names:
        value = metadata.get(name)
        if isinstance(value, str | int):
            picked[name] = value
        elif isinstance(value, list):
            picked[name] = [str(each) for each in value]
    return picked
