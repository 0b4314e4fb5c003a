"""Views that the page tests render: ordinary ones, and ones in which every field is hostile."""

from dataclasses import fields, replace
from typing import Any

from nameplate.protocol.display import host_warnings, name_warnings
from nameplate.server.pages.render import (
    render_consent,
    render_entrance,
    render_error,
    render_notice,
    render_sign_in,
)
from nameplate.server.pages.views import (
    ConsentView,
    EntranceView,
    ErrorView,
    NoticeView,
    ProviderView,
    ReturnLink,
    ScopeView,
    SignInView,
)

View = SignInView | ConsentView | EntranceView | ErrorView | NoticeView
STYLESHEET_PATH = "/static/style.css"

SIGN_IN = SignInView(
    action="/sign-in",
    request="k3Jq0W",
    known_by="document",
    client_host="app.example.com",
    client_name="Example Assistant",
    resource_name="Team Notes",
)
SIGN_IN_UNVERIFIED = replace(SIGN_IN, known_by="itself", client_host="", client_name="Claude")
SIGN_IN_FAILED = replace(SIGN_IN, username="ada", problem="User name or password is not right. Please try again.")

CONSENT = ConsentView(
    action="/consent",
    sign_out_action="/sign-out",
    request="k3Jq0W",
    subject="p_7c1d",
    known_by="document",
    client_host="app.example.com",
    client_id="https://app.example.com/oauth/client.json",
    client_name="Example Assistant",
    redirect_host="app.example.com",
    redirect_uri="https://app.example.com/oauth/callback",
    redirect_kind="https",
    person="Ada Lovelace",
    username="ada",
    resource_name="Team Notes",
    resource="https://notes.example.org/mcp",
    scopes=(
        ScopeView(name="notes:read", description="Read all notes of your team"),
        ScopeView(name="notes:write", description="Write, change and delete notes in your name"),
    ),
    keeps_access=True,
    links=(("Home page", "https://www.example.com/"), ("Privacy policy", "https://legal.example.com/privacy")),
)
CONSENT_LOOPBACK = replace(
    CONSENT,
    client_host="tools.example.net",
    client_id="https://tools.example.net/cli/client.json",
    client_name="Example CLI",
    redirect_host="127.0.0.1",
    redirect_uri="http://127.0.0.1:33418/callback",
    redirect_kind="loopback",
    keeps_access=False,
    links=(),
)
CONSENT_PRIVATE_USE = replace(
    CONSENT_LOOPBACK,
    redirect_host="com.example.desktop:",
    redirect_uri="com.example.desktop:/oauth/callback",
    redirect_kind="private_use",
    client_name=None,
    keeps_access=True,
)
CONSENT_UNVERIFIED = replace(
    CONSENT_LOOPBACK,
    known_by="itself",
    client_host="",
    client_id="npd_Zk3hQ0mVQb7n1sJ2xYp4dA",
    client_name="Claude",
    keeps_access=True,
    warnings=name_warnings("Claude", ""),
)
CONSENT_BY_OPERATOR = replace(
    CONSENT, known_by="operator", client_host="", client_id="npd_b1Jr9uGm0T4oXw8cEyKqLg", client_name="Billing robot"
)

_LONG_HOST = ".".join(["claude.ai.login.session", *["secure-account-confirmation"] * 6, "evil-owner.example"])
_SLY_NAME = "Сlaude ✔ verified by claude.ai"
CONSENT_SLY = replace(
    CONSENT_LOOPBACK,
    client_host=_LONG_HOST,
    client_id=f"https://{_LONG_HOST}/claude.ai/client.json",
    client_name=_SLY_NAME,
    warnings=(*host_warnings(_LONG_HOST), *name_warnings(_SLY_NAME, _LONG_HOST)),
)

ENTRANCE = EntranceView(
    request="k3Jq0W",
    known_by="document",
    client_host=CONSENT.client_host,
    client_id=CONSENT.client_id,
    client_name=CONSENT.client_name,
    redirect_host=CONSENT.redirect_host,
    redirect_uri=CONSENT.redirect_uri,
    redirect_kind="https",
    resource_name=CONSENT.resource_name,
    resource=CONSENT.resource,
    scopes=CONSENT.scopes,
    keeps_access=True,
    links=CONSENT.links,
    deny_action="/consent",
    providers=(ProviderView(action="/sign-in/corp", title="Example Corporation"),),
)
ENTRANCE_OF_MANY = replace(
    ENTRANCE,
    redirect_host="127.0.0.1",
    redirect_uri="http://127.0.0.1:33418/callback",
    redirect_kind="loopback",
    providers=(
        ProviderView(action="/sign-in/corp", title="Example Corporation"),
        ProviderView(action="/sign-in/guests", title="GitHub"),
    ),
    sign_in_action="/sign-in",
)
ENTRANCE_FAILED = replace(
    ENTRANCE_OF_MANY, username="ada", problem="User name or password is not right. Please try again."
)
ENTRANCE_UNVERIFIED = replace(
    ENTRANCE_OF_MANY,
    known_by="itself",
    client_host="",
    client_id="npd_Zk3hQ0mVQb7n1sJ2xYp4dA",
    client_name="Claude",
    sign_in_action="",
    asks_for_other_account=True,
    warnings=name_warnings("Claude", ""),
)

ERROR = ErrorView(
    title="The application sent a redirect address that it has not registered",
    sentence="Nothing was shared. It asked for the answer to go to an address that its document does not list.",
    advice="Close this window. If you know who makes the application, tell them what is written below.",
    code="invalid_request",
    reason="authorization.redirect_uri_unregistered",
    reference="7F3K-9QPA",
    rule="redirect_uri must equal one of the document's redirect_uris, character by character (RFC 9700 §4.1.3).",
    facts=(
        ("Asked for", "https://app.example.com/oauth/callback/?from=settings"),
        ("In the document", "https://app.example.com/oauth/callback"),
        ("Document", "https://app.example.com/oauth/client.json"),
    ),
)
ERROR_RETURN = replace(
    ERROR,
    title="Team Notes does not know what was asked for",
    sentence="Nothing was shared. The application asked for permissions that Team Notes does not have.",
    code="invalid_scope",
    reason="authorization.scope_unknown",
    rule="None of the scopes that were asked for exists at this resource.",
    facts=(("Asked for", "notes:everything admin"), ("Offered", "notes:read notes:write")),
    return_link=ReturnLink(
        url="https://app.example.com/oauth/callback?error=invalid_scope&state=x&iss=https%3A%2F%2Fauth.example.org",
        host="app.example.com",
    ),
)
NOTICE = NoticeView(
    title="You have already answered",
    sentence="This request has had its answer. Nothing more has happened now.",
    advice="You may close this window. To begin again, go back to the application.",
)

HOSTILE = (
    "\"'><script>document.title='owned'</script><img src=https://evil.example/x onerror=alert(1)>"
    "</title></textarea>{{7*7}}${7*7}{% raw %}&lt;b&gt;<svg/onload=alert(2)>javascript:alert(3)"
    "\u202egnp\u2066\u200b\u0000\r\n\U000e0041e" + "\u0301" * 40
)


def hostile(view: Any) -> Any:
    """The view with every text, at every depth, replaced by the hostile one."""
    return replace(view, **{field.name: _spoiled(field.name, getattr(view, field.name)) for field in fields(view)})


def _spoiled(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool) or name in {"redirect_kind", "known_by"}:
        return value
    if isinstance(value, tuple):
        return tuple(_spoiled("", item) for item in value)
    if isinstance(value, (ProviderView, ScopeView, ReturnLink)):
        return hostile(value)
    return HOSTILE


PAGES: dict[str, View] = {
    "sign-in": SIGN_IN,
    "sign-in-failed": SIGN_IN_FAILED,
    "sign-in-unverified": SIGN_IN_UNVERIFIED,
    "consent": CONSENT,
    "consent-loopback": CONSENT_LOOPBACK,
    "consent-private-use": CONSENT_PRIVATE_USE,
    "consent-sly": CONSENT_SLY,
    "consent-unverified": CONSENT_UNVERIFIED,
    "consent-by-operator": CONSENT_BY_OPERATOR,
    "entrance": ENTRANCE,
    "entrance-of-many": ENTRANCE_OF_MANY,
    "entrance-failed": ENTRANCE_FAILED,
    "entrance-unverified": ENTRANCE_UNVERIFIED,
    "error": ERROR,
    "error-return": ERROR_RETURN,
    "notice": NOTICE,
}


def render(view: View) -> bytes:
    """The page for a view of any kind."""
    match view:
        case SignInView():
            return render_sign_in(view, stylesheet=STYLESHEET_PATH)
        case ConsentView():
            return render_consent(view, stylesheet=STYLESHEET_PATH)
        case EntranceView():
            return render_entrance(view, stylesheet=STYLESHEET_PATH)
        case ErrorView():
            return render_error(view, stylesheet=STYLESHEET_PATH)
    return render_notice(view, stylesheet=STYLESHEET_PATH)
