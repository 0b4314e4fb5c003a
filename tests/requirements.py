"""What the specifications ask of nameplate, row by row, and why a row may go unproven.

A test names the requirements that it proves: ``@pytest.mark.proves("CIMD-1", "CIMD-2")``. One that no test names has a
reason below: it is *deferred* to a later piece of work, or we *diverge* from it by a decision.
``tests/checks/test_requirements.py`` holds us to that, and ``make docs`` writes docs/conformance.md.

The sentences are ours: the specification is what binds. Levels are its too, except those with a dagger: there no
specification says it, but it follows from what is cited. ``NOTE`` is no demand, but something that a test can hold.
CIMD is draft-ietf-oauth-client-id-metadata-document-02 (its sections numbered as in -03) or an issue of its group's,
MCP is authorization in the
revision of 2026-07-28. What OAuth and its RFCs ask stands in ``tests/requirements_oauth.py``.
"""

from dataclasses import dataclass

from requirements_oauth import OAUTH_DEFERRED, OAUTH_DIVERGENCES, OAUTH_TOPICS, Level, Row

__all__ = ["REQUIREMENTS", "Level", "Requirement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One requirement. ``topic`` groups them; at most one of ``deferred`` and ``divergence`` has a reason."""

    name: str
    level: Level
    source: str
    text: str
    topic: str
    deferred: str = ""
    divergence: str = ""

    @property
    def has_reason(self) -> bool:
        """Whether it is written down why no test proves it."""
        return bool(self.deferred or self.divergence)


_CLIENT_IDS: tuple[Row, ...] = (
    ("CIMD-1", "MUST", "CIMD §3", "The scheme of a client identifier URL is https."),
    ("CIMD-2", "MUST", "CIMD §3", "A client identifier URL holds no userinfo, not even an empty one."),
    ("CIMD-3", "MAY", "CIMD §3", "A client identifier URL may name a port."),
    ("CIMD-4", "MUST", "CIMD §3", "A client identifier URL has a path."),
    ("CIMD-5", "SHOULD", "CIMD §3", "Its path is more than a slash. Here, a slash alone is refused."),
    ("CIMD-6", "MUST", "CIMD §3", "No segment of its path is `.` or `..`, plain or percent-encoded."),
    ("CIMD-7", "MUST", "CIMD §3", "A client identifier URL holds no fragment, not even an empty one."),
    ("CIMD-8", "SHOULD", "CIMD §3", "It has no query. Here, one with a query is a client of its own."),
    ("CIMD-9", "MUST", "CIMD §3, RFC 3986 §6.2.1", "Identifiers are compared byte for byte, never normalised."),
    ("CIMD-10", "SHOULD", "CIMD §3", "A client's URL is short and stays; it is not a URL shortener's."),
    ("CIMD-11", "MUST", "CIMD §3", "The client's document lies at exactly that URL."),
    ("CIMD-12", "MUST†", "RFC 3986 §2", "What is overlong or no URI at all is refused before it is taken apart."),
    ("CIMD-13", "SHOULD", "CIMD §8.1", "Ids that the server makes up do not begin with `https://`."),
    ("CIMD-14", "MUST", "CIMD §8.1", "It is certain whose id a URL is. Here, it is always a document's."),
    ("CIMD-15", "SHOULD†", "RFC 9700 §4.15", "No URL of the server itself is a client."),
    ("CIMD-16", "MAY", "CIMD §5, §8.2", "A URL may be registered beforehand; it is then fetched once."),
)

_FETCHING: tuple[Row, ...] = (
    ("CIMD-20", "SHOULD", "CIMD §5", "The document of a client that is not known is fetched."),
    ("CIMD-21", "MUST", "CIMD §5", "Only status 200 is success; 304 only where we asked for it."),
    ("CIMD-22", "MUST", "CIMD §5", "No redirect is followed."),
    ("CIMD-23", "MUST", "CIMD §5", "The client's host answers with 200."),
    ("CIMD-24", "MAY", "CIMD §4", "The type is `application/json` or `application/<name>+json`."),
    ("CIMD-25", "SHOULD†", "CIMD §4", "Any other type is refused, and so is none."),
    ("CIMD-26", "SHOULD†", "CIMD issue #30", "The request says in Accept that it wants JSON."),
    ("CIMD-27", "SHOULD", "CIMD §9.7", "Reading stops at a limit, 5 kB by default; what is longer is refused."),
    ("CIMD-28", "SHOULD†", "CIMD issue #52", "A fetch has a deadline, and delays no other client."),
    ("CIMD-29", "MUST", "CIMD §9.6", "No document is fetched from a special-use address (RFC 6890)."),
    ("CIMD-30", "MUST", "CIMD §9.6", "Nor is anything there that a document points at."),
    ("CIMD-31", "MUST†", "MCP security practices", "The judged address is the dialled one; one bad address is enough."),
    ("CIMD-32", "MUST†", "CIMD §9.6", "No proxy of the environment is used."),
    ("CIMD-33", "MAY", "CIMD §9.6", "In development, a server on loopback may fetch from loopback."),
    ("CIMD-34", "MUST", "CIMD §9.6", "Loopback is refused unless declared, which production cannot do."),
    ("CIMD-35", "SHOULD", "CIMD §9.6", "The network refuses as well. The operator is told how."),
    ("CIMD-36", "SHOULD", "CIMD §9.6", "URIs of unknown schemes are neither fetched nor shown."),
    ("CIMD-37", "SHOULD", "CIMD §5.1", "A fetch that fails ends the authorization, and redirects nobody."),
    ("CIMD-38", "MAY", "CIMD §5.2", "A document may be kept."),
    ("CIMD-39", "SHOULD", "CIMD §5.2, RFC 9111", "A document is kept as HTTP says, between bounds of our own."),
    ("CIMD-40", "MUST", "CIMD §5.2", "Errors are not kept."),
    ("CIMD-41", "MUST", "CIMD §5.2", "Documents that break a rule are not kept."),
    ("CIMD-42", "SHOULD", "CIMD §5", "From time to time a document is fetched anew."),
    ("CIMD-43", "SHOULD", "CIMD §10.1", "Fetches are few, and tell nothing of the person."),
    ("CIMD-44", "SHOULD†", "CIMD issues #30, #52", "Fetches are limited and shared, and what is kept is bounded."),
    ("CIMD-45", "SHOULD†", "CIMD issue #77", "A good copy outlives failures that pass, for a bounded time."),
    ("CIMD-46", "MUST", "OAuth 2.1 §1.5", "The host's certificate is verified, and that it is the host's."),
)

_DOCUMENT: tuple[Row, ...] = (
    ("CIMD-50", "MUST", "CIMD §4", "Its `client_id` is the URL that was fetched, byte for byte."),
    ("CIMD-51", "MUST", "CIMD §4", "The server itself compares them."),
    ("CIMD-52", "MUST", "CIMD §4, RFC 8259", "A document is one JSON object that can be read in one way only."),
    ("CIMD-53", "MUST", "RFC 7591 §2", "Members that mean nothing here are ignored."),
    ("CIMD-54", "MUST", "CIMD §4.1", "There is no `client_secret` and no `client_secret_expires_at`."),
    ("CIMD-55", "MUST", "CIMD §4.1", "Its `token_endpoint_auth_method` needs no shared secret."),
    ("CIMD-56", "MUST", "CIMD §4.1", "Nor does any in `token_endpoint_auth_methods_supported`."),
    ("CIMD-57", "MUST", "CIMD §4.1", "Its keys are public ones."),
    ("CIMD-58", "MAY", "CIMD §4.3", "A software statement counts only if verified, and holds no secrets."),
    ("CIMD-59", "MUST", "CIMD §6, §9.2", "Who declares `private_key_jwt` proves itself by its document's keys."),
    ("CIMD-60", "MUST", "CIMD §9.2", "A client that declares a method authenticates in every request."),
    ("CIMD-61", "SHOULD", "CIMD §9.2", "A client that can keep a key authenticates."),
    ("CIMD-62", "MUST", "CIMD §6", "A document that names no method means `none`."),
    ("CIMD-63", "MUST", "CIMD §6", "A document that has the list of methods alone does not mean `none`."),
    ("CIMD-64", "MAY", "CIMD §6", "A document may have one method, a list of methods, or both."),
    ("CIMD-65", "MUST", "CIMD §6", "Where there are both, the method is in the list."),
    ("CIMD-66", "SHOULD", "CIMD §6", "Methods that the server lacks do no harm beside one that it has."),
    ("CIMD-67", "MUST", "CIMD §6", "With no method in common the client is an `unauthorized_client`."),
    ("CIMD-68", "SHOULD†", "MCP SEP-3149", "A grant that was made with a key is not used without."),
    ("CIMD-69", "MUST", "CIMD §6, RFC 8725", "Assertions have a type, and an algorithm that is allowed."),
    ("CIMD-70", "SHOULD†", "CIMD issue #100", "`private_key_jwt` without keys is refused at once."),
    ("CIMD-71", "MUST", "RFC 7591 §2", "`jwks` and `jwks_uri` exclude each other."),
    ("CIMD-72", "MAY", "CIMD §6", "Which methods are accepted is the operator's choice."),
    ("CIMD-73", "SHOULD†", "CIMD issue #71", "Grants that are not served do no harm beside one that is."),
    ("CIMD-74", "SHOULD†", "RFC 7591 §2", "Without `grant_types` there are codes, and no refresh tokens."),
    ("CIMD-75", "SHOULD†", "CIMD issue #18", "URLs in a document are absolute, and https."),
    ("CIMD-76", "MAY", "CIMD §4", "Others may ask for more, as MCP does for a name."),
    ("CIMD-77", "SHOULD†", "CIMD issue #91", "A document is the same for whoever asks for it."),
    ("CIMD-78", "NOTE", "CIMD §4", "`client_id_expires_at` does not exist yet, and is ignored."),
)

_REDIRECTS: tuple[Row, ...] = (
    ("CIMD-80", "MUST", "CIMD §4.2, RFC 9700 §2.1", "A redirect URI is one of the document's, byte for byte."),
    ("CIMD-81", "MUST", "OAuth 2.1 §4.1.1", "At an http loopback URI the port may differ, and nothing else."),
    ("CIMD-82", "MUST†", "RFC 9700 §2.1", "At any other URI the port must be the same."),
    ("CIMD-83", "MUST†", "RFC 9700 §2.1", "An asterisk in a document stands for nothing."),
    ("CIMD-84", "MUST†", "OAuth 2.1 §2.3.1", "Scripts, fragments and private schemes without a dot are refused."),
    ("CIMD-85", "NOTE", "CIMD §4.2", "Without a grant that redirects, no `redirect_uris` are needed."),
    ("CIMD-86", "MAY", "CIMD §9.1", "Redirect URIs may be tied to the host of the document."),
    ("CIMD-87", "SHOULD", "CIMD App. A", "Whoever ties them leaves one document service out."),
    ("CIMD-88", "MUST", "OAuth 2.1 §2.3.2", "Where a document lists several, the request says which."),
    ("CIMD-89", "MUST†", "CIMD §9.4", "What was taken out ends with the copy; codes that were issued stay good."),
)

_CONSENT: tuple[Row, ...] = (
    ("CIMD-90", "SHOULD", "CIMD §9.5", "Consent shows the client's host, whatever the document says."),
    ("CIMD-91", "SHOULD", "CIMD §9.5", "Who does not fetch tells people more in other ways."),
    ("CIMD-92", "MAY", "CIMD §9.9", "Hosts of clients may be allowed or warned of by policy."),
    ("CIMD-93", "SHOULD", "CIMD §9.8", "Logos are fetched ahead, and served from our own host."),
    ("CIMD-94", "SHOULD", "CIMD §10.2", "Links show their host; they load nothing and tell nothing by themselves."),
    ("CIMD-95", "MAY", "CIMD §9.1", "`client_uri` may lie at another host, which is then shown."),
    ("CIMD-96", "MUST†", "OAuth 2.1 §7.12", "What a document says is escaped, and cannot hide or turn text around."),
    ("CIMD-97", "SHOULD", "CIMD §9.10", "Clients of a document service are marked, and trusted less."),
    ("CIMD-98", "SHOULD", "RFC 8252 §8.6", "Nothing that any program can imitate is approved without asking."),
    ("CIMD-99", "SHOULD", "OAuth 2.1 §7.9", "People see who wants what, and can look up and end what they granted."),
)

_CHANGE: tuple[Row, ...] = (
    ("CIMD-100", "SHOULD†", "CIMD §9.4", "A document that changed is put before the person again."),
    ("CIMD-101", "MAY", "CIMD §9.4", "Keys that were all replaced may end what was granted."),
    ("CIMD-102", "NOTE", "CIMD §9.3", "Another URL is another client; no grant goes over."),
    ("CIMD-103", "SHOULD†", "CIMD §5", "A document that is gone allows no new authorization."),
    ("CIMD-104", "SHOULD", "CIMD §9.3", "A client means to keep its URL and its domain."),
)

_METADATA: tuple[Row, ...] = (
    ("CIMD-110", "MUST", "CIMD §7", "Every metadata document has the flag as `true`, or URLs are refused."),
    ("CIMD-111", "SHOULD†", "RFC 8414 §2", "Metadata lists `none` among the authentication methods."),
    ("CIMD-112", "SHOULD", "CIMD §7", "A client looks for that flag before it sends anybody."),
    ("CIMD-113", "MUST", "RFC 6749 §4.1.2.1", "What is wrong with a client is told to the person, without a redirect."),
    ("CIMD-114", "SHOULD†", "CIMD issue #85", "`/token` says `invalid_client` in JSON: 400, or 401 after a header."),
    ("CIMD-115", "SHOULD†", "CIMD §9.6", "A refused address, a closed port and a bad answer look alike."),
    ("CIMD-116", "MAY", "CIMD App. A", "A server may offer a document service."),
    ("CIMD-117", "MUST†", "CIMD §5", "Every endpoint knows such clients, after a restart too."),
    ("CIMD-118", "SHOULD†", "RFC 9700 §4.15", "No client, acting for itself, has the `sub` of a person."),
)

_MCP_SERVER: tuple[Row, ...] = (
    ("MCP-1", "MUST", "MCP overview", "OAuth 2.1, for clients with and without credentials."),
    ("MCP-2", "SHOULD", "MCP overview", "Clients may be known by a document."),
    ("MCP-3", "MAY", "MCP overview", "Clients may register themselves."),
    ("MCP-4", "MUST", "MCP overview", "Metadata is served by RFC 8414 or OpenID Connect Discovery."),
    ("MCP-5", "MUST", "MCP security", "Metadata names S256, in openid-configuration as well."),
    ("MCP-6", "SHOULD", "MCP security, RFC 9207", "Answers to the client name the issuer, errors as well."),
    ("MCP-7", "MUST", "RFC 9207 §2.3", "Metadata says that they do; `iss` is the issuer, byte for byte, once."),
    ("MCP-8", "MUST", "MCP registration", "The redirect URI is one of the document's."),
    ("MCP-9", "MUST", "MCP registration", "A document is valid JSON, complete, and its client's own."),
    ("MCP-10", "SHOULD", "MCP registration", "A document is kept as its HTTP headers say."),
    ("MCP-11", "MUST", "MCP registration", "A document has `client_id`, `client_name` and `redirect_uris`."),
    ("MCP-12", "MUST", "MCP security", "Consent shows the host of the redirect URI."),
    ("MCP-13", "SHOULD", "MCP security", "Consent warns where the answer stays on this computer."),
    ("MCP-14", "MUST", "MCP security", "Endpoints are https, and redirect URIs https or localhost."),
    ("MCP-15", "MUST", "MCP security", "Access tokens are short-lived, and refresh tokens rotate."),
    ("MCP-16", "SHOULD", "MCP security, OAuth 2.1 §7.13.2", "Nobody is sent on before they answered."),
    ("MCP-17", "SHOULD†", "RFC 8707 §2", "A token is for the resource asked for; unknown is `invalid_target`."),
    ("MCP-18", "MAY", "MCP security", "Which domains are trusted may be policy."),
)

_MCP_RESOURCE: tuple[Row, ...] = (
    ("MCP-30", "MUST", "MCP discovery, RFC 9728", "A resource publishes which authorization server it trusts."),
    ("MCP-31", "MUST", "MCP discovery", "The challenge leads to that metadata, and so does the well-known URL."),
    ("MCP-32", "SHOULD", "MCP scope selection", "The challenge names scopes."),
    ("MCP-33", "MUST", "MCP errors", "401 for no good token, 403 for too little scope, 400 for what is malformed."),
    ("MCP-34", "SHOULD", "MCP errors", "403 says `insufficient_scope`, which scope, and where metadata is."),
    ("MCP-35", "SHOULD", "MCP scope selection", "A challenge names all that the operation needs, at once."),
    ("MCP-36", "MUST", "MCP scope selection", "A broader scope is enough for what it implies."),
    ("MCP-37", "MUST", "MCP tokens, OAuth 2.1 §5.2", "Tokens are verified, and that they are for this resource."),
    ("MCP-38", "MUST", "MCP tokens", "No other token is accepted, and none is passed on."),
    ("MCP-39", "MUST†", "OAuth 2.1 §5.1, RFC 6750 §2", "Only the header carries a token; two at once are an error."),
    ("MCP-40", "SHOULD", "MCP refresh tokens", "A resource does not advertise `offline_access`."),
    ("MCP-41", "MUST", "MCP security practices", "Every request is checked, and a session is its opener's alone."),
    ("MCP-42", "SHOULD†", "OAuth 2.1 §5.3.2", "Where no token was sent, the challenge names no error."),
)

_MCP_PROXY: tuple[Row, ...] = (
    ("MCP-80", "MUST", "MCP security practices", "Each person agrees to each client before anybody is sent on."),
    (
        "MCP-81",
        "MUST",
        "MCP security practices",
        "Consent says who, where to and which scopes; nobody can forge or frame it.",
    ),
    ("MCP-82", "MUST", "MCP security practices", "What a browser agreed to is out of reach, and for one client."),
    ("MCP-83", "MUST", "MCP security practices", "A redirect URI that differs is refused."),
    ("MCP-84", "MUST", "MCP security practices", "`state` sent upstream is made after consent, for one browser, once."),
    (
        "MCP-85",
        "MUST",
        "MCP security practices",
        "An identity provider's tokens stay here, and ours are not sent there.",
    ),
    ("MCP-86", "SHOULD†", "MCP security practices", "Tokens are ours; those of others are refreshed here."),
)

_MCP_EXTENSIONS: tuple[Row, ...] = (
    ("EXT-1", "MUST", "MCP client credentials", "A client proves itself by assertion or secret; metadata says which."),
    ("EXT-2", "NOTE", "MCP client credentials", "That request names the resource; its assertion is for the issuer."),
    ("EXT-3", "MUST", "MCP enterprise §4", "A company's identity provider is asked for a grant for this server."),
    ("EXT-4", "MUST", "MCP enterprise §4.3", "Such a grant has its own type, and all its claims."),
    ("EXT-5", "MUST", "MCP enterprise §7.4", "A trusted provider signed it, for this server, client and resource."),
    ("EXT-6", "MUST", "MCP enterprise §7.4.2", "It works once."),
    ("EXT-7", "MUST", "MCP enterprise §5.1", "What it buys is for the resource that it names."),
    ("EXT-8", "MUST", "MCP enterprise §7.2.1", "It buys no more scope than it has."),
    ("EXT-9", "MAY", "MCP enterprise §5", "Its client may be known by a document."),
    ("EXT-10", "SHOULD", "ID-JAG §7.2", "Metadata says that such grants are taken, and not from whom."),
    ("EXT-11", "SHOULD", "ID-JAG", "It buys no refresh token."),
    ("EXT-12", "MUST", "ID-JAG", "A grant that names a key is nothing without it."),
    ("EXT-13", "MUST", "MCP workload identity", "A workload shows a token of an issuer that the operator trusts."),
    ("EXT-14", "MUST", "MCP proof of possession", "Proofs are RFC 9449's, and metadata lists their algorithms."),
)

_TOPICS = {
    "Client identifier URLs": _CLIENT_IDS,
    "Fetching the document": _FETCHING,
    "The document": _DOCUMENT,
    "Redirect URIs": _REDIRECTS,
    "Consent and trust": _CONSENT,
    "Change over time": _CHANGE,
    "Metadata and errors": _METADATA,
    "MCP: the authorization server": _MCP_SERVER,
    "MCP: the protected resource": _MCP_RESOURCE,
    "MCP: in front of an identity provider": _MCP_PROXY,
    "MCP: extensions": _MCP_EXTENSIONS,
    **OAUTH_TOPICS,
}

_BY_THE_KIT = "it is asked of whoever publishes a document; comes with the kit that makes and judges one"
_BY_CLIENT_POLICY = "comes with the operator's policy about clients"
_BY_MACHINES = "every grant is a person's; comes with grants without a person"

_DEFERRED = {
    "CIMD-10": _BY_THE_KIT,
    "CIMD-11": _BY_THE_KIT,
    "CIMD-16": "the operator registers clients under ids that are made here, never a URL; " + _BY_CLIENT_POLICY,
    "CIMD-23": _BY_THE_KIT,
    "CIMD-61": "it is asked of the client; comes with the client and its kit",
    "CIMD-72": _BY_CLIENT_POLICY,
    "CIMD-77": "it is asked of whoever hosts documents; comes with the kit's own host",
    "CIMD-85": _BY_MACHINES,
    "CIMD-92": _BY_CLIENT_POLICY,
    "CIMD-97": _BY_CLIENT_POLICY,
    "CIMD-99": "consent shows it (CIMD-90, MCP-12), and operators look up and end grants (`nameplate grants`), but "
    "people cannot by themselves; comes with a page for that",
    "CIMD-104": _BY_THE_KIT,
    "CIMD-112": "it is asked of the client; comes with the client and its kit",
    "CIMD-116": "comes with the kit's own host",
    "CIMD-118": _BY_MACHINES,
    "MCP-18": _BY_CLIENT_POLICY,
    "MCP-38": "the guard accepts no other token (MCP-37); nothing of ours passes requests on; comes with the gateway",
    **dict.fromkeys((row[0] for row in _MCP_EXTENSIONS), _BY_MACHINES),
    "EXT-14": "tokens are bearer tokens, and the metadata says nothing else; comes with proof of possession",
    **OAUTH_DEFERRED,
}

_FAILED_FETCH = "[decision 0002](decisions/0002-what-a-failed-fetch-tells.md)"
_CORPUS = "[decision 0001](decisions/0001-client-identifier-corpus.md)"

_DIVERGENCES = {
    "CIMD-74": "without `grant_types` there is a refresh token too: clients that leave them out rely on one, and what "
    "is handed out is accepted back ([decision 10](architecture.md))",
    "CIMD-83": "`http://localhost:*/path` and its like are read as that URI at any port, because a popular tool writes "
    f"documents so; any other asterisk is dropped ({_CORPUS}, [decision 9](architecture.md))",
    "CIMD-86": "real clients are called back at other hosts than their document's; what documents register is narrowed "
    "by `allowed_client_redirect_uris` instead ([decision 9](architecture.md))",
    "CIMD-87": "redirect URIs are not tied to a host, see CIMD-86 ([decision 9](architecture.md))",
    "CIMD-93": "no logo is fetched or shown, because a picture of one's choice helps to pass for somebody else; a "
    "monogram of the host stands in its place ([decision 0009](decisions/0009-no-logo-is-fetched.md))",
    "CIMD-115": "what fails before an HTTP answer came looks alike, in words, status and time; what anybody can see by "
    f"asking the host is said, because whoever serves the document has to mend it ({_FAILED_FETCH})",
    "MCP-14": "private-use schemes (RFC 8252 §7.1) are accepted too, with a warning at consent; they are kept out by "
    "`allowed_client_redirect_uris` ([decision 0010](decisions/0010-private-use-redirects.md))",
    **OAUTH_DIVERGENCES,
}

REQUIREMENTS: tuple[Requirement, ...] = tuple(
    Requirement(
        name=name,
        level=level,
        source=source,
        text=text,
        topic=topic,
        deferred=_DEFERRED.get(name, ""),
        divergence=_DIVERGENCES.get(name, ""),
    )
    for topic, rows in _TOPICS.items()
    for name, level, source, text in rows
)
"""All of them, in order."""
