"""The ``[[upstreams]]`` tables: what is read from where, and what is refused with the setting's name."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from nameplate.errors import ConfigurationError
from nameplate.server.settings import Settings, load_settings
from nameplate.server.settings_checks import check_settings
from nameplate.server.upstream_settings import UpstreamSettings, build_preset_settings
from nameplate.server.upstreams import ServedUpstream, Upstreams, plan_upstream
from nameplate.upstream.code_flow import open_upstream
from nameplate.upstream.presets import UpstreamSettings as PresetSettings

HASH = "$argon2id$v=19$m=65536,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY"
CORP = {
    "name": "corp",
    "type": "oidc",
    "issuer": "https://id.example.com",
    "client_id": "nameplate",
    "client_secret": "a very good secret",
    "allow_everybody": True,
}
GUESTS = {**CORP, "name": "guests", "issuer": "https://guests.example.com"}
SERVER = {"id": "notes", "secret_hash": f"sha256:{'0' * 64}", "resources": ["https://mcp.example.com/mcp"]}


def build(*upstreams: dict[str, Any], **changes: Any) -> Settings:
    parts = {
        "issuer": "https://auth.example.com",
        "resources": [
            {
                "identifier": "https://mcp.example.com/mcp",
                "name": "Notes",
                "scopes": [{"name": "notes:read", "description": "Read"}],
            }
        ],
        "upstreams": upstreams,
        **changes,
    }
    return Settings.model_validate(parts)


def test_a_provider_takes_the_place_of_accounts() -> None:
    check_settings(build(CORP))
    check_settings(build(CORP, GUESTS, accounts=[{"username": "alice", "password_hash": HASH}]))


def test_nobody_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^accounts: nobody could sign in"):
        check_settings(build())


def test_every_setting_of_a_preset_can_be_written_down() -> None:
    """So that nothing that a preset reads is left behind on the way."""
    assert {field.name for field in dataclasses.fields(PresetSettings)} <= UpstreamSettings.model_fields.keys()
    extra = {"client_secret_file", "email_domains", "scopes_by_group"}
    assert UpstreamSettings.model_fields.keys() - {field.name for field in dataclasses.fields(PresetSettings)} == extra


def test_what_is_not_set_means_the_same_on_both_sides() -> None:
    read = build_preset_settings(UpstreamSettings.model_validate({"name": "a", "type": "oidc", "client_id": "c"}))
    assert read == PresetSettings(name="a", type="oidc", client_id="c")


@pytest.mark.parametrize(
    ("upstreams", "setting"),
    [
        ([CORP, CORP], "upstreams.name"),
        ([CORP, {**CORP, "name": "other"}], "upstreams.issuer"),
        ([{**CORP, "issuer": "https://auth.example.com"}], "upstreams.issuer"),
        ([{**CORP, "issuer": "http://id.example.com"}], "upstreams.corp.issuer"),
        ([{**CORP, "type": "nothing"}], "upstreams.corp.type"),
        ([{**CORP, "allow_everybody": False}], "upstreams.corp.allow_everybody"),
        ([{**CORP, "client_secret": None}], "upstreams.corp.client_secret"),
        ([{**CORP, "email_domains": ["@corp.example"]}], "upstreams.corp.email_domains"),
        ([{**CORP, "scopes_by_group": {"staff": ["notes:all"]}}], "upstreams.corp.scopes_by_group"),
        ([{**CORP, "claims": {"sub": "email"}}], "upstreams.corp.claims"),
        ([{**CORP, "client_secret_file": "x"}], "upstreams.corp.client_secret_file"),
    ],
)
def test_what_cannot_work_is_refused_by_its_name(upstreams: list[dict[str, Any]], setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_settings(build(*upstreams))
    assert caught.value.setting == setting
    assert "a very good secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "Corp", "a_b", "a/b", "-a", "a" * 65, ".."])
def test_a_name_has_to_fit_into_a_path(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        build({**CORP, "name": name})


def test_an_exchange_without_tokens_is_refused() -> None:
    servers = [{**SERVER, "may_exchange": True}]
    with pytest.raises(ConfigurationError, match=r"^resource_servers\.may_exchange"):
        check_settings(build(CORP, resource_servers=servers))
    check_settings(build({**CORP, "keeps_tokens": True}, resource_servers=servers))


def test_a_secret_is_not_printed() -> None:
    settings = build(CORP)
    assert "a very good secret" not in repr(settings)
    assert "a very good secret" not in repr(build_preset_settings(settings.upstreams[0]))


def test_files_are_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "corp.secret").write_text("from a file\n", encoding="ascii")
    config = tmp_path / "nameplate.toml"
    config.write_text(
        """
issuer = "https://auth.example.com"

[[resources]]
identifier = "https://mcp.example.com/mcp"
name = "Notes"

[[upstreams]]
name = "corp"
type = "oidc"
issuer = "https://id.example.com"
client_id = "nameplate"
client_secret_file = "corp.secret"
allow_everybody = true
""",
        encoding="utf-8",
    )
    (upstream,) = load_settings(config).upstreams
    secret = build_preset_settings(upstream).client_secret
    assert secret is not None
    assert secret.reveal() == "from a file"


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff", b"a" * 9000])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        check_settings(build({**CORP, "client_secret": None, "client_secret_file": file}))
    assert caught.value.setting == "upstreams.corp.client_secret_file"


def test_the_environment_has_tables_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMEPLATE_ISSUER", "https://auth.example.com")
    monkeypatch.setenv("NAMEPLATE_RESOURCES", json.dumps([{"identifier": "https://mcp.example.com", "name": "Notes"}]))
    monkeypatch.setenv("NAMEPLATE_UPSTREAMS", json.dumps([CORP]))
    assert load_settings().upstreams[0].name == "corp"


def test_an_address_puts_its_provider_first() -> None:
    settings = build(
        {**CORP, "email_domains": ["corp.example"]}, {**GUESTS, "email_domains": ["Bücher.example", "guests.example"]}
    )
    plans = [plan_upstream(upstream, offered=()) for upstream in settings.upstreams]
    upstreams = Upstreams(
        ServedUpstream(plan=plan, client=open_upstream(plan.options), callback="https://auth.example.com/callback/x")
        for plan in plans
    )
    for hint, first in (
        (None, "corp"),
        ("guests.example", "corp"),
        ("jane@corp.example", "corp"),
        ("jane@GUESTS.example", "guests"),
        ("jane@evil.guests.example", "corp"),
        ("jane@xn--bcher-kva.example", "guests"),
        ("jane@bücher.example", "guests"),
    ):
        assert upstreams.order_for(hint)[0].name == first
