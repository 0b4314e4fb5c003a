"""Changes inputs at random: for Pythons and systems that atheris does not serve. No coverage guides it."""

import random
from collections.abc import Sequence

__all__ = ["mutate"]

_LONGEST_RUN = 64


def mutate(data: bytes, tokens: Sequence[bytes], others: Sequence[bytes]) -> bytes:
    """The input with one to four changes. ``others`` are inputs of which parts may be taken over.

    Draws from ``random`` itself, which pytest-randomly seeds for each test.
    """
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(changed))
        end = min(len(changed), start + random.randint(0, _LONGEST_RUN))
        match random.randrange(6):
            case 0 if start < len(changed):
                changed[start] ^= 1 << random.randrange(8)
            case 1:
                changed[start:start] = random.choice(tokens)
            case 2:
                del changed[start:end]
            case 3:
                changed[start:start] = changed[start:end] * random.randint(1, 8)
            case 4:
                changed[start:end] = random.choice(tokens)
            case _:
                changed[start:] = random.choice(others)[start:]
    return bytes(changed)
