"""Every case of the compatibility checklist is a test of that name."""

from checklist import CHECKLIST, NamedTest, find_named_tests, find_named_tests_in

NAMES = [case.name for case in CHECKLIST]
TESTED = {test.case for test in find_named_tests()}


def test_no_case_got_lost_and_none_is_there_twice() -> None:
    assert [f"K{number:02}" for number in range(1, 36)] == NAMES


def test_every_case_is_a_test() -> None:
    assert [name for name in NAMES if name not in TESTED] == []


def test_no_test_is_named_after_a_case_that_does_not_exist() -> None:
    assert TESTED - set(NAMES) == set()


def test_a_test_is_found_by_its_name() -> None:
    source = """
async def test_k05_two_sessions(): ...
def test_k05(): ...
def test_keys_are_public(): ...
def test_k123_is_another(): ...
def k06_helper(): ...
def test_k06_a_dead_token():
    def test_k07_inside(): ...
"""
    assert list(find_named_tests_in(source, "f.py")) == [
        NamedTest(case="K05", file="f.py", test="test_k05_two_sessions"),
        NamedTest(case="K06", file="f.py", test="test_k06_a_dead_token"),
    ]
