"""The story that the demo tells: its steps in their order, and what is reported about each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

Detail = str | int | bool | Sequence[str] | Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. ``why`` tells a newcomer what it is for, ``remedy`` what to do where it fails. ``chapter`` is the
    headline that the step begins, or empty.
    """

    name: StepName
    title: str
    why: str
    remedy: str
    chapter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent:
    """What happened at a step. ``milliseconds`` have passed since the step before; ``details`` are facts that were
    seen, none of them a bearer value.
    """

    step: Step
    ok: bool
    milliseconds: float
    details: Mapping[str, Detail]


_LOOK_AT_THE_SERVER = "See the log lines above, if any; nameplate demo --keep leaves the servers running to look at."

STORY: tuple[Step, ...] = (
    Step(
        name="start",
        chapter="Three servers start on this machine",
        title="All three are listening",
        why="The client's own https host (with a throw-away certificate authority), our authorization server (with a "
        "fresh database), and a protected MCP server with two tools.",
        remedy="Something on this machine is in the way: look at the message, free what it names, run it again.",
    ),
    Step(
        name="challenge",
        chapter="The client finds out where to sign in",
        title="The MCP server asks for a token",
        why="The client knows nothing but the server's URL. It calls, is refused, and learns where to read on.",
        remedy="The MCP server must answer 401 with resource_metadata in WWW-Authenticate (RFC 9728 section 5.1).",
    ),
    Step(
        name="resource_metadata",
        title="The MCP server names its authorization server",
        why="Protected resource metadata (RFC 9728): who issues tokens for this server, and which scopes there are.",
        remedy="The MCP server must serve its metadata, and name itself in it by the URL that the client called.",
    ),
    Step(
        name="server_metadata",
        title="The authorization server describes itself",
        why="Its metadata (RFC 8414) says that a client may be known by a document: no registration is needed.",
        remedy="The MCP server must name an authorization server that runs, and whose metadata bears that very name.",
    ),
    Step(
        name="authorization_request",
        chapter="A person decides",
        title="The client sends the person to the authorization server",
        why="Its client_id is the https URL of its own document. It adds the hash of a secret that it keeps (PKCE).",
        remedy="The metadata must say client_id_metadata_document_supported, and list none among the auth methods.",
    ),
    Step(
        name="document",
        title="The authorization server fetches the client's document",
        why="Over TLS, and through a guard that reaches no private address unless the operator declared it.",
        remedy="The document must be reachable, be JSON, and name its own URL as client_id.",
    ),
    Step(
        name="sign_in",
        title="The person signs in",
        why="At the authorization server's own page. The client never sees the password.",
        remedy="Use the account that the demo printed.",
    ),
    Step(
        name="consent",
        title="The person is asked, and allows it",
        why="The page puts first what was checked: the host on which the client's document lies.",
        remedy="The demo goes on only where the answer is to allow it. Run it again.",
    ),
    Step(
        name="code",
        title="The client receives a code",
        why="At a loopback port of its own. It checks that state is what it sent, and iss who it asked (RFC 9207).",
        remedy="The browser must be on this machine: the answer goes to 127.0.0.1.",
    ),
    Step(
        name="token",
        chapter="The client calls the tool",
        title="The code becomes a token",
        why="The client proves with its PKCE secret that the code is its own. The token is good at one MCP server only.",
        remedy=_LOOK_AT_THE_SERVER,
    ),
    Step(
        name="tool_result",
        title="The tool answers",
        why="The MCP server verifies the token offline, with the keys that the authorization server publishes.",
        remedy="The MCP server must trust the authorization server that it names, and reach its keys.",
    ),
    Step(
        name="step_up_challenge",
        chapter="A second tool needs more",
        title="The other tool needs a wider permission",
        why="The token may read, not write. The refusal (RFC 6750) names the scopes that would do.",
        remedy="The MCP server must answer 403 with insufficient_scope and the scope that is needed.",
    ),
    Step(
        name="step_up_consent",
        title="The person is asked again, and allows that too",
        why="Whoever is signed in need not sign in again; the document is still in memory, so nothing is fetched.",
        remedy="The demo goes on only where the answer is to allow it. Run it again.",
    ),
    Step(
        name="step_up_token",
        title="The client receives a token with both scopes",
        why="A new code, a new token: the old token is never widened.",
        remedy=_LOOK_AT_THE_SERVER,
    ),
    Step(
        name="step_up_result",
        title="The second tool answers",
        why="The same call as a moment ago, with the new token.",
        remedy="The MCP server must let pass what its own challenge asked for.",
    ),
    Step(
        name="refresh",
        chapter="Later",
        title="The client renews its token without the person",
        why="The demo tells the client that its token ran out. It renews it with its refresh token, and calls once more.",
        remedy=_LOOK_AT_THE_SERVER,
    ),
    Step(
        name="proof",
        chapter="Was it real?",
        title="Every token that a tool accepted was issued by our server",
        why="The tokens that went over the wire are verified once more, with keys fetched from jwks_uri just now.",
        remedy="A tool answered to a token that our server did not issue: the MCP server is not protected by it.",
    ),
)
