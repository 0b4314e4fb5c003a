"""Opening the store that a URL names, whichever kind it is."""

from nameplate.errors import ConfigurationError, StoreError
from nameplate.ports.store import Store
from nameplate.stores.postgres_url import parse_postgres_url
from nameplate.stores.sqlite_file import parse_database_path

__all__ = ["check_store_url", "open_store"]

_POSTGRES = ("postgresql:", "postgres:")


def check_store_url(url: str) -> None:
    """Whether the URL names a store. Raises ``ConfigurationError``, which never shows the URL's password."""
    try:
        if url.startswith("sqlite:///"):
            parse_database_path(url)
        elif url.startswith(_POSTGRES):
            parse_postgres_url(url)
        else:
            raise ConfigurationError(
                "store.url", "must begin with sqlite:/// or postgresql://, for example sqlite:///nameplate.sqlite3."
            )
    except StoreError as error:
        raise ConfigurationError("store.url", f"{error}.") from None


async def open_store(url: str) -> Store:
    """Open the store. Raises ``StoreError`` where that cannot be done, and ``ConfigurationError`` (``store.url``) for a
    URL that names none, or one for which an extra has to be installed.
    """
    check_store_url(url)
    if not url.startswith(_POSTGRES):
        from nameplate.stores.sqlite import SqliteStore

        return await SqliteStore.open(url)
    try:
        from nameplate.stores.postgres import PostgresStore
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ConfigurationError(
            "store.url", "PostgreSQL needs the extra postgres: pip install 'nameplate[postgres]'."
        ) from None
    return await PostgresStore.open(url)
