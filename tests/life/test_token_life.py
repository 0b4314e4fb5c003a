"""The whole life of tokens, played in any order against a small model of what it should be.

``NAMEPLATE_LIFE_EXAMPLES=2000`` plays so many lives instead of a few, and longer ones: that is for soaking.
"""

from collections.abc import Iterator

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test
from life_world import LifeBench, open_bench
from token_life_machine import make_machine

from conftest import TOLD

EXAMPLES, STEPS = 30, 40
LONGER_STEPS = 120


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LifeBench]:
    """What all lives share."""
    with open_bench(tmp_path_factory.mktemp("life")) as opened:
        yield opened


@pytest.mark.proves(
    "O21-4",
    "O21-16",
    "BCP-5",
    "MCP-15",
    "REV-1",
    "REV-2",
    "REV-3",
    "REV-4",
    "INT-2",
    "INT-3",
    "JWT-6",
    "CIMD-40",
    "CIMD-41",
    "CIMD-45",
    "CIMD-59",
    "CIMD-60",
    "CIMD-68",
    "CIMD-89",
    "CIMD-101",
    "CIMD-103",
    "CIMD-117",
)
def test_whatever_happens_in_whatever_order_the_server_does_what_the_model_says(bench: LifeBench) -> None:
    examples = TOLD.get("NAMEPLATE_LIFE_EXAMPLES")
    settings = hypothesis.settings(
        max_examples=int(examples) if examples else EXAMPLES, stateful_step_count=LONGER_STEPS if examples else STEPS
    )
    run_state_machine_as_test(make_machine(bench), settings=settings)
