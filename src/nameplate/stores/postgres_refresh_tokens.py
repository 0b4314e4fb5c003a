"""Refresh tokens in a PostgreSQL store: each is replaced at its use, and its second use is an honest repeat or a theft.

See ``postgres_grants`` for its locks.
"""

from nameplate.ports.store import Rotation
from nameplate.ports.verdicts import AssertionReplayed, Repeated, Reused, Rotated, Unknown
from nameplate.protocol.grant import Grant, RefreshToken
from nameplate.stores.postgres_assertions import list_proof
from nameplate.stores.postgres_grants import GRANT_COLUMNS, GRANT_WIDTH, build_grant
from nameplate.stores.postgres_pool import PostgresPool

__all__ = ["FUNCTIONS", "load_refresh_token", "rotate_refresh_token"]

FUNCTIONS = (
    """CREATE FUNCTION nameplate.rotate_refresh_token(
    _token_hash bytea, _now bigint, _sealed_answer bytea, _repeat_seconds bigint, _repeat_limit bigint,
    _auth_method text, _client_keys text, _assertion_client_id text, _use_hash bytea, _kept_until bigint,
    _successor_hash bytea, _issued_at bigint, _expires_at bigint,
    OUT verdict text, OUT g nameplate.grants, OUT sealed_answer bytea, OUT answered_at bigint
) LANGUAGE plpgsql AS $$
DECLARE
    _token nameplate.refresh_tokens;
BEGIN
    IF _use_hash IS NOT NULL
        AND NOT nameplate.record_assertion(_assertion_client_id, _use_hash, _kept_until, _now)
    THEN
        verdict := 'assertion replayed';
        RETURN;
    END IF;
    verdict := 'unknown';
    SELECT * INTO g FROM nameplate.grants
    WHERE id = (SELECT grant_row FROM nameplate.refresh_tokens WHERE token_hash = _token_hash) FOR NO KEY UPDATE;
    IF NOT FOUND OR g.revoked_at IS NOT NULL OR g.expires_at <= _now THEN
        RETURN;
    END IF;
    SELECT * INTO _token FROM nameplate.refresh_tokens WHERE token_hash = _token_hash AND expires_at > _now;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- The second use: a client that refreshed from two places at once, or a thief (RFC 9700 §4.14.2). There is no such
    -- answer once the successor was rotated: its own answer took the place.
    IF _token.rotated_at IS NOT NULL THEN
        UPDATE nameplate.refresh_answers a SET repeats = repeats + 1
        WHERE a.grant_row = g.id AND a.number = _token.number AND a.repeats < _repeat_limit
            AND _now - _token.rotated_at <= _repeat_seconds
        RETURNING a.sealed_answer INTO sealed_answer;
        IF FOUND THEN
            verdict := 'repeated';
            answered_at := _token.rotated_at;
            PERFORM nameplate.record_grant_event('refresh_token.repeated', g, _now, '');
        ELSE
            verdict := 'reused';
            PERFORM nameplate.record_grant_event('refresh_token.reused', g, _now, '');
            PERFORM nameplate.end_grant(g, 'refresh_token.reused', _now);
        END IF;
        RETURN;
    END IF;
    UPDATE nameplate.refresh_tokens SET rotated_at = _now WHERE grant_row = g.id AND number = _token.number;
    IF NOT FOUND THEN
        RETURN;  -- swept by a replica whose clock is ahead
    END IF;
    g := nameplate.remember_proof(g, _auth_method, _client_keys);
    INSERT INTO nameplate.refresh_tokens (grant_row, number, token_hash, issued_at, expires_at)
    VALUES (g.id, _token.number + 1, _successor_hash, _issued_at, _expires_at);
    -- A minute longer: the clock of whoever sweeps may be ahead, and an honest repeat must not look like a theft.
    INSERT INTO nameplate.refresh_answers AS a (grant_row, number, sealed_answer, repeats, kept_until)
    VALUES (g.id, _token.number, _sealed_answer, 0, _now + _repeat_seconds + 60)
    ON CONFLICT (grant_row) DO UPDATE SET
        number = excluded.number, sealed_answer = excluded.sealed_answer, repeats = 0, kept_until = excluded.kept_until;
    PERFORM nameplate.record_grant_event('refresh_token.rotated', g, _now, _token.number::text);
    verdict := 'rotated';
END $$""",
)

_SELECT = f"""
SELECT {GRANT_COLUMNS}, t.issued_at, t.expires_at, t.rotated_at
FROM nameplate.refresh_tokens t JOIN nameplate.grants g ON g.id = t.grant_row WHERE t.token_hash = $1
"""  # noqa: S608  (constants only)


async def load_refresh_token(pool: PostgresPool, token_hash: bytes) -> tuple[RefreshToken, Grant] | Unknown:
    """See ``GrantStore.load_refresh_token``."""
    row = await pool.fetch_row(_SELECT, token_hash)
    if row is None:
        return Unknown()
    grant, (issued_at, expires_at, rotated_at) = build_grant(row), row[GRANT_WIDTH:]
    token = RefreshToken(
        token_hash=token_hash, grant_id=grant.id, issued_at=issued_at, expires_at=expires_at, rotated_at=rotated_at
    )
    return token, grant


_ROTATE = f"""
SELECT {GRANT_COLUMNS}, f.verdict, f.sealed_answer, f.answered_at
FROM nameplate.rotate_refresh_token($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS f,
    LATERAL (SELECT (f.g).*) AS g
"""  # noqa: S608  (constants only)


async def rotate_refresh_token(
    pool: PostgresPool, rotation: Rotation, now: int
) -> Rotated | Repeated | Reused | AssertionReplayed | Unknown:
    """See ``GrantStore.rotate_refresh_token``."""
    successor = rotation.successor
    row = await pool.commit(
        _ROTATE,
        rotation.token_hash,
        now,
        rotation.sealed_answer,
        rotation.repeat_seconds,
        rotation.repeat_limit,
        *list_proof(rotation.proof),
        successor.token_hash,
        successor.issued_at,
        successor.expires_at,
    )
    verdict, sealed_answer, answered_at = row[GRANT_WIDTH:]
    match verdict:
        case "rotated":
            return Rotated(build_grant(row))
        case "repeated":
            return Repeated(sealed_answer, answered_at)
        case "reused":
            return Reused(build_grant(row).id)
        case "assertion replayed":
            return AssertionReplayed()
        case _:
            return Unknown()
