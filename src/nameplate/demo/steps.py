"""The story that the demo tells: its steps in their order, and what is reported about each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["STORY", "Detail", "Step", "StepEvent", "StepName"]

StepName = Literal[
    "start",
    "challenge",
    "resource_metadata",
    "server_metadata",
    "authorization_request",
    "document",
    "sign_in",
    "consent",
    "code",
    "token",
    "tool_result",
    "step_up_challenge",
    "step_up_consent",
    "step_up_token",
    "step_up_result",
    "refresh",
    "proof",
]

Detail = str | int | float | bool | Sequence[str] | Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    ``between`` says who talks to whom, ``why`` tells a newcomer what it is for, ``remedy`` what to do where it fails.
    ``shows`` names the details that people see, each with its label; programs get all. ``chapter`` is the headline
    that the step begins, or empty. ``waits_for_person``: it comes about when a person at a browser acts.
    """

    name: StepName
    title: str
    between: str
    why: str
    remedy: str
    shows: Mapping[str, str] = field(default_factory=dict)
    chapter: str = ""
    waits_for_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent:
    """What happened at a step. ``milliseconds`` have passed since the step before, None where a person at a browser
    took part of them; ``details`` are facts that were seen, none of them a bearer value.
    """

    step: Step
    ok: bool
    milliseconds: float | None
    details: Mapping[str, Detail]


_LOOK_AT_THE_LOG = "The log lines here, if there are any, say more."

STORY: tuple[Step, ...] = (
    Step(
        name="start",
        chapter="Three servers start on this machine",
        title="All three are listening",
        between="",
        why="The client's own https host (with a throw-away certificate authority), our authorization server (with a "
        "fresh database), and a protected MCP server with two tools.",
        remedy="Something on this machine is in the way. Free what the message names, then run the demo again.",
        shows={
            "client_document": "client's document",
            "authorization_server": "authorization server",
            "mcp_server": "MCP server",
        },
    ),
    Step(
        name="challenge",
        chapter="The client finds out where to sign in",
        title="The MCP server asks for a token",
        between="client → MCP server",
        why="The client knows nothing but this URL. It calls, is refused, and is told where to read on.",
        remedy="The MCP server must answer 401, with resource_metadata in WWW-Authenticate (RFC 9728 section 5.1).",
        shows={
            "request": "request",
            "answer": "answer",
            "needed_scope": "scope needed",
            "resource_metadata": "read on at",
        },
    ),
    Step(
        name="resource_metadata",
        title="The MCP server names its authorization server",
        between="client → MCP server",
        why="Protected resource metadata (RFC 9728): who issues tokens for this server, and which scopes there are.",
        remedy="The MCP server must serve its metadata, and name itself in it by the URL that the client called.",
        shows={"authorization_servers": "authorization server", "scopes_supported": "scopes"},
    ),
    Step(
        name="server_metadata",
        title="The authorization server describes itself",
        between="client → authorization server",
        why="Its metadata (RFC 8414) says that a client may be known by a document (CIMD), without registration.",
        remedy="The MCP server must name an authorization server that runs, and whose metadata bears that very name.",
        shows={
            "request": "request",
            "client_id_metadata_document_supported": "CIMD",
        },
    ),
    Step(
        name="authorization_request",
        chapter="A person decides",
        title="The client sends the person to the authorization server",
        between="client → browser",
        why="Its client_id is the URL of its own document. It keeps a secret, and sends the hash of it (PKCE).",
        remedy="The metadata must say client_id_metadata_document_supported, and list none among the auth methods.",
        shows={
            "sends_person_to": "to",
            "client_id": "client_id",
            "redirect_uri": "redirect_uri",
            "scope": "scope",
        },
    ),
    Step(
        name="document",
        waits_for_person=True,
        title="The authorization server fetches the client's document",
        between="authorization server → client's host",
        why="Over TLS, and through a guard that reaches no private address which the operator has not declared.",
        remedy="The document must be reachable, be JSON, and name its own URL as client_id.",
        shows={
            "request": "request",
            "declared_by": "declared by",
            "client_name": "client_name",
            "redirect_uris": "redirect_uris",
        },
    ),
    Step(
        name="sign_in",
        waits_for_person=True,
        title="The person signs in",
        between="browser → authorization server",
        why="At the authorization server's own page. The client never sees the password.",
        remedy="Use the account that the demo shows.",
        shows={"account": "account"},
    ),
    Step(
        name="consent",
        waits_for_person=True,
        title="The person is asked, and allows it",
        between="browser → authorization server",
        why="First comes what was checked: the host on which the client's document lies. The name is only a claim.",
        remedy="The demo goes on only where the person allows it. Run it again.",
        shows={"question": "question", "who_asks": "who asks", "permissions": "permission", "warnings": "warning"},
    ),
    Step(
        name="code",
        title="The client receives a code",
        between="browser → client",
        why="At a loopback port of its own. The client checks state (its own) and iss (whom it asked, RFC 9207).",
        remedy="The browser must be on this machine: the answer goes to 127.0.0.1.",
        shows={"received_at": "at", "iss": "iss"},
    ),
    Step(
        name="token",
        chapter="The client calls a tool",
        title="The code becomes a token",
        between="client → authorization server",
        why="With its PKCE secret the client proves that the code is its own. The token is for one MCP server only.",
        remedy=_LOOK_AT_THE_LOG,
        shows={"request": "request", "token_claims": "the token says"},
    ),
    Step(
        name="tool_result",
        title="The tool answers",
        between="client → MCP server",
        why="The MCP server verifies the token by itself, with the keys that the authorization server publishes.",
        remedy="The MCP server must trust the authorization server that it names, and reach its keys.",
        shows={"tool": "call", "result": "result"},
    ),
    Step(
        name="step_up_challenge",
        chapter="Another tool needs more",
        title="The MCP server asks for a wider permission",
        between="client → MCP server",
        why="The token may read, not write. The refusal (RFC 6750) names the scopes that would do.",
        remedy="The MCP server must answer 403 with insufficient_scope and the scope that is needed.",
        shows={"request": "request", "answer": "answer", "needed_scope": "scope needed"},
    ),
    Step(
        name="step_up_consent",
        waits_for_person=True,
        title="The person is asked again, and allows that too",
        between="browser → authorization server",
        why="Who is signed in need not sign in again, and the document is remembered.",
        remedy="The demo goes on only where the person allows it. Run it again.",
        shows={"permissions": "permissions", "document_fetches": "document fetches in all"},
    ),
    Step(
        name="step_up_token",
        title="The client receives a token with both scopes",
        between="client → authorization server",
        why="A new code, a new token. The old one stays as narrow as it was.",
        remedy=_LOOK_AT_THE_LOG,
        shows={"scope": "scope"},
    ),
    Step(
        name="step_up_result",
        title="The other tool answers",
        between="client → MCP server",
        why="The same call as a moment ago, now with the new token.",
        remedy="The MCP server must let pass what its own challenge asked for.",
        shows={"tool": "call", "result": "result"},
    ),
    Step(
        name="refresh",
        chapter="Later",
        title="The client renews its token without the person",
        between="client → authorization server, MCP server",
        why="The demo makes the client believe that its token ran out. It spends its refresh token, and calls again.",
        remedy=_LOOK_AT_THE_LOG,
        shows={
            "request": "request",
            "grant_type": "grant_type",
            "refresh_token_replaced": "refresh token replaced",
            "tool": "call",
            "result": "result",
        },
    ),
    Step(
        name="proof",
        chapter="Was it real?",
        title="Our server issued every token that a tool accepted",
        between="",
        why="The tokens that went over the wire are verified once more, with keys fetched from the server just now.",
        remedy="A tool answered to a token that our server did not issue, so the MCP server is not protected by it.",
        shows={
            "issuer": "issued by",
            "audience": "for",
            "client_id": "to",
            "verified_calls": "calls",
            "key_fetches_by_mcp_server": "key fetches for all of them",
        },
    ),
)
