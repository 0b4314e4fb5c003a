"""What is read ahead is bounded, and the application gets every byte of it."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nameplate.resource.body import Body, Disconnected, TooLarge, build_replay, read_body

LIMIT = 20


class Client:
    """Sends a body in pieces and then goes away."""

    def __init__(self, *pieces: bytes, is_whole: bool = True) -> None:
        last = len(pieces) - 1
        self.messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": not is_whole or index < last}
            for index, piece in enumerate(pieces)
        ]

    async def __call__(self) -> dict[str, Any]:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}


def read(client: Client, *, reads_all: bool = False) -> Body | TooLarge | Disconnected:
    return asyncio.run(read_body(client, limit_bytes=LIMIT, reads_all=reads_all))


def test_a_message_is_read_whole() -> None:
    assert read(Client(b" ", b'{"a"', b":", b"1}")) == Body(b' {"a":1}', is_complete=True)
    assert read(Client(b"")) == Body(b"", is_complete=True)


def test_a_message_beyond_the_limit_is_not_read_on() -> None:
    client = Client(b"{" * LIMIT, b"{", b"never read")
    assert read(client) == TooLarge()
    assert len(client.messages) == 1


def test_a_body_of_white_space_is_bounded_too() -> None:
    assert read(Client(*[b" "] * (LIMIT + 1))) == TooLarge()


def test_an_upload_is_read_no_further_than_its_first_byte() -> None:
    client = Client(b"", b"--boundary", b"x" * 1000)
    assert read(client) == Body(b"--boundary", is_complete=False)
    assert len(client.messages) == 1
    assert read(Client(b"x" * 1000)) == Body(b"x" * 1000, is_complete=True)


def test_a_form_is_read_whole_within_the_limit() -> None:
    assert read(Client(b"a=1", b"&b=2"), reads_all=True) == Body(b"a=1&b=2", is_complete=True)
    assert read(Client(b"a=" + b"1" * LIMIT), reads_all=True) == TooLarge()


def test_a_client_that_goes_away_is_noticed() -> None:
    assert read(Client()) == Disconnected()
    assert read(Client(b"{", is_whole=False)) == Disconnected()


@given(st.lists(st.binary(max_size=5) | st.sampled_from([b"{", b" "]), min_size=1), st.booleans())
def test_the_application_gets_what_was_sent(pieces: list[bytes], reads_all: bool) -> None:
    async def play() -> None:
        client = Client(*pieces)
        body = await read_body(client, limit_bytes=1000, reads_all=reads_all)
        assert isinstance(body, Body)
        replay = build_replay(body, client)
        received, more = b"", True
        while more:
            message = await replay()
            received += message["body"]
            more = message["more_body"]
        assert received == b"".join(pieces)
        assert await replay() == {"type": "http.disconnect"}

    asyncio.run(play())
