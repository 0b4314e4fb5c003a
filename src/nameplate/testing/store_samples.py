"""Values to put into a store. What belongs together bears one name; every other member can be changed by keyword."""

from dataclasses import replace
from typing import Any

from nameplate.ports.store import Rotation, Store, StoredDocument, StoredSigningKey
from nameplate.ports.verdicts import Approved, Redeemed
from nameplate.protocol.client_proof import AssertionUse, ClientProof
from nameplate.protocol.grant import AuthorizationCode, Grant, PendingAuthorization, RefreshToken, Session
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.protocol.upstream_attempt import UpstreamAttempt
from nameplate.secret import hash_bearer_value

__all__ = [
    "BROWSER",
    "NOW",
    "PROOF",
    "approve_sample",
    "redeem_sample",
    "sample_assertion",
    "sample_client",
    "sample_code",
    "sample_document",
    "sample_grant",
    "sample_pending",
    "sample_refresh_token",
    "sample_rotation",
    "sample_session",
    "sample_signing_key",
    "sample_upstream_attempt",
]

NOW = 1_800_000_000
BROWSER = hash_bearer_value("browser")
PROOF = ClientProof(auth_method="none")

_CLIENT_ID = "https://app.example/client.json"
_METADATA = '{"client_name":"App","redirect_uris":["http://127.0.0.1/callback"]}'


def sample_pending(name: str = "one", **changes: Any) -> PendingAuthorization:
    """A request that waits for ten minutes in the browser ``BROWSER``."""
    pending = PendingAuthorization(
        id_hash=hash_bearer_value(f"pending {name}"),
        browser_hash=BROWSER,
        client_id=_CLIENT_ID,
        redirect_uri="http://127.0.0.1:49152/callback",
        registered_redirect_uri="http://127.0.0.1/callback",
        state="a state with spaces, ünicode and \N{GRINNING FACE}",
        scope=("files:read", "files:write"),
        resource="https://mcp.example/mcp",
        code_challenge=f"challenge {name}",
        client_metadata=_METADATA,
        issues_refresh_token=True,
        created_at=NOW,
        expires_at=NOW + 600,
    )
    return replace(pending, **changes)


def sample_grant(name: str = "one", **changes: Any) -> Grant:
    """A grant for ninety days."""
    grant = Grant(
        id=f"grant {name}",
        client_id=_CLIENT_ID,
        subject="sub-of-alice",
        resource="https://mcp.example/mcp",
        scope=("files:read", "files:write"),
        client_metadata=_METADATA,
        created_at=NOW,
        expires_at=NOW + 90 * 86400,
    )
    return replace(grant, **changes)


def sample_code(name: str = "one", **changes: Any) -> AuthorizationCode:
    """A code for sixty seconds, of the grant and the challenge of the same name."""
    code = AuthorizationCode(
        code_hash=hash_bearer_value(f"code {name}"),
        grant_id=f"grant {name}",
        client_id=_CLIENT_ID,
        redirect_uri="http://127.0.0.1:49152/callback",
        code_challenge=f"challenge {name}",
        issues_refresh_token=True,
        issued_at=NOW,
        expires_at=NOW + 60,
    )
    return replace(code, **changes)


def sample_refresh_token(name: str = "one", **changes: Any) -> RefreshToken:
    """A refresh token for thirty days, of the grant named ``one``."""
    token = RefreshToken(
        token_hash=hash_bearer_value(f"refresh token {name}"),
        grant_id="grant one",
        issued_at=NOW,
        expires_at=NOW + 30 * 86400,
    )
    return replace(token, **changes)


def sample_assertion(name: str = "one", **changes: Any) -> AssertionUse:
    """The use of an assertion that can be accepted for five minutes."""
    use = AssertionUse(client_id=_CLIENT_ID, use_hash=hash_bearer_value(f"assertion {name}"), kept_until=NOW + 300)
    return replace(use, **changes)


def sample_rotation(name: str = "one", successor: str = "two", **changes: Any) -> Rotation:
    """The replacement of one refresh token by another one, by a public client. The sealed answer is the successor's
    name; up to ten repeats are forgiven for two minutes.
    """
    rotation = Rotation(
        token_hash=sample_refresh_token(name).token_hash,
        successor=sample_refresh_token(successor),
        sealed_answer=successor.encode(),
        proof=PROOF,
        repeat_seconds=120,
        repeat_limit=10,
    )
    return replace(rotation, **changes)


def sample_session(name: str = "one", **changes: Any) -> Session:
    """A session for an hour."""
    session = Session(
        id_hash=hash_bearer_value(f"session {name}"),
        subject="sub-of-alice",
        username="alice",
        display_name="Alice Ünïcode",
        signed_in_at=NOW,
        expires_at=NOW + 3600,
    )
    return replace(session, **changes)


def sample_upstream_attempt(name: str = "one", **changes: Any) -> UpstreamAttempt:
    """An attempt for ten minutes in the browser ``BROWSER``. (The store does not look into its memory.)"""
    attempt = UpstreamAttempt(
        state_hash=hash_bearer_value(f"state {name}"),
        browser_hash=BROWSER,
        upstream="corp",
        sealed_memory=f"\0sealed {name}\xff".encode("latin-1"),
        approved_subject="",
        created_at=NOW,
        expires_at=NOW + 600,
    )
    return replace(attempt, **changes)


def sample_document(name: str = "client", **changes: Any) -> StoredDocument:
    """A document that is fresh for ten minutes. The one named ``client`` is that of the client of all other samples."""
    document = StoredDocument(
        client_id=f"https://app.example/{name}.json",
        body=b'{"client_name":"\xc3\x9cn\xc3\xafcode"}\0\xff',
        headers=(("cache-control", 'max-age="600"'), ("etag", 'W/"\xfc"')),
        fetched_at=NOW,
        fresh_until=NOW + 600,
        last_good_until=NOW + 600 + 86400,
    )
    return replace(document, **changes)


def sample_client(name: str = "one", **changes: Any) -> RegisteredClient:
    """A client that registered itself, for a day."""
    client = RegisteredClient(
        client_id=f"npc_{name}", metadata='{"client_name":"Ünregistered"}', created_at=NOW, expires_at=NOW + 86400
    )
    return replace(client, **changes)


def sample_signing_key(name: str = "one", **changes: Any) -> StoredSigningKey:
    """A signing key that signs at once. (The store does not look into it.)"""
    key = StoredSigningKey(
        kid=f"kid {name}", sealed_jwk=f"\0sealed {name}\xff".encode("latin-1"), created_at=NOW, active_from=NOW
    )
    return replace(key, **changes)


async def approve_sample(
    store: Store,
    name: str = "one",
    *,
    grant: Grant | None = None,
    code: AuthorizationCode | None = None,
    now: int = NOW,
    upstream_tokens: bytes | None = None,
) -> None:
    """Bring the store to where the person said yes: there is a code and its grant."""
    pending = sample_pending(name)
    await store.record_authorization(pending, limit=10_000)
    verdict = await store.approve_authorization(
        pending.id_hash,
        BROWSER,
        grant=grant or sample_grant(name),
        code=code or sample_code(name),
        now=now,
        upstream_tokens=upstream_tokens,
    )
    if verdict != Approved(pending):
        raise AssertionError(f"a pending authorization that nobody answered was not approved: {verdict}")


async def redeem_sample(
    store: Store, name: str = "one", *, grant: Grant | None = None, refresh_token: RefreshToken | None = None
) -> None:
    """Bring the store to where the client has its first refresh token, the one of this name."""
    await approve_sample(store, name, grant=grant)
    verdict = await store.redeem_code(
        sample_code(name).code_hash,
        refresh_token=refresh_token or sample_refresh_token(name, grant_id=f"grant {name}"),
        proof=PROOF,
        now=NOW,
        replay_revokes_after_seconds=10,
    )
    if not isinstance(verdict, Redeemed):
        raise AssertionError(f"a fresh code was not redeemed: {verdict}")  # noqa: TRY004  (a finding, not a mistake)
