"""Every requirement is proven by a test, or it is written down why not; and tests name none that does not exist."""

from collections import Counter
from pathlib import Path

import pytest
from proofs import Proof, find_proofs, find_proofs_in

from requirements import REQUIREMENTS

DOCS = Path(__file__).parents[2] / "docs"
NAMES = [requirement.name for requirement in REQUIREMENTS]
PROOFS = find_proofs()
PROVEN = {proof.requirement for proof in PROOFS}

# The numbers that were given out when the specifications were read. None of them may get lost.
LISTED = {
    "CIMD": [
        range(1, 17),
        range(20, 47),
        range(50, 79),
        range(80, 90),
        range(90, 100),
        range(100, 105),
        range(110, 119),
    ],
    "MCP": [range(1, 19), range(30, 43), range(80, 87)],
    "EXT": [range(1, 15)],
    "O21": [range(1, 26)],
    "BCP": [range(1, 12)],
    "NAT": [range(1, 8)],
    "DCR": [range(1, 9)],
    "JWT": [range(1, 11)],
    "REV": [range(1, 5)],
    "INT": [range(1, 5)],
    "ASM": [range(1, 6)],
    "AT": [range(1, 5)],
    "PAR": [range(1, 7)],
    "ISS": [range(1, 3)],
    "RES": [range(1, 6)],
    "PRM": [range(1, 6)],
    "DP": [range(1, 9)],
    "FAPI": [range(1, 10)],
}


def test_no_requirement_got_lost_and_none_is_there_twice() -> None:
    listed = [f"{family}-{number}" for family, ranges in LISTED.items() for one in ranges for number in one]
    assert Counter(NAMES) == Counter(listed)


def test_every_requirement_is_proven_or_has_a_reason() -> None:
    assert [one.name for one in REQUIREMENTS if one.name not in PROVEN and not one.has_reason] == []


def test_what_is_proven_has_no_reason_why_it_is_not() -> None:
    assert [one.name for one in REQUIREMENTS if one.name in PROVEN and one.has_reason] == []


def test_tests_name_only_requirements_that_exist() -> None:
    assert [proof for proof in PROOFS if proof.requirement not in NAMES] == []


def test_a_test_names_a_requirement_once() -> None:
    assert [proof for proof, times in Counter(PROOFS).items() if times > 1] == []


def test_a_reason_is_of_one_kind_and_says_what_will_come_or_which_decision_it_is() -> None:
    for one in REQUIREMENTS:
        assert not (one.deferred and one.divergence), one.name
        assert not one.deferred or "comes with" in one.deferred, one.name
        assert not one.divergence or "[decision " in one.divergence or "decisions/" in one.divergence, one.name


SAMPLE = """
import pytest

@pytest.mark.proves("A-1", "A-2")
@pytest.mark.anyio
async def test_one(): ...

@pytest.mark.proves("A-1")
def test_two(): ...

def test_three(): ...
"""


def test_a_mark_is_found_with_the_test_that_carries_it() -> None:
    assert list(find_proofs_in(SAMPLE, "f.py")) == [
        Proof(requirement="A-1", file="f.py", test="test_one"),
        Proof(requirement="A-2", file="f.py", test="test_one"),
        Proof(requirement="A-1", file="f.py", test="test_two"),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.proves('A-1')\ndef helper(): ...",
        "@pytest.mark.proves('A-1')\nclass TestAll: ...",
        "@pytest.mark.proves()\ndef test_one(): ...",
        "@pytest.mark.proves\ndef test_one(): ...",
        "@pytest.mark.proves(*NAMES)\ndef test_one(): ...",
        "@pytest.mark.proves(name='A-1')\ndef test_one(): ...",
        "def test_one():\n    @pytest.mark.proves('A-1')\n    def test_inner(): ...",
        "@pytest.mark.proves('A-1')\ndef test_one(): ...\npytestmark = pytest.mark.proves('A-1')",
    ],
)
def test_a_mark_that_would_prove_nothing_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"pytest\.mark\.proves"):
        list(find_proofs_in(source, "f.py"))


@pytest.mark.proves("CIMD-35")
def test_the_operator_is_told_to_guard_the_network_as_well() -> None:
    egress = (DOCS / "deploy.md").read_text().partition("\n## Egress\n")[2].partition("\n## ")[0]
    assert "firewall" in egress
    assert "169.254.169.254" in egress
