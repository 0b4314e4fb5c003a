"""What the model of tokens' lives is about: clients, grants, their tokens, and what an answer should be.

No values of tokens stand here, and no identifiers: whoever plays the model against a server keeps those beside it.
"""

from dataclasses import dataclass, field
from typing import Literal

from signing_key_model import SigningKey

__all__ = [
    "KEY",
    "NONE",
    "Access",
    "Ask",
    "Assertion",
    "Client",
    "Code",
    "Document",
    "Event",
    "Grant",
    "HostState",
    "Issued",
    "Lifetimes",
    "Refresh",
    "Terms",
    "Verdict",
    "refuse",
]

NONE, KEY = "none", "private_key_jwt"

HostState = Literal["serves", "down", "gone", "broken"]
"""What the host of a document answers: the document; that it cannot just now; 404; a document that breaks a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Those of a class of clients, in seconds."""

    access_seconds: int
    refresh_seconds: int
    grant_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator decided."""

    public: Lifetimes
    confidential: Lifetimes
    rotate_seconds: int
    publish_ahead_seconds: int

    def choose(self, *, proves: bool) -> Lifetimes:
        """The lifetimes of a client that proves itself, or not (0011, "Lifetimes")."""
        return self.confidential if proves else self.public


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A client's document, as far as tokens depend on it. Keys are numbers; redirect URIs have names."""

    methods: frozenset[str]
    keys: frozenset[int] = frozenset()
    redirects: frozenset[str] = frozenset({"loopback"})
    has_refresh: bool = True


@dataclass(eq=False, slots=True, kw_only=True)
class Client:
    """A client: what its host serves, and what the server knows of it."""

    name: str
    published: Document
    host: HostState = "serves"
    copy: Document | None = None
    fetched_at: int = 0
    fresh_until: int = 0
    is_approved: bool = False
    refused_at: int | None = None


@dataclass(eq=False, slots=True, kw_only=True)
class Assertion:
    """A client assertion that ``key`` signed. ``is_right`` is false where a claim of it is wrong."""

    client: Client
    key: int
    expires_at: int
    is_right: bool = True
    is_used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Who asks, and how it proves that: by an assertion, or not at all."""

    client: Client
    assertion: Assertion | None = None

    @property
    def method(self) -> str:
        """The method of client authentication."""
        return NONE if self.assertion is None else KEY


@dataclass(eq=False, slots=True, kw_only=True)
class Grant:
    """What the person allowed, and what came of it. ``method`` and ``keys`` are what is pinned (0011)."""

    client: Client
    document: Document
    scope: tuple[str, ...]
    expires_at: int
    ended: str = ""
    ended_at: int = 0
    method: str = ""
    keys: frozenset[int] = frozenset()
    refreshes: list["Refresh"] = field(default_factory=list, repr=False)
    accesses: list["Access"] = field(default_factory=list, repr=False)


@dataclass(eq=False, slots=True, kw_only=True)
class Code:
    """An authorization code. ``is_forgotten``: the store may have swept it."""

    grant: Grant
    issued_at: int
    spent_at: int | None = None
    is_forgotten: bool = False


@dataclass(eq=False, slots=True, kw_only=True)
class Access:
    """An access token."""

    grant: Grant
    scope: tuple[str, ...]
    issued_at: int
    expires_at: int
    signed_by: SigningKey


@dataclass(eq=False, slots=True, kw_only=True)
class Refresh:
    """A refresh token. ``answer`` is what its use bought."""

    grant: Grant
    number: int
    issued_at: int
    expires_at: int
    rotated_at: int | None = None
    answer: "Issued | None" = field(default=None, repr=False)
    is_forgotten: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token answer."""

    access: Access
    refresh: Refresh | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the answer should be: a status, the error that it names, or the tokens that it holds."""

    status: int
    error: str = ""
    issued: Issued | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What the audit trail should say."""

    name: str
    grant: Grant | None = None
    detail: str = ""


def refuse(error: str) -> Verdict:
    """The refusal with this error."""
    return Verdict(status=400, error=error)
