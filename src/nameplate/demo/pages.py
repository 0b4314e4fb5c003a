"""Reads what a page says to the person, by the meaning of its elements and not by its looks."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["PageText", "read_page"]


@dataclass(slots=True, kw_only=True)
class PageText:
    """A page's headline, paragraphs, list items, notes of warning, and terms with what stands for them."""

    headline: str = ""
    paragraphs: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    terms: dict[str, str] = field(default_factory=dict)


def read_page(html: str) -> PageText:
    """The page's text, with white space as a reader sees it. Total: what is no page gives empty fields."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page


class _Reader(HTMLParser):
    _READ = frozenset({"h1", "p", "li", "dt", "dd"})

    def __init__(self) -> None:
        super().__init__()
        self.page = PageText()
        self._open: list[tuple[str, bool, list[str]]] = []
        self._term = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._READ:
            self._open.append((tag, dict(attrs).get("role") == "note", []))

    def handle_data(self, data: str) -> None:
        for _tag, _is_warning, parts in self._open:
            parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1][0] != tag:
            return
        _tag, is_warning, parts = self._open.pop()
        text = " ".join("".join(parts).split())
        match tag:
            case "h1":
                self.page.headline = text
            case "p":
                (self.page.warnings if is_warning else self.page.paragraphs).append(text)
            case "li":
                self.page.items.append(text)
            case "dt":
                self._term = text
            case _:
                self.page.terms[self._term] = text
