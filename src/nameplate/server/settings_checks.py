"""What a configuration must not combine: each check names the setting and says what to do."""

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nameplate.errors import ClientIdError, ConfigurationError
from nameplate.protocol.client_assertion import is_client_pattern
from nameplate.protocol.client_class import ClientClass, Lifetimes
from nameplate.protocol.client_id import ClientIdPolicy, is_client_id_url, parse_client_id
from nameplate.protocol.host_names import find_host_name_fault
from nameplate.protocol.private_hosts import PrivateHost, parse_private_host
from nameplate.protocol.redirect_uri import check_redirect_pattern
from nameplate.protocol.resource import build_canonical_resource
from nameplate.protocol.resource_metadata import check_identifier_url, is_loopback_url
from nameplate.protocol.scope import OFFLINE_ACCESS, is_scope_token
from nameplate.server.upstreams import plan_upstream
from nameplate.stores.open import check_store_url
from nameplate.upstream.local_accounts import is_password_hash
from nameplate.vault import parse_encryption_keys

if TYPE_CHECKING:
    from nameplate.server.settings import ClientClassSettings, Settings, StoreSettings, TokenSettings

__all__ = ["build_lifetimes", "build_private_hosts", "check_encryption_keys", "check_settings", "parse_listen"]

_ISSUER = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?((?:/[A-Za-z0-9._~-]+)*)")
_DEFAULT_PORTS = {"https": "443", "http": "80"}
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LISTEN = re.compile(r"(?:([A-Za-z0-9.-]+)|\[([0-9A-Fa-f:.]+)\]):([0-9]{1,5})")


def check_settings(settings: "Settings") -> None:
    """Check what no single field can know. Raises ``ConfigurationError``."""
    _check_issuer(settings.issuer)
    parse_listen(settings.listen)
    _check_plain_http(settings)
    _check_trusted_proxies(settings.trusted_proxies)
    _check_accounts(settings)
    _check_resources(settings)
    _check_resource_servers(settings)
    _check_upstreams(settings)
    _check_private_hosts(settings)
    _check_trusted_ca_file(settings)
    _check_redirect_patterns(settings)
    _check_audience_clients(settings)
    _check_lifetimes(settings.tokens)
    check_store_url(settings.store.url)
    check_encryption_keys(settings.store)
    _check_key_rotation(settings)


def parse_listen(listen: str) -> tuple[str, int]:
    """Host and port of ``listen``. Raises ``ConfigurationError``."""
    match = _LISTEN.fullmatch(listen)
    host = match and (match[1] or match[2])
    if match is None or host is None or int(match[3]) > 65535 or (match[2] and not _is_address(host)):
        raise ConfigurationError("listen", f"{listen!r} is not ADDRESS:PORT, for example 127.0.0.1:8080 or [::1]:8080.")
    return host, int(match[3])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback_host(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _check_issuer(issuer: str) -> None:
    match = _ISSUER.fullmatch(issuer)
    # Clients compare the issuer as a plain string after their URL type has normalised it, so that only a URL which no
    # normaliser would change can work everywhere: lower-case host, no default port, no trailing slash, no dot segments.
    if match is None:
        raise ConfigurationError(
            "issuer",
            f"{issuer!r} is not a plain https URL: lower-case host, optional port and path, no trailing slash, query "
            "or fragment. For example https://auth.example.com.",
        )
    scheme, host, port, path = match.groups(default="")
    if not _is_host_normal(host):
        raise ConfigurationError("issuer", f"{host} is neither a host name nor an address in its usual form.")
    if port == _DEFAULT_PORTS[scheme]:
        raise ConfigurationError("issuer", f"leave out the default port :{port}.")
    if port and int(port) > 65535:
        raise ConfigurationError("issuer", f"there is no port {port}.")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise ConfigurationError("issuer", "the path must not contain dot segments.")
    if scheme == "http" and not is_loopback_url(issuer):
        raise ConfigurationError("issuer", "http is for loopback addresses only; use https (RFC 8414 §2).")


def _is_host_normal(host: str) -> bool:
    """Whether no URL type would write this host in another way: 127.1 would become 127.0.0.1."""
    literal = host.removeprefix("[").removesuffix("]")
    if host.startswith("[") or _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        return _is_address(literal) and str(ipaddress.ip_address(literal)) == literal
    return find_host_name_fault(host) is None


def _check_plain_http(settings: "Settings") -> None:
    # HT-09: cookies and codes in the clear are for development, where nobody else can reach the port.
    if settings.issuer.startswith("http:") and not _is_loopback_host(parse_listen(settings.listen)[0]):
        raise ConfigurationError(
            "listen",
            f"{settings.listen} can be reached from elsewhere, but issuer is plain http: give issuer the https URL "
            "under which a reverse proxy shows this server, or listen on 127.0.0.1.",
        )


def _check_trusted_proxies(proxies: Iterable[str]) -> None:
    for proxy in proxies:
        try:
            network = ipaddress.ip_network(proxy)
        except ValueError:
            raise ConfigurationError("trusted_proxies", f"{proxy!r} is neither an address nor a network.") from None
        if network.prefixlen == 0:  # BCP-7: anybody could then claim any address
            raise ConfigurationError("trusted_proxies", f"{proxy!r} is everybody; name the proxies.")


def _check_accounts(settings: "Settings") -> None:
    if not settings.accounts and not settings.upstreams:
        raise ConfigurationError(
            "accounts",
            "nobody could sign in; add an [[accounts]] table (see nameplate accounts hash-password), or an identity "
            "provider in an [[upstreams]] table.",
        )
    _check_distinct("accounts", "username", [account.username for account in settings.accounts])
    for account in settings.accounts:
        if not is_password_hash(account.password_hash):
            raise ConfigurationError(
                "accounts.password_hash",
                f"{account.username!r} has no Argon2 hash; make one with nameplate accounts hash-password.",
            )


def _check_resources(settings: "Settings") -> None:
    if not settings.resources:
        raise ConfigurationError("resources", "declare at least one MCP server in a [[resources]] table.")
    for resource in settings.resources:
        try:
            check_identifier_url("resources.identifier", resource.identifier)
        except ConfigurationError as error:
            raise ConfigurationError(error.setting, f"{resource.identifier!r} {error.problem}.") from None
        for scope in resource.scopes:
            if not is_scope_token(scope.name):
                raise ConfigurationError(
                    "resources.scopes.name", f"{scope.name!r} is not a scope token (RFC 6749 §3.3)."
                )
            if scope.name == OFFLINE_ACCESS:
                raise ConfigurationError(
                    "resources.scopes.name", "offline_access belongs to no resource; leave it out."
                )
        _check_distinct("resources.scopes", "name", [scope.name for scope in resource.scopes])
    canonical = [build_canonical_resource(resource.identifier) or "" for resource in settings.resources]
    _check_distinct("resources", "identifier", canonical)


def _check_resource_servers(settings: "Settings") -> None:
    _check_distinct("resource_servers", "id", [server.id for server in settings.resource_servers])
    declared = [resource.identifier for resource in settings.resources]
    for server in settings.resource_servers:
        for resource in server.resources:
            if resource not in declared:
                raise ConfigurationError(
                    "resource_servers.resources",
                    f"{server.id!r} names {resource!r}, which is no [[resources]] identifier, to the byte.",
                )


def _check_upstreams(settings: "Settings") -> None:
    _check_distinct("upstreams", "name", [upstream.name for upstream in settings.upstreams])
    offered = {scope.name for resource in settings.resources for scope in resource.scopes}
    issuers = [plan_upstream(upstream, offered=offered).options.issuer for upstream in settings.upstreams]
    # (issuer, subject) is who a person is: two tables of one issuer could call two people the same.
    _check_distinct("upstreams", "issuer", issuers)
    if settings.issuer in issuers:
        raise ConfigurationError("upstreams.issuer", f"{settings.issuer!r} is this server itself.")
    keeps_tokens = any(upstream.keeps_tokens for upstream in settings.upstreams)
    for server in settings.resource_servers:
        if server.may_exchange and not keeps_tokens:
            raise ConfigurationError(
                "resource_servers.may_exchange",
                f"{server.id!r} has nothing to exchange for: no [[upstreams]] table has keeps_tokens.",
            )


def _check_distinct(setting: str, member: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ConfigurationError(f"{setting}.{member}", f"{value!r} is declared twice.")


def build_private_hosts(settings: "Settings") -> tuple[PrivateHost, ...]:
    """The declared private hosts. Raises ``ConfigurationError``."""
    return tuple(
        parse_private_host(host=host.host, network=host.network, ports=host.ports, address=host.address)
        for host in settings.fetch.private_hosts
    )


def _check_private_hosts(settings: "Settings") -> None:
    listen_host, _port = parse_listen(settings.listen)
    for host in build_private_hosts(settings):
        # CIMD draft §9.6: the loopback exception is for development, where this server is on loopback itself.
        if host.reaches_loopback and not (is_loopback_url(settings.issuer) and _is_loopback_host(listen_host)):
            raise ConfigurationError(
                "fetch.private_hosts",
                f"{host.host!r} is on loopback, which only a server with loopback issuer and listen may reach.",
            )


def _check_trusted_ca_file(settings: "Settings") -> None:
    file = settings.fetch.trusted_ca_file
    if file is not None and not file.is_file():
        raise ConfigurationError("fetch.trusted_ca_file", f"there is no file {file}.")


def _check_redirect_patterns(settings: "Settings") -> None:
    if settings.cimd.allowed_client_redirect_uris == ():
        raise ConfigurationError(
            "cimd.allowed_client_redirect_uris",
            "an empty list allows no client at all; leave it out to allow what documents register.",
        )
    for pattern in settings.cimd.allowed_client_redirect_uris or ():
        check_redirect_pattern(pattern, setting="cimd.allowed_client_redirect_uris")


def _check_audience_clients(settings: "Settings") -> None:
    policy = ClientIdPolicy(private_hosts=build_private_hosts(settings))
    for pattern in settings.cimd.token_endpoint_audience_clients:
        if not is_client_pattern(pattern):
            raise ConfigurationError(
                "cimd.token_endpoint_audience_clients", f"{pattern!r}: * stands for one whole path segment only."
            )
        if not is_client_id_url(pattern):
            continue  # a registered client
        try:
            parse_client_id(pattern.replace("*", "x"), policy)
        except ClientIdError as error:
            raise ConfigurationError(
                "cimd.token_endpoint_audience_clients", f"{pattern!r} matches no client: it {error.problem}."
            ) from None


def _check_lifetimes(tokens: "TokenSettings") -> None:
    every = {"tokens": _build_lifetimes(tokens, tokens)}
    every |= {f"tokens.{name}": lifetimes for name, lifetimes in build_lifetimes(tokens).items()}
    for table, lifetimes in every.items():
        if lifetimes.access_token_seconds > 86400:
            raise ConfigurationError(
                f"{table}.access_token_seconds", "an access token cannot be taken back; at most 86400 (RFC 9700 §2.2)."
            )
        if lifetimes.refresh_token_seconds > lifetimes.grant_seconds:
            raise ConfigurationError(
                f"{table}.refresh_token_seconds",
                f"{lifetimes.refresh_token_seconds} exceeds {table}.grant_seconds, which is {lifetimes.grant_seconds}.",
            )


def build_lifetimes(tokens: "TokenSettings") -> dict[ClientClass, Lifetimes]:
    """The lifetimes of each class of clients: its own where it has some, else those for all."""
    classes: dict[ClientClass, ClientClassSettings] = {
        "public": tokens.public,
        "confidential": tokens.confidential,
        "unverified": tokens.unverified,
    }
    return {name: _build_lifetimes(own, tokens) for name, own in classes.items()}


def _build_lifetimes(own: "ClientClassSettings | TokenSettings", tokens: "TokenSettings") -> Lifetimes:
    return Lifetimes(
        access_token_seconds=own.access_token_seconds or tokens.access_token_seconds,
        refresh_token_seconds=own.refresh_token_seconds or tokens.refresh_token_seconds,
        grant_seconds=own.grant_seconds or tokens.grant_seconds,
    )


def check_encryption_keys(store: "StoreSettings") -> None:
    """Whether it is clear where the encryption keys come from, and those given here can be used. Raises
    ``ConfigurationError``.
    """
    if store.encryption_keys and store.encryption_key_file is not None:
        raise ConfigurationError(
            "store.encryption_keys", "store.encryption_key_file is set too; give the keys in one place."
        )
    if store.encryption_keys:
        parse_encryption_keys(store.encryption_keys, setting="store.encryption_keys")
    elif store.encryption_key_file is None and not store.url.startswith("sqlite:"):
        raise ConfigurationError(
            "store.encryption_keys",
            "is required with PostgreSQL, and the same for all replicas. Make a key with nameplate keys "
            "generate-encryption-key, and give it in NAMEPLATE_STORE__ENCRYPTION_KEYS or store.encryption_key_file.",
        )


def _check_key_rotation(settings: "Settings") -> None:
    keys = settings.keys
    if keys.publish_ahead_seconds >= keys.rotate_seconds:
        raise ConfigurationError(
            "keys.publish_ahead_seconds",
            f"{keys.publish_ahead_seconds} is no less than keys.rotate_seconds, which is {keys.rotate_seconds}.",
        )
