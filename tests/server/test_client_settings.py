"""Settings of clients: lifetimes of their classes, and who may sign assertions for the token endpoint."""

from typing import Any

import pytest

from nameplate.errors import ConfigurationError
from nameplate.protocol.client_class import Lifetimes
from nameplate.server.settings import Settings
from nameplate.server.settings_checks import build_lifetimes, check_settings

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$gUcs7IZTv0YO1mYbLlKzZQ"
GOOD: dict[str, Any] = {
    "issuer": "https://auth.example.com",
    "accounts": [{"username": "alice", "password_hash": HASH}],
    "resources": [{"identifier": "https://mcp.example.com/mcp", "name": "Notes"}],
}


def check(**changes: Any) -> Settings:
    settings = Settings.model_validate({**GOOD, **changes})
    check_settings(settings)
    return settings


def refuse(**changes: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        check(**changes)
    return refused.value


def test_a_class_inherits_what_it_does_not_set() -> None:
    tokens = {
        "access_token_seconds": 100,
        "refresh_token_seconds": 1000,
        "grant_seconds": 2000,
        "public": {"access_token_seconds": 10},
        "unverified": {"refresh_token_seconds": 500, "grant_seconds": 600},
    }
    assert build_lifetimes(check(tokens=tokens).tokens) == {
        "public": Lifetimes(access_token_seconds=10, refresh_token_seconds=1000, grant_seconds=2000),
        "confidential": Lifetimes(access_token_seconds=100, refresh_token_seconds=1000, grant_seconds=2000),
        "unverified": Lifetimes(access_token_seconds=100, refresh_token_seconds=500, grant_seconds=600),
    }


@pytest.mark.parametrize(
    ("tokens", "setting"),
    [
        ({"refresh_token_seconds": 2000, "grant_seconds": 1000}, "tokens.refresh_token_seconds"),
        ({"access_token_seconds": 86401}, "tokens.access_token_seconds"),
        ({"public": {"access_token_seconds": 86401}}, "tokens.public.access_token_seconds"),
        ({"confidential": {"refresh_token_seconds": 999 * 86400}}, "tokens.confidential.refresh_token_seconds"),
        ({"unverified": {"grant_seconds": 86400}}, "tokens.unverified.refresh_token_seconds"),
        ({"public": {"refresh_token_seconds": 11, "grant_seconds": 10}}, "tokens.public.refresh_token_seconds"),
    ],
)
def test_a_lifetime_that_cannot_be_is_refused_where_it_stands(tokens: dict[str, Any], setting: str) -> None:
    assert refuse(tokens=tokens).setting == setting


@pytest.mark.parametrize(
    "pattern",
    [
        "https://chatgpt.com/oauth/client.json",
        "https://chatgpt.com/oauth/*/client.json",
        "https://app.example.com:8443/*",
        "npd_registered",
    ],
)
def test_clients_that_may_name_the_token_endpoint_are_ids_or_patterns(pattern: str) -> None:
    check(cimd={"token_endpoint_audience_clients": [pattern]})


def test_the_list_may_be_empty_and_names_chatgpt_by_default() -> None:
    assert check(cimd={"token_endpoint_audience_clients": []}).cimd.token_endpoint_audience_clients == ()
    assert all("chatgpt.com" in each for each in check().cimd.token_endpoint_audience_clients)


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "https://*/client.json",
        "https://*.example.com/client.json",
        "https://app.example.com/client*.json",
        "https://app.example.com/",
        "https://app.example.com",
        "http://app.example.com/client.json",
        "https://APP.example.com/client.json",
        "https://localhost/client.json",
        "https://app.example.com/*/../client.json",
        "https://app.example.com/client.json#x",
    ],
)
def test_a_pattern_that_matches_no_client_is_refused(pattern: str) -> None:
    error = refuse(cimd={"token_endpoint_audience_clients": [pattern]})
    assert error.setting == "cimd.token_endpoint_audience_clients"
    assert pattern in error.problem


def test_a_declared_private_host_may_be_listed() -> None:
    hosts = [{"host": "apps.internal", "network": "10.0.0.0/8"}]
    check(
        fetch={"private_hosts": hosts},
        cimd={"token_endpoint_audience_clients": ["https://apps.internal/*/client.json"]},
    )
