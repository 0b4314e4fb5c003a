"""The meter by itself: bytes, pieces, and whether an answer was all that came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import TooLarge
from nameplate.fetch.meter import AnswerMeter

HEADERS = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


def count(*parts: bytes, header_bytes: int = 1000) -> AnswerMeter:
    meter = AnswerMeter(header_bytes)
    for part in parts:
        meter.count_received(part)
    return meter


def test_headers_may_take_what_they_may_and_no_byte_more() -> None:
    count(b"x" * 1000)
    with pytest.raises(TooLarge):
        count(b"x" * 1000, b"x")


def test_a_body_may_take_its_size_and_some_framing() -> None:
    meter = count(HEADERS)
    meter.expect_body(5000)
    meter.count_received(b"x" * (5000 + 8192))
    with pytest.raises(TooLarge):
        meter.count_received(b"x")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * 256, id="header lines"),
        pytest.param(b"HTTP/1.1 200 OK\n" + b"a:b\n" * 256 + b"\n", id="header lines that ended"),
        pytest.param(b"HTTP/1.1 100 \r\n\r\n" * 10, id="interim answers"),
    ],
)
def test_many_small_parts_are_refused_however_few_their_bytes(block: bytes) -> None:
    with pytest.raises(TooLarge):
        count(block, header_bytes=100_000)
    with pytest.raises(TooLarge):
        count(*(block[at : at + 50] for at in range(0, len(block), 50)), header_bytes=100_000)


def test_the_lines_of_a_body_are_no_header_lines() -> None:
    count(HEADERS + b"\n" * 900)


def test_pieces_are_counted_whatever_is_in_them() -> None:
    meter = count(*[b"x"] * 600, header_bytes=100_000)
    for _ in range(424):
        meter.count_encrypted(1)
    with pytest.raises(TooLarge):
        meter.count_encrypted(1)
    with pytest.raises(TooLarge):
        meter.count_received(b"")


def test_records_that_carry_nothing_are_bounded() -> None:
    meter = AnswerMeter(1000)
    meter.count_encrypted(120_000)
    with pytest.raises(TooLarge):
        meter.count_encrypted(20_000)


@given(st.binary(max_size=40), st.integers(1, 20))
def test_only_an_answer_that_ends_where_the_bytes_end_is_whole(extra: bytes, at: int) -> None:
    data = HEADERS + b"body" + extra
    assert count(data[:at], data[at:]).is_whole(4) is (extra == b"")


@pytest.mark.parametrize(
    ("data", "body_bytes"),
    [
        pytest.param(b"HTTP/1.1 200 OK\n\n" + b"body", 4, id="bare line feeds"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 0, id="no body"),
    ],
)
def test_an_end_is_found_where_the_parser_finds_it(data: bytes, body_bytes: int) -> None:
    assert count(data).is_whole(body_bytes)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEADERS + b"body", id="after an interim answer"),
        pytest.param(HEADERS[:-2], id="without an end"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_cannot_be_told_is_not_whole(data: bytes) -> None:
    assert not count(data).is_whole(4)
