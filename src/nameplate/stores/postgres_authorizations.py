"""Pending authorizations in a PostgreSQL store: from the question on the consent page to the person's answer."""

from nameplate.ports.verdicts import AlreadyAnswered, Approved, ChallengeSpent, Denied, Full, Recorded, Unknown
from nameplate.protocol.grant import AuthorizationCode, Grant, PendingAuthorization
from nameplate.stores.postgres_pool import PostgresPool
from nameplate.stores.postgres_shares import record_capped
from nameplate.stores.postgres_text import Row

__all__ = [
    "FUNCTIONS",
    "approve_authorization",
    "deny_authorization",
    "is_challenge_spent",
    "load_authorization",
    "record_authorization",
]

FUNCTIONS = (
    """CREATE FUNCTION nameplate.record_authorization(
    _id_hash bytea, _browser_hash bytea, _client_id text, _redirect_uri text, _registered_redirect_uri text,
    _state text, _scope text[], _resource text, _code_challenge text, _client_metadata text,
    _issues_refresh_token boolean, _created_at bigint, _expires_at bigint, _login_hint text, _signed_in_after bigint,
    _limit bigint, _waits boolean
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    _verdict text;
    _share integer;
BEGIN
    SELECT verdict, taken INTO _verdict, _share FROM nameplate.take_share('pending', _limit, _waits);
    IF _verdict = 'recorded' THEN
        INSERT INTO nameplate.pending_authorizations (
            id_hash, browser_hash, client_id, redirect_uri, registered_redirect_uri, state, scope, resource,
            code_challenge, client_metadata, issues_refresh_token, created_at, expires_at, login_hint, signed_in_after,
            share
        ) VALUES (
            _id_hash, _browser_hash, _client_id, _redirect_uri, _registered_redirect_uri, _state, _scope, _resource,
            _code_challenge, _client_metadata, _issues_refresh_token, _created_at, _expires_at, _login_hint,
            _signed_in_after, _share
        );
    END IF;
    RETURN _verdict;
END $$""",
    # Of several answers the first marks the row that the others wait for. Two requests with one challenge meet at the
    # index over codes. The client's row, if it has one, is held: whoever removes it then sees this grant. It is kept
    # for as long as the grant may live; prolonged once a day at the most, so approvals do not wait for each other.
    """CREATE FUNCTION nameplate.approve_authorization(
    _id_hash bytea, _browser_hash bytea, _now bigint,
    _grant_id text, _client_id text, _subject text, _resource text, _scope text[], _client_metadata text,
    _created_at bigint, _grant_expires_at bigint, _username text, _upstream text, _person text, _auth_method text,
    _client_keys text,
    _code_hash bytea, _code_client_id text, _redirect_uri text, _code_challenge text, _issues_refresh_token boolean,
    _issued_at bigint, _expires_at bigint, _upstream_tokens bytea,
    OUT verdict text, OUT p nameplate.pending_authorizations
) LANGUAGE plpgsql AS $$
DECLARE
    _grant nameplate.grants;
BEGIN
    SELECT * INTO p FROM nameplate.pending_authorizations
    WHERE id_hash = _id_hash AND browser_hash = _browser_hash AND expires_at > _now FOR NO KEY UPDATE;
    IF NOT FOUND OR p.answered_at IS NOT NULL THEN
        verdict := CASE WHEN NOT FOUND THEN 'unknown' ELSE 'answered' END;
        RETURN;
    END IF;
    verdict := 'challenge spent';
    PERFORM FROM nameplate.codes WHERE client_id = _code_client_id AND code_challenge = _code_challenge;
    IF FOUND THEN
        RETURN;
    END IF;
    PERFORM FROM nameplate.clients WHERE client_id = _client_id FOR KEY SHARE;
    IF NOT FOUND AND _client_id !~* '^https?:' THEN
        verdict := 'unknown';
        RETURN;
    END IF;
    UPDATE nameplate.clients SET expires_at = _grant_expires_at, sweep_at = _grant_expires_at
    WHERE client_id = _client_id AND expires_at < _grant_expires_at - 86400;
    INSERT INTO nameplate.grants (
        grant_id, client_id, subject, resource, scope, client_metadata, created_at, expires_at, username, upstream,
        person, auth_method, client_keys, sweep_at
    ) VALUES (
        _grant_id, _client_id, _subject, _resource, _scope, _client_metadata, _created_at, _grant_expires_at, _username,
        _upstream, _person, _auth_method, _client_keys, _grant_expires_at
    ) RETURNING * INTO _grant;
    INSERT INTO nameplate.codes (
        grant_row, code_hash, client_id, redirect_uri, code_challenge, issues_refresh_token, issued_at, expires_at,
        kept_until
    ) VALUES (
        _grant.id, _code_hash, _code_client_id, _redirect_uri, _code_challenge, _issues_refresh_token, _issued_at,
        _expires_at, greatest(_expires_at, _issued_at + 86400)
    ) ON CONFLICT (client_id, code_challenge) DO NOTHING;
    IF NOT FOUND THEN
        DELETE FROM nameplate.grants WHERE id = _grant.id;
        RETURN;
    END IF;
    IF _upstream_tokens IS NOT NULL THEN
        INSERT INTO nameplate.upstream_tokens (grant_row, sealed, version, leased_until)
        VALUES (_grant.id, _upstream_tokens, 1, 0);
    END IF;
    UPDATE nameplate.pending_authorizations SET answered_at = _now WHERE id = p.id;
    PERFORM nameplate.record_grant_event('authorization.approved', _grant, _now, left(encode(_id_hash, 'hex'), 16));
    verdict := 'approved';
END $$""",
    """CREATE FUNCTION nameplate.deny_authorization(
    _id_hash bytea, _browser_hash bytea, _now bigint, _subject text,
    OUT verdict text, OUT p nameplate.pending_authorizations
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT * INTO p FROM nameplate.pending_authorizations
    WHERE id_hash = _id_hash AND browser_hash = _browser_hash AND expires_at > _now FOR NO KEY UPDATE;
    IF NOT FOUND OR p.answered_at IS NOT NULL THEN
        verdict := CASE WHEN NOT FOUND THEN 'unknown' ELSE 'answered' END;
        RETURN;
    END IF;
    UPDATE nameplate.pending_authorizations SET answered_at = _now WHERE id = p.id;
    PERFORM nameplate.record_event(
        'authorization.denied', _now, p.client_id, _subject, '', left(encode(_id_hash, 'hex'), 16)
    );
    verdict := 'denied';
END $$""",
)

_RECORD = """
SELECT nameplate.record_authorization(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17
)
"""


async def record_authorization(pool: PostgresPool, pending: PendingAuthorization, *, limit: int) -> Recorded | Full:
    """See ``GrantStore.record_authorization``."""
    values = (
        pending.id_hash,
        pending.browser_hash,
        pending.client_id,
        pending.redirect_uri,
        pending.registered_redirect_uri,
        pending.state,
        pending.scope,
        pending.resource,
        pending.code_challenge,
        pending.client_metadata,
        pending.issues_refresh_token,
        pending.created_at,
        pending.expires_at,
        pending.login_hint,
        pending.signed_in_after,
        limit,
    )
    return await record_capped(pool, _RECORD, values)


# In the order that _build_pending reads them, from the table under the name p.
_COLUMNS = """
p.id_hash, p.browser_hash, p.client_id, p.redirect_uri, p.registered_redirect_uri, p.state, p.scope, p.resource,
    p.code_challenge, p.client_metadata, p.issues_refresh_token, p.created_at, p.expires_at, p.login_hint,
    p.signed_in_after
"""
_SELECT = f"""
SELECT {_COLUMNS}, p.answered_at FROM nameplate.pending_authorizations p
WHERE p.id_hash = $1 AND p.browser_hash = $2 AND p.expires_at > $3
"""  # noqa: S608  (constants only)


async def load_authorization(
    pool: PostgresPool, id_hash: bytes, browser_hash: bytes, now: int
) -> PendingAuthorization | AlreadyAnswered | Unknown:
    """See ``GrantStore.load_authorization``."""
    row = await pool.fetch_row(_SELECT, id_hash, browser_hash, now)
    if row is None:
        return Unknown()
    pending = _build_pending(row)
    return pending if row[-1] is None else AlreadyAnswered(pending)


_IS_SPENT = "SELECT EXISTS (SELECT FROM nameplate.codes WHERE client_id = $1 AND code_challenge = $2)"


async def is_challenge_spent(pool: PostgresPool, client_id: str, code_challenge: str) -> bool:
    """See ``GrantStore.is_challenge_spent``."""
    [[is_spent]] = await pool.fetch(_IS_SPENT, client_id, code_challenge)
    return bool(is_spent)


_APPROVE = f"""
SELECT {_COLUMNS}, f.verdict
FROM nameplate.approve_authorization(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
    $23, $24
) AS f, LATERAL (SELECT (f.p).*) AS p
"""  # noqa: S608  (constants only)


async def approve_authorization(
    pool: PostgresPool,
    request: tuple[bytes, bytes],
    *,
    grant: Grant,
    code: AuthorizationCode,
    now: int,
    upstream_tokens: bytes | None,
) -> Approved | AlreadyAnswered | ChallengeSpent | Unknown:
    """See ``GrantStore.approve_authorization``. ``request`` is its ``id_hash`` and ``browser_hash``."""
    values = (*_list_grant(grant), *_list_code(code), upstream_tokens)
    row = await pool.commit(_APPROVE, *request, now, *values)
    match row[-1]:
        case "approved":
            return Approved(_build_pending(row))
        case "answered":
            return AlreadyAnswered(_build_pending(row))
        case "challenge spent":
            return ChallengeSpent()
        case _:
            return Unknown()


_DENY = f"""
SELECT {_COLUMNS}, f.verdict
FROM nameplate.deny_authorization($1, $2, $3, $4) AS f, LATERAL (SELECT (f.p).*) AS p
"""  # noqa: S608  (constants only)


async def deny_authorization(
    pool: PostgresPool, id_hash: bytes, browser_hash: bytes, *, subject: str, now: int
) -> Denied | AlreadyAnswered | Unknown:
    """See ``GrantStore.deny_authorization``."""
    row = await pool.commit(_DENY, id_hash, browser_hash, now, subject)
    match row[-1]:
        case "denied":
            return Denied(_build_pending(row))
        case "answered":
            return AlreadyAnswered(_build_pending(row))
        case _:
            return Unknown()


def _list_grant(grant: Grant) -> Row:
    return (
        grant.id,
        grant.client_id,
        grant.subject,
        grant.resource,
        grant.scope,
        grant.client_metadata,
        grant.created_at,
        grant.expires_at,
        grant.username,
        grant.upstream,
        grant.person,
        grant.auth_method,
        grant.client_keys,
    )


def _list_code(code: AuthorizationCode) -> Row:
    return (
        code.code_hash,
        code.client_id,
        code.redirect_uri,
        code.code_challenge,
        code.issues_refresh_token,
        code.issued_at,
        code.expires_at,
    )


def _build_pending(row: Row) -> PendingAuthorization:
    return PendingAuthorization(
        id_hash=row[0],
        browser_hash=row[1],
        client_id=row[2],
        redirect_uri=row[3],
        registered_redirect_uri=row[4],
        state=row[5],
        scope=row[6],
        resource=row[7],
        code_challenge=row[8],
        client_metadata=row[9],
        issues_refresh_token=row[10],
        created_at=row[11],
        expires_at=row[12],
        login_hint=row[13],
        signed_in_after=row[14],
    )
