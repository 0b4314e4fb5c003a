"""What the documents say is true: their code blocks run, their links lead somewhere, every page can be reached."""

import re
from pathlib import Path

import pytest
from code_blocks import BlockFailed, run_page

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def list_links(page: Path) -> set[Path]:
    """The files and folders to which a page links, images too."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    return {
        (page.parent / target).resolve()
        for target in targets
        if "://" not in target and not target.startswith("mailto:")
    }


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_code_block_of_a_page_does_what_the_page_says(page: Path, tmp_path: Path) -> None:
    try:
        run_page(page.read_text(), tmp_path)
    except BlockFailed as error:
        pytest.fail(f"{page.relative_to(ROOT)}, {error}", pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert [str(target) for target in list_links(page) if not target.exists()] == []


def test_every_page_in_docs_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += [target for target in list_links(page) if target.suffix == ".md" and target.exists()]
    assert [page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md") if page not in reached] == []
