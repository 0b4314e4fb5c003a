"""What the documents repeat from the source is what the source says now."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from generated_docs import DOCS, fill_page
from reasons import find_reasons, find_reasons_in

PAGES = sorted(DOCS.rglob("*.md"))
NAMES = [page.relative_to(DOCS).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_generated_parts_of_a_page_are_up_to_date(page: Path) -> None:
    text = page.read_text()
    assert fill_page(text) == text, "run: make docs"


def read_documented_reasons() -> list[str]:
    """The slugs in the first column of the tables of docs/errors.md."""
    rows = re.findall(r"^\| (`[^|]+) \|", (DOCS / "errors.md").read_text(), re.MULTILINE)
    return [slug for row in rows for slug in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)]


def test_every_reason_that_the_source_can_give_is_explained() -> None:
    documented = read_documented_reasons()
    assert [slug for slug in sorted(find_reasons()) if not any(fnmatchcase(each, slug) for each in documented)] == []


def test_every_reason_that_is_explained_can_be_given() -> None:
    reasons = find_reasons()
    assert [slug for slug in read_documented_reasons() if not any(fnmatchcase(slug, each) for each in reasons)] == []


def test_a_reason_is_explained_once() -> None:
    documented = read_documented_reasons()
    assert sorted(set(documented)) == sorted(documented)


def test_a_reason_is_found_however_it_is_written() -> None:
    source = (
        'raise TokenError("invalid_grant", "No.", reason="brand_new.slug")\n'
        'raise ConfigurationError("fetch.private_hosts", "wrong")\n'
        'build_code_refusal("code.unknown" if x else "code.expired")\n'
    )
    assert set(find_reasons_in(source, "token")) == {"brand_new.slug", "code.unknown", "code.expired"}
    assert set(find_reasons_in('Fault(reason="fragment", problem="")', "urls")) == {"client_id.fragment"}
    refusals = 'refuse("empty", name, "")\nrefuse(f"{name}_unsupported", name, "")\n_refuse(fault.reason, "", "")\n'
    assert set(find_reasons_in(refusals, "client_metadata")) == {"document.empty", "document.*_unsupported"}
