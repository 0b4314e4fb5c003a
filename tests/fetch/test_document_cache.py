"""Copies in memory: bounds, segments, and what a 304 changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetch_kit import build_document
from nameplate.errors import BadStatus
from nameplate.fetch import DocumentOptions, FetchedResponse
from nameplate.fetch.copies import Copy, DocumentCache, build_copy, build_record, renew_copy, restore_copy
from nameplate.protocol.client_metadata import parse_client_metadata

URL = "https://client.example/c.json"
METADATA = parse_client_metadata(URL, build_document(URL))
NOW = 1_800_000_000


def build_response(
    *headers: tuple[str, str], body: bytes = b"x" * 100, at: int = NOW, status: int = 200
) -> FetchedResponse:
    return FetchedResponse(status=status, headers=headers, body=body, received_at=at)


def make_copy(size: int = 100, *headers: tuple[str, str]) -> Copy:
    return build_copy(METADATA, build_response(*headers, body=b"x" * size), DocumentOptions())


def test_strangers_push_out_each_other_but_nothing_that_is_kept() -> None:
    cache = DocumentCache(DocumentOptions(kept_entries=3, other_entries=3))
    for number in range(3):
        cache.put(f"kept{number}", make_copy())
        cache.keep(f"kept{number}")
    for number in range(1000):
        cache.put(f"stranger{number}", make_copy())
    assert all(cache.find(f"kept{number}") for number in range(3))
    assert [cache.find(f"stranger{number}") is not None for number in range(996, 1000)] == [False, True, True, True]


def test_bytes_bound_a_segment_too() -> None:
    cache = DocumentCache(DocumentOptions(other_bytes=1000))
    for number in range(20):
        cache.put(str(number), make_copy(300))
    assert [number for number in range(20) if cache.find(str(number))] == [17, 18, 19]
    cache.put("too large for all", make_copy(2000))
    assert cache.find("too large for all") is None


def test_what_was_used_last_stays_longest() -> None:
    cache = DocumentCache(DocumentOptions(other_entries=2))
    cache.put("a", make_copy())
    cache.put("b", make_copy())
    cache.find("a")
    cache.put("c", make_copy())
    assert (cache.find("a") is not None, cache.find("b")) == (True, None)


def test_an_id_can_be_kept_before_and_without_a_copy() -> None:
    cache = DocumentCache(DocumentOptions(other_entries=1))
    cache.keep("a")
    assert (cache.find("a"), cache.is_kept("a")) == (None, True)
    cache.put("a", make_copy())
    cache.put("b", make_copy())
    cache.put("c", make_copy())
    assert cache.find("a") is not None
    cache.drop("a")
    assert (cache.find("a"), cache.is_kept("a")) == (None, True)


@pytest.mark.proves("CIMD-44")
@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "keep", "drop", "find"]), st.sampled_from("abcdef"), st.integers(1, 400)),
        max_size=60,
    )
)
def test_no_order_of_uses_breaks_the_bounds(steps: list[tuple[str, str, int]]) -> None:
    options = DocumentOptions(kept_entries=2, kept_bytes=500, other_entries=3, other_bytes=600)
    cache = DocumentCache(options)
    for step, client_id, size in steps:
        if step == "put":
            cache.put(client_id, make_copy(size))
        else:
            getattr(cache, step)(client_id)
        for segment, entries, size_limit in ((cache._kept, 2, 500), (cache._others, 3, 600)):
            sizes = [copy.size_bytes if copy else 0 for copy in segment.entries.values()]
            assert len(sizes) <= entries
            assert segment._bytes == sum(sizes) <= size_limit
        assert not cache._kept.entries.keys() & cache._others.entries.keys()


def test_a_304_starts_a_new_life_by_its_own_headers() -> None:
    copy = make_copy(100, ("cache-control", "max-age=600"), ("etag", '"1"'))
    renewed = renew_copy(
        copy, build_response(("cache-control", "max-age=1200"), at=NOW + 5000, status=304), DocumentOptions()
    )
    assert (renewed.document.fetched_at, renewed.document.fresh_until) == (NOW + 5000, NOW + 6200)
    assert (renewed.document.metadata, renewed.freshness.etag, renewed.size_bytes) == (METADATA, '"1"', 100)


def test_what_a_304_leaves_out_stays_as_it_was() -> None:
    copy = make_copy(100, ("cache-control", "max-age=900"), ("etag", '"1"'), ("age", "500"))
    assert copy.document.fresh_until == NOW + 400
    renewed = renew_copy(copy, build_response(at=NOW + 5000, status=304), DocumentOptions())
    assert renewed.document.fresh_until == NOW + 5900  # the age belonged to the first answer
    again = renew_copy(renewed, build_response(at=NOW + 9000, status=304), DocumentOptions())
    assert (again.document.fresh_until, again.freshness.etag) == (NOW + 9900, '"1"')


@pytest.mark.parametrize("etag", ['"2"', 'W/"2"', "2"])
def test_a_304_for_another_version_is_no_answer(etag: str) -> None:
    copy = make_copy(100, ("etag", '"1"'))
    with pytest.raises(BadStatus):
        renew_copy(copy, build_response(("etag", etag), status=304), DocumentOptions())


@pytest.mark.parametrize("etag", ['"1"', 'W/"1"'])
def test_a_304_may_name_our_version_weakly(etag: str) -> None:
    renewed = renew_copy(make_copy(100, ("etag", '"1"')), build_response(("etag", etag), status=304), DocumentOptions())
    assert renewed.freshness.etag == etag


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("cache-control", "max-age=900"), ("etag", '"1"'), ("age", "500"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")),
        (("expires", "0"), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"), ("x-other", "\xff")),
        (("cache-control", "s-maxage=100000"), ("cache-control", "no-cache"), ("etag", 'W/"\xfc"')),
    ],
)
def test_a_copy_comes_back_from_the_store_as_it_was(headers: tuple[tuple[str, str], ...]) -> None:
    copy = make_copy(100, *headers)
    record = build_record(copy, last_good_seconds=86400)
    stands_in_seconds = 0 if copy.freshness.must_revalidate else 86400
    assert record.last_good_until == copy.document.fresh_until + stands_in_seconds
    assert restore_copy(record, METADATA, DocumentOptions()) == copy


@pytest.mark.parametrize("directives", ["no-store", "private, max-age=600"])
def test_nothing_of_what_must_not_be_kept_is_recorded(directives: str) -> None:
    record = build_record(make_copy(100, ("cache-control", directives), ("etag", '"1"')), last_good_seconds=86400)
    assert (record.client_id, record.body, record.headers) == (URL, b"", ())
    assert record.last_good_until == record.fresh_until == NOW
