"""Readers of single members of a metadata document: right type or refused, unusable entries dropped with a warning."""

from collections.abc import Mapping
from typing import NoReturn

from nameplate.errors import ClientMetadataError
from nameplate.protocol.fault import build_quotation
from nameplate.protocol.limits import DOCUMENT_WARNINGS, LIST_ENTRIES, TEXT_CHARACTERS
from nameplate.protocol.urls import find_https_url_fault

__all__ = ["Members", "Warnings", "read_claim", "read_shown_url", "read_text", "read_text_list", "refuse"]

Members = Mapping[str, object]
_ABSENT = object()


class Warnings:
    """Sentences about what was dropped, for the client's developer; bounded, each begins with its member."""

    __slots__ = ("_sentences",)

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def add(self, member: str, sentence: str) -> None:
        """Note that something of this member was dropped, and why."""
        if len(self._sentences) < DOCUMENT_WARNINGS:
            self._sentences.append(f"{member}: {sentence}")

    def build_tuple(self) -> tuple[str, ...]:
        """All sentences, in the order in which they came."""
        return tuple(self._sentences)


def refuse(reason: str, member: str, rule: str) -> NoReturn:
    """Refuse the document: raises ``ClientMetadataError`` with the slug ``document.<reason>``."""
    raise ClientMetadataError(f"document.{reason}", member, rule)


def _read_string(members: Members, name: str) -> str | None:
    value = members.get(name, _ABSENT)
    if value is _ABSENT:
        return None
    if not isinstance(value, str):
        refuse("wrong_type", name, "must be a string" if value is not None else "is null; leave the member out instead")
    return value


def read_text(members: Members, name: str, *, limit: int = TEXT_CHARACTERS) -> str | None:
    """A text of at most ``limit`` characters that is not blank; None where the member is absent."""
    value = _read_string(members, name)
    if value is None:
        return None
    if not value or value.isspace():
        refuse("empty", name, "is empty")
    if len(value) > limit:
        refuse("too_long", name, f"is longer than {limit} characters")
    return value


def read_text_list(members: Members, name: str) -> tuple[str, ...] | None:
    """A list of texts, each once, in their order; None where the member is absent."""
    value = members.get(name, _ABSENT)
    if value is _ABSENT:
        return None
    if not isinstance(value, list) or not set(map(type, value)) <= {str}:
        refuse("wrong_type", name, "must be an array of strings")
    if not value or "" in value:
        refuse("empty", name, "is empty, or has an empty entry")
    if len(value) > LIST_ENTRIES:
        refuse("too_long", name, f"has more than {LIST_ENTRIES} entries")
    return tuple(dict.fromkeys(value))


def read_claim(members: Members, name: str, warnings: Warnings) -> str | None:
    """A text that nothing is decided by: dropped where it is blank or too long, None where it is absent."""
    value = _read_string(members, name)
    if value is None:
        return None
    if value.strip() and len(value) <= TEXT_CHARACTERS:
        return value
    warnings.add(name, "dropped, because it is empty or too long")
    return None


def read_shown_url(members: Members, name: str, warnings: Warnings) -> str | None:
    """A URL that people are shown: an ``https`` one, or dropped. Never fetched. CIMD draft §9.6, only known schemes."""
    value = _read_string(members, name)
    fault = None if value is None else find_https_url_fault(value)
    if value is None or fault is None:
        return value
    warnings.add(name, f"{build_quotation(value)} dropped: {fault.problem}")
    return None
