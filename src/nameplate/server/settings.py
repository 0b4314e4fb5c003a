"""The configuration: one schema for file, environment and flags.

A setting is looked for among the flags (``--tokens.access_token_seconds 300``), then in the environment
(``NAMEPLATE_TOKENS__ACCESS_TOKEN_SECONDS``; lists and tables as JSON), then in the TOML file. Unknown settings and
impossible combinations are refused, naming the setting.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from nameplate.errors import ConfigurationError
from nameplate.server.settings_checks import check_settings

__all__ = [
    "ENVIRONMENT_PREFIX",
    "AccountSettings",
    "DocumentSettings",
    "FetchSettings",
    "PrivateHostSettings",
    "ResourceSettings",
    "ScopeSettings",
    "Settings",
    "StoreSettings",
    "TokenSettings",
    "load_settings",
]

ENVIRONMENT_PREFIX = "NAMEPLATE_"

_FLAG = re.compile(r"--?[A-Za-z]")
_FIELD_AT_FAULT = re.compile(r"(?:error parsing value for field \"|error encountered for )([a-z_.]+)")
_UNKNOWN = "there is no such setting."
_PROBLEMS = {"extra_forbidden": _UNKNOWN, "missing": "is required and nowhere set.", "tuple_type": "must be a list."}

Seconds = Annotated[int, Field(gt=0, le=10 * 365 * 86400)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreSettings(_Table):
    """Where grants, tokens, sessions and keys are kept."""

    url: str = "sqlite:///nameplate.sqlite3"
    """`sqlite:///relative/path` or `sqlite:////absolute/path`, the former relative to the folder of the configuration
    file. The file is made on first start, readable by its owner only.
    """


class AccountSettings(_Table):
    """A person who may sign in with a password of this server's own."""

    username: Annotated[str, Field(min_length=1, max_length=128)]
    """What the person types. It is never shown to clients: they see a stable random `sub`."""
    password_hash: Annotated[str, Field(min_length=1, max_length=512, repr=False)]
    """An Argon2 hash; `nameplate accounts hash-password` makes one."""
    display_name: Annotated[str, Field(max_length=128)] = ""
    """How the consent page addresses the person; the username where it is empty."""
    groups: tuple[str, ...] = ()
    """Groups of the person, issued as the `groups` claim of access tokens."""


class ScopeSettings(_Table):
    """A permission that a resource offers."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    """The scope token (RFC 6749 §3.3), for example `notes:read`."""
    description: Annotated[str, Field(min_length=1, max_length=300)]
    """The sentence that the consent page shows for it."""


class ResourceSettings(_Table):
    """An MCP server that tokens are issued for."""

    identifier: Annotated[str, Field(max_length=2048)]
    """Its URL as clients use it, for example `https://mcp.example.com/mcp`. It becomes the token's `aud`, byte for
    byte.
    """
    name: Annotated[str, Field(min_length=1, max_length=128)]
    """How the consent page calls it."""
    scopes: tuple[ScopeSettings, ...] = ()
    """The permissions it offers, in the order in which the consent page lists them."""


class DocumentSettings(_Table):
    """Clients that are known by a metadata document on their own domain (CIMD)."""

    enabled: bool = True
    """Off: the metadata flag is gone and client identifier URLs are refused."""
    max_document_bytes: Annotated[int, Field(ge=256, le=65536)] = 5120
    """The size at which reading a document stops, counted on the wire."""
    allowed_client_redirect_uris: tuple[str, ...] | None = None
    """Narrows what documents register: a redirect URI must be in the document and match an entry here. Exact, or with
    `*` for a port or for one path segment. Unset: whatever the document registers.
    """
    require_client_name: bool = True
    """On: documents without `client_name` are refused, as MCP demands. Off: the consent page shows the host alone."""


class PrivateHostSettings(_Table):
    """One host on a private network whose documents may be fetched."""

    host: str
    """The exact host name, or a suffix that begins with a dot."""
    network: str
    """The network that it may resolve to, for example `10.20.0.0/16`. Loopback only where `issuer` and `listen` are
    loopback.
    """
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443,)
    """The ports that may be used."""
    address: str | None = None
    """A fixed address inside the network, used instead of asking DNS."""


class FetchSettings(_Table):
    """How documents are fetched. The guard against private addresses cannot be switched off."""

    private_hosts: tuple[PrivateHostSettings, ...] = ()
    """Hosts on private networks, each declared by itself."""
    trusted_ca_file: Path | None = None
    """A PEM file of certificate authorities, trusted in addition to the system's. Relative to the folder of the
    configuration file."""
    deadline_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """The time for one fetch, from the DNS question to the last byte."""


class TokenSettings(_Table):
    """Lifetimes."""

    access_token_seconds: Seconds = 600
    """How long an access token lives."""
    refresh_token_seconds: Seconds = 30 * 86400
    """How long a refresh token lives while it is not used."""
    grant_seconds: Seconds = 180 * 86400
    """How long a grant lives however often it is refreshed."""
    session_seconds: Seconds = 12 * 3600
    """How long a person stays signed in at this server's own pages."""
    pending_authorization_seconds: Annotated[int, Field(ge=60, le=3600)] = 600
    """How long a person may take between arriving and answering."""


class Settings(_Table):
    """The whole configuration of an authorization server."""

    issuer: Annotated[str, Field(max_length=1024)]
    """The server's URL as clients see it, for example `https://auth.example.com`; a path is fine, a trailing slash is
    not. `http` only on a loopback address, for development.
    """
    listen: Annotated[str, Field(max_length=256)] = "127.0.0.1:8080"
    """The address and port to listen on: `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:8080`."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of reverse proxies whose X-Forwarded-For and -Proto are believed. Nobody else's are."""
    store: StoreSettings = StoreSettings()
    accounts: tuple[AccountSettings, ...] = ()
    """People with a password of this server's own. At least one for now."""
    resources: tuple[ResourceSettings, ...] = ()
    """The MCP servers that tokens are issued for. At least one."""
    cimd: DocumentSettings = DocumentSettings()
    fetch: FetchSettings = FetchSettings()
    tokens: TokenSettings = TokenSettings()


def load_settings(config_file: Path | None = None, flags: Sequence[str] = ()) -> Settings:
    """Read and check the configuration. ``flags`` are command-line arguments such as ``["--listen",
    "127.0.0.1:9000"]``.

    Raises ``ConfigurationError``, which names the setting at fault.
    """
    if config_file is not None and not config_file.is_file():
        raise ConfigurationError("--config", f"there is no file {config_file}.")
    _check_names(flags)
    try:
        settings = _read(config_file, flags)
    except ValidationError as error:
        raise _build_error(error) from None
    except SettingsError as error:
        field = _FIELD_AT_FAULT.search(str(error))
        if field is None:
            raise ConfigurationError("flags", f"{error}.") from None
        raise ConfigurationError(field[1], "a list or table in a flag or variable is JSON, and this is not.") from None
    except (OSError, ValueError) as error:  # not to be opened; not TOML, not UTF-8
        raise ConfigurationError("--config", f"{config_file} cannot be read: {error}.") from None
    check_settings(settings)
    return settings


class _SettingsFile(TomlConfigSettingsSource):
    """The TOML file. Paths in it are relative to its folder: a server started from elsewhere finds the same store."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        data: dict[str, Any] = super()._read_file(file_path)
        folder = Path(file_path).absolute().parent
        match data:
            case {"store": {"url": str(url)}} if url.startswith("sqlite:///"):
                data["store"]["url"] = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
            case _:
                pass
        match data:
            case {"fetch": {"trusted_ca_file": str(ca_file)}}:
                data["fetch"]["trusted_ca_file"] = str(folder / ca_file)
            case _:
                pass
        return data


def _read(config_file: Path | None, flags: Sequence[str]) -> Settings:
    class FromEverywhere(BaseSettings, Settings):
        model_config = SettingsConfigDict(
            env_prefix=ENVIRONMENT_PREFIX,
            env_nested_delimiter="__",
            extra="forbid",
            frozen=True,
            toml_file=config_file,
            cli_parse_args=list(flags) if flags else None,
            cli_prog_name="nameplate serve",
            cli_exit_on_error=False,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (pydantic-settings passes all its sources)
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, _SettingsFile(settings_cls)

    nothing_given_here: dict[str, Any] = {}
    return FromEverywhere(**nothing_given_here)


def _check_names(flags: Sequence[str]) -> None:
    """A misspelt flag or variable must not be a setting that silently does nothing."""
    for flag in flags:
        if _FLAG.match(flag) and not _is_setting(flag.partition("=")[0].removeprefix("--").split(".")):
            raise ConfigurationError(flag.partition("=")[0], _UNKNOWN)
    for name in os.environ:
        # pydantic-settings reads them whatever their case, so each of them counts as meant for us.
        if name.upper().startswith(ENVIRONMENT_PREFIX):
            path = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
            if not _is_setting(path):
                raise ConfigurationError(name, _UNKNOWN)


def _is_setting(path: Sequence[str]) -> bool:
    """Whether the names lead from the root of the schema to a setting or a table."""
    table: type[BaseModel] | None = Settings
    for name in path:
        if table is None or name not in table.model_fields:
            return False
        kind = table.model_fields[name].annotation
        table = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return True


def _build_error(error: ValidationError) -> ConfigurationError:
    errors = error.errors(include_url=False, include_input=False)
    # A misspelt name explains why another one is missing.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    setting = ".".join(str(part) for part in first["loc"]) or "configuration"
    return ConfigurationError(setting, _PROBLEMS.get(first["type"], f"{first['msg']}."))
