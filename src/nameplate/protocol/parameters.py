"""Query strings and forms, read strictly (RFC 6749 §3.1, §3.2; OAuth 2.1 §3.1).

A repeated parameter is refused, ``resource`` excepted (RFC 8707 §2); an empty value counts as absent; unknown ones are
ignored.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from nameplate.errors import ParameterError

__all__ = ["MAX_PARAMETERS", "MAX_PARAMETERS_BYTES", "Parameters", "is_form_media_type", "parse_parameters"]

MAX_PARAMETERS_BYTES = 16 * 1024
MAX_PARAMETERS = 100

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Parameters:
    """The parameters of one request."""

    __slots__ = ("_resources", "_values")

    def __init__(self, values: Mapping[str, str], resources: tuple[str, ...] = ()) -> None:
        self._values = values
        self._resources = resources

    def get(self, name: str) -> str | None:
        """The parameter's value; None where it is absent or empty."""
        return self._values.get(name) or None

    @property
    def resources(self) -> tuple[str, ...]:
        """The values of ``resource``, in order, without repeats of equal ones."""
        return self._resources


def parse_parameters(raw: bytes) -> Parameters:
    """Read a query string or an ``application/x-www-form-urlencoded`` body.

    Raises ``ParameterError`` where it is too long, has too many parameters, is not percent-encoded UTF-8, or repeats
    one.
    """
    if len(raw) > MAX_PARAMETERS_BYTES:
        raise ParameterError("The parameters are too long.", reason="parameters.too_long")
    if _BAD_ESCAPE.search(raw):  # some readers keep such a %, some drop it, and each then sees another request
        raise ParameterError("A % is not followed by two hexadecimal digits.", reason="parameters.encoding")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS, separator="&"
        )
    except UnicodeDecodeError:
        raise ParameterError("The parameters are not percent-encoded UTF-8.", reason="parameters.encoding") from None
    except ValueError:
        raise ParameterError("There are too many parameters.", reason="parameters.too_many") from None
    values: dict[str, str] = {}
    resources: dict[str, None] = {}
    for name, value in pairs:
        if name == "resource":
            resources[value] = None
        elif name in values:
            raise ParameterError("A parameter is repeated.", reason="parameters.repeated")
        else:
            values[name] = value
    resources.pop("", None)
    return Parameters(values, tuple(resources))


def is_form_media_type(content_type: str) -> bool:
    """Whether a Content-Type names ``application/x-www-form-urlencoded``, whatever its parameters."""
    return content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"
