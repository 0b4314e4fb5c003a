"""Query strings and forms: what is read, what is refused, and that no bytes do anything else."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ParameterError
from nameplate.protocol.parameters import (
    MAX_PARAMETERS,
    MAX_PARAMETERS_BYTES,
    is_form_media_type,
    parse_parameters,
)

NAMES = ("client_id", "code", "resource", "scope", "state", "x")


@pytest.mark.proves("O21-10")
@pytest.mark.parametrize(
    ("raw", "name", "value"),
    [
        (b"state=a", "state", "a"),
        (b"state=a+b", "state", "a b"),
        (b"scope=+offline_access", "scope", " offline_access"),
        (b"state=a%2Bb", "state", "a+b"),
        (b"state=%C3%BC%E2%80%AE", "state", "ü\u202e"),
        (b"state=%00%0d%0a", "state", "\0\r\n"),
        (b"state=a=b", "state", "a=b"),
        (b"state=a;x=b", "state", "a;x=b"),
        (b"&&state=a&", "state", "a"),
        (b"st%61te=a", "state", "a"),
        (b"state=", "state", None),
        (b"state", "state", None),
        (b"STATE=a", "state", None),
        (b"state[]=a", "state", None),
        (b"", "state", None),
        (b"state=%25zz", "state", "%zz"),
    ],
)
def test_a_value_is_decoded_and_an_empty_one_counts_as_absent(raw: bytes, name: str, value: str | None) -> None:
    assert parse_parameters(raw).get(name) == value


@pytest.mark.proves("O21-10")
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"client_id=a&client_id=b", "parameters.repeated"),
        (b"client_id=a&client_id=a", "parameters.repeated"),
        (b"client_id=&client_id=a", "parameters.repeated"),
        (b"scope=a&sc%6fpe=b", "parameters.repeated"),
        (b"unknown=1&unknown=2", "parameters.repeated"),
        (b"state=%ff", "parameters.encoding"),
        (b"%ff=state", "parameters.encoding"),
        (b"state=%ED%A0%80", "parameters.encoding"),
        (b"state=%C0%AF", "parameters.encoding"),
        ("state=ü".encode(), "parameters.encoding"),
        ("state=a".encode("utf-16"), "parameters.encoding"),
        (b"state=%", "parameters.encoding"),
        (b"state=100%&x=1", "parameters.encoding"),
        (b"state=%zz", "parameters.encoding"),
        (b"a" * (MAX_PARAMETERS_BYTES + 1), "parameters.too_long"),
        (b"&" * MAX_PARAMETERS, "parameters.too_many"),
        (b"&".join(b"p%d=" % number for number in range(MAX_PARAMETERS + 1)), "parameters.too_many"),
    ],
)
def test_what_two_readers_could_take_for_two_things_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(ParameterError) as refused:
        parse_parameters(raw)
    assert (refused.value.code, refused.value.reason) == ("invalid_request", reason)


def test_as_much_as_the_limits_allow_is_read() -> None:
    assert parse_parameters(b"a=" + b"b" * (MAX_PARAMETERS_BYTES - 2)).get("a") == "b" * (MAX_PARAMETERS_BYTES - 2)
    many = parse_parameters(b"&".join(b"p%d=%d" % (number, number) for number in range(MAX_PARAMETERS)))
    assert many.get(f"p{MAX_PARAMETERS - 1}") == str(MAX_PARAMETERS - 1)


def test_only_resource_may_be_repeated_and_equal_ones_count_once() -> None:
    parameters = parse_parameters(b"resource=b&resource=a&resource=&resource=b&state=s")
    assert parameters.resources == ("b", "a")
    assert parameters.get("resource") is None
    assert parse_parameters(b"state=s").resources == ()


@given(st.binary(max_size=400) | st.text("abc=&%+;.0\n[]", max_size=60).map(str.encode))
def test_any_bytes_are_parameters_or_a_parameter_error(raw: bytes) -> None:
    try:
        parameters = parse_parameters(raw)
    except ParameterError:
        return
    for name in NAMES:
        value = parameters.get(name)
        assert value is None or value.encode()


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(min_size=1, max_size=8), st.text(max_size=30), max_size=8))
def test_what_was_encoded_is_what_is_read(values: dict[str, str]) -> None:
    parameters = parse_parameters(urlencode(values).encode())
    resource = values.pop("resource", "")
    assert parameters.resources == ((resource,) if resource else ())
    assert {name: parameters.get(name) or "" for name in values} == values


@pytest.mark.parametrize(
    ("content_type", "is_form"),
    [
        ("application/x-www-form-urlencoded", True),
        ("Application/X-WWW-Form-URLencoded ; charset=UTF-8", True),
        ("application/json", False),
        ("multipart/form-data; boundary=application/x-www-form-urlencoded", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded, text/plain", False),
        ("", False),
    ],
)
def test_a_form_is_known_by_its_media_type_alone(content_type: str, *, is_form: bool) -> None:
    assert is_form_media_type(content_type) is is_form


@given(st.text(max_size=60))
def test_any_content_type_is_judged(content_type: str) -> None:
    assert is_form_media_type(content_type) in (True, False)
