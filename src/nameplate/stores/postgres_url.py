"""The URL of a PostgreSQL store: what it may say, and how it is read without showing its password to anybody."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode

from nameplate.errors import StoreError
from nameplate.secret import Secret

__all__ = ["PostgresUrl", "parse_postgres_url"]

_URL = re.compile(r"postgres(?:ql)?://(?:([^/?#]*)@)?([^/?#@]*)(?:/([^/?#@]*))?(?:\?([^#]*))?")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|%2F[A-Za-z0-9._%-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

# What libpq knows under the same names, and asyncpg does with it.
_CONNECTION_PARAMETERS = frozenset(
    {"host", "passfile", "port", "sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert", "target_session_attrs"}
)
_OWN_PARAMETERS = frozenset({"pool_size", "schema", "statement_cache_size"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresUrl:
    """Where a PostgreSQL store lies and how to connect to it.

    ``dsn`` is the URL without user and password. ``schema`` holds everything of ours, so that a database can be shared.
    ``pool_size`` is how many connections one process opens at most. ``statement_cache_size`` is how many prepared
    statements each of them keeps; 0 where a pooler hands another connection to each transaction (PgBouncer before
    1.21, or without ``max_prepared_statements``).
    """

    dsn: str
    user: str | None
    password: Secret | None
    schema: str
    pool_size: int
    statement_cache_size: int


def parse_postgres_url(url: str) -> PostgresUrl:
    """Read ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE`` (or ``postgres://``).

    User, password, port and parameters may be missing; several hosts are separated by commas. The parameters are
    ``schema``, ``pool_size``, ``statement_cache_size`` and those of libpq for TLS and hosts. Raises ``StoreError``,
    whose sentence holds nothing that could be part of a password.
    """
    match = _URL.fullmatch(url)
    if match is None or not url.isprintable() or " " in url:
        raise StoreError(
            "not a postgresql://USER:PASSWORD@HOST:PORT/DATABASE URL; / ? # @ and : in user and password have to be "
            "percent-encoded"
        )
    credentials, hosts, database, query = match.groups(default="")
    user, _, password = credentials.partition(":")
    _check_hosts(hosts)
    name = _decode(database)
    if not name:
        raise StoreError("the PostgreSQL URL names no database, as in postgresql://HOST/DATABASE")
    parameters = _parse_parameters(query)
    passed = {key: value for key, value in parameters.items() if key in _CONNECTION_PARAMETERS}
    return PostgresUrl(
        dsn=f"postgresql://{hosts}/{quote(name, safe='')}" + (f"?{urlencode(passed)}" if passed else ""),
        user=_decode(user) or None,
        password=Secret(_decode(password)) if password else None,
        schema=_read_schema(parameters),
        pool_size=_read_number(parameters, "pool_size", default=10, least=1),
        statement_cache_size=_read_number(parameters, "statement_cache_size", default=100, least=0),
    )


def _check_hosts(hosts: str) -> None:
    for host in hosts.split(",") if hosts else ():
        match = _HOST.fullmatch(host)
        if match is None or not 0 < int(match[1] or 5432) < 65536:
            raise StoreError("the PostgreSQL URL has a host or port that cannot be one")


def _decode(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        decoded = "\0"
    if not decoded.isprintable():
        raise StoreError("the PostgreSQL URL has a percent-encoded character that cannot be part of a name")
    return decoded


def _parse_parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=32) if query else []
    except ValueError:
        raise StoreError("the PostgreSQL URL has a query that is not NAME=VALUE&NAME=VALUE") from None
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise StoreError("the PostgreSQL URL has a parameter twice")
    known = _CONNECTION_PARAMETERS | _OWN_PARAMETERS
    if not parameters.keys() <= known:
        raise StoreError(f"the PostgreSQL URL has an unknown parameter; there are {', '.join(sorted(known))}")
    if parameters.get("sslmode", "prefer") not in _SSL_MODES:
        raise StoreError(f"sslmode in the PostgreSQL URL must be one of {', '.join(_SSL_MODES)}")
    return parameters


def _read_schema(parameters: dict[str, str]) -> str:
    schema = parameters.get("schema", "nameplate")
    if not _SCHEMA.fullmatch(schema):
        raise StoreError("schema in the PostgreSQL URL must be of a-z, 0-9 and _, and must not begin with pg_")
    return schema


def _read_number(parameters: dict[str, str], name: str, *, default: int, least: int) -> int:
    text = parameters.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and least <= int(text[:6]) <= 1000):
        raise StoreError(f"{name} in the PostgreSQL URL must be a number from {least} to 1000")
    return int(text)
