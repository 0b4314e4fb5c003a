"""People in a PostgreSQL store: who they are, and their sessions."""

from collections.abc import Sequence

from nameplate.errors import StoreError
from nameplate.ports.store import StoredSubject
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.grant import Session
from nameplate.stores.postgres_lister import Listing, list_rows
from nameplate.stores.postgres_pool import PostgresPool

__all__ = [
    "FUNCTIONS",
    "end_session",
    "end_sessions",
    "list_subjects",
    "load_session",
    "record_session",
    "record_subject",
]

# An expired session is left to the sweep: it has ended by itself.
FUNCTIONS = (
    """CREATE FUNCTION nameplate.end_session(_id_hash bytea, _now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _subject text;
BEGIN
    DELETE FROM nameplate.sessions WHERE id_hash = _id_hash AND expires_at > _now RETURNING subject INTO _subject;
    IF FOUND THEN
        PERFORM nameplate.record_event('session.ended', _now, '', _subject, '', '');
    END IF;
END $$""",
    """CREATE FUNCTION nameplate.end_sessions(_subject text, _now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    _ended bigint;
BEGIN
    WITH mine AS (
        SELECT id FROM nameplate.sessions WHERE subject = _subject AND expires_at > _now ORDER BY id FOR UPDATE
    ), ended AS (
        DELETE FROM nameplate.sessions s USING mine WHERE s.id = mine.id RETURNING s.id
    )
    INSERT INTO nameplate.audit_events (name, at, client_id, subject, grant_id, detail)
    SELECT 'session.ended', _now, '', _subject, '', '' FROM ended ORDER BY id;
    GET DIAGNOSTICS _ended = ROW_COUNT;
    RETURN _ended;
END $$""",
    """CREATE FUNCTION nameplate.record_session(
    _replaces bytea, _id_hash bytea, _subject text, _username text, _display_name text, _signed_in_at bigint,
    _expires_at bigint, _credential_digest text, _upstream text, _person text
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nameplate.end_session(_replaces, _signed_in_at);
    INSERT INTO nameplate.sessions (
        id_hash, subject, username, display_name, signed_in_at, expires_at, credential_digest, upstream, person
    ) VALUES (
        _id_hash, _subject, _username, _display_name, _signed_in_at, _expires_at, _credential_digest, _upstream, _person
    );
    PERFORM nameplate.record_event('session.started', _signed_in_at, '', _subject, '', '');
    RETURN true;
END $$""",
)

_SELECT_SUBJECT = "SELECT subject FROM nameplate.subjects WHERE upstream_issuer = $1 AND upstream_subject = $2"
_INSERT_SUBJECT = """
INSERT INTO nameplate.subjects (upstream_issuer, upstream_subject, subject, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (upstream_issuer, upstream_subject) DO NOTHING RETURNING subject
"""


async def record_subject(pool: PostgresPool, person: tuple[str, str], *, candidate: str, now: int) -> str:
    """See ``PersonStore.record_subject``. ``person`` is the upstream issuer and subject."""
    return await pool.finish(_record_subject(pool, person, candidate, now))


async def _record_subject(pool: PostgresPool, person: tuple[str, str], candidate: str, now: int) -> str:
    # Nearly everybody has been here before, and what is recorded never changes. Who inserts nothing has waited for
    # another one's commit, and finds what that one recorded.
    row = (
        await pool.fetch_row(_SELECT_SUBJECT, *person)
        or await pool.fetch_row(_INSERT_SUBJECT, *person, candidate, now)
        or await pool.fetch_row(_SELECT_SUBJECT, *person)
    )
    if row is None:
        raise StoreError("a subject was taken out of the store by somebody else")
    return str(row[0])


async def list_subjects(pool: PostgresPool, *, after: int, limit: int) -> Sequence[tuple[int, StoredSubject]]:
    """See ``PersonStore.list_subjects``."""
    listing = Listing(
        table="nameplate.subjects",
        columns="id, subject, upstream_issuer, upstream_subject, created_at",
        build=lambda row: (
            int(row[0]),
            StoredSubject(subject=row[1], upstream_issuer=row[2], upstream_subject=row[3], created_at=row[4]),
        ),
    )
    return await list_rows(pool, listing, after=after, limit=limit)


async def record_session(pool: PostgresPool, session: Session, *, replaces: bytes | None) -> None:
    """See ``PersonStore.record_session``."""
    await pool.commit(
        "SELECT nameplate.record_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        replaces,
        session.id_hash,
        session.subject,
        session.username,
        session.display_name,
        session.signed_in_at,
        session.expires_at,
        session.credential_digest,
        session.upstream,
        session.person,
    )


_SELECT_SESSION = """
SELECT subject, username, display_name, signed_in_at, expires_at, credential_digest, upstream, person
FROM nameplate.sessions WHERE id_hash = $1 AND expires_at > $2
"""


async def load_session(pool: PostgresPool, id_hash: bytes, now: int) -> Session | Unknown:
    """See ``PersonStore.load_session``."""
    row = await pool.fetch_row(_SELECT_SESSION, id_hash, now)
    if row is None:
        return Unknown()
    return Session(
        id_hash=id_hash,
        subject=row[0],
        username=row[1],
        display_name=row[2],
        signed_in_at=row[3],
        expires_at=row[4],
        credential_digest=row[5],
        upstream=row[6],
        person=row[7],
    )


async def end_session(pool: PostgresPool, id_hash: bytes, now: int) -> None:
    """See ``PersonStore.end_session``. A second end changes nothing, so it may be tried again."""
    await pool.fetch("SELECT nameplate.end_session($1, $2)", id_hash, now)


async def end_sessions(pool: PostgresPool, subject: str, now: int) -> int:
    """See ``PersonStore.end_sessions``."""
    [ended] = await pool.commit("SELECT nameplate.end_sessions($1, $2)", subject, now)
    return int(ended)
