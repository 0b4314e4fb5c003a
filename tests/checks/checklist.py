"""What real clients do, row by row, and what the server makes of it: the compatibility checklist.

Each row comes from reports of what went wrong between a client that people use and some server. A test is named after
its row, ``test_k05_…``; ``tests/checks/test_checklist.py`` holds us to that, and ``make docs`` writes the table.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CHECKLIST", "Case", "NamedTest", "find_named_tests", "find_named_tests_in"]

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row: what the client does, and what the server does then."""

    name: str
    client: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTest:
    """A test that is named after a row. ``file`` is relative to the repository."""

    case: str
    file: str
    test: str


_ROWS = (
    ("K01", "Claude reads the metadata", "finds the flag for documents, and `none` among the methods"),
    ("K02", "Claude's document lists the jwt-bearer grant beside `none`", "serves the grants it has, refuses that one"),
    ("K03", "Claude asks for a space and `offline_access`", "takes it for `offline_access`, and asks the person"),
    ("K04", "a document's host answers with a challenge, HTML, a redirect or an error page", "uses its last good copy"),
    ("K05", "two sessions refresh with one token, at once or a minute apart", "gives both the same good answer"),
    ("K06", "a refresh token is dead", "says `invalid_grant` with status 400"),
    ("K07", "Claude Code listens at any port of `localhost` or `127.0.0.1`", "lets it, and at nothing like them"),
    ("K08", "ChatGPT's document prefers a key and allows `none`", "serves it without an assertion"),
    ("K09", "ChatGPT signs for the token endpoint's URL", "accepts that URL to the byte, and the issuer"),
    ("K10", "ChatGPT's older document knows its key alone", "demands the key, and says what came instead"),
    ("K11", "documents hold members that nobody registered", "ignores them"),
    ("K12", "ChatGPT and Codex stop at an answer without `iss`", "puts it into every answer, errors too"),
    ("K13", "ChatGPT has one stable id, and one for each connector", "takes them for different clients"),
    ("K14", "Codex has a callback path for each server", "accepts its own path only"),
    (
        "K15",
        "VS Code takes another port where its own is busy, and ends in a slash",
        "accepts both ports, not the lack",
    ),
    ("K16", "Copilot CLI never uses the port that it declares", "accepts the one it uses"),
    ("K17", "Copilot CLI's document says nothing of grants", "issues a refresh token, and takes it back"),
    ("K18", "opencode sends another path than its document has", "refuses on a page that shows both"),
    ("K19", "Zed wants S256 and the issuer to the byte", "publishes both"),
    ("K20", "the C# SDK takes the first method", "lists `none` first, and refuses an empty secret"),
    ("K21", "rmcp sends a protocol version of 2024", "answers all the same"),
    ("K22", "clients look at each well-known URL there is", "serves both documents at all of them"),
    ("K23", "MCPJam's document mixes a private scheme with loopback", "leaves the scheme out and serves the rest"),
    ("K24", "Grok's callback ends in a slash", "tells it from the one without"),
    ("K25", "Gemini and Slack are called back at another site", "allows what the document lists, and shows both hosts"),
    ("K26", "mcpc's document lacks its `client_id`", "says so, and serves it once it is mended"),
    ("K27", "a document comes as plain text", "refuses it for that"),
    ("K28", "Notion has two documents, and a URL that redirects", "knows two clients, and follows nothing"),
    ("K29", "Goose changes its callback while people are signed in", "goes by the new one, and ends no session"),
    ("K30", "Hermes and ToolHive register when their document fails", "says `invalid_client`, which they wait for"),
    ("K31", "a client comes back after a restart while its host is down", "knows it at every endpoint"),
    ("K32", "Cursor registers several callbacks, one of which is not allowed", "registers the others"),
    ("K33", "Claude Code stumbles over empty URLs in what it registered", "leaves out what is not there"),
    ("K34", "clients send `resource` twice, or in another spelling", "takes equal ones for one, and refuses two"),
    ("K35", "a person clicks twice, or reloads", "shows a friendly page, and gives no second code"),
)

CHECKLIST = tuple(Case(name=name, client=client, server=server) for name, client, server in _ROWS)
"""All rows, in order. Each concerns the server, so each is tested."""


def find_named_tests() -> tuple[NamedTest, ...]:
    """The tests that are named after a row, in the order of rows, then of files."""
    files = sorted(path for path in TESTS.rglob("test_*.py") if "node_modules" not in path.parts)
    sources = ((path.relative_to(TESTS.parent).as_posix(), path.read_text(encoding="utf-8")) for path in files)
    found = [test for file, source in sources for test in find_named_tests_in(source, file)]
    return tuple(sorted(found, key=lambda test: test.case))


def find_named_tests_in(source: str, file: str) -> Iterator[NamedTest]:
    """Those of one file."""
    if "def test_k" not in source:
        return
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            number = node.name.removeprefix("test_k")[:3]
            if node.name.startswith("test_k") and number[:2].isdigit() and number.endswith("_"):
                yield NamedTest(case=f"K{number[:2]}", file=file, test=node.name)
