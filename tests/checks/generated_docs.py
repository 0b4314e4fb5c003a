"""Writes the parts of docs/ that say what the source says: settings, members of documents, decisions, conformance.

A page marks such a part: ``<!-- generated: settings -->`` … ``<!-- end -->``. As a program it writes all of them:
``make docs``.
"""

import ast
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from checklist import CHECKLIST, find_named_tests
from proofs import Proof, find_proofs
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nameplate.protocol.member_fates import MEMBER_FATES, Fate
from nameplate.server.settings import ENVIRONMENT_PREFIX, Settings
from requirements import REQUIREMENTS, Requirement

__all__ = ["DOCS", "fill_page"]

DOCS = Path(__file__).parents[2] / "docs"
_PART = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))
_NOT_SET = "not set"


def fill_page(page: str) -> str:
    """The page with its generated parts as they are now. Raises ``KeyError`` for a part that nobody writes."""
    return _PART.sub(lambda part: f"{part[1]}{_WRITERS[part[2]]()}{part[4]}", page)


def build_settings() -> str:
    """A heading, a sentence and a table for every table of the configuration."""
    return "\n".join([*_build_sections(Settings, path=(), is_array=False, has_variable=True), "", ""])


def _build_sections(
    table: type[BaseModel], *, path: tuple[str, ...], is_array: bool, has_variable: bool
) -> Iterator[str]:
    """``has_variable``: the environment can hold this table, because no array stands around it."""
    name = ".".join(path)
    yield f"\n## {f'`[[{name}]]`' if is_array else f'`[{name}]`' if name else 'Top level'}\n\n{table.__doc__}\n"
    if is_array and has_variable:
        yield f"In the environment: `{_name_variable(path)}`, all tables as one JSON array.\n"
    yield from _build_rows(table, path=None if is_array else path)
    for key, info in table.model_fields.items():
        if (below := _find_table(info.annotation)) is not None:
            yield from _build_sections(
                below[0], path=(*path, key), is_array=below[1], has_variable=has_variable and not is_array
            )


def _build_rows(table: type[BaseModel], *, path: tuple[str, ...] | None) -> Iterator[str]:
    """The table's settings; with their variables in the environment where the table has a ``path`` there."""
    heads = ["setting", "value", "default", *([] if path is None else ["environment"]), "meaning"]
    yield f"| {' | '.join(heads)} |"
    yield "|" + " --- |" * len(heads)
    for key, info in table.model_fields.items():
        if (text := _read_attribute_docs(table).get(key)) is not None:
            variable = [] if path is None else [f"`{_name_variable((*path, key))}`"]
            meaning = " ".join(text.split())
            cells = [f"`{key}`", _describe_type(info), _describe_default(key, info), *variable, meaning]
            yield f"| {' | '.join(cells)} |"


@cache
def _read_attribute_docs(table: type[BaseModel]) -> dict[str, str]:
    """The string below each setting. Pydantic could collect them, but it would read the source at every start."""
    [definition] = ast.parse(inspect.getsource(table)).body
    assert isinstance(definition, ast.ClassDef)
    docs = {}
    for statement, following in itertools.pairwise(definition.body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = text
            case _:
                pass
    return docs


def _name_variable(path: tuple[str, ...]) -> str:
    return ENVIRONMENT_PREFIX + "__".join(path).upper()


def _find_table(annotation: object) -> tuple[type[BaseModel], bool] | None:
    """The table that a setting holds, and whether it holds any number of them; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    entries = get_args(annotation) if get_origin(annotation) is tuple else ()
    if entries and (below := _find_table(entries[0])) is not None:
        return below[0], True
    return None


def _describe_type(info: FieldInfo) -> str:
    kind = _describe_annotation(info.annotation)
    limits: dict[str, object] = {}
    for limit in info.metadata:
        limits |= {name: getattr(limit, name) for name in ("gt", "ge", "le", "max_length") if hasattr(limit, name)}
    return f"{kind}{_describe_limits(limits)}"


def _describe_annotation(annotation: object) -> str:
    if (below := _find_table(annotation)) is not None:
        return "tables" if below[1] else "table"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _describe_annotation(arguments[0])
    if origin is tuple:
        return f"list of {_describe_annotation(arguments[0])}s"
    if origin is dict:
        return f"table of {_describe_annotation(arguments[1])}s"
    if origin in (Union, UnionType):
        return " or ".join(_describe_annotation(each) for each in arguments if each is not NoneType)
    return {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Path: "path"}[annotation]  # type: ignore[index]  # a type that is missing here shall fail


def _describe_limits(limits: Mapping[str, object]) -> str:
    low = f"above {limits['gt']}" if "gt" in limits else f"from {limits['ge']}" if "ge" in limits else ""
    high = f"to {limits['le']}" if "le" in limits else ""
    length = f"at most {limits['max_length']} characters" if "max_length" in limits else ""
    said = " ".join(part for part in (low, high, length) if part)
    return f", {said}" if said else ""


def _describe_default(key: str, info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    match info.default:
        case None:
            return _NOT_SET
        case bool(value):
            return f"`{str(value).lower()}`"
        case str(text):
            return f'`"{text}"`'
        case tuple(values):
            return f"`{list(values)}`"
        case int(value) if key.endswith("_seconds"):
            return f"`{value}`{_describe_duration(value)}"
        case value:
            return f"`{value}`"


def _describe_duration(seconds: int) -> str:
    for unit, name in _UNITS:
        if seconds >= unit and seconds % unit == 0:
            return f" ({seconds // unit} {name}{'s' if seconds > unit else ''})"
    return ""


def build_members() -> str:
    """A table of every member that a client metadata document may have, those that matter first."""
    rows = ["\n| member | fate | what that means |\n| --- | --- | --- |\n"]
    for fate in sorted(get_args(Fate), key="ignored".__eq__):
        by_sentence: dict[str, list[str]] = {}
        for name, member in MEMBER_FATES.items():
            if member.fate == fate:
                by_sentence.setdefault(member.sentence, []).append(f"`{name}`")
        rows += [f"| {', '.join(names)} | {fate} | {sentence} |\n" for sentence, names in by_sentence.items()]
    return "".join([*rows, "\n"])


def build_decisions() -> str:
    """A list of the decisions, each by its title."""
    pages = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "README.md")
    titles = [(path.name, path.read_text().partition("\n")[0].removeprefix("# ")) for path in pages]
    return "".join(["\n", *(f"- [{title}]({name})\n" for name, title in titles), "\n"])


def build_requirements() -> str:
    """How many requirements are proven, and for each topic a table: what is asked, and which tests prove it."""
    proofs = find_proofs()
    proven = len({proof.requirement for proof in proofs})
    later = sum(bool(one.deferred) for one in REQUIREMENTS)
    parts = [f"\nOf {len(REQUIREMENTS)} requirements {proven} are proven, {later} are left for later, and from "]
    parts.append(f"{len(REQUIREMENTS) - proven - later} we diverge.\n")
    for topic, rows in itertools.groupby(REQUIREMENTS, key=lambda one: one.topic):
        parts.append(f"\n### {topic}\n\n| | level | what is asked | proven by, or why not |\n")
        parts.append("| --- | --- | --- | --- |\n")
        parts += [
            f"| {one.name} | {one.level} | {one.text} ({one.source}) | {_describe_proof(one, proofs)} |\n"
            for one in rows
        ]
    return "".join([*parts, "\n"])


def _describe_proof(requirement: Requirement, proofs: Sequence[Proof]) -> str:
    if requirement.deferred:
        return f"*Later:* {requirement.deferred}."
    if requirement.divergence:
        return f"*Diverges:* {requirement.divergence}."
    return _link_tests((proof.file, proof.test) for proof in proofs if proof.requirement == requirement.name)


def build_checklist() -> str:
    """What real clients do, what the server makes of it, and which tests show that."""
    tests = find_named_tests()
    parts = ["\n| | what the client does | the server | tests |\n| --- | --- | --- | --- |\n"]
    for case in CHECKLIST:
        prefix = f"test_{case.name.lower()}_"
        links = _link_tests((test.file, test.test.removeprefix(prefix)) for test in tests if test.case == case.name)
        parts.append(f"| {case.name} | {case.client} | {case.server} | {links} |\n")
    return "".join([*parts, "\n"])


def _link_tests(tests: Iterable[tuple[str, str]]) -> str:
    """Links to files, each with the sentences that are the names of its tests."""
    by_file: dict[str, list[str]] = {}
    for file, test in tests:
        by_file.setdefault(file, []).append(test.removeprefix("test_").replace("_", " "))
    return "<br>".join(
        f"[{file.rpartition('/')[2]}](../{file}): {'; '.join(sentences)}" for file, sentences in by_file.items()
    )


_WRITERS: Mapping[str, Callable[[], str]] = {
    "clients": build_checklist,
    "decisions": build_decisions,
    "members": build_members,
    "requirements": build_requirements,
    "settings": build_settings,
}

if __name__ == "__main__":
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text()
        if (filled := fill_page(text)) != text:
            page.write_text(filled)
            print(f"wrote {page.relative_to(DOCS.parent)}")
