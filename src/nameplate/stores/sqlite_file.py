"""The file of a SQLite store: where it lies, who may read it, and how connections to it are set up."""

import os
import sqlite3
import time
from pathlib import Path

from nameplate.errors import StoreError

__all__ = [
    "PATIENCE_SECONDS",
    "REFUSALS",
    "begin_immediate",
    "connect_reader",
    "connect_writer",
    "describe_failure",
    "is_busy",
    "keep_private",
    "make_durable",
    "parse_database_path",
    "take_short_naps",
]

# RETURNING came with 3.35, STRICT tables with 3.37.
_OLDEST_SQLITE = (3, 37, 0)

# What SQLite, or the binding of a value to a statement (an integer over 64 bits, a lone surrogate), can raise.
REFUSALS = (sqlite3.Error, OverflowError, UnicodeError)

# How long to wait for another process that writes to the same file. SQLite's own wait doubles its naps up to a tenth of
# a second, which suits the start but starves beside a process that commits one group after the other: once the store
# is open, SQLite waits for a moment only, and begin_immediate asks again.
PATIENCE_SECONDS = 10.0
_NAP_MILLISECONDS = 1

# A reader meets a lock only while another process recovers or closes the file, but then it holds up the event loop.
_READER_MILLISECONDS = 500

_WRITER_CACHE_KIB = 8192
_READER_CACHE_KIB = 4096
_WAL_PAGES = 4000
_WAL_KEPT_BYTES = 16 * 1024 * 1024

# What SQLite answers, in words that do not help, where the rights of the file or its folder are the cause.
_ACCESS_CODES = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})


def parse_database_path(path_or_url: str) -> Path:
    """The database file that a path or a URL names, absolute.

    ``sqlite:///var/store.db`` (three slashes) is relative to the working directory, ``sqlite:////var/store.db``
    (four) is absolute, as in SQLAlchemy. Nothing is percent-decoded and there is no query. Raises ``StoreError``
    for every other scheme, and for a database in memory: it could outlive nothing, and the reader could not see it.
    """
    scheme, separator, rest = path_or_url.partition("://")
    if separator and scheme != "sqlite":
        raise StoreError(f"not a sqlite:/// URL: its scheme is {scheme!r}")
    if separator and not rest.startswith("/"):
        raise StoreError("a SQLite URL has no host: three slashes before a relative path, four before an absolute one")
    name = rest[1:] if separator else path_or_url
    if not name or name == ":memory:" or "\0" in name or (separator and "?" in name):
        raise StoreError("the store needs the path of a file: neither a database in memory, nor a query")
    return Path(name).absolute()


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that may write to ``path``, made for its owner's eyes only if missing. Raises ``StoreError``."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
    _create_private(path)
    connection = _connect(path, "rw")
    connection.execute(f"PRAGMA busy_timeout = {int(PATIENCE_SECONDS * 1000)}")
    return connection


def keep_private(path: Path) -> None:
    """Take everybody else's rights from the file, and from the -wal and -shm files that lie beside it.

    The signing key is in them. A file that an earlier version, a backup or a copy left readable is tightened to mode
    0600, and never given a right that it lacked. Raises ``StoreError`` where others may read a file of another user.
    """
    # Never open and close the file here: that would drop the locks that SQLite holds on it in this process.
    real = os.path.realpath(path)  # SQLite follows a link too, and puts the other files beside its target
    for file in (Path(real), Path(f"{real}-wal"), Path(f"{real}-shm")):
        try:
            mode = file.stat().st_mode
            if mode & 0o077:
                file.chmod(mode & 0o600)
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = f"other users may open {file}, and its mode cannot be changed to 0600 by this user"
            raise StoreError(f"{problem}: {error.strerror}") from error


def describe_failure(path: Path, error: sqlite3.Error) -> str:
    """What keeps the store from being opened: the cause in plain words where one is found, then SQLite's words."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    cause = _find_access_problem(path) if code in _ACCESS_CODES else None
    return f"{cause} ({error})" if cause else str(error)


def make_durable(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL and the connection to commits that survive the loss of power. Raises ``StoreError``."""
    # Of a new file alone, before anything is in it: what a flood filled can be given back once it is swept.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    mode = _retry_while_busy(connection, "PRAGMA journal_mode = WAL", PATIENCE_SECONDS).fetchone()[0]
    if mode != "wal":
        raise StoreError(f"the file system does not offer what SQLite's WAL needs (its journal mode stays {mode!r})")
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        "temp_store = MEMORY",  # what a savepoint remembers never lies in a temporary file
        "trusted_schema = OFF",
        f"cache_size = -{_WRITER_CACHE_KIB}",
        f"wal_autocheckpoint = {_WAL_PAGES}",
        f"journal_size_limit = {_WAL_KEPT_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for short reads on the event loop's thread. Raises ``StoreError``."""
    connection = _connect(path, "ro")
    connection.execute(f"PRAGMA busy_timeout = {_READER_MILLISECONDS}")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    return connection


def take_short_naps(connection: sqlite3.Connection) -> None:
    """Let ``begin_immediate`` decide how long the connection waits for other processes, now that it is set up."""
    connection.execute(f"PRAGMA busy_timeout = {_NAP_MILLISECONDS}")


def begin_immediate(connection: sqlite3.Connection, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Start a transaction that holds the write lock, waiting for other processes for a bounded time.

    Taking the lock at the start keeps a transaction from failing half way because its snapshot grew old.
    Raises ``sqlite3.OperationalError`` when the time is over.
    """
    _retry_while_busy(connection, "BEGIN IMMEDIATE", patience_seconds)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether SQLite refused because another connection holds a lock (one of the extended codes of SQLITE_BUSY)."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF == sqlite3.SQLITE_BUSY


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        # SQLite serialises calls from several threads by itself (threadsafety 3); the module's own check is
        # stricter than that.
        return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {path}: {describe_failure(path, error)}") from error


def _create_private(path: Path) -> None:
    """Make an empty file of mode 0600, unless there is one. SQLite gives its -wal and -shm files the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        cause = _find_access_problem(path)
        problem = f"{cause} ({error.strerror})" if cause else error.strerror
        raise StoreError(f"cannot create {path}: {problem}") from error


def _find_access_problem(path: Path) -> str | None:
    """Why this user cannot use the file, or None where its rights and its folder's are as they should be."""
    path = Path(os.path.realpath(path))
    folder = path.parent
    if not os.access(folder, os.X_OK):
        return f"the folder {folder} is missing, or this user may not enter it"
    if path.is_dir():
        return "it is a folder, and the store is a file"
    if os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.W_OK):
        return "permission denied, this user must be able to read and to write the file"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"permission denied, the folder {folder} must be writable too: SQLite keeps more files beside the store"
    return None


def _retry_while_busy(connection: sqlite3.Connection, statement: str, patience_seconds: float) -> sqlite3.Cursor:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return connection.execute(statement)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.001)  # some kinds of SQLITE_BUSY come at once, without SQLite's own wait
