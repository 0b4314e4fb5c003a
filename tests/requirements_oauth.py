"""What the specifications beside CIMD and MCP ask: OAuth 2.1, its best practice, and the RFCs for one endpoint each.

The rows of ``tests/requirements.py`` for OAuth, in the same form; what the sentences and levels mean is said there.
``O21`` is draft-ietf-oauth-v2-1-16, ``BCP`` RFC 9700 and its update draft (``STU``), ``BIS`` is rfc7523bis (RFC 10070).
"""

from collections.abc import Mapping
from typing import Literal

__all__ = ["OAUTH_DEFERRED", "OAUTH_DIVERGENCES", "OAUTH_TOPICS", "Level", "Row"]

Level = Literal["MUST", "SHOULD", "MAY", "NOTE", "MUST†", "SHOULD†"]
Row = tuple[str, Level, str, str]
"""A requirement's name, its level, its source, and what it asks."""

_OAUTH: tuple[Row, ...] = (
    ("O21-1", "MUST", "OAuth 2.1 §4.1.2.1, §4.1.3", "There is no code without PKCE, whoever asks."),
    ("O21-2", "MUST", "OAuth 2.1 §4.1.1, §4.1.3", "S256 is done, and the verifier is there and right."),
    ("O21-3", "MUST†", "OAuth 2.1 §4.1.1", "`plain` is refused, and so is no method, which would mean it."),
    ("O21-4", "MUST", "OAuth 2.1 §4.1.2, §4.1.3", "A code is tied to its request, ends soon, and buys once."),
    ("O21-5", "MUST", "OAuth 2.1 §4.1.3", "`/token` needs no `redirect_uri`; one that is sent must be right."),
    ("O21-6", "MUST", "OAuth 2.1 §2.3.1", "Redirect URIs are registered, to the byte; a loopback port is free."),
    ("O21-7", "MUST", "OAuth 2.1 §4.1.2.1", "A wrong client or redirect URI sends the browser nowhere."),
    ("O21-8", "MUST", "OAuth 2.1 §4.1.2.1", "Other errors go back with the code, `state` as it came, and `iss`."),
    ("O21-9", "MUST", "OAuth 2.1", "There are no implicit answers, and no passwords for tokens."),
    ("O21-10", "MUST", "OAuth 2.1 §3", "GET asks, POST buys; unknown or empty values do nothing, repeats fail."),
    ("O21-11", "MUST", "OAuth 2.1", "No script of another origin may read `/authorize`."),
    ("O21-12", "MUST", "OAuth 2.1 §3.2.3", "Token answers are JSON, kept by nobody, and name type and scope."),
    ("O21-13", "MUST", "OAuth 2.1 §3.2", "Who fails by the Authorization header gets 401 and a challenge."),
    ("O21-14", "MUST", "OAuth 2.1", "Two ways to authenticate in one request are an error."),
    ("O21-15", "MUST", "OAuth 2.1 §4.2", "A client acts for itself only if it proves who it is."),
    ("O21-16", "MUST", "OAuth 2.1 §4.3", "A refresh token is its client's, never widens, and reuse ends the grant."),
    ("O21-17", "MUST", "OAuth 2.1 §7.5.3", "After a password, no redirect makes the browser send it on."),
    ("O21-18", "MUST", "OAuth 2.1 §7.11", "No page may stand in another's frame."),
    ("O21-19", "MUST", "OAuth 2.1 §7.13.2", "The server sends nobody to where a stranger wants them."),
    ("O21-20", "MUST", "OAuth 2.1 §7.12", "What came in `state`, a URI or any parameter injects nothing."),
    ("O21-21", "MUST", "OAuth 2.1 §2.3.3, §2.3.4", "An answer counts only in the browser that asked."),
    ("O21-22", "MUST", "OAuth 2.1 §7.15", "A client of several servers keeps their answers apart."),
    ("O21-23", "MUST", "OAuth 2.1 §2.4, BIS §4", "An assertion is for this server."),
    ("O21-24", "MUST", "OAuth 2.1 §7.7", "What is secret has 128 bits or more; who guesses is slowed down."),
    ("O21-25", "SHOULD", "OAuth 2.1 §7.5", "Pages load nothing from other sites, and tell them nothing."),
)

_BEST_PRACTICE: tuple[Row, ...] = (
    ("BCP-1", "MUST", "RFC 9700 §2.1, §4.11", "Redirect URIs are compared exactly; nothing is an open redirector."),
    ("BCP-2", "MUST", "RFC 9700 §4.8.2", "A verifier saves no code that was made without a challenge."),
    ("BCP-3", "MUST", "RFC 9700 §2.1.1", "That PKCE is done can be read in the metadata."),
    ("BCP-4", "SHOULD", "RFC 9700 §2.2, §2.3", "An access token is for one audience and for the granted scopes."),
    ("BCP-5", "MUST", "RFC 9700 §2.2.2, §4.14", "Refresh tokens rotate, keep scope and resource, and end when idle."),
    ("BCP-6", "SHOULD", "RFC 9700 §2.6, §4.15", "No client can take an id that reads like a person's."),
    ("BCP-7", "MUST", "RFC 9700 §4.13", "Forwarded headers count only from a proxy that is trusted."),
    ("BCP-8", "MUST", "RFC 9700 §4.12, §4.16", "Pages cannot be framed, and no redirect is a 307."),
    ("BCP-9", "MUST", "STU", "A client signs for the issuer that it verified, and for nobody beside it."),
    ("BCP-10", "MUST", "STU", "A client's callback tells for which connection an answer is."),
    ("BCP-11", "MUST", "STU", "Whoever began a flow at a client also ends it."),
)

_NATIVE: tuple[Row, ...] = (
    ("NAT-1", "MUST", "RFC 8252 §7.3", "At a loopback address any port is as good as the registered one."),
    ("NAT-2", "SHOULD", "RFC 8252 §8.3", "A client listens on the loopback address only, and only while it waits."),
    ("NAT-3", "MUST", "RFC 8252 §6, §8.1", "A client opens the person's own browser, and uses PKCE."),
    ("NAT-4", "MUST", "RFC 8252 §7.1", "A private scheme is a domain name turned around."),
    (
        "NAT-5",
        "MUST",
        "RFC 8252 §8.4",
        "A native program is known for one; it is public, or its secret is its own alone.",
    ),
    ("NAT-6", "SHOULD", "RFC 8252 §8.6", "A client that cannot prove itself is never approved without asking."),
    ("NAT-7", "SHOULD†", "RFC 8252 §8.3", "A client's callback takes one answer at one path, and repeats nothing."),
)

_REGISTRATION: tuple[Row, ...] = (
    ("DCR-1", "MUST", "RFC 7591 §3.2.1", "The answer is 201, kept by nobody, and says all that was registered."),
    ("DCR-2", "MUST", "RFC 7591 §2", "Members that mean nothing here are ignored; values may be replaced."),
    ("DCR-3", "MUST", "RFC 7591 §3.2.2", "A refusal is a 400 with the code for what was wrong."),
    ("DCR-4", "MUST", "RFC 7591 §2, §2.1", "Grants that redirect need a URI, and response types fit the grants."),
    ("DCR-5", "MUST", "RFC 7591 §2", "`jwks` and `jwks_uri` exclude each other."),
    ("DCR-6", "SHOULD†", "RFC 7591", "Registrations are rationed, and end when nothing hangs on them."),
    ("DCR-7", "SHOULD†", "MCP registration", "A native client may register a loopback URI."),
    ("DCR-8", "MUST", "RFC 7592 §2", "Whoever has a registration's token reads, changes and ends it."),
)

_ASSERTIONS: tuple[Row, ...] = (
    ("JWT-1", "MUST", "RFC 7523 §3", "An assertion names its client twice, ends, is for us, and is signed by its key."),
    ("JWT-2", "MUST", "BIS §4", "Its audience is the issuer, alone."),
    ("JWT-3", "MUST", "BIS §4", "The same holds at every endpoint where a client authenticates."),
    ("JWT-4", "SHOULD", "BIS §4", "A client says in the type that it is an authentication."),
    ("JWT-5", "SHOULD", "BIS §4", "No type is accepted; the type of something else is not."),
    ("JWT-6", "SHOULD†", "RFC 7523 §3", "An assertion works once and not for long, and remembering that costs little."),
    ("JWT-7", "NOTE", "BIS", "As a grant, an assertion may name the issuer or `/token`."),
    ("JWT-8", "MUST", "RFC 7521 §4.2", "A `client_id` beside an assertion is the assertion's."),
    ("JWT-9", "MUST", "RFC 8725 §3.1", "Keys are the client's and asymmetric; a new one is found by few fetches."),
    ("JWT-10", "NOTE", "BIS", "Clients that still sign for `/token` are let in by the operator's choice only."),
)

_REVOCATION: tuple[Row, ...] = (
    ("REV-1", "MUST", "RFC 7009 §2.1", "A client ends tokens of its own only. Here, others are like unknown ones."),
    ("REV-2", "MUST", "RFC 7009 §2.1, §2.2", "A token that is unknown is as good as ended; a wrong hint does no harm."),
    ("REV-3", "MUST", "RFC 7009 §2.1", "A refresh token can be ended, and the access tokens of its grant with it."),
    ("REV-4", "MAY", "RFC 7009 §2.1", "Ending an access token may end the refresh token as well."),
    ("INT-1", "MUST", "RFC 7662 §2.1", "Nobody looks into a token without saying who asks."),
    ("INT-2", "MUST", "RFC 7662 §2.2", "Of a token that is not good, or not for who asks, it says nothing but that."),
    ("INT-3", "SHOULD", "RFC 7662 §2.2", "Of a good one it says for whom, by whom, for what and how long."),
    ("INT-4", "MUST", "RFC 7662 §4", "A resource still compares audience and scope, and keeps no answer too long."),
)

_SERVER_METADATA: tuple[Row, ...] = (
    ("ASM-1", "MUST", "RFC 8414 §2, §3", "The issuer is a plain https URL, and its documents lie where it says."),
    ("ASM-2", "MUST", "RFC 8414 §2, §3.2", "Metadata is JSON with what is required, and no empty lists."),
    ("ASM-3", "MUST", "RFC 8414 §2", "Where clients may sign, it says by which algorithms, and never `none`."),
    ("ASM-4", "NOTE", "RFC 8414 §2", "What has a default that is not ours is said."),
    ("ASM-5", "MUST", "RFC 8414 §3.3", "A client takes no metadata of another issuer."),
)

_ACCESS_TOKENS: tuple[Row, ...] = (
    ("AT-1", "MUST", "RFC 9068 §2", "A token has the type `at+jwt`, all required claims and a signature. Here, ES256."),
    ("AT-2", "MUST", "RFC 9068 §4", "A resource refuses all other JWTs, and those of others or for others."),
    ("AT-3", "SHOULD", "RFC 9068 §3, §5", "One token never mixes the scopes of several resources."),
    ("AT-4", "SHOULD", "RFC 9068 §5", "The `sub` of a client is never a person's."),
)

_PUSHED: tuple[Row, ...] = (
    ("PAR-1", "MUST", "RFC 9126 §2", "A pushed request is authenticated and judged like any other."),
    ("PAR-2", "MUST", "RFC 9126 §2.1", "It is not itself a reference to one."),
    ("PAR-3", "MUST", "RFC 9126 §2.2, §4, §7", "Its reference is its client's, cannot be guessed, and ends soon."),
    ("PAR-4", "MUST", "RFC 9126 §5, §6", "Where pushing is required, other requests are refused."),
    ("PAR-5", "MUST†", "RFC 9126 §4", "What stands beside the reference does not count."),
    ("PAR-6", "NOTE", "RFC 9126 §2.3", "Wrong methods, bodies too large and floods have statuses of their own."),
)

_ISSUER: tuple[Row, ...] = (
    ("ISS-1", "MUST", "RFC 9207 §2, §2.3", "Every answer has the issuer of the metadata, and the metadata says so."),
    ("ISS-2", "MUST", "RFC 9207 §2.4", "A client compares it, and goes no further when it differs."),
)

_RESOURCES: tuple[Row, ...] = (
    ("RES-1", "MUST", "RFC 8707 §2", "A client asks for an absolute URI without a fragment."),
    ("RES-2", "MUST†", "RFC 8707 §2", "What is no resource here, or was not granted, is `invalid_target`."),
    ("RES-3", "SHOULD", "RFC 8707 §2", "The audience is the resource; a later request may narrow, and never widens."),
    ("RES-4", "NOTE", "RFC 8707 §2", "What several resources in one request mean is defined."),
    ("RES-5", "NOTE", "RFC 8707 §2", "What no resource means is documented."),
    ("PRM-1", "MUST", "RFC 9728 §2, §3", "A resource's metadata lies where its identifier says, and repeats it."),
    ("PRM-2", "MUST", "RFC 9728 §3.3", "A client takes no metadata of another resource."),
    ("PRM-3", "MUST†", "RFC 9728 §5.1", "The challenge is quoted as HTTP asks, and its URL is absolute."),
    ("PRM-4", "SHOULD", "RFC 9728 §4, §7.7", "A client asks the server if it knows the resource, and dials with care."),
    ("PRM-5", "NOTE", "RFC 9728 §2", "Metadata says how a token is sent, for which scopes, and the resource's name."),
)

_POSSESSION: tuple[Row, ...] = (
    ("DP-1", "MUST", "RFC 9449 §4.3", "A proof is one, fresh, signed, and for this request."),
    ("DP-2", "MUST", "RFC 9449 §5, §6", "A token says whose key it needs; so do refresh tokens of public clients."),
    ("DP-3", "MUST", "RFC 9449 §7", "Without its key, such a token opens nothing."),
    ("DP-4", "MUST", "RFC 9449 §8, §9", "A client that is told a nonce asks again with it."),
    ("DP-5", "MUST", "RFC 9449 §10", "A code can need a key from the start."),
    ("DP-6", "SHOULD", "RFC 9449 §11.1", "A proof works once, behind a proxy as well."),
    ("DP-7", "MUST", "RFC 9449 §5.2", "A client that asks for bound tokens only gets no others."),
    ("DP-8", "MUST†", "RFC 9449 §4.2", "A proof shows a public key, and nothing private."),
)

_FAPI: tuple[Row, ...] = (
    ("FAPI-1", "MUST", "FAPI 2.0", "Requests are pushed."),
    ("FAPI-2", "MUST", "FAPI 2.0", "Every client authenticates, by a key."),
    ("FAPI-3", "MUST", "FAPI 2.0", "Tokens need their client's key."),
    ("FAPI-4", "MUST", "FAPI 2.0", "S256 and `iss`; a code lives for a minute at most."),
    ("FAPI-5", "MUST", "FAPI 2.0", "The audience of an assertion is the issuer, as a string."),
    ("FAPI-6", "MUST", "FAPI 2.0", "Signatures are PS256, ES256 or EdDSA, and keys are long."),
    ("FAPI-7", "MUST", "FAPI 2.0", "Clocks ten seconds ahead are borne, those a minute ahead are not."),
    ("FAPI-8", "MUST", "FAPI 2.0", "Refresh tokens do not rotate without need."),
    ("FAPI-9", "MUST", "FAPI 2.0", "No 307, no open redirector, and `/authorize` is nothing for scripts."),
)

OAUTH_TOPICS: Mapping[str, tuple[Row, ...]] = {
    "OAuth 2.1": _OAUTH,
    "Best practice (RFC 9700)": _BEST_PRACTICE,
    "Native programs (RFC 8252)": _NATIVE,
    "Dynamic registration (RFC 7591, RFC 7592)": _REGISTRATION,
    "Client assertions (RFC 7523)": _ASSERTIONS,
    "Revocation and introspection (RFC 7009, RFC 7662)": _REVOCATION,
    "Server metadata (RFC 8414)": _SERVER_METADATA,
    "JWT access tokens (RFC 9068)": _ACCESS_TOKENS,
    "Pushed requests (RFC 9126)": _PUSHED,
    "The issuer in the answer (RFC 9207)": _ISSUER,
    "Resources (RFC 8707, RFC 9728)": _RESOURCES,
    "Proof of possession (RFC 9449)": _POSSESSION,
    "FAPI 2.0": _FAPI,
}
"""The rows by topic."""

_BY_THE_CLIENT = "it is asked of a client; comes with the client and its kit"
_BY_MACHINES = "every grant is a person's; comes with grants without a person"
_BY_PUSHING = "requests come through the browser only, and the metadata says nothing else; comes with pushed requests"
_BY_POSSESSION = "tokens are bearer tokens, and the metadata says nothing else; comes with proof of possession"
_BY_FAPI = "there is no mode for that profile; comes with pushed requests and proof of possession"

OAUTH_DEFERRED: Mapping[str, str] = {
    "O21-15": _BY_MACHINES,
    "O21-21": _BY_THE_CLIENT,
    "O21-22": _BY_THE_CLIENT,
    "BCP-9": _BY_THE_CLIENT,
    "BCP-10": _BY_THE_CLIENT,
    "BCP-11": _BY_THE_CLIENT,
    "NAT-2": _BY_THE_CLIENT,
    "NAT-3": _BY_THE_CLIENT,
    "NAT-7": _BY_THE_CLIENT,
    "JWT-4": _BY_THE_CLIENT,
    "JWT-7": _BY_MACHINES,
    "ASM-5": _BY_THE_CLIENT,
    "AT-4": _BY_MACHINES,
    **dict.fromkeys((row[0] for row in _PUSHED), _BY_PUSHING),
    "ISS-2": _BY_THE_CLIENT,
    "RES-1": _BY_THE_CLIENT,
    "PRM-2": _BY_THE_CLIENT,
    "PRM-4": _BY_THE_CLIENT,
    **dict.fromkeys((row[0] for row in _POSSESSION), _BY_POSSESSION),
    **dict.fromkeys((row[0] for row in _FAPI), _BY_FAPI),
}
"""Why a row is left for later, by its name."""

OAUTH_DIVERGENCES: Mapping[str, str] = {
    "DCR-8": "there are no registration access tokens, one more kind of secret to keep: what was registered never "
    "changes, and ends by itself or by the operator ([decision 0012](decisions/0012-registration.md))",
}
"""Which decision a row is not followed by, by its name."""
