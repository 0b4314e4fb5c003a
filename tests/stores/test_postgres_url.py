"""The URL of a PostgreSQL store: what is read of it, what is refused, and that a password shows nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ConfigurationError, StoreError
from nameplate.stores.open import check_store_url
from nameplate.stores.postgres_url import parse_postgres_url

SECRET = "pazzword"


def read(url: str) -> tuple[str, str | None, str | None]:
    parsed = parse_postgres_url(url)
    return parsed.dsn, parsed.user, None if parsed.password is None else parsed.password.reveal()


@pytest.mark.parametrize(
    ("url", "dsn", "user", "password"),
    [
        ("postgresql://db.example/np", "postgresql://db.example/np", None, None),
        ("postgres://u@db:6543/np", "postgresql://db:6543/np", "u", None),
        ("postgresql://u:p@127.0.0.1:5432/np", "postgresql://127.0.0.1:5432/np", "u", "p"),
        ("postgresql://u:p%40%2F%3A:x@[::1]:5432/np", "postgresql://[::1]:5432/np", "u", "p@/::x"),
        ("postgresql://u:p@p@db/np", "postgresql://db/np", "u", "p@p"),
        ("postgresql://a:1,b:2/np?target_session_attrs=primary", None, None, None),
        ("postgresql:///np?host=/run/postgresql", "postgresql:///np?host=%2Frun%2Fpostgresql", None, None),
        ("postgresql://%2Frun%2Fpostgresql/np", "postgresql://%2Frun%2Fpostgresql/np", None, None),
        ("postgresql://db/with%20space", "postgresql://db/with%20space", None, None),
        ("postgresql://db/np?sslmode=verify-full&schema=a", "postgresql://db/np?sslmode=verify-full", None, None),
    ],
)
def test_credentials_and_our_own_parameters_are_taken_out_of_the_url(
    url: str, dsn: str | None, user: str | None, password: str | None
) -> None:
    assert read(url) == (dsn or url, user, password)


def test_parameters_of_ours_have_defaults_and_limits() -> None:
    plain = parse_postgres_url("postgresql://db/np")
    assert (plain.schema, plain.pool_size, plain.statement_cache_size) == ("nameplate", 10, 100)
    given_all = parse_postgres_url("postgresql://db/np?schema=a_1&pool_size=3&statement_cache_size=0")
    assert (given_all.schema, given_all.pool_size, given_all.statement_cache_size) == ("a_1", 3, 0)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql:", "not a postgresql://"),
        ("postgresql:/db/np", "not a postgresql://"),
        ("postgresql://db/np#fragment", "not a postgresql://"),
        ("postgresql://db/np/more", "not a postgresql://"),
        ("postgresql://db/n p", "not a postgresql://"),
        ("postgresql://db/np\n", "not a postgresql://"),
        ("postgresql://db", "names no database"),
        ("postgresql://db/", "names no database"),
        ("postgresql://db:0/np", "host or port"),
        ("postgresql://db:65536/np", "host or port"),
        ("postgresql://db:/np", "host or port"),
        ("postgresql://a,,b/np", "host or port"),
        ("postgresql://[::1/np", "host or port"),
        ("postgresql://dß/np", "host or port"),
        ("postgresql://db/n%00p", "percent-encoded"),
        ("postgresql://db/n%ffp", "percent-encoded"),
        ("postgresql://u%0a@db/np", "percent-encoded"),
        ("postgresql://db/np?schema", "NAME=VALUE"),
        ("postgresql://db/np?" + "&".join(f"a{number}=1" for number in range(40)), "NAME=VALUE"),
        ("postgresql://db/np?schema=a&schema=b", "twice"),
        ("postgresql://db/np?sslmod=require", "unknown parameter"),
        ("postgresql://db/np?password=x", "unknown parameter"),
        ("postgresql://db/np?options=-c%20fsync=off", "unknown parameter"),
        ("postgresql://db/np?sslmode=on", "sslmode"),
        ("postgresql://db/np?schema=", "schema"),
        ("postgresql://db/np?schema=Upper", "schema"),
        ("postgresql://db/np?schema=a%22b", "schema"),
        ("postgresql://db/np?schema=pg_temp", "schema"),
        ("postgresql://db/np?schema=" + "a" * 64, "schema"),
        ("postgresql://db/np?pool_size=0", "pool_size"),
        ("postgresql://db/np?pool_size=1001", "pool_size"),
        ("postgresql://db/np?pool_size=-1", "pool_size"),
        ("postgresql://db/np?pool_size=%D9%A1", "pool_size"),
        ("postgresql://db/np?pool_size=10000000", "pool_size"),
        ("postgresql://db/np?statement_cache_size=x", "statement_cache_size"),
    ],
)
def test_what_cannot_be_a_store_is_refused_with_a_sentence(url: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem):
        parse_postgres_url(url)
    with pytest.raises(ConfigurationError, match=problem) as refusal:
        check_store_url(url)
    assert refusal.value.setting == "store.url"


@pytest.mark.parametrize("before", ["", "/", "?", "#", "@", ":", "%", "%00", "1/", "1?a=", "1?", "\n", " "])
@pytest.mark.parametrize("after", ["", "/", "?", "#", "@", ":", "%", "/x", "?x=1", "\n"])
@pytest.mark.parametrize("rest", ["@db/np", "@db", "@db:x/np", "@db/np?x=1", "@db/np?pool_size=x", "@"])
def test_no_refusal_shows_a_password_however_it_was_written(before: str, after: str, rest: str) -> None:
    url = f"postgresql://u:{before}{SECRET}{after}{rest}"
    try:
        shown = repr(parse_postgres_url(url))
    except StoreError as error:
        shown = str(error)
    assert SECRET not in shown


@given(st.text(alphabet=st.sampled_from("postgresql:/@?#%[],&=1a0 \n\0\ud800é.-_"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for url in (text, f"postgresql://{text}"):
        try:
            parse_postgres_url(url)
        except StoreError:
            continue
