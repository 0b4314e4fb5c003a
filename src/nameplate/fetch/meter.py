"""How much of an answer may come, in bytes and in pieces: few bytes, finely split, cost as much as many."""

import re

from nameplate.errors import TooLarge

__all__ = ["AnswerMeter"]

# Where an HTTP/1.1 parser sees the end of a header block: RFC 9112 §2.2 lets it take a bare LF for CRLF, and h11 does.
_END_OF_HEADERS = re.compile(rb"\n\r?\n")
# All of them far above what honest hosts send. 32 KiB of interim answers, or a body in chunks of one byte, keep the
# parser, and with it the whole event loop, busy for a quarter of a second.
_HEADER_LINES = 256
_INTERIM_ANSWERS = 8
_PIECES = 512
_FRAMING_BYTES = 8 * 1024  # what chunk sizes and trailers may add to a body
_TLS_BYTES = 128 * 1024  # what records, certificates and session tickets may add to what they carry


class AnswerMeter:
    """Counts one answer as it comes from the wire; raises ``TooLarge`` beyond what its present part may take."""

    def __init__(self, header_bytes: int) -> None:
        self.received_bytes = 0
        self._room = header_bytes
        self._encrypted_room = header_bytes + _TLS_BYTES
        self._pieces = 0
        self._header_block = bytearray()
        self._is_before_body = True

    @property
    def readable_bytes(self) -> int:
        """How much to read next: one byte more than may come, to see whether it does."""
        return self._room + 1

    def expect_body(self, body_bytes: int) -> None:
        """The header block is read: from here on, ``body_bytes`` and what framing adds to them may come."""
        self._is_before_body = False
        self._room = body_bytes + _FRAMING_BYTES
        self._encrypted_room += self._room

    def count_encrypted(self, size: int) -> None:
        """``size`` bytes came from the socket, whatever was in them."""
        self._encrypted_room -= size
        self._count_piece()
        if self._encrypted_room < 0:
            raise TooLarge("too many bytes that carry nothing")

    def count_received(self, data: bytes) -> None:
        """``data`` came out of them."""
        self._room -= len(data)
        self.received_bytes += len(data)
        self._count_piece()
        if self._room < 0:
            raise TooLarge(f"too many bytes of {'headers' if self._is_before_body else 'framing'}")
        if self._is_before_body:
            self._header_block += data
            self._check_header_block()

    def is_whole(self, body_bytes: int) -> bool:
        """Whether one header block and ``body_bytes`` of identity-coded body are exactly what came."""
        end = _END_OF_HEADERS.search(self._header_block)
        return end is not None and end.end() + body_bytes == self.received_bytes

    def _count_piece(self) -> None:
        self._pieces += 1
        if self._pieces > 2 * _PIECES:  # each is counted encrypted and received
            raise TooLarge("too many pieces")

    def _check_header_block(self) -> None:
        block = self._header_block
        end = _END_OF_HEADERS.search(block)
        if block.count(b"\n", 0, end.end() if end else len(block)) > _HEADER_LINES:
            raise TooLarge("too many header lines")
        if block.count(b"\nHTTP/") > _INTERIM_ANSWERS:  # no JSON has a line that begins so
            raise TooLarge("too many interim answers")
