"""The audit trail in a PostgreSQL store. Events are written in the transaction of what they tell.

An event's position is its ``id``. Ids are drawn before the commit, and transactions do not commit in their order:
whoever reads up to the last one that he sees could miss an earlier one that is committed a moment later. So each
transaction that writes events announces, before it draws an id, behind which id all of its own will lie. It does so in
the key of a shared advisory lock, which the end of the transaction takes away. A reader looks up the announcements, and
stops at the lowest. Nobody else's transaction delays him, however long it runs and in whatever database; and he delays
nobody.

(To stop at the oldest running transaction, ``pg_snapshot_xmin``, would be simpler. But that may be a stranger's, in
another database, which runs for hours; and transaction numbers begin anew where a dump is restored.)
"""

from collections.abc import Sequence

from nameplate.errors import StoreError
from nameplate.protocol.audit import AuditEvent, AuditFilter
from nameplate.stores.postgres_lister import Condition, Listing, list_rows
from nameplate.stores.postgres_pool import PostgresPool
from nameplate.stores.postgres_text import Row

__all__ = ["FUNCTIONS", "load_events"]

# The lock's key: the table, and the last 31 bits of the id. A statement's trigger fires before its defaults are drawn.
FUNCTIONS = (
    """CREATE FUNCTION nameplate.announce_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _last bigint;
BEGIN
    SELECT last_value INTO _last FROM nameplate.audit_events_id_seq;
    PERFORM pg_advisory_xact_lock_shared(TG_RELID::integer, (_last & 2147483647)::integer);
    RETURN NULL;
END $$""",
    """CREATE TRIGGER announce_events BEFORE INSERT ON nameplate.audit_events
FOR EACH STATEMENT EXECUTE FUNCTION nameplate.announce_events()""",
    # Up to which id nothing can be added any more. The three statements in this order: what was announced after the
    # first draws higher ids than it read; what was taken away before the second is committed, and seen by later ones.
    """CREATE FUNCTION nameplate.find_audit_horizon() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    _before bigint;
    _announced bigint[];
    _after bigint;
BEGIN
    SELECT last_value INTO _before FROM nameplate.audit_events_id_seq;
    SELECT array_agg(objid::bigint) INTO _announced FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND classid = 'nameplate.audit_events'::regclass::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
    SELECT last_value INTO _after FROM nameplate.audit_events_id_seq;
    RETURN least(_before, (SELECT min(_after - ((_after - low) & 2147483647)) FROM unnest(_announced) AS low));
END $$""",
    """CREATE FUNCTION nameplate.record_event(
    _name text, _at bigint, _client_id text, _subject text, _grant_id text, _detail text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO nameplate.audit_events (name, at, client_id, subject, grant_id, detail)
    VALUES (_name, _at, _client_id, _subject, _grant_id, _detail);
END $$""",
)

_FIND_LAST = "SELECT last_value FROM nameplate.audit_events_id_seq"
_FIND_HORIZON = "SELECT nameplate.find_audit_horizon()"

# Clocks differ from replica to replica, so what was written first may bear a later instant than others. But hardly one
# that is later than those of so many others.
_FIND_START = """
SELECT min(id) FROM (SELECT id FROM nameplate.audit_events WHERE at >= $1 ORDER BY at LIMIT 100000) AS early
"""


async def load_events(
    pool: PostgresPool, which: AuditFilter, *, after: str, limit: int
) -> Sequence[tuple[str, AuditEvent]]:
    """See ``AuditStore.load_audit_events``."""
    position = _parse_position(after)
    [[horizon]] = await pool.fetch(_FIND_HORIZON)
    if position > horizon:  # which may lie behind one that was given before, but the sequence never goes back
        [[last]] = await pool.fetch(_FIND_LAST)
        if position > last:
            raise StoreError(
                f"the position {position} is not in this audit trail, which ends at {last}: the store is another one, "
                "or a copy from before was restored"
            )
    if which.since is not None:
        [[start]] = await pool.fetch(_FIND_START, which.since)
        if start is None:
            return []
        position = max(position, start - 1)
    return await list_rows(pool, _build_listing(which, horizon), after=position, limit=limit)


def _parse_position(position: str) -> int:
    if not position:
        return 0
    if not (position.isascii() and position.isdecimal() and len(position) < 20 and int(position) < 2**63):
        raise StoreError("not a position in the audit trail")
    return int(position)


def _build_listing(which: AuditFilter, horizon: int) -> Listing[tuple[str, AuditEvent]]:
    equal = (("client_id", which.client_id), ("subject", which.subject), ("grant_id", which.grant_id))
    conditions = [Condition(f"{column} = %s", value) for column, value in equal if value]
    if which.names:
        conditions.append(Condition("name = ANY (%s)", which.names))
    if which.since is not None:
        conditions.append(Condition("at + 0 >= %s", which.since))  # not by its index: the stretch is small already
    if which.until is not None:
        conditions.append(Condition("at + 0 <= %s", which.until))
    return Listing(
        table="nameplate.audit_events",
        columns="id, name, at, client_id, subject, grant_id, detail",
        build=_build_event,
        conditions=tuple(conditions),
        last=horizon,
    )


def _build_event(row: Row) -> tuple[str, AuditEvent]:
    event = AuditEvent(name=row[1], at=row[2], client_id=row[3], subject=row[4], grant_id=row[5], detail=row[6])
    return str(row[0]), event
