"""By which method a client authenticates: one of them, whole, and never taken for another."""

import base64
import json
import re
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import TokenError
from nameplate.protocol.client_authentication import (
    ASSERTION_TYPE,
    AUTH_METHODS,
    Assertion,
    AuthMethod,
    Credentials,
    NoSecret,
    SharedSecret,
    check_auth_method,
    check_no_secret,
    check_secret,
    parse_credentials,
)
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.parameters import Parameters
from nameplate.secret import hash_bearer_value

CLIENT_ID = "https://app.example.com/client.json"
REGISTERED = "npk:1"
SECRET = "s3cr%t:/+ ü"
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §5.2


def encode_basic(joined: str | bytes) -> str:
    return "Basic " + base64.b64encode(joined if isinstance(joined, bytes) else joined.encode()).decode()


def encode_segment(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def build_assertion(claims: object) -> str:
    return f"{encode_segment({'alg': 'ES256'})}.{encode_segment(claims)}.AAAA"


BASIC = encode_basic(f"{quote_plus(REGISTERED)}:{quote_plus(SECRET)}")
TOKEN = build_assertion({"sub": CLIENT_ID})
ASSERTED = {"client_assertion": TOKEN, "client_assertion_type": ASSERTION_TYPE}


def parse(form: dict[str, str], authorization: str | None = None) -> Credentials:
    return parse_credentials(Parameters(form), authorization)


def refuse(form: dict[str, str], authorization: str | None = None) -> TokenError:
    with pytest.raises(TokenError) as refused:
        parse(form, authorization)
    return refused.value


def try_parsing(form: dict[str, str], authorization: str | None) -> Credentials | TokenError:
    try:
        return parse(form, authorization)
    except TokenError as error:
        return error


def test_none_is_advertised_first() -> None:
    assert AUTH_METHODS == ("none", "private_key_jwt", "client_secret_basic", "client_secret_post")


@pytest.mark.parametrize(
    ("form", "authorization", "credentials"),
    [
        ({"client_id": CLIENT_ID}, None, NoSecret(client_id=CLIENT_ID)),
        ({"client_id": CLIENT_ID, "client_secret": "", "client_assertion": ""}, None, NoSecret(client_id=CLIENT_ID)),
        (
            {"client_id": REGISTERED, "client_secret": SECRET},
            None,
            SharedSecret(client_id=REGISTERED, secret=SECRET, method="client_secret_post"),
        ),
        ({}, BASIC, SharedSecret(client_id=REGISTERED, secret=SECRET, method="client_secret_basic")),
        (
            {"client_id": REGISTERED},
            BASIC.replace("Basic", "bASIC "),
            SharedSecret(client_id=REGISTERED, secret=SECRET, method="client_secret_basic"),
        ),
        ({"client_id": CLIENT_ID, **ASSERTED}, None, Assertion(client_id=CLIENT_ID, token=TOKEN)),
        (ASSERTED, None, Assertion(client_id=CLIENT_ID, token=TOKEN)),
        # Whether it is the assertion's own is found out with the client's key.
        ({"client_id": "other", **ASSERTED}, None, Assertion(client_id="other", token=TOKEN)),
    ],
)
def test_each_method_is_recognised(form: dict[str, str], authorization: str | None, credentials: Credentials) -> None:
    assert parse(form, authorization) == credentials
    assert credentials.method in AUTH_METHODS


def test_secrets_and_assertions_are_not_printed() -> None:
    assert SECRET not in repr(parse({}, BASIC))
    assert TOKEN not in repr(parse(ASSERTED))


@pytest.mark.proves("O21-14")
@pytest.mark.parametrize(
    ("form", "authorization"),
    [
        ({"client_id": REGISTERED, "client_secret": SECRET}, BASIC),
        (ASSERTED, BASIC),
        ({"client_assertion_type": ASSERTION_TYPE}, BASIC),
        ({"client_secret": SECRET, **ASSERTED}, None),
        ({"client_secret": SECRET, "client_assertion_type": "x"}, None),
        ({"client_secret": SECRET, **ASSERTED}, BASIC),
        ({"client_secret": SECRET}, ""),
    ],
)
def test_two_methods_at_once_are_refused(form: dict[str, str], authorization: str | None) -> None:
    refusal = refuse(form, authorization)
    assert (refusal.code, refusal.reason, refusal.status) == ("invalid_request", "client.auth_methods_several", 400)


@pytest.mark.proves("O21-13", "CIMD-62", "CIMD-114")
@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Bearer abc",
        "Basic\tabcd",
        f"{BASIC} ",
        f"{BASIC}, {BASIC}",
        BASIC.rstrip("="),
        f"{BASIC}=",
        encode_basic("no colon"),
        encode_basic(":secret"),
        encode_basic("client:"),
        encode_basic(f"{quote_plus(CLIENT_ID)}:"),
        encode_basic(b"client:\xff"),
        encode_basic("client:%ff"),
        encode_basic("client:%zz"),
        encode_basic("client:100%"),
        "Basic " + base64.urlsafe_b64encode(b"\xfb\xff:x").decode(),
        "Basic Y2xpZW50OnR=",  # a second spelling of client:t
        "Basic " + "A" * 10_000,
    ],
)
def test_a_header_that_holds_no_credentials_is_401(authorization: str) -> None:
    refusal = refuse({"client_id": CLIENT_ID}, authorization)
    assert (refusal.code, refusal.reason, refusal.status) == ("invalid_client", "client.authorization_header", 401)


def test_the_body_may_not_name_another_client_than_the_header() -> None:
    assert refuse({"client_id": CLIENT_ID}, BASIC).status == 401


# JA-13


@pytest.mark.parametrize(
    "form",
    [
        {"client_assertion": TOKEN},
        {"client_assertion_type": ASSERTION_TYPE},
        {"client_assertion": TOKEN, "client_assertion_type": ASSERTION_TYPE.upper()},
        {"client_assertion": TOKEN, "client_assertion_type": f"{ASSERTION_TYPE} "},
        {
            "client_assertion": TOKEN,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        },
    ],
)
@pytest.mark.parametrize("named", [{}, {"client_id": CLIENT_ID}])
def test_an_assertion_that_is_not_whole_is_never_taken_for_none(form: dict[str, str], named: dict[str, str]) -> None:
    refusal = refuse(form | named)
    assert (refusal.code, refusal.reason, refusal.status) == ("invalid_client", "assertion.request", 400)


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b",
        "a.b.c.d",
        "a..c",
        "a.ü.c",
        "a.e30=.c",
        "a.a+b/.c",
        build_assertion([]),
        build_assertion({}),
        build_assertion({"sub": 1}),
        build_assertion({"sub": ""}),
        build_assertion({"sub": "x" * 3000}),
        build_assertion(b'{"sub":"a","sub":"b"}'),
        build_assertion(b'{"sub":"\\ud800"}'),
        build_assertion(b"\xff"),
        build_assertion(b"[" * 9000),
    ],
)
def test_an_assertion_that_names_nobody_needs_a_client_id_beside_it(token: str) -> None:
    form = {**ASSERTED, "client_assertion": token}
    refusal = refuse(form)
    assert (refusal.code, refusal.reason) == ("invalid_client", "assertion.malformed")
    assert parse({"client_id": CLIENT_ID, **form}) == Assertion(client_id=CLIENT_ID, token=token)


@pytest.mark.parametrize("form", [{}, {"client_id": ""}, {"client_secret": SECRET}])
def test_who_names_no_client_is_told_so(form: dict[str, str]) -> None:
    refusal = refuse(form)
    assert (refusal.code, refusal.reason, refusal.status) == ("invalid_request", "token.client_id_missing", 400)


# What the client offers


def build_client(*methods: str) -> ClientMetadata:
    return ClientMetadata(client_id=CLIENT_ID, redirect_uris=("https://app.example.com/cb",), auth_methods=methods)


def test_a_client_may_use_whatever_it_offers() -> None:
    for method in AUTH_METHODS:
        check_auth_method(build_client("tls_client_auth", method), method)


@pytest.mark.proves("CIMD-59", "CIMD-63")
@pytest.mark.parametrize(
    ("methods", "method", "pinned", "reason"),
    [
        (("private_key_jwt",), "none", "", "client.auth_method_unsupported"),
        (("none",), "private_key_jwt", "none", "client.auth_method_unsupported"),
        (("client_secret_post",), "client_secret_basic", "", "client.auth_method_unsupported"),
        (("None",), "none", "", "client.auth_method_unsupported"),
        (("private_key_jwt",), "none", "none", "client.auth_method_withdrawn"),
        (("tls_client_auth", "\u202enone"), "none", "none", "client.auth_method_withdrawn"),
        (("none",), "private_key_jwt", "private_key_jwt", "client.auth_method_withdrawn"),
    ],
)
def test_a_client_may_use_nothing_else(methods: tuple[str, ...], method: AuthMethod, pinned: str, reason: str) -> None:
    with pytest.raises(TokenError) as refused:
        check_auth_method(build_client(*methods), method, pinned=pinned)
    assert (refused.value.code, refused.value.reason, refused.value.status) == ("invalid_client", reason, 400)
    assert DESCRIPTION.fullmatch(refused.value.description)
    assert refused.value.detail.isascii()


def test_a_client_with_a_document_has_no_secret() -> None:
    check_no_secret(NoSecret(client_id=CLIENT_ID))
    check_no_secret(Assertion(client_id=CLIENT_ID, token=TOKEN))
    with pytest.raises(TokenError) as refused:
        check_no_secret(SharedSecret(client_id=CLIENT_ID, secret=SECRET, method="client_secret_post"))
    assert (refused.value.code, refused.value.reason) == ("invalid_client", "client.auth_method_unsupported")


@given(st.text(st.characters(), min_size=1), st.text(st.characters(), min_size=1))
def test_only_the_secret_itself_passes(secret: str, other: str) -> None:
    credentials = SharedSecret(client_id=REGISTERED, secret=secret, method="client_secret_post")
    check_secret(credentials, hash_bearer_value(secret))
    for stored in (None, b"", secret.encode(errors="surrogatepass")[:32], hash_bearer_value(other + secret)):
        with pytest.raises(TokenError) as refused:
            check_secret(credentials, stored)
        assert (refused.value.code, refused.value.reason) == ("invalid_client", "client.wrong_secret")


@given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
def test_what_is_form_encoded_in_the_header_is_read_back(client_id: str, secret: str) -> None:
    header = encode_basic(f"{quote_plus(client_id)}:{quote_plus(secret)}")
    assert parse({}, header) == SharedSecret(client_id=client_id, secret=secret, method="client_secret_basic")


hostile = st.text(st.characters(), max_size=30)
NAMES = ["client_id", "client_secret", "client_assertion", "client_assertion_type"]


@given(
    st.dictionaries(st.sampled_from(NAMES), hostile | st.sampled_from([ASSERTION_TYPE, TOKEN, CLIENT_ID])),
    st.none() | hostile | st.binary(max_size=30).map(encode_basic) | st.just(BASIC),
)
def test_whatever_is_sent_it_is_one_method_or_refused_in_words_that_can_be_sent(
    form: dict[str, str], authorization: str | None
) -> None:
    present = {name for name, value in form.items() if value} - {"client_id"}
    read = try_parsing(form, authorization)
    if isinstance(read, TokenError):
        assert DESCRIPTION.fullmatch(read.description)
        assert (read.status == 401) <= (authorization is not None)
    else:
        assert (read.method == "none") == (not present and authorization is None)
        assert (read.method == "client_secret_basic") == (authorization is not None)
        assert (read.method == "client_secret_post") == (present == {"client_secret"})
