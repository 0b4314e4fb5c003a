"""The configuration: where settings come from, and that what cannot work is refused with the setting's name."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nameplate.errors import ConfigurationError
from nameplate.server.settings import Settings, load_settings
from nameplate.server.settings_checks import build_private_hosts, parse_listen

HASH = "$argon2id$v=19$m=65536,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY"
ACCOUNT = {"username": "alice", "password_hash": HASH}
RESOURCE = {"identifier": "https://mcp.example.com/mcp", "name": "Notes"}
GOOD: dict[str, Any] = {"issuer": "https://auth.example.com", "accounts": [ACCOUNT], "resources": [RESOURCE]}
FILE = f"""
issuer = "https://auth.example.com"
listen = "127.0.0.1:1001"

[[accounts]]
username = "alice"
password_hash = "{HASH}"

[[resources]]
identifier = "https://mcp.example.com/mcp"
name = "Notes"
scopes = [{{ name = "notes:read", description = "Read notes" }}]

[tokens]
access_token_seconds = 111
session_seconds = 222
"""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("NAMEPLATE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "nameplate.toml"
    file.write_text(FILE, encoding="utf-8")
    return file


def merge(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


def load(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that these values make, given through the environment."""
    for name, value in values.items():
        monkeypatch.setenv(f"NAMEPLATE_{name.upper()}", value if isinstance(value, str) else json.dumps(value))
    return load_settings()


def test_a_file_is_enough(config: Path) -> None:
    settings = load_settings(config)
    assert settings.issuer == "https://auth.example.com"
    assert settings.accounts[0].username == "alice"
    assert settings.resources[0].scopes[0].name == "notes:read"
    assert settings.tokens.access_token_seconds == 111
    assert settings.cimd.enabled
    assert settings.fetch.private_hosts == ()


def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(GOOD, monkeypatch)
    assert settings.accounts[0].username == "alice"
    assert settings.resources[0].identifier == "https://mcp.example.com/mcp"


def test_flags_are_enough() -> None:
    flags = ["--issuer=https://auth.example.com", "--accounts", json.dumps([ACCOUNT])]
    settings = load_settings(None, [*flags, "--resources", json.dumps([RESOURCE]), "--cimd.enabled", "false"])
    assert settings.accounts[0].username == "alice"
    assert not settings.cimd.enabled


def test_flags_win_over_the_environment_which_wins_over_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(config).listen == "127.0.0.1:1001"
    monkeypatch.setenv("NAMEPLATE_LISTEN", "127.0.0.1:1002")
    assert load_settings(config).listen == "127.0.0.1:1002"
    assert load_settings(config, ["--listen", "127.0.0.1:1003"]).listen == "127.0.0.1:1003"


def test_one_setting_of_a_table_replaces_no_other(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMEPLATE_TOKENS__SESSION_SECONDS", "333")
    tokens = load_settings(config, ["--tokens.grant_seconds", "31536000"]).tokens
    assert (tokens.access_token_seconds, tokens.session_seconds, tokens.grant_seconds) == (111, 333, 31_536_000)
    monkeypatch.setenv("NAMEPLATE_TOKENS", '{"access_token_seconds": 444}')
    assert load_settings(config).tokens.access_token_seconds == 444
    assert load_settings(config).tokens.session_seconds == 333


def test_a_list_replaces_the_list_of_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMEPLATE_RESOURCES", json.dumps([{**RESOURCE, "name": "Mail"}]))
    (resource,) = load_settings(config).resources
    assert (resource.name, resource.scopes) == ("Mail", ())


@pytest.mark.parametrize(
    "name",
    [
        "NAMEPLATE_ISUER",
        "NAMEPLATE_TOKENS__ACCES_TOKEN_SECONDS",
        "NAMEPLATE_TOKENS_SESSION_SECONDS",
        "NAMEPLATE_LISTEN__PORT",
        "NAMEPLATE_ACCOUNTS__0__USERNAME",
        "NAMEPLATE_TOKENS__SESSION_SECONDS__X",
        "NAMEPLATE_",
        "nameplate_isuer",
    ],
)
def test_a_variable_that_is_no_setting_is_refused_by_its_name(
    name: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigurationError) as refused:
        load_settings(config)
    assert (refused.value.setting, refused.value.problem) == (name, "there is no such setting.")


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        (["--isuer", "x"], "--isuer"),
        (["--lis", "127.0.0.1:1"], "--lis"),
        (["--tokens.acces_token_seconds=5"], "--tokens.acces_token_seconds"),
        (["--listen.port", "5"], "--listen.port"),
        (["--help"], "--help"),
        (["-h"], "-h"),
        (["--accounts.0.username", "x"], "--accounts.0.username"),
    ],
)
def test_a_flag_that_is_no_setting_is_refused_by_its_name(flags: list[str], setting: str, config: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(config, flags)
    assert (refused.value.setting, refused.value.problem) == (setting, "there is no such setting.")


@pytest.mark.parametrize("flags", [["stray"], ["--listen"], ["--tokens.access_token_seconds", "5", "stray"]])
def test_flags_that_cannot_be_read_are_refused(flags: list[str], config: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(config, flags)
    assert refused.value.setting == "flags"
    assert flags[-1] in refused.value.problem


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("unknown = 1\n" + FILE, "unknown"),
        (FILE + "\nunknown = 1\n", "tokens.unknown"),
        (FILE + "\n[cimd]\nenable = true\n", "cimd.enable"),
        (FILE.replace('name = "Notes"', 'title = "Notes"'), "resources.0.title"),
        (FILE.replace('name = "Notes"', ""), "resources.0.name"),
        (FILE.replace("issuer =", "isuer ="), "isuer"),
        (FILE.replace("issuer =", "# issuer ="), "issuer"),
    ],
)
def test_a_setting_of_the_file_that_is_unknown_or_missing_is_named(text: str, setting: str, tmp_path: Path) -> None:
    file = tmp_path / "nameplate.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file)
    assert refused.value.setting == setting


@pytest.mark.parametrize("content", [b"issuer = ", b"\xff\xfe", b"[[", b"a = 1\na = 2", b"a = 9" + b"9" * 5000])
def test_a_file_that_is_no_toml_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file)
    assert refused.value.setting == "--config"
    assert "broken.toml cannot be read" in refused.value.problem


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no file"):
        load_settings(tmp_path / name)


@pytest.mark.parametrize("name", ["NAMEPLATE_ACCOUNTS", "NAMEPLATE_FETCH__PRIVATE_HOSTS", "NAMEPLATE_TOKENS"])
def test_a_variable_that_should_be_json_is_named_and_its_value_is_not_repeated(
    name: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, '[{"password_hash": "s3cret"')
    with pytest.raises(ConfigurationError) as refused:
        load_settings(config)
    assert refused.value.setting == name.removeprefix("NAMEPLATE_").lower().partition("__")[0]
    assert "JSON" in refused.value.problem
    assert "s3cret" not in str(refused.value)


def test_a_password_hash_is_not_printed_with_the_settings(config: Path) -> None:
    assert "argon2" not in repr(load_settings(config))


LOCAL = {"issuer": "http://127.0.0.1:8080", "listen": "127.0.0.1:8080"}
LOOPBACK_HOST = {"host": "docs.test", "network": "127.0.0.0/8"}


@pytest.mark.proves("CIMD-33")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"issuer": "https://auth.example.com:8443/tenant/a-1"},
        {"issuer": "https://203.0.113.9"},
        {"issuer": "https://[2001:db8::1]:8443"},
        {"issuer": "https://xn--bcher-kva.example"},
        LOCAL,
        {"issuer": "http://localhost:8080", "listen": "localhost:8080"},
        {"issuer": "http://[::1]:8080", "listen": "[::1]:8080"},
        {"listen": "0.0.0.0:8080"},
        {"listen": "[::]:0"},
        {"trusted_proxies": ["10.0.0.5", "10.0.0.0/8", "fd00::/8"]},
        {"resources": [RESOURCE, {"identifier": "https://mcp.example.com/other", "name": "Other"}]},
        {"resources": [{"identifier": "http://localhost:8000/mcp/", "name": "Local"}]},
        {"cimd": {"enabled": False}},
        {"cimd": {"allowed_client_redirect_uris": ["https://claude.ai/cb", "http://127.0.0.1:*/callback"]}},
        {"fetch": {"private_hosts": [{"host": "git.corp.example.com", "network": "10.20.0.0/16"}]}},
        {**LOCAL, "fetch": {"private_hosts": [LOOPBACK_HOST]}},
        {"tokens": {"access_token_seconds": 86400, "refresh_token_seconds": 100, "grant_seconds": 100}},
        {"store": {"url": "sqlite:////var/lib/nameplate/store.sqlite3"}},
    ],
)
def test_a_configuration_that_can_work_is_accepted(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(merge(**changes), monkeypatch)
    assert settings.issuer == merge(**changes)["issuer"]


@pytest.mark.proves("CIMD-33", "CIMD-34", "ASM-1")
@pytest.mark.parametrize(
    ("changes", "setting", "said"),
    [
        ({"issuer": "auth.example.com"}, "issuer", "https://auth.example.com"),
        ({"issuer": ""}, "issuer", "not a plain https URL"),
        ({"issuer": "https://auth.example.com/"}, "issuer", "no trailing slash"),
        ({"issuer": "https://Auth.example.com"}, "issuer", "lower-case"),
        ({"issuer": "HTTPS://auth.example.com"}, "issuer", "not a plain https URL"),
        ({"issuer": "https://auth.example.com?x"}, "issuer", "query"),
        ({"issuer": "https://auth.example.com#"}, "issuer", "fragment"),
        ({"issuer": "https://user@auth.example.com"}, "issuer", "not a plain https URL"),
        ({"issuer": "https://auth.example.com\n"}, "issuer", "not a plain https URL"),
        ({"issuer": "https://auth.example.com//a"}, "issuer", "not a plain https URL"),
        ({"issuer": "https://auth.example.com/a/../b"}, "issuer", "dot segments"),
        ({"issuer": "https://auth.example.com:443"}, "issuer", "leave out the default port"),
        ({"issuer": "http://127.0.0.1:80"}, "issuer", "leave out the default port"),
        ({"issuer": "https://auth.example.com:99999"}, "issuer", "no port 99999"),
        ({"issuer": "https://auth.example.com:08"}, "issuer", "not a plain https URL"),
        ({"issuer": "http://auth.example.com"}, "issuer", "use https"),
        ({"issuer": "http://localhost.evil.example"}, "issuer", "use https"),
        ({"issuer": "https://..."}, "issuer", "neither a host name nor an address"),
        ({"issuer": "https://-a.example"}, "issuer", "neither a host name nor an address"),
        ({"issuer": "https://127.1"}, "issuer", "neither a host name nor an address"),
        ({"issuer": "https://0x7f000001"}, "issuer", "neither a host name nor an address"),
        ({"issuer": "https://[:.:]"}, "issuer", "neither a host name nor an address"),
        ({"issuer": "https://[0:0:0:0:0:0:0:1]"}, "issuer", "neither a host name nor an address"),
        ({"listen": "8080"}, "listen", "ADDRESS:PORT"),
        ({"listen": ":8080"}, "listen", "ADDRESS:PORT"),
        ({"listen": "127.0.0.1"}, "listen", "ADDRESS:PORT"),
        ({"listen": "127.0.0.1:65536"}, "listen", "ADDRESS:PORT"),
        ({"listen": "127.0.0.1:٣"}, "listen", "ADDRESS:PORT"),
        ({"listen": "::1:8080"}, "listen", "ADDRESS:PORT"),
        ({"listen": "[::1:8080"}, "listen", "ADDRESS:PORT"),
        ({"listen": "[zz]:8080"}, "listen", "ADDRESS:PORT"),
        ({"listen": "127.0.0.1:" + "9" * 5000}, "listen", "256 characters"),
        ({"issuer": "http://localhost:8080", "listen": "0.0.0.0:8080"}, "listen", "plain http"),
        ({"issuer": "http://127.0.0.1:8080", "listen": "[::]:8080"}, "listen", "plain http"),
        ({"issuer": "http://127.0.0.1:8080", "listen": "server.example.com:80"}, "listen", "plain http"),
        ({"trusted_proxies": ["nginx"]}, "trusted_proxies", "neither an address nor a network"),
        ({"trusted_proxies": ["*"]}, "trusted_proxies", "neither an address nor a network"),
        ({"trusted_proxies": ["10.0.0.5/8"]}, "trusted_proxies", "neither an address nor a network"),
        ({"trusted_proxies": ["0.0.0.0/0"]}, "trusted_proxies", "everybody"),
        ({"trusted_proxies": ["10.0.0.1", "::/0"]}, "trusted_proxies", "everybody"),
        ({"trusted_proxies": {"a": 1}}, "trusted_proxies", "must be a list"),
        ({"accounts": []}, "accounts", "nameplate accounts hash-password"),
        ({"accounts": [ACCOUNT, ACCOUNT]}, "accounts.username", "declared twice"),
        ({"accounts": [{**ACCOUNT, "username": ""}]}, "accounts.0.username", "at least 1 character"),
        ({"accounts": [{**ACCOUNT, "password_hash": "hunter22"}]}, "accounts.password_hash", "no Argon2 hash"),
        ({"accounts": [{**ACCOUNT, "password_hash": "$argon2id$"}]}, "accounts.password_hash", "no Argon2 hash"),
        (
            {"accounts": [{**ACCOUNT, "password_hash": "$2b$12$" + "a" * 53}]},
            "accounts.password_hash",
            "no Argon2 hash",
        ),
        ({"accounts": [{**ACCOUNT, "admin": True}]}, "accounts.0.admin", "no such setting"),
        ({"resources": []}, "resources", "[[resources]]"),
        ({"resources": [{**RESOURCE, "identifier": "mcp"}]}, "resources.identifier", "'mcp'"),
        ({"resources": [{**RESOURCE, "identifier": "https://a.example/#x"}]}, "resources.identifier", "fragment"),
        ({"resources": [{**RESOURCE, "identifier": "http://a.example/"}]}, "resources.identifier", "https"),
        ({"resources": [{**RESOURCE, "identifier": "HTTP://a.example/"}]}, "resources.identifier", "lower-case"),
        ({"resources": [{**RESOURCE, "identifier": "http://[zz]/"}]}, "resources.identifier", "absolute URL"),
        (
            {"resources": [RESOURCE, {**RESOURCE, "identifier": "https://mcp.example.com:443/mcp/"}]},
            "resources.identifier",
            "declared twice",
        ),
        (
            {"resources": [{**RESOURCE, "scopes": [{"name": "a b", "description": "d"}]}]},
            "resources.scopes.name",
            "not a scope token",
        ),
        (
            {"resources": [{**RESOURCE, "scopes": [{"name": "offline_access", "description": "d"}]}]},
            "resources.scopes.name",
            "belongs to no resource",
        ),
        (
            {"resources": [{**RESOURCE, "scopes": [{"name": "a", "description": "d"}] * 2}]},
            "resources.scopes.name",
            "declared twice",
        ),
        ({"cimd": {"allowed_client_redirect_uris": []}}, "cimd.allowed_client_redirect_uris", "leave it out"),
        ({"cimd": {"allowed_client_redirect_uris": ["https://*/cb"]}}, "cimd.allowed_client_redirect_uris", "*"),
        (
            {"cimd": {"allowed_client_redirect_uris": ["javascript:x"]}},
            "cimd.allowed_client_redirect_uris",
            "javascript",
        ),
        ({"cimd": {"max_document_bytes": 10**9}}, "cimd.max_document_bytes", "65536"),
        ({"fetch": {"private_hosts": [LOOPBACK_HOST]}}, "fetch.private_hosts", "loopback"),
        (
            {**LOCAL, "issuer": "https://a.example", "fetch": {"private_hosts": [LOOPBACK_HOST]}},
            "fetch.private_hosts",
            "loopback",
        ),
        (
            {"fetch": {"private_hosts": [{"host": "meta.example.com", "network": "169.254.0.0/16"}]}},
            "fetch.private_hosts.network",
            "never admitted",
        ),
        ({"fetch": {"trusted_ca_file": "/nonexistent/ca.pem"}}, "fetch.trusted_ca_file", "there is no file"),
        ({"fetch": {"deadline_seconds": 0}}, "fetch.deadline_seconds", "greater than 0"),
        ({"fetch": {"deadline_seconds": "nan"}}, "fetch.deadline_seconds", "less than or equal to 60"),
        ({"tokens": {"access_token_seconds": 86401}}, "tokens.access_token_seconds", "86400"),
        ({"tokens": {"access_token_seconds": 0}}, "tokens.access_token_seconds", "greater than 0"),
        ({"tokens": {"access_token_seconds": "soon"}}, "tokens.access_token_seconds", "integer"),
        ({"tokens": {"grant_seconds": 3600}}, "tokens.refresh_token_seconds", "exceeds tokens.grant_seconds"),
        ({"tokens": {"pending_authorization_seconds": 5}}, "tokens.pending_authorization_seconds", "60"),
        ({"store": {"url": "mysql://localhost/x"}}, "store.url", "postgresql://"),
        ({"store": {"url": "postgresql://localhost"}}, "store.url", "names no database"),
        ({"store": {"url": "sqlite:///:memory:"}}, "store.url", "path of a file"),
        ({"store": {"url": "sqlite:///"}}, "store.url", "path of a file"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_in_words_that_help(
    changes: dict[str, Any], setting: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(merge(**changes), monkeypatch)
    assert refused.value.setting == setting
    assert said in refused.value.problem
    assert str(refused.value) == f"{setting}: {refused.value.problem}"


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
    ],
)
def test_where_to_listen_is_an_address_and_a_port(listen: str, address: tuple[str, int]) -> None:
    assert parse_listen(listen) == address


def test_private_hosts_are_built_as_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {"host": ".corp.example.com", "network": "10.0.0.0/8", "ports": [443, 8443], "address": "10.0.0.7"}
    (host,) = build_private_hosts(load(merge(fetch={"private_hosts": [declared]}), monkeypatch))
    assert (host.host, host.network, host.ports, host.address) == (
        ".corp.example.com",
        "10.0.0.0/8",
        (443, 8443),
        "10.0.0.7",
    )


def test_paths_in_the_file_are_relative_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "ca.pem").touch()
    config = folder / "nameplate.toml"
    text = f"""
issuer = "http://127.0.0.1:8080"
store.url = "sqlite:///var/store.sqlite3"
fetch.trusted_ca_file = "ca.pem"
accounts = [{{ username = "a", password_hash = "{HASH}" }}]
resources = [{{ identifier = "http://127.0.0.1:8000/mcp", name = "Notes" }}]
"""
    config.write_text(text)
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("etc/nameplate.toml"))
    assert settings.store.url == f"sqlite:///{folder}/var/store.sqlite3"
    assert settings.fetch.trusted_ca_file == folder / "ca.pem"
    config.write_text(text.replace("sqlite:///var", "sqlite:////var"))
    assert load_settings(config).store.url == "sqlite:////var/store.sqlite3"
    config.write_text(text.replace('store.url = "sqlite:///var/store.sqlite3"', ""))
    assert load_settings(config).store.url == f"sqlite:///{folder}/nameplate.sqlite3"
