"""Authorization codes in a PostgreSQL store: single use, over all replicas. See ``postgres_grants`` for its locks."""

from nameplate.ports.verdicts import AssertionReplayed, Redeemed, Replayed, Unknown
from nameplate.protocol.client_proof import ClientProof
from nameplate.protocol.grant import AuthorizationCode, Grant, RefreshToken
from nameplate.stores.postgres_assertions import list_proof
from nameplate.stores.postgres_grants import GRANT_COLUMNS, GRANT_WIDTH, build_grant
from nameplate.stores.postgres_pool import PostgresPool

__all__ = ["FUNCTIONS", "burn_code", "load_code", "redeem_code"]

FUNCTIONS = (
    """CREATE FUNCTION nameplate.redeem_code(
    _code_hash bytea, _now bigint, _replay_revokes_after bigint,
    _auth_method text, _client_keys text, _assertion_client_id text, _use_hash bytea, _kept_until bigint,
    _token_hash bytea, _issued_at bigint, _expires_at bigint,
    OUT verdict text, OUT g nameplate.grants
) LANGUAGE plpgsql AS $$
DECLARE
    _code nameplate.codes;
BEGIN
    IF _use_hash IS NOT NULL
        AND NOT nameplate.record_assertion(_assertion_client_id, _use_hash, _kept_until, _now)
    THEN
        verdict := 'assertion replayed';
        RETURN;
    END IF;
    verdict := 'unknown';
    SELECT * INTO g FROM nameplate.grants
    WHERE id = (SELECT grant_row FROM nameplate.codes WHERE code_hash = _code_hash) FOR NO KEY UPDATE;
    IF NOT FOUND OR g.revoked_at IS NOT NULL OR g.expires_at <= _now THEN
        RETURN;
    END IF;
    SELECT * INTO _code FROM nameplate.codes WHERE code_hash = _code_hash;
    -- It came twice: a client that tried again, or a thief. RFC 6749 §4.1.2 ends what it bought.
    IF _code.spent_at IS NOT NULL THEN
        verdict := 'replayed';
        PERFORM nameplate.record_grant_event('code.replayed', g, _now, '');
        IF _now - _code.spent_at > _replay_revokes_after THEN
            verdict := 'replayed and revoked';
            PERFORM nameplate.end_grant(g, 'code.replayed', _now);
        END IF;
        RETURN;
    END IF;
    UPDATE nameplate.codes SET spent_at = _now WHERE grant_row = g.id AND expires_at > _now;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    g := nameplate.remember_proof(g, _auth_method, _client_keys);
    IF _token_hash IS NOT NULL THEN
        INSERT INTO nameplate.refresh_tokens (grant_row, number, token_hash, issued_at, expires_at)
        VALUES (g.id, 0, _token_hash, _issued_at, _expires_at);
    END IF;
    PERFORM nameplate.record_grant_event('code.redeemed', g, _now, '');
    verdict := 'redeemed';
END $$""",
    """CREATE FUNCTION nameplate.burn_code(_code_hash bytea, _now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _grant nameplate.grants;
BEGIN
    SELECT * INTO _grant FROM nameplate.grants
    WHERE id = (SELECT grant_row FROM nameplate.codes WHERE code_hash = _code_hash) FOR NO KEY UPDATE;
    UPDATE nameplate.codes SET spent_at = _now WHERE grant_row = _grant.id AND spent_at IS NULL;
    IF FOUND THEN
        PERFORM nameplate.record_grant_event('code.burned', _grant, _now, '');
    END IF;
END $$""",
)

_SELECT = f"""
SELECT {GRANT_COLUMNS}, c.client_id, c.redirect_uri, c.code_challenge, c.issues_refresh_token, c.issued_at,
    c.expires_at, c.spent_at
FROM nameplate.codes c JOIN nameplate.grants g ON g.id = c.grant_row WHERE c.code_hash = $1
"""  # noqa: S608  (constants only)


async def load_code(pool: PostgresPool, code_hash: bytes) -> tuple[AuthorizationCode, Grant] | Unknown:
    """See ``GrantStore.load_code``."""
    row = await pool.fetch_row(_SELECT, code_hash)
    if row is None:
        return Unknown()
    grant = build_grant(row)
    client_id, redirect_uri, code_challenge, issues_refresh_token, issued_at, expires_at, spent_at = row[GRANT_WIDTH:]
    code = AuthorizationCode(
        code_hash=code_hash,
        grant_id=grant.id,
        client_id=client_id,
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        issues_refresh_token=issues_refresh_token,
        issued_at=issued_at,
        expires_at=expires_at,
        spent_at=spent_at,
    )
    return code, grant


_REDEEM = f"""
SELECT {GRANT_COLUMNS}, f.verdict
FROM nameplate.redeem_code($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS f, LATERAL (SELECT (f.g).*) AS g
"""  # noqa: S608  (constants only)


async def redeem_code(
    pool: PostgresPool,
    code_hash: bytes,
    *,
    refresh_token: RefreshToken | None,
    proof: ClientProof,
    now: int,
    replay_revokes_after_seconds: int,
) -> Redeemed | Replayed | AssertionReplayed | Unknown:
    """See ``GrantStore.redeem_code``."""
    token = (
        (None, None, None)
        if refresh_token is None
        else (refresh_token.token_hash, refresh_token.issued_at, refresh_token.expires_at)
    )
    row = await pool.commit(_REDEEM, code_hash, now, replay_revokes_after_seconds, *list_proof(proof), *token)
    match row[-1]:
        case "redeemed":
            return Redeemed(build_grant(row))
        case "replayed" | "replayed and revoked" as verdict:
            return Replayed(grant_revoked=verdict != "replayed")
        case "assertion replayed":
            return AssertionReplayed()
        case _:
            return Unknown()


async def burn_code(pool: PostgresPool, code_hash: bytes, now: int) -> None:
    """See ``GrantStore.burn_code``. A second burning changes nothing, so it may be tried again."""
    await pool.fetch("SELECT nameplate.burn_code($1, $2)", code_hash, now)
