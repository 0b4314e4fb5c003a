"""The fetcher's reader of answers, without a network: any bytes are refused, unfinished, or one JSON answer.

The bytes come in pieces of several sizes to h11, which is the parser that httpcore2 has, and to our meter and checks.
What the meter calls one whole answer leaves nothing behind in the parser: so no byte that a host sends can be taken for
the beginning of its next answer. ``fetch_answer`` does the same over TLS.
"""

from collections.abc import Iterator

import h11

from nameplate.errors import FetchError, TooLarge
from nameplate.fetch.answer import Headers, check_answer, decode_headers, find_header
from nameplate.fetch.meter import AnswerMeter

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 304 \r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"Content-Length: 2\r\n"),
    *(b"\r\n\r\n", b"Content-Type: application/json\r\n", b"Content-Type: application/a+json; charset=x\r\n", b"{}"),
    *(b"\n\n", b"\r\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"Content-Encoding: gzip\r\n"),
    *(b"Connection: close\r\n", b"\t", b"\x00", b"HTTP/1.0", b"Content-Length: +2", b"Content-Length: 2, 2\r\n", b" "),
    *(b"\xff", b":", b"5;a=b\r\n", b"HTTP/1.1 101 \r\n"),
)

_MAX_BYTES = 1000
_HEADER_BYTES = 2000
_REQUEST = h11.Request(method="GET", target="/client.json", headers=[("Host", "client.example")])


def check(data: bytes) -> None:
    """Try the bytes of one answer, whole and in pieces."""
    for size, is_revalidation in ((max(len(data), 1), False), (max(len(data), 1), True), (5, True)):
        _Exchange(is_revalidation).read(data[start : start + size] for start in range(0, len(data), size))


class _Exchange:
    """One question and its answer."""

    def __init__(self, is_revalidation: bool) -> None:
        self._is_revalidation = is_revalidation
        self._meter = AnswerMeter(_HEADER_BYTES)
        self._body_bytes = 0
        self._headers: Headers = ()
        self._status = 0
        self._parser = h11.Connection(our_role=h11.CLIENT)
        self._parser.send(_REQUEST)
        self._parser.send(h11.EndOfMessage())

    def read(self, pieces: Iterator[bytes]) -> None:
        """Read to the end of the answer, or until it is refused."""
        try:
            for piece in pieces:
                self._meter.count_received(piece)
                self._parser.receive_data(piece)
                if self._is_ended():
                    self._check_end()
                    return
        except FetchError as error:
            assert error.detail.isascii()
            assert error.detail.isprintable()
        except h11.RemoteProtocolError:
            pass

    def _is_ended(self) -> bool:
        while True:
            match self._parser.next_event():
                case h11.Response(status_code=status, headers=headers):
                    self._status, self._headers = status, decode_headers(headers.raw_items())
                    self._check_head()
                    self._meter.expect_body(_MAX_BYTES)
                case h11.Data(data=part):
                    self._body_bytes += len(part)
                    if self._body_bytes > _MAX_BYTES:
                        raise TooLarge("more than the limit")  # as the fetcher does
                case h11.EndOfMessage():
                    return True
                case h11.NEED_DATA | h11.PAUSED:
                    return False

    def _check_head(self) -> None:
        check_answer(self._status, self._headers, is_revalidation=self._is_revalidation, max_bytes=_MAX_BYTES)
        assert self._status == 200 or (self._status == 304 and self._is_revalidation)
        if self._status == 200:
            assert "json" in find_header(self._headers, "content-type")[0].lower()
            assert not find_header(self._headers, "transfer-encoding") or not find_header(
                self._headers, "content-length"
            )

    def _check_end(self) -> None:
        is_measured = self._status == 304 or find_header(self._headers, "content-length")
        if is_measured and self._meter.is_whole(self._body_bytes):
            assert self._parser.trailing_data == (b"", False), "bytes are left for the next answer"
