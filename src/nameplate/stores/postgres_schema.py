"""What lies in the schema of a PostgreSQL store, as numbered migrations.

``store_version`` holds the number of the last one that ran. A migration that was released is never edited: add one. The
functions lie in the modules of those that call them. All are made anew where a migration ran, so a change of a function
is a migration too, with no statements of its own if no table changes.

Locks are taken in this order, and rows of one table in the order of their keys, so that nobody waits in a circle:
pending authorization, use of an assertion, client, grant, its code, refresh tokens and upstream tokens, share. Upstream
attempts are apart: a browser, then its attempts, and nothing else. Whoever inserts waits for another one only where
both insert the same key, and that one then waits for nothing that the first could hold: what is to be deleted is
locked, and its share returned, before it is deleted. The sweep skips what is locked.
"""

from typing import Any

import asyncpg

from nameplate.errors import StoreError
from nameplate.stores import (
    postgres_assertions,
    postgres_audit,
    postgres_authorizations,
    postgres_budgets,
    postgres_clients,
    postgres_codes,
    postgres_grants,
    postgres_keys,
    postgres_people,
    postgres_refresh_tokens,
    postgres_shares,
    postgres_sweep,
    postgres_upstreams,
)
from nameplate.stores.postgres_pool import FAILURES, PostgresPool, describe_failure

__all__ = ["SCHEMA_VERSION", "migrate"]

_OLDEST_SERVER = 14

# Some room is left in the pages of rows that are changed once or more: an index then need not learn of the change.
_GRANTS = (
    # How many places of each share of a cap are taken.
    """CREATE TABLE nameplate.shares (
        kind text NOT NULL,
        share integer NOT NULL,
        used bigint NOT NULL,
        PRIMARY KEY (kind, share)
    ) WITH (fillfactor = 10)""",
    """INSERT INTO nameplate.shares (kind, share, used)
    SELECT kind, share, 0 FROM unnest(ARRAY['pending', 'clients']) AS kind, generate_series(0, 31) AS share""",
    """CREATE TABLE nameplate.checks (
        value bigint NOT NULL
    ) WITH (fillfactor = 10)""",
    "INSERT INTO nameplate.checks (value) VALUES (0)",
    """CREATE TABLE nameplate.pending_authorizations (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id_hash bytea NOT NULL UNIQUE,
        browser_hash bytea NOT NULL,
        client_id text NOT NULL,
        redirect_uri text NOT NULL,
        registered_redirect_uri text NOT NULL,
        state text,
        scope text[] NOT NULL,
        resource text NOT NULL,
        code_challenge text NOT NULL,
        client_metadata text NOT NULL,
        issues_refresh_token boolean NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        login_hint text,
        signed_in_after bigint,
        answered_at bigint,
        share integer NOT NULL
    ) WITH (fillfactor = 80)""",
    "CREATE INDEX pending_authorizations_expires_at ON nameplate.pending_authorizations (expires_at)",
    # sweep_at is when the sweep next looks whether the grant has ended and nothing refers to it any more.
    """CREATE TABLE nameplate.grants (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        grant_id text NOT NULL UNIQUE,
        client_id text NOT NULL,
        subject text NOT NULL,
        resource text NOT NULL,
        scope text[] NOT NULL,
        client_metadata text NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        revoked_at bigint,
        username text NOT NULL,
        upstream text NOT NULL,
        person text NOT NULL,
        auth_method text NOT NULL,
        client_keys text NOT NULL,
        sweep_at bigint NOT NULL
    ) WITH (fillfactor = 80)""",
    "CREATE INDEX grants_sweep_at ON nameplate.grants (sweep_at)",
    # By which it is found out how long a client's grants live, however many there are.
    "CREATE INDEX grants_not_revoked ON nameplate.grants (client_id, expires_at) WHERE revoked_at IS NULL",
    "CREATE INDEX grants_revoked ON nameplate.grants (resource, revoked_at) WHERE revoked_at IS NOT NULL",
    # A grant has one code, so they share their row number. kept_until is later than expires_at: a spent code must be
    # recognised when it comes again.
    """CREATE TABLE nameplate.codes (
        grant_row bigint PRIMARY KEY REFERENCES nameplate.grants (id),
        code_hash bytea NOT NULL UNIQUE,
        client_id text NOT NULL,
        redirect_uri text NOT NULL,
        code_challenge text NOT NULL,
        issues_refresh_token boolean NOT NULL,
        issued_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        spent_at bigint,
        kept_until bigint NOT NULL,
        UNIQUE (client_id, code_challenge)
    ) WITH (fillfactor = 80)""",
    "CREATE INDEX codes_kept_until ON nameplate.codes (kept_until)",
    """CREATE TABLE nameplate.refresh_tokens (
        grant_row bigint NOT NULL REFERENCES nameplate.grants (id),
        number bigint NOT NULL,
        token_hash bytea NOT NULL UNIQUE,
        issued_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        rotated_at bigint,
        PRIMARY KEY (grant_row, number)
    ) WITH (fillfactor = 80)""",
    "CREATE INDEX refresh_tokens_expires_at ON nameplate.refresh_tokens (expires_at)",
    # Only the answer to a grant's last rotation can be asked for again: number is that of the token that was rotated.
    """CREATE TABLE nameplate.refresh_answers (
        grant_row bigint PRIMARY KEY REFERENCES nameplate.grants (id) ON DELETE CASCADE,
        number bigint NOT NULL,
        sealed_answer bytea NOT NULL,
        repeats bigint NOT NULL,
        kept_until bigint NOT NULL
    )""",
    "CREATE INDEX refresh_answers_kept_until ON nameplate.refresh_answers (kept_until)",
    """CREATE TABLE nameplate.assertion_uses (
        use_hash bytea PRIMARY KEY,
        kept_until bigint NOT NULL
    )""",
    "CREATE INDEX assertion_uses_kept_until ON nameplate.assertion_uses (kept_until)",
)
_UPSTREAMS = (
    """CREATE TABLE nameplate.upstream_attempts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        state_hash bytea NOT NULL UNIQUE,
        browser_hash bytea NOT NULL,
        upstream text NOT NULL,
        sealed_memory bytea NOT NULL,
        approved_subject text NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint NOT NULL
    )""",
    "CREATE INDEX upstream_attempts_browser_hash ON nameplate.upstream_attempts (browser_hash, id)",
    "CREATE INDEX upstream_attempts_expires_at ON nameplate.upstream_attempts (expires_at)",
    # leased_until is when the refresh that somebody is at counts as abandoned; 0 where nobody is.
    """CREATE TABLE nameplate.upstream_tokens (
        grant_row bigint PRIMARY KEY REFERENCES nameplate.grants (id) ON DELETE CASCADE,
        sealed bytea NOT NULL,
        version bigint NOT NULL,
        leased_until bigint NOT NULL
    ) WITH (fillfactor = 80)""",
)
_PEOPLE = (
    """CREATE TABLE nameplate.subjects (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        upstream_issuer text NOT NULL,
        upstream_subject text NOT NULL,
        subject text NOT NULL UNIQUE,
        created_at bigint NOT NULL,
        UNIQUE (upstream_issuer, upstream_subject)
    )""",
    """CREATE TABLE nameplate.sessions (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id_hash bytea NOT NULL UNIQUE,
        subject text NOT NULL,
        username text NOT NULL,
        display_name text NOT NULL,
        signed_in_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        credential_digest text NOT NULL,
        upstream text NOT NULL,
        person text NOT NULL
    )""",
    "CREATE INDEX sessions_expires_at ON nameplate.sessions (expires_at)",
    "CREATE INDEX sessions_subject ON nameplate.sessions (subject, expires_at)",
    """CREATE TABLE nameplate.budgets (
        name text PRIMARY KEY,
        level float8 NOT NULL,
        spent_at float8 NOT NULL,
        full_at float8 NOT NULL
    ) WITH (fillfactor = 50)""",
    "CREATE INDEX budgets_full_at ON nameplate.budgets (full_at)",
)
_CLIENTS = (
    # sweep_at is when the sweep next looks whether a live grant is this client's; body is empty where none may be kept.
    """CREATE TABLE nameplate.documents (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        client_id text NOT NULL UNIQUE,
        body bytea NOT NULL,
        headers text NOT NULL,
        fetched_at bigint NOT NULL,
        fresh_until bigint NOT NULL,
        last_good_until bigint NOT NULL,
        refused_at bigint,
        sweep_at bigint NOT NULL
    )""",
    "CREATE INDEX documents_sweep_at ON nameplate.documents (sweep_at)",
    # The last three are NULL for what the operator registered: only the others are counted, and swept.
    """CREATE TABLE nameplate.clients (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        client_id text NOT NULL UNIQUE,
        metadata text NOT NULL,
        secret_hash bytea,
        created_at bigint NOT NULL,
        expires_at bigint,
        sweep_at bigint,
        share integer
    )""",
    "CREATE INDEX clients_sweep_at ON nameplate.clients (sweep_at)",
)
_KEYS_AND_AUDIT = (
    """CREATE TABLE nameplate.signing_keys (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kid text NOT NULL UNIQUE,
        sealed_jwk bytea NOT NULL,
        created_at bigint NOT NULL,
        active_from bigint NOT NULL,
        withdrawn_at bigint
    )""",
    """CREATE TABLE nameplate.audit_events (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        at bigint NOT NULL,
        client_id text NOT NULL,
        subject text NOT NULL,
        grant_id text NOT NULL,
        detail text NOT NULL
    )""",
    # Events come in nearly this order, so it costs a write little; one by grant, client or person would cost more.
    "CREATE INDEX audit_events_at ON nameplate.audit_events (at)",
)
_MIGRATIONS: tuple[tuple[str, ...], ...] = ((*_GRANTS, *_UPSTREAMS, *_PEOPLE, *_CLIENTS, *_KEYS_AND_AUDIT),)

_FUNCTIONS = (
    *postgres_audit.FUNCTIONS,
    *postgres_assertions.FUNCTIONS,
    *postgres_shares.FUNCTIONS,
    *postgres_grants.FUNCTIONS,
    *postgres_authorizations.FUNCTIONS,
    *postgres_codes.FUNCTIONS,
    *postgres_refresh_tokens.FUNCTIONS,
    *postgres_upstreams.FUNCTIONS,
    *postgres_people.FUNCTIONS,
    *postgres_budgets.FUNCTIONS,
    *postgres_clients.FUNCTIONS,
    *postgres_keys.FUNCTIONS,
    *postgres_sweep.FUNCTIONS,
)

SCHEMA_VERSION = len(_MIGRATIONS)


async def migrate(pool: PostgresPool, schema: str) -> None:
    """Bring the schema to this version's, once over all replicas that start together.

    Raises ``StoreError`` for a schema that a newer version wrote, for one that belongs to another program, and for a
    server or database that cannot hold a store.
    """
    connection = await pool.connect()
    try:
        await _check_server(connection)
        if await _read_version(connection, pool, schema) < SCHEMA_VERSION:
            await _migrate_alone(connection, pool, schema)
    except FAILURES as error:
        raise StoreError(f"cannot prepare the schema {schema!r}: {describe_failure(error)}") from error
    finally:
        await pool.disconnect(connection)


_SETTINGS = "SELECT current_setting('default_transaction_isolation'), current_setting('synchronous_commit')"


async def _check_server(connection: Any) -> None:
    major = connection.get_server_version().major
    if major < _OLDEST_SERVER:
        raise StoreError(f"PostgreSQL {major} is too old: {_OLDEST_SERVER} or newer is needed")
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise StoreError(f"the database's encoding is {encoding}, and must be UTF8")
    # We asked for both, but a pooler in between may have kept that to itself.
    isolation, durability = await connection.fetchrow(_SETTINGS)
    if isolation != "read committed" or durability in ("off", "local"):
        raise StoreError(
            f"transactions are {isolation!r} with synchronous_commit {durability!r}, and must be 'read committed' and "
            "'on': set both for this role (ALTER ROLE … SET)"
        )


async def _migrate_alone(connection: Any, pool: PostgresPool, schema: str) -> None:
    """Run what is missing in one transaction, while others that would do the same wait."""
    async with connection.transaction():
        # A migration may take longer than any request, and the wait for somebody else's too.
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'")
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('nameplate ' || $1, 0))", schema)
        version = await _read_version(connection, pool, schema)
        if version == SCHEMA_VERSION:
            return
        beginnings = await _list_beginnings(connection, schema) if version == 0 else []
        migrations = [statement for migration in _MIGRATIONS[version:] for statement in migration]
        statements = [*beginnings, *migrations, *await _list_drops(connection, schema), *_FUNCTIONS]
        await connection.execute(";\n".join(pool.translate(statement) for statement in statements))
        await connection.execute(pool.translate("UPDATE nameplate.store_version SET version = $1"), SCHEMA_VERSION)


async def _list_beginnings(connection: Any, schema: str) -> list[str]:
    """The statements that make the schema, if the operator has not made it, and mark it as ours."""
    exists = await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema)
    return [
        *([] if exists else [f'CREATE SCHEMA "{schema}"']),
        "CREATE TABLE nameplate.store_version (application text NOT NULL, version integer NOT NULL)",
        "INSERT INTO nameplate.store_version (application, version) VALUES ('nameplate', 0)",
    ]


_SELECT_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1
"""


async def _list_drops(connection: Any, schema: str) -> list[str]:
    """The statements that drop the functions of an earlier version, and the trigger that calls one."""
    return [f"DROP FUNCTION {name} CASCADE" for (name,) in await connection.fetch(_SELECT_FUNCTIONS, schema)]


_SELECT_STATE = """
SELECT
    EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'store_version'),
    EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid)
        OR EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid)
FROM pg_namespace n WHERE n.nspname = $1
"""


async def _read_version(connection: Any, pool: PostgresPool, schema: str) -> int:
    """The number of the last migration that ran; 0 where there is nothing yet."""
    is_marked, is_used = await connection.fetchrow(_SELECT_STATE, schema) or (False, False)
    if not is_used:
        return 0
    foreign = StoreError(f"the schema {schema!r} belongs to another program; name another one with ?schema= in the URL")
    if not is_marked:
        raise foreign
    try:
        rows = await connection.fetch(pool.translate("SELECT application, version FROM nameplate.store_version"))
    except asyncpg.UndefinedColumnError as error:
        raise foreign from error
    if [row["application"] for row in rows] != ["nameplate"]:
        raise foreign
    version = int(rows[0]["version"])
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"a newer nameplate wrote this store: its schema is {version}, this version knows {SCHEMA_VERSION}"
        )
    return version
