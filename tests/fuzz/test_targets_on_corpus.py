"""Every target of ``fuzz/`` holds on its corpus, and on inputs that are changed at random, so that none of them rots.

``make fuzz`` does it better and longer, where atheris runs.
"""

import importlib
import random

import pytest

from fuzz.catalog import CORPUS, NAMES, Target, load_corpus, load_target
from fuzz.mutations import mutate

CORPUS_BYTES = 300_000
FILE_BYTES = 4096
MUTATIONS = 300
FEWER_MUTATIONS = {"consent_page": 100, "fetch_answer": 30}  # they take milliseconds each


@pytest.fixture(params=NAMES)
def target(request: pytest.FixtureRequest) -> Target:
    return load_target(request.param)


def try_input(target: Target, data: bytes) -> None:
    try:
        target.check(data)
    except Exception as error:
        error.add_note(f"the input of {target.name}: {data!r}")
        raise


def test_a_target_holds_on_its_corpus(target: Target) -> None:
    for _, data in load_corpus(target.name):
        try_input(target, data)


def test_a_target_holds_on_inputs_that_are_changed_at_random(target: Target) -> None:
    seeds = [data for _, data in load_corpus(target.name)]
    for _ in range(FEWER_MUTATIONS.get(target.name, MUTATIONS)):
        try_input(target, mutate(random.choice(seeds), target.tokens, seeds))


def test_a_target_says_what_holds_and_has_words_to_try(target: Target) -> None:
    assert importlib.import_module(f"fuzz.targets.{target.name}").__doc__
    assert all(target.tokens)
    assert len(target.tokens) == len(set(target.tokens))


def test_every_corpus_has_a_target_and_its_files_are_small() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(NAMES)
    sizes = {path: len(data) for name in NAMES for path, data in load_corpus(name)}
    assert [str(path) for path, size in sizes.items() if size > FILE_BYTES] == []
    assert sum(sizes.values()) < CORPUS_BYTES


def test_no_two_inputs_of_a_corpus_are_the_same(target: Target) -> None:
    inputs = [data for _, data in load_corpus(target.name)]
    assert len(inputs) == len(set(inputs))
