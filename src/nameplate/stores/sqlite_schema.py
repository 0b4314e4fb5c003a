"""The tables of a SQLite store, as numbered migrations.

``PRAGMA user_version`` holds the number of the last migration that ran. A migration that was released is never
edited: add one. Every table has a rowid, and unique indexes on the random values by which rows are found: at a
million rows that writes twice as fast as a table clustered by a random key.
"""

import sqlite3

from nameplate.errors import StoreError
from nameplate.stores.sqlite_file import begin_immediate

__all__ = ["SCHEMA_VERSION", "check_schema", "migrate"]

# Marks the file as ours ("npla"), so that a path that names another program's database does it no harm.
_APPLICATION_ID = 0x6E706C61

_GRANTS = (
    # The number of rows is kept by triggers: the cap on what strangers can cause to be stored must not cost a count.
    """CREATE TABLE counters (
        name TEXT PRIMARY KEY NOT NULL,
        value INTEGER NOT NULL
    ) STRICT""",
    """INSERT INTO counters (name, value)
    VALUES ('pending_authorizations', 0), ('expiring_clients', 0), ('checks', 0)""",
    """CREATE TABLE pending_authorizations (
        id INTEGER PRIMARY KEY,
        id_hash BLOB NOT NULL UNIQUE,
        browser_hash BLOB NOT NULL,
        client_id TEXT NOT NULL,
        redirect_uri TEXT NOT NULL,
        registered_redirect_uri TEXT NOT NULL,
        state TEXT,
        scope TEXT NOT NULL,
        resource TEXT NOT NULL,
        code_challenge TEXT NOT NULL,
        client_metadata TEXT NOT NULL,
        issues_refresh_token INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        login_hint TEXT,
        signed_in_after INTEGER,
        answered_at INTEGER
    ) STRICT""",
    "CREATE INDEX pending_authorizations_expires_at ON pending_authorizations (expires_at)",
    """CREATE TRIGGER pending_authorizations_inserted AFTER INSERT ON pending_authorizations BEGIN
        UPDATE counters SET value = value + 1 WHERE name = 'pending_authorizations';
    END""",
    """CREATE TRIGGER pending_authorizations_deleted AFTER DELETE ON pending_authorizations BEGIN
        UPDATE counters SET value = value - 1 WHERE name = 'pending_authorizations';
    END""",
    # sweep_at is when the sweep next looks whether the grant has ended and nothing refers to it any more.
    """CREATE TABLE grants (
        id INTEGER PRIMARY KEY,
        grant_id TEXT NOT NULL UNIQUE,
        client_id TEXT NOT NULL,
        subject TEXT NOT NULL,
        resource TEXT NOT NULL,
        scope TEXT NOT NULL,
        client_metadata TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        revoked_at INTEGER,
        username TEXT NOT NULL,
        upstream TEXT NOT NULL,
        person TEXT NOT NULL,
        auth_method TEXT NOT NULL,
        client_keys TEXT NOT NULL,
        sweep_at INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX grants_sweep_at ON grants (sweep_at)",
    "CREATE INDEX grants_revoked ON grants (resource, revoked_at) WHERE revoked_at IS NOT NULL",
    # A grant has one code, so they share their row number. kept_until is later than expires_at: a spent code must be
    # recognised when it comes again.
    """CREATE TABLE codes (
        grant_row INTEGER PRIMARY KEY NOT NULL REFERENCES grants (id),
        code_hash BLOB NOT NULL UNIQUE,
        client_id TEXT NOT NULL,
        redirect_uri TEXT NOT NULL,
        code_challenge TEXT NOT NULL,
        issues_refresh_token INTEGER NOT NULL,
        issued_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        spent_at INTEGER,
        kept_until INTEGER NOT NULL,
        UNIQUE (client_id, code_challenge)
    ) STRICT""",
    "CREATE INDEX codes_kept_until ON codes (kept_until)",
    # The tokens of a grant are numbered. Lying side by side, a token and its successor change one page, not two.
    """CREATE TABLE refresh_tokens (
        grant_row INTEGER NOT NULL REFERENCES grants (id),
        number INTEGER NOT NULL,
        token_hash BLOB NOT NULL UNIQUE,
        issued_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        rotated_at INTEGER,
        PRIMARY KEY (grant_row, number)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at)",
    # Only the answer to a grant's last rotation can be asked for again: number is that of the token that was rotated.
    """CREATE TABLE refresh_answers (
        grant_row INTEGER PRIMARY KEY NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        sealed_answer BLOB NOT NULL,
        repeats INTEGER NOT NULL,
        kept_until INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX refresh_answers_kept_until ON refresh_answers (kept_until)",
    """CREATE TABLE assertion_uses (
        id INTEGER PRIMARY KEY,
        use_hash BLOB NOT NULL UNIQUE,
        kept_until INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX assertion_uses_kept_until ON assertion_uses (kept_until)",
)
_UPSTREAMS = (
    """CREATE TABLE upstream_attempts (
        id INTEGER PRIMARY KEY,
        state_hash BLOB NOT NULL UNIQUE,
        browser_hash BLOB NOT NULL,
        upstream TEXT NOT NULL,
        sealed_memory BLOB NOT NULL,
        approved_subject TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT""",
    # Within one browser an index keeps the order of the ids.
    "CREATE INDEX upstream_attempts_browser_hash ON upstream_attempts (browser_hash)",
    "CREATE INDEX upstream_attempts_expires_at ON upstream_attempts (expires_at)",
    # leased_until is when the refresh that somebody is at counts as abandoned; 0 where nobody is.
    """CREATE TABLE upstream_tokens (
        grant_row INTEGER PRIMARY KEY NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
        sealed BLOB NOT NULL,
        version INTEGER NOT NULL,
        leased_until INTEGER NOT NULL
    ) STRICT""",
)
_PEOPLE = (
    """CREATE TABLE subjects (
        id INTEGER PRIMARY KEY,
        upstream_issuer TEXT NOT NULL,
        upstream_subject TEXT NOT NULL,
        subject TEXT NOT NULL UNIQUE,
        created_at INTEGER NOT NULL,
        UNIQUE (upstream_issuer, upstream_subject)
    ) STRICT""",
    """CREATE TABLE sessions (
        id INTEGER PRIMARY KEY,
        id_hash BLOB NOT NULL UNIQUE,
        subject TEXT NOT NULL,
        username TEXT NOT NULL,
        display_name TEXT NOT NULL,
        signed_in_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        credential_digest TEXT NOT NULL,
        upstream TEXT NOT NULL,
        person TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX sessions_expires_at ON sessions (expires_at)",
    "CREATE INDEX sessions_subject ON sessions (subject)",
    """CREATE TABLE budgets (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        level REAL NOT NULL,
        spent_at REAL NOT NULL,
        full_at REAL NOT NULL
    ) STRICT""",
    "CREATE INDEX budgets_full_at ON budgets (full_at)",
)
_CLIENTS = (
    # sweep_at is when the sweep next looks whether a live grant is this client's; body is empty where none may be kept.
    """CREATE TABLE documents (
        id INTEGER PRIMARY KEY,
        client_id TEXT NOT NULL UNIQUE,
        body BLOB NOT NULL,
        headers TEXT NOT NULL,
        fetched_at INTEGER NOT NULL,
        fresh_until INTEGER NOT NULL,
        last_good_until INTEGER NOT NULL,
        refused_at INTEGER,
        sweep_at INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX documents_sweep_at ON documents (sweep_at)",
    # By which the sweep finds out how long a client's grants live, however many there are.
    "CREATE INDEX grants_not_revoked ON grants (client_id, expires_at) WHERE revoked_at IS NULL",
    # Both instants are NULL for what the operator registered: only the others are counted, and swept.
    """CREATE TABLE clients (
        id INTEGER PRIMARY KEY,
        client_id TEXT NOT NULL UNIQUE,
        metadata TEXT NOT NULL,
        secret_hash BLOB,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        sweep_at INTEGER
    ) STRICT""",
    "CREATE INDEX clients_sweep_at ON clients (sweep_at) WHERE sweep_at IS NOT NULL",
    """CREATE TRIGGER clients_inserted AFTER INSERT ON clients WHEN new.expires_at IS NOT NULL BEGIN
        UPDATE counters SET value = value + 1 WHERE name = 'expiring_clients';
    END""",
    """CREATE TRIGGER clients_deleted AFTER DELETE ON clients WHEN old.expires_at IS NOT NULL BEGIN
        UPDATE counters SET value = value - 1 WHERE name = 'expiring_clients';
    END""",
)
_KEYS_AND_AUDIT = (
    """CREATE TABLE signing_keys (
        id INTEGER PRIMARY KEY,
        kid TEXT NOT NULL UNIQUE,
        sealed_jwk BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        active_from INTEGER NOT NULL,
        withdrawn_at INTEGER
    ) STRICT""",
    # Whoever reads on from the last event must find the next one behind it, even if all before were swept meanwhile.
    """CREATE TABLE audit_events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        at INTEGER NOT NULL,
        client_id TEXT NOT NULL,
        subject TEXT NOT NULL,
        grant_id TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT""",
    # Events come in nearly this order, so it costs a write little; one by grant, client or person would cost more.
    "CREATE INDEX audit_events_at ON audit_events (at)",
)
_MIGRATIONS: tuple[tuple[str, ...], ...] = ((*_GRANTS, *_UPSTREAMS, *_PEOPLE, *_CLIENTS, *_KEYS_AND_AUDIT),)

SCHEMA_VERSION = len(_MIGRATIONS)


def check_schema(connection: sqlite3.Connection) -> None:
    """Raises ``StoreError`` for a file that a newer version wrote, and for one that belongs to another program."""
    _read_version(connection)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to this version's schema, once over all processes that start together.

    Raises ``StoreError`` as ``check_schema`` does, and ``sqlite3.Error`` where the file may only be read.
    """
    begin_immediate(connection)
    try:
        for number in range(_read_version(connection), SCHEMA_VERSION):
            for statement in _MIGRATIONS[number]:
                connection.execute(statement)
        # Written even where nothing was left to do: a file that may only be read has to be found out now.
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled it back already, and must stay the cause that is told
            connection.execute("ROLLBACK")
        raise


# One statement, so that the three belong to one moment even while another process migrates.
_VERSION = """
SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
FROM pragma_application_id, pragma_user_version
"""


def _read_version(connection: sqlite3.Connection) -> int:
    application_id, version, tables = connection.execute(_VERSION).fetchone()
    if application_id != _APPLICATION_ID and (application_id, version, tables) != (0, 0, 0):
        raise StoreError("the file is a SQLite database of another program")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"a newer nameplate wrote this store: its schema is {version}, this version knows {SCHEMA_VERSION}"
        )
    return int(version)
