"""How targets read texts out of the bytes that they are given."""

__all__ = ["read_blocks", "read_lines", "read_text"]


def read_text(data: bytes) -> str:
    """Any bytes as a text. What is not UTF-8 becomes lone surrogates, which JSON can bring too."""
    return data.decode("utf-8", "surrogateescape")


def read_lines(data: bytes) -> list[str]:
    """The lines of the text; at least one, which may be empty."""
    return read_text(data).split("\n")


def read_blocks(data: bytes, count: int) -> list[list[str]]:
    """``count`` lists of lines, with empty lines between the lists in the input. Missing ones are empty."""
    blocks = [block.split("\n") if block else [] for block in read_text(data).split("\n\n", count - 1)]
    return blocks + [[] for _ in range(count - len(blocks))]
