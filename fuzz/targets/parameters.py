"""Query strings and forms: any bytes are parameters, or ``ParameterError``.

Python's own reader sees the same names and values, each name once, ``resource`` excepted. Written and read again they
are the same.
"""

from urllib.parse import parse_qsl, urlencode

from fuzz.inputs import read_text
from nameplate.errors import ParameterError
from nameplate.protocol.parameters import (
    MAX_PARAMETERS,
    MAX_PARAMETERS_BYTES,
    Parameters,
    is_form_media_type,
    parse_parameters,
)

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"client_id=", b"redirect_uri=", b"state=", b"scope=", b"resource=", b"&", b"=", b";", b"+", b"%", b"%26"),
    *(b"%3D", b"%00", b"%ff", b"%c3%bc", b"%ed%a0%80", b"&resource=a&resource=b", b"a&a", b"&" * 100, b"\xff"),
    *(b"\r\n",),
)


def check(data: bytes) -> None:
    """Try one query string."""
    assert is_form_media_type(read_text(data)) in (True, False)
    try:
        parameters = parse_parameters(data)
    except ParameterError as error:
        assert error.code == "invalid_request"
        assert error.reason.startswith("parameters.")
        return
    assert len(data) <= MAX_PARAMETERS_BYTES
    pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict")
    assert len(pairs) <= MAX_PARAMETERS
    _check_pairs(parameters, pairs)
    again = parse_parameters(urlencode(pairs).encode())
    assert again.resources == parameters.resources
    assert all(again.get(name) == parameters.get(name) for name, _ in pairs)


def _check_pairs(parameters: Parameters, pairs: list[tuple[str, str]]) -> None:
    single = [(name, value) for name, value in pairs if name != "resource"]
    assert len(dict(single)) == len(single)
    assert [parameters.get(name) for name, _ in single] == [value or None for _, value in single]
    assert set(parameters.resources) == {value for name, value in pairs if name == "resource" and value}
    assert len(set(parameters.resources)) == len(parameters.resources)
