"""People in a SQLite store: who they are, and their sessions.

Functions that write run inside a transaction that holds the write lock. The ``load_`` functions need no transaction.
"""

import sqlite3

from nameplate.ports.store import StoredSubject
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.audit import AuditEvent
from nameplate.protocol.grant import Session
from nameplate.stores.sqlite_audit import record_event
from nameplate.stores.sqlite_lister import Listing

__all__ = [
    "SUBJECTS",
    "end_session",
    "end_sessions",
    "load_session",
    "load_subject",
    "record_session",
    "record_subject",
]

_SELECT_SUBJECT = "SELECT subject FROM subjects WHERE upstream_issuer = ? AND upstream_subject = ?"


def load_subject(connection: sqlite3.Connection, *, person: tuple[str, str]) -> str | None:
    """The ``sub`` recorded for this person (upstream issuer, upstream subject), if any."""
    row = connection.execute(_SELECT_SUBJECT, person).fetchone()
    return None if row is None else row[0]


_INSERT_SUBJECT = """
INSERT INTO subjects (upstream_issuer, upstream_subject, subject, created_at) VALUES (?, ?, ?, ?)
ON CONFLICT (upstream_issuer, upstream_subject) DO NOTHING
"""


def record_subject(connection: sqlite3.Connection, *, person: tuple[str, str], candidate: str, now: int) -> str:
    """See ``PersonStore.record_subject``."""
    connection.execute(_INSERT_SUBJECT, (*person, candidate, now))
    return load_subject(connection, person=person) or candidate


SUBJECTS = Listing(
    table="subjects",
    columns="id, subject, upstream_issuer, upstream_subject, created_at",
    build=lambda row: (
        int(row[0]),
        StoredSubject(subject=row[1], upstream_issuer=row[2], upstream_subject=row[3], created_at=row[4]),
    ),
)
"""See ``PersonStore.list_subjects``."""

_INSERT_SESSION = """
INSERT INTO sessions (
    id_hash, subject, username, display_name, signed_in_at, expires_at, credential_digest, upstream, person
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def record_session(connection: sqlite3.Connection, *, session: Session, replaces: bytes | None) -> None:
    """See ``PersonStore.record_session``."""
    if replaces is not None:
        end_session(connection, id_hash=replaces, now=session.signed_in_at)
    values = (
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
    connection.execute(_INSERT_SESSION, values)
    record_event(connection, AuditEvent(name="session.started", at=session.signed_in_at, subject=session.subject))


_SELECT_SESSION = """
SELECT subject, username, display_name, signed_in_at, expires_at, credential_digest, upstream, person
FROM sessions WHERE id_hash = ? AND expires_at > ?
"""


def load_session(connection: sqlite3.Connection, *, id_hash: bytes, now: int) -> Session | Unknown:
    """See ``PersonStore.load_session``."""
    row = connection.execute(_SELECT_SESSION, (id_hash, now)).fetchone()
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


_DELETE_SESSION = "DELETE FROM sessions WHERE id_hash = ? AND expires_at > ? RETURNING subject"


def end_session(connection: sqlite3.Connection, *, id_hash: bytes, now: int) -> None:
    """See ``PersonStore.end_session``. An expired session is left to the sweep: it has ended by itself."""
    row = connection.execute(_DELETE_SESSION, (id_hash, now)).fetchone()
    if row is not None:
        record_event(connection, AuditEvent(name="session.ended", at=now, subject=row[0]))


_DELETE_SESSIONS = "DELETE FROM sessions WHERE subject = ? AND expires_at > ?"


def end_sessions(connection: sqlite3.Connection, *, subject: str, now: int) -> int:
    """See ``PersonStore.end_sessions``."""
    ended = connection.execute(_DELETE_SESSIONS, (subject, now)).rowcount
    for _ in range(ended):
        record_event(connection, AuditEvent(name="session.ended", at=now, subject=subject))
    return ended
