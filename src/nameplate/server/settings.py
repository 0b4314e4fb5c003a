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
from nameplate.server.upstream_settings import UpstreamSettings

__all__ = [
    "ENVIRONMENT_PREFIX",
    "AccountSettings",
    "ClientClassSettings",
    "DocumentSettings",
    "FetchSettings",
    "KeySettings",
    "LimitSettings",
    "PrivateHostSettings",
    "RegistrationSettings",
    "ResourceServerSettings",
    "ResourceSettings",
    "ScopeSettings",
    "Settings",
    "StoreSettings",
    "TokenSettings",
    "UpstreamSettings",
    "load_settings",
]

ENVIRONMENT_PREFIX = "NAMEPLATE_"
DEFAULT_STORE_URL = "sqlite:///nameplate.sqlite3"

_FLAG = re.compile(r"--?[A-Za-z]")
_FIELD_AT_FAULT = re.compile(r"(?:error parsing value for field \"|error encountered for )([a-z_.]+)")
_UNKNOWN = "there is no such setting."
_PROBLEMS = {"extra_forbidden": _UNKNOWN, "missing": "is required and nowhere set.", "tuple_type": "must be a list."}

Seconds = Annotated[int, Field(gt=0, le=10 * 365 * 86400)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreSettings(_Table):
    """Where grants, tokens, sessions and keys are kept."""

    url: Annotated[str, Field(repr=False)] = DEFAULT_STORE_URL
    """`sqlite:///relative/path` or `sqlite:////absolute/path`, the former relative to the folder of the configuration
    file; it is made on first start, readable by its owner only. Or `postgresql://user:password@host:5432/database`, for
    any number of replicas (needs the extra `postgres`).
    """
    encryption_keys: Annotated[tuple[str, ...], Field(repr=False)] = ()
    """The keys under which secrets are encrypted in the store: the first encrypts, all decrypt. Best given in the
    environment, `NAMEPLATE_STORE__ENCRYPTION_KEYS='["…"]'`. `nameplate keys generate-encryption-key` makes one.
    """
    encryption_key_file: Path | None = None
    """A file with such keys instead, one a line. Relative to the folder of the configuration file. With SQLite and
    neither of the two, a file beside the store is made on first start: `nameplate.sqlite3.key`.
    """
    audit_seconds: Annotated[int, Field(ge=86400, le=100 * 365 * 86400)] = 400 * 86400
    """How long audit events are kept."""


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
    token_endpoint_audience_clients: tuple[str, ...] = (
        "https://chatgpt.com/oauth/client.json",
        "https://chatgpt.com/oauth/*/client.json",
    )
    """Clients whose assertions may name the token endpoint as their audience, instead of the issuer as RFC 10070
    demands. Exact client ids, or with `*` for one path segment.
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


class RegistrationSettings(_Table):
    """Clients that register themselves (RFC 7591), because they have no document. Nobody vouches for them."""

    enabled: bool = True
    """Off: there is no registration endpoint, and the metadata names none."""
    client_seconds: Annotated[int, Field(ge=3600, le=10 * 365 * 86400)] = 86400
    """After how long a client is forgotten that nobody allowed anything. One that somebody did is kept for as long as
    the grant may live (`tokens.grant_seconds`).
    """
    max_clients: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """How many such clients are kept at once. Beyond that, those that would be forgotten soonest give way."""


class LimitSettings(_Table):
    """What one address may do before anybody is signed in; for IPv6, its /64. The networks around it may do more in
    proportion: an IPv4 /24 four times as much, an IPv6 /56 twice and a /48 four times. Each worker counts by itself.
    And what one person may do who is signed in; the replicas count that together.
    """

    authorizations_at_once: Annotated[int, Field(ge=1, le=10_000_000)] = 300
    """How many authorization requests may come at once."""
    authorizations_per_second: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """How many a second may come after that."""
    approvals_at_once: Annotated[int, Field(ge=1, le=10_000_000)] = 60
    """How often one person may allow something at once. What was allowed may be revoked, and has to be told to every
    resource server that reads the list of that.
    """
    approvals_per_second: Annotated[float, Field(gt=0, le=1_000_000)] = 0.1
    """How often a second after that."""


class ResourceServerSettings(_Table):
    """A resource server that may ask whether tokens are still good (RFC 7662), and which grants were revoked."""

    id: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._~-]+$")]
    """The name by which it authenticates."""
    secret_hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", repr=False)]
    """The hash of its secret; `nameplate keys generate-secret` makes both."""
    resources: Annotated[tuple[str, ...], Field(min_length=1)]
    """The identifiers of the resources that it serves. It learns of tokens for these only."""
    may_exchange: bool = False
    """On: it may exchange an access token for the identity provider's own token of that person (RFC 8693), where the
    provider has `keeps_tokens`.
    """


class KeySettings(_Table):
    """The keys that sign access tokens."""

    rotate_seconds: Annotated[int, Field(ge=3600, le=10 * 365 * 86400)] = 90 * 86400
    """How long a key signs before the next one takes over."""
    publish_ahead_seconds: Annotated[int, Field(ge=60, le=7 * 86400)] = 3600
    """How long a key is published before it signs, so that whoever caches the keys has it by then."""


class ClientClassSettings(_Table):
    """Lifetimes for one class of clients; what is not set is as for all."""

    access_token_seconds: Seconds | None = None
    """As in `[tokens]`."""
    refresh_token_seconds: Seconds | None = None
    """As in `[tokens]`."""
    grant_seconds: Seconds | None = None
    """As in `[tokens]`."""


class TokenSettings(_Table):
    """Lifetimes. The tables `tokens.public`, `tokens.confidential` and `tokens.unverified` change them for clients that
    prove nothing, for those that prove themselves by a key or a secret, and for those that registered themselves.
    """

    access_token_seconds: Seconds = 600
    """How long an access token lives; a day at the most."""
    refresh_token_seconds: Seconds = 30 * 86400
    """How long a refresh token lives while it is not used."""
    grant_seconds: Seconds = 180 * 86400
    """How long a grant lives however often it is refreshed."""
    session_seconds: Seconds = 12 * 3600
    """How long a person stays signed in at this server's own pages."""
    pending_authorization_seconds: Annotated[int, Field(ge=60, le=3600)] = 600
    """How long a person may take between arriving and answering."""
    public: ClientClassSettings = ClientClassSettings()
    confidential: ClientClassSettings = ClientClassSettings()
    unverified: ClientClassSettings = ClientClassSettings()


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
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """How many processes answer. One for each processor is plenty."""
    store: StoreSettings = StoreSettings()
    accounts: tuple[AccountSettings, ...] = ()
    """People with a password of this server's own. At least one, unless there is an identity provider."""
    upstreams: tuple[UpstreamSettings, ...] = ()
    """Identity providers at which people sign in; the sign-in page offers all of them."""
    resources: tuple[ResourceSettings, ...] = ()
    """The MCP servers that tokens are issued for. At least one."""
    resource_servers: tuple[ResourceServerSettings, ...] = ()
    """Resource servers with credentials of their own. None are needed where short-lived tokens will do."""
    cimd: DocumentSettings = DocumentSettings()
    registration: RegistrationSettings = RegistrationSettings()
    limits: LimitSettings = LimitSettings()
    fetch: FetchSettings = FetchSettings()
    tokens: TokenSettings = TokenSettings()
    keys: KeySettings = KeySettings()


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
        store = data.setdefault("store", {})
        if isinstance(store, dict) and str(url := store.get("url", DEFAULT_STORE_URL)).startswith("sqlite:///"):
            store["url"] = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
        _place_files(data.get("fetch"), ("trusted_ca_file",), folder)
        _place_files(data.get("store"), ("encryption_key_file",), folder)
        upstreams = data.get("upstreams")
        for upstream in upstreams if isinstance(upstreams, list) else []:
            _place_files(upstream, ("client_secret_file", "private_key_file", "trusted_ca_file"), folder)
        return data


def _place_files(table: object, members: Sequence[str], folder: Path) -> None:
    for member in members:
        if isinstance(table, dict) and isinstance(table.get(member), str):
            table[member] = str(folder / table[member])


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
