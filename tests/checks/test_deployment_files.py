"""The files in deploy/ fit the program and the page that tells how to use them."""

import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from nameplate.cli.main import app
from nameplate.server.app import AuthorizationServer
from nameplate.server.run import CLOSING_SECONDS, GRACEFUL_SECONDS
from nameplate.server.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text()
HASH = "$argon2id$v=19$m=65536,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY"
CONFIGURATION = f"""
issuer = "https://auth.example.com"
accounts = [{{ username = "ada", password_hash = "{HASH}" }}]
resources = [{{ identifier = "https://mcp.example.com/mcp", name = "Notes" }}]
"""
STOP_SECONDS = GRACEFUL_SECONDS + CLOSING_SECONDS


@pytest.fixture
def manifest() -> dict[str, Any]:
    """The Kubernetes objects by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text())}


@pytest.fixture
def container(manifest: dict[str, Any]) -> dict[str, Any]:
    (found,) = manifest["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def load_in(environment: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that a server would have."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = folder / "nameplate.toml"
    config.write_text(CONFIGURATION)
    return load_settings(config)


def test_the_pods_environment_is_one_that_the_server_takes(
    container: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "url": "postgresql://nameplate:x@db.example.com:5432/nameplate?sslmode=require",
        "encryption-keys": '["A9JRGAmOyy4vGwhYOvQ6ZzqXcyn0CjYvGZ7sU0bSrvA"]',
    }
    environment = {
        each["name"]: each["value"] if "value" in each else secrets[each["valueFrom"]["secretKeyRef"]["key"]]
        for each in container["env"]
    }
    settings = load_in(environment, tmp_path, monkeypatch)
    assert settings.listen == f"0.0.0.0:{container['ports'][0]['containerPort']}"
    assert settings.store.url == secrets["url"]
    assert len(settings.store.encryption_keys) == 1


def test_probes_ask_what_the_server_answers(container: dict[str, Any]) -> None:
    settings = Settings.model_validate({"issuer": "https://auth.example.com"})
    paths = {getattr(route, "path", "") for route in AuthorizationServer(settings).standalone_app().routes}
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"), ("startupProbe", "/healthz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "http"}
        assert path in paths


def test_a_pod_may_do_little_and_gets_the_time_to_stop(manifest: dict[str, Any], container: dict[str, Any]) -> None:
    pod = manifest["Deployment"]["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    command, pause = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert pod["terminationGracePeriodSeconds"] >= int(pause) + STOP_SECONDS
    assert manifest["Deployment"]["spec"]["replicas"] > manifest["PodDisruptionBudget"]["spec"]["minAvailable"] >= 1


def test_what_selects_the_pods_finds_them(manifest: dict[str, Any]) -> None:
    labels = manifest["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifest["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifest["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert manifest["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert manifest["Service"]["spec"]["selector"] == labels


def test_the_page_makes_each_secret_that_the_manifest_reads(
    manifest: dict[str, Any], container: dict[str, Any]
) -> None:
    made = set(re.findall(r"create secret (?:generic|tls) (\S+)", PAGE))
    keys = set(re.findall(r"--from-literal=([a-z-]+)=", PAGE))
    pod = manifest["Deployment"]["spec"]["template"]["spec"]
    references = [each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each]
    read = {
        *(reference["name"] for reference in references),
        *(volume["secret"]["secretName"] for volume in pod["volumes"]),
        *(tls["secretName"] for tls in manifest["Ingress"]["spec"]["tls"]),
    }
    assert made == read
    assert keys == {reference["key"] for reference in references}


def test_user_and_configuration_are_the_same_in_image_manifest_and_page(
    manifest: dict[str, Any], container: dict[str, Any]
) -> None:
    containerfile = (ROOT / "deploy" / "Containerfile").read_text()
    (user,) = re.findall(r"^USER (\d+):\1$", containerfile, re.MULTILINE)
    pod = manifest["Deployment"]["spec"]["template"]["spec"]["securityContext"]
    assert {str(pod[name]) for name in ("runAsUser", "runAsGroup", "fsGroup")} == {user}
    assert f"user {user}" in PAGE
    assert f"chgrp {user} " in PAGE
    (mount,) = container["volumeMounts"]
    assert f'"{mount["mountPath"]}/nameplate.toml"]' in containerfile


def test_nothing_gets_into_the_image_but_by_its_hash() -> None:
    containerfile = (ROOT / "deploy" / "Containerfile").read_text().replace("\\\n", " ")
    steps = [step.split() for step in re.findall(r"/pip (?:install|download) [^&\n]*", containerfile)]
    assert len(steps) == 2
    for step in steps:
        assert {"--require-hashes", "--no-index"} & set(step)
    assert "--no-deps" in steps[0]


def test_the_unit_starts_a_command_that_there_is_and_leaves_it_the_time_to_stop() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "deploy" / "nameplate.service")
    program, command, *arguments = unit["Service"]["ExecStart"].split()
    assert program in PAGE
    assert command in app
    assert arguments == ["--config", "/etc/nameplate/nameplate.toml"]
    assert int(unit["Service"]["TimeoutStopSec"]) > STOP_SECONDS
    assert unit["Service"]["Restart"] == "on-failure"
    assert unit["Service"]["RestartPreventExitStatus"] == "2"
    assert f"useradd --system --home-dir /var/lib/{unit['Service']['StateDirectory']}" in PAGE
