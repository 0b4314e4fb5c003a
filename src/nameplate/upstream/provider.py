"""What is to be known of an identity provider: the resolved configuration, from which an ``Upstream`` is made.

A preset (``type = "github"``) is a function that returns ``ProviderOptions``. Where data does not suffice it gives one
of four hooks: ``read_token_answer``, ``fetch_claims``, ``read_person``, ``revoke_tokens``.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NoReturn, Protocol

from nameplate.errors import ConfigurationError
from nameplate.jose import SIGNATURE_ALGORITHMS, SigningKey, read_json
from nameplate.protocol.fault import Fault
from nameplate.protocol.resource_metadata import check_identifier_url, is_loopback_url
from nameplate.protocol.scope import is_scope_token
from nameplate.protocol.urls import read_https_url
from nameplate.secret import Secret
from nameplate.upstream.person import ClaimNames, read_person
from nameplate.upstream.port import UpstreamPerson, UpstreamTokens

__all__ = [
    "TENANT_MARK",
    "Answer",
    "Ask",
    "AuthMethod",
    "FetchClaims",
    "ProviderOptions",
    "ReadPerson",
    "ReadTokenAnswer",
    "RevokeTokens",
    "is_endpoint",
    "keep_token_answer",
]

TENANT_MARK = "{tenantid}"
"""What stands in ``issuer_template`` for the tenant, as in Entra's metadata."""

AuthMethod = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_MAX_TITLE_CHARACTERS = 80
_DEADLINE_SECONDS = (1, 60)

# What is this library's business in a request, and cannot be configured beside it.
_OWN_AUTHORIZE_PARAMETERS = frozenset(
    {
        *("client_id", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "request", "request_uri"),
        *("response_mode", "response_type", "scope", "state"),
    }
)
_OWN_TOKEN_PARAMETERS = frozenset(
    {
        *("client_assertion", "client_assertion_type", "client_id", "client_secret", "code", "code_verifier"),
        *("grant_type", "redirect_uri", "refresh_token"),
    }
)
# What people can change, or what passes to the next owner of an address or a name: no identity (PX-10).
_NO_SUBJECTS = frozenset({"email", "login", "name", "nickname", "preferred_username", "unique_name", "upn", "username"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a provider answered, whatever its status. ``retry_after_seconds`` is its Retry-After, within a day."""

    status: int
    media_type: str
    body: bytes = field(repr=False)
    retry_after_seconds: int | None = None

    def read_json(self) -> object:
        """The body as strict JSON, or None."""
        return read_json(self.body)


class Ask(Protocol):
    """Sends one request to the provider, over the connections and within the deadline and limits of its ``Upstream``.

    Redirects are not followed. ``UpstreamError`` ``temporarily_unavailable`` where no answer comes. Nothing that is
    sent is logged.
    """

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        form: Mapping[str, str] | None = None,
        json: object = None,
    ) -> Answer:
        """The answer, whatever its status."""


ReadTokenAnswer = Callable[[Mapping[str, object]], Mapping[str, object]]
"""From the JSON object that the token endpoint sent, with whatever status, to what it means by RFC 6749 §5.1 and §5.2.
Where a provider calls a dead refresh token ``bad_refresh_token``, this makes it ``invalid_grant``.
"""

FetchClaims = Callable[[Ask, UpstreamTokens, Mapping[str, object]], Awaitable[Mapping[str, object]]]
"""From the claims that are known to all that are needed, by more requests with the access token. It is called last, and
what it returns is what ``read_person`` is given.
"""

ReadPerson = Callable[[Mapping[str, object], str, ClaimNames], UpstreamPerson]
"""The person of these claims, of this issuer. Raises ``UpstreamError`` where they name nobody."""


def keep_token_answer(members: Mapping[str, object]) -> Mapping[str, object]:
    """The token answer of a provider that keeps to the standard."""
    return members


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOptions:
    """An identity provider, and this server as its client. Made once, at the start.

    ``issuer`` is what the provider's people are known by, beside their subject: it must never change. It is also where
    the metadata is looked for, unless the endpoints that are needed are given; given ones are preferred to those of the
    metadata. For plain OAuth 2.0 without metadata it is any URL of the provider that will not change.

    ``issuer_template`` is for providers whose metadata speaks for many tenants: ``issuer`` finds the metadata, whose
    own ``issuer`` must be the template, and an ID token's ``iss`` the template with its ``tenant_claim`` put in.

    ``token_parameters`` go with the exchange of a code and with every refresh. ``asks_userinfo`` is whether the
    userinfo endpoint is asked (plain OAuth 2.0 has nothing else). ``has_auth_time`` is whether ID tokens say when the
    person signed in, where ``max_age`` asked for it; without it that demand is passed on and cannot be checked.
    ``assertion_audience`` is what ``private_key_jwt`` is signed for. ``deadline_seconds`` bounds each request.
    """

    name: str
    title: str
    kind: Literal["oidc", "oauth2"]
    issuer: str
    client_id: str
    client_secret: Secret | None = None
    auth_method: AuthMethod = "client_secret_basic"
    signing_key: SigningKey | None = None
    assertion_audience: Literal["issuer", "token_endpoint"] = "issuer"

    issuer_template: str | None = None
    tenant_claim: str = "tid"
    metadata_url: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = None
    revocation_endpoint: str | None = None
    id_token_algorithms: tuple[str, ...] = ()

    scopes: tuple[str, ...] = ()
    authorize_parameters: Mapping[str, str] = field(default_factory=dict)
    token_parameters: Mapping[str, str] = field(default_factory=dict)
    passes_resource: bool = False
    uses_pkce: bool = True
    keeps_tokens: bool = False
    asks_userinfo: bool = True
    has_auth_time: bool = True

    subject_claim: str = "sub"
    username_claims: tuple[str, ...] = ("preferred_username", "email", "name")
    display_name_claims: tuple[str, ...] = ("name", "preferred_username", "email")
    email_claim: str = "email"
    email_verified_claim: str | None = "email_verified"
    groups_claim: str | None = "groups"

    trusted_ca_file: str | None = None
    deadline_seconds: float = 10

    read_token_answer: ReadTokenAnswer = field(default=keep_token_answer, repr=False)
    fetch_claims: FetchClaims | None = field(default=None, repr=False)
    read_person: ReadPerson = field(default=read_person, repr=False)
    revoke_tokens: "RevokeTokens | None" = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises ``ConfigurationError`` for what cannot work."""
        self._check_names()
        self._check_urls()
        self._check_client()
        self._check_requests()

    @property
    def needs_metadata(self) -> bool:
        """Whether an endpoint that is needed was not given."""
        needed = [self.authorization_endpoint, self.token_endpoint]
        needed.append(self.jwks_uri if self.kind == "oidc" else self.userinfo_endpoint)
        return None in needed

    def _check_names(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ConfigurationError("upstreams.name", "consists of lower-case letters, digits and hyphens")
        if not 0 < len(self.title) <= _MAX_TITLE_CHARACTERS or not self.title.isprintable():
            self._refuse("title", f"must have 1 to {_MAX_TITLE_CHARACTERS} characters, all visible")
        if self.subject_claim in {*_NO_SUBJECTS, self.email_claim}:
            self._refuse("subject_claim", "must be an id that never changes and never passes to somebody else")

    def _check_urls(self) -> None:
        try:
            check_identifier_url("issuer", self.issuer)
        except ConfigurationError as error:
            self._refuse("issuer", error.problem)
        for setting in (
            "metadata_url",
            "authorization_endpoint",
            "token_endpoint",
            "userinfo_endpoint",
            "jwks_uri",
            "revocation_endpoint",
        ):
            url = getattr(self, setting)
            if url is not None and not is_endpoint(url, self.issuer):
                self._refuse(setting, "must be https, without user and fragment (http where the issuer is on loopback)")
        template = self.issuer_template
        if template is not None and template.count(TENANT_MARK) != 1:
            self._refuse("issuer_template", f"must contain {TENANT_MARK} once")
        if template is not None and self.kind != "oidc":
            self._refuse("issuer_template", "is for OpenID Connect: the tenant stands in the ID token")

    def _check_client(self) -> None:
        if _VISIBLE_ASCII.fullmatch(self.client_id) is None:
            self._refuse("client_id", "must be visible ASCII characters")
        if self.auth_method.startswith("client_secret"):
            if self.client_secret is None or not self.client_secret.reveal():
                self._refuse("client_secret", f"is needed for {self.auth_method}")
        elif self.client_secret is not None:
            self._refuse("client_secret", f"is there, but {self.auth_method} does not use it")
        if (self.auth_method == "private_key_jwt") != (self.signing_key is not None):
            self._refuse("auth_method", "private_key_jwt needs a signing key, and nothing else uses one")
        low, high = _DEADLINE_SECONDS
        if not low <= self.deadline_seconds <= high:
            self._refuse("deadline_seconds", f"must lie between {low} and {high}")

    def _check_requests(self) -> None:
        if not all(map(is_scope_token, self.scopes)):
            self._refuse("scopes", "holds one that is no scope (RFC 6749 §3.3)")
        if self.kind == "oidc" and "openid" not in self.scopes:
            self._refuse("scopes", "must contain openid (OpenID Connect Core §3.1.2.1)")
        for setting, given, own in (
            ("authorize_parameters", self.authorize_parameters, _OWN_AUTHORIZE_PARAMETERS),
            ("token_parameters", self.token_parameters, _OWN_TOKEN_PARAMETERS),
        ):
            if taken := own & given.keys():
                self._refuse(setting, f"cannot set {', '.join(sorted(taken))}")
        if "none" in self.authorize_parameters.get("prompt", "").split():
            self._refuse("authorize_parameters", "prompt=none never lets anybody sign in")
        if unknown := set(self.id_token_algorithms) - SIGNATURE_ALGORITHMS:
            self._refuse("id_token_algorithms", f"{', '.join(sorted(unknown))} cannot be verified here")

    def _refuse(self, setting: str, problem: str) -> NoReturn:
        raise ConfigurationError(f"upstreams.{self.name}.{setting}", problem)


RevokeTokens = Callable[[Ask, UpstreamTokens, ProviderOptions], Awaitable[None]]
"""Ends the tokens where the provider has another way than RFC 7009. Raises ``UpstreamError``."""


def is_endpoint(url: str, issuer: str) -> bool:
    """Whether this can be an endpoint of the issuer: https, or plain http on loopback where the issuer is that too.

    A query may be there, user and fragment may not (RFC 6749 §3.1, §3.2).
    """
    if issuer.startswith("http:") and url.startswith("http:"):
        return is_loopback_url(url) and is_endpoint(f"https:{url.removeprefix('http:')}", issuer)
    read = read_https_url(url)
    return not isinstance(read, Fault) and read.fragment is None
