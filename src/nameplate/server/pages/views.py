"""What each page shows, as plain values. Whoever fills them decides; the templates only lay out."""

from dataclasses import dataclass

from nameplate.protocol.client_metadata import KnownBy

__all__ = [
    "ConsentView",
    "EntranceView",
    "ErrorView",
    "NoticeView",
    "ProviderView",
    "QuestionView",
    "ReturnLink",
    "ScopeView",
    "SignInView",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInView:
    """The sign-in page for local accounts. ``request`` is the hidden id of the waiting authorization.

    ``known_by``, ``client_host`` and ``client_name`` say whose request it is, as in ``ConsentView``; ``resource_name``
    where it wants to go. ``problem`` is shown above the form after a failed attempt (with status 401 or 429),
    ``username`` pre-fills the field.
    """

    action: str
    request: str
    known_by: KnownBy
    client_host: str
    client_name: str | None
    resource_name: str
    username: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeView:
    """One permission: the scope's name as it goes over the wire, and the operator's description."""

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionView:
    """What a person is asked (decision 13).

    What stands for the client comes first. ``known_by`` says what that is: its document, which lies on ``client_host``;
    the operator; or nobody but itself, and then the page says that it is not verified. Without a document the host is
    empty. ``client_name`` is the client's own claim, unless the operator registered it. ``client_id`` is the whole URL,
    or the id that was made here. ``redirect_host`` is where the answer goes; ``redirect_kind`` is ``https``,
    ``loopback`` or ``private_use`` and the latter two get a warning. ``links`` are the client's https pages (label,
    URL). ``warnings`` are whole sentences. ``problem`` says why the last attempt failed.
    """

    request: str
    known_by: KnownBy
    client_host: str
    client_id: str
    client_name: str | None
    redirect_host: str
    redirect_uri: str
    redirect_kind: str
    resource_name: str
    resource: str
    scopes: tuple[ScopeView, ...]
    keeps_access: bool
    links: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentView(QuestionView):
    """The consent page, for somebody who is signed in. ``person`` is the display name and ``username`` the account's
    name; ``subject`` is the hidden account the answer is for.
    """

    action: str
    sign_out_action: str
    subject: str
    person: str
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderView:
    """A button that leads to an identity provider: where its form goes, and how the operator calls the provider."""

    action: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntranceView(QuestionView):
    """The question for somebody who is not signed in yet, where there are identity providers: nobody is sent on to one
    before having agreed to the client (MCP-80).

    ``sign_in_action`` is empty where there are no local accounts; ``username`` pre-fills their form.
    ``asks_for_other_account`` is set after a person signed out: the provider is then to ask which account it shall be.
    """

    deny_action: str
    providers: tuple[ProviderView, ...]
    sign_in_action: str = ""
    username: str = ""
    asks_for_other_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnLink:
    """A link with which the person takes an error back to the client: the full URL, and the host that it leads to."""

    url: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView:
    """A page that says what happened, which rule, and what to do.

    ``title`` and ``sentence`` are for the person; ``advice`` is what to do now. ``code`` is the OAuth error code,
    ``reason`` our slug, ``rule`` the sentence for the client's developer, ``reference`` the short id that also stands
    in the log. ``facts`` are labelled values worth comparing (for example the redirect URI asked for, and those in the
    document).
    """

    title: str
    sentence: str
    advice: str
    code: str
    reason: str
    reference: str
    rule: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    return_link: ReturnLink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeView:
    """A page with one message and no fault: signed out, already answered, this window may be closed."""

    title: str
    sentence: str
    advice: str = ""
    return_link: ReturnLink | None = None
