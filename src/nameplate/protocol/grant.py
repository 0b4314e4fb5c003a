"""What a resource owner authorised for one client, and the values that carry it to a token.

Life: PendingAuthorization (the person is asked) → Grant + AuthorizationCode (the person said yes) → RefreshTokens
(rotated). A Grant is the unit of revocation. All instants are epoch seconds; every ``…_hash`` is
``secret.hash_bearer_value`` of a value that only its bearer has.
"""

from dataclasses import dataclass

__all__ = ["AuthorizationCode", "Grant", "PendingAuthorization", "RefreshToken", "Session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAuthorization:
    """An authorization request that passed every check and waits for the person's answer.

    ``redirect_uri`` is the requested one, byte for byte; ``registered_redirect_uri`` the entry of the document that it
    matched. ``resource`` is the configured identifier, ``scope`` what would be granted. ``client_metadata`` is the JSON
    of the members that the request was judged by (see ``client_metadata.build_snapshot``). ``browser_hash`` binds it to
    one browser.
    """

    id_hash: bytes
    browser_hash: bytes
    client_id: str
    redirect_uri: str
    registered_redirect_uri: str
    state: str | None
    scope: tuple[str, ...]
    resource: str
    code_challenge: str
    client_metadata: str
    issues_refresh_token: bool
    created_at: int
    expires_at: int
    login_hint: str | None = None
    signed_in_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one person authorised for one client at one resource.

    ``expires_at`` is the absolute end, whatever is refreshed. ``upstream`` is the name of the identity provider at
    which the person signed in, empty for a local account. ``username`` is the name of the account: a local one is
    looked up anew for each token. ``person`` is what the provider said of the person, empty for a local account
    (``person_record.build_person_record``). ``auth_method`` and ``client_keys`` are those of the ``ClientProof`` with
    which the client last got a token; empty until it redeemed the code.
    """

    id: str
    client_id: str
    subject: str
    resource: str
    scope: tuple[str, ...]
    client_metadata: str
    created_at: int
    expires_at: int
    revoked_at: int | None = None
    username: str = ""
    auth_method: str = ""
    client_keys: str = ""
    upstream: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCode:
    """A code and what it is bound to (RFC 6749 §4.1.2, RFC 7636 §4.4). ``spent_at`` is set once it was redeemed or
    burned.
    """

    code_hash: bytes
    grant_id: str
    client_id: str
    redirect_uri: str
    code_challenge: str
    issues_refresh_token: bool
    issued_at: int
    expires_at: int
    spent_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """A refresh token. ``expires_at`` is its idle limit; ``rotated_at`` is set once a successor was issued for it."""

    token_hash: bytes
    grant_id: str
    issued_at: int
    expires_at: int
    rotated_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A person signed in at our pages.

    ``username`` and ``display_name`` are shown to that person; ``subject`` is our own stable id. ``credential_digest``
    says which password the person had: with another one, the session is over. ``upstream`` and ``person`` are as in a
    ``Grant``.
    """

    id_hash: bytes
    subject: str
    username: str
    display_name: str
    signed_in_at: int
    expires_at: int
    credential_digest: str = ""
    upstream: str = ""
    person: str = ""
