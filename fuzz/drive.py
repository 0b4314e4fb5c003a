"""``python -m fuzz.drive TARGET SECONDS``: one target in this process, driven by atheris. ``fuzz.run`` starts these.

atheris ends the process itself: with 0 when the time is over, otherwise after it wrote the input into ``crashes``.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence

import atheris

from fuzz.catalog import CORPUS, CRASHES, FOUND, load_target

__all__ = ["main"]

_INSTRUMENTED = ["fuzz.targets", "nameplate", "h11", "httpcore2", "ipaddress", "urllib.parse"]
_SLOWEST_SECONDS = 10
_MEMORY_MEGABYTES = 1024


def main(name: str, seconds: float) -> None:
    """Drive a target for so many seconds, its start included. Does not return."""
    started = time.monotonic()
    logging.disable()
    atheris.enabled_hooks.add("str")  # its other hook, RegEx, fails at patterns of bytes
    with atheris.instrument_imports(include=_INSTRUMENTED):
        target = load_target(name)
    for folder in (FOUND / name, CRASHES / name):
        folder.mkdir(parents=True, exist_ok=True)
    dictionary = FOUND / f"{name}.dict"
    dictionary.write_text(_build_dictionary(target.tokens))
    # On CI the same code gets the same inputs: a verdict on a change must not depend on luck.
    seed = 1 if "CI" in os.environ else 0
    options = (
        f"-seed={seed}",
        f"-max_total_time={max(1, int(seconds - (time.monotonic() - started)))}",
        f"-max_len={target.longest_bytes}",
        f"-timeout={_SLOWEST_SECONDS}",
        f"-rss_limit_mb={_MEMORY_MEGABYTES}",
        f"-dict={dictionary}",
        f"-artifact_prefix={CRASHES / name}/",
    )
    # New inputs go to the first folder.
    atheris.Setup([sys.argv[0], *options, str(FOUND / name), str(CORPUS / name)], target.check)
    atheris.Fuzz()


def _build_dictionary(tokens: Sequence[bytes]) -> str:
    """libFuzzer's form of a dictionary: a quoted word in each line, here with every byte escaped."""
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in tokens)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
