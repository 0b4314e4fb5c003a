"""What a configuration must not combine: each check names the setting and says what to do."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nameplate.errors import ConfigurationError
from nameplate.protocol.private_hosts import PrivateHost, parse_private_host
from nameplate.protocol.redirect_uri import check_redirect_pattern
from nameplate.protocol.resource import build_canonical_resource
from nameplate.protocol.scope import OFFLINE_ACCESS, is_scope_token

if TYPE_CHECKING:
    from nameplate.server.settings import Settings

__all__ = ["build_private_hosts", "check_settings", "is_loopback_url", "parse_listen"]

_ISSUER = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?((?:/[A-Za-z0-9._~-]+)*)")
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


def check_settings(settings: Settings) -> None:
    """Check what no single field can know. Raises ``ConfigurationError``."""
    _check_issuer(settings.issuer)
    parse_listen(settings.listen)
    _check_trusted_proxies(settings.trusted_proxies)
    _check_accounts(settings)
    _check_resources(settings)
    _check_private_hosts(settings)
    _check_redirect_patterns(settings)
    _check_lifetimes(settings)
    if not settings.store.url.startswith("sqlite:///"):
        raise ConfigurationError("store.url", "must begin with sqlite:///, for example sqlite:///nameplate.sqlite3.")


def is_loopback_url(url: str) -> bool:
    """Whether the URL's host is this machine itself: ``localhost`` or a loopback address."""
    return _is_loopback_host(urlsplit(url).hostname or "")


def _is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_listen(listen: str) -> tuple[str, int]:
    """Host and port of ``listen``. Raises ``ConfigurationError``."""
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ConfigurationError("listen", f"{listen!r} is not ADDRESS:PORT, for example 127.0.0.1:8080 or [::1]:8080.")
    return host, int(port)


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
    scheme, _host, port, path = match[1], match[2], match[3], match[4]
    if port == _DEFAULT_PORTS[scheme]:
        raise ConfigurationError("issuer", f"leave out the default port {port}.")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise ConfigurationError("issuer", "the path must not contain dot segments.")
    if scheme == "http" and not is_loopback_url(issuer):
        raise ConfigurationError("issuer", "http is for loopback addresses only; use https (RFC 8414 §2).")


def _check_trusted_proxies(proxies: Iterable[str]) -> None:
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            raise ConfigurationError("trusted_proxies", f"{proxy!r} is neither an address nor a network.") from None


def _check_accounts(settings: Settings) -> None:
    if not settings.accounts:
        raise ConfigurationError(
            "accounts", "nobody could sign in; add an [[accounts]] table (see nameplate accounts hash-password)."
        )
    _check_distinct("accounts", "username", [account.username for account in settings.accounts])
    for account in settings.accounts:
        if not account.password_hash.startswith("$argon2"):
            raise ConfigurationError(
                "accounts.password_hash",
                f"{account.username!r} has no Argon2 hash; make one with nameplate accounts hash-password.",
            )


def _check_resources(settings: Settings) -> None:
    if not settings.resources:
        raise ConfigurationError("resources", "declare at least one MCP server in a [[resources]] table.")
    for resource in settings.resources:
        if build_canonical_resource(resource.identifier) is None:
            raise ConfigurationError(
                "resources.identifier",
                f"{resource.identifier!r} is not an http(s) URL without a fragment (RFC 8707 §2).",
            )
        if resource.identifier.startswith("http:") and not is_loopback_url(resource.identifier):
            raise ConfigurationError("resources.identifier", f"{resource.identifier!r}: http is for loopback only.")
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


def _check_distinct(setting: str, member: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ConfigurationError(f"{setting}.{member}", f"{value!r} is declared twice.")


def build_private_hosts(settings: Settings) -> tuple[PrivateHost, ...]:
    """The declared private hosts. Raises ``ConfigurationError``."""
    return tuple(
        parse_private_host(host=host.host, network=host.network, ports=host.ports, address=host.address)
        for host in settings.fetch.private_hosts
    )


def _check_private_hosts(settings: Settings) -> None:
    listen_host, _port = parse_listen(settings.listen)
    for host in build_private_hosts(settings):
        # CIMD draft §9.6: the loopback exception is for development, where this server is on loopback itself.
        if host.reaches_loopback and not (is_loopback_url(settings.issuer) and _is_loopback_host(listen_host)):
            raise ConfigurationError(
                "fetch.private_hosts",
                f"{host.host!r} is on loopback, which only a server with loopback issuer and listen may reach.",
            )


def _check_redirect_patterns(settings: Settings) -> None:
    for pattern in settings.cimd.allowed_client_redirect_uris or ():
        check_redirect_pattern(pattern, setting="cimd.allowed_client_redirect_uris")


def _check_lifetimes(settings: Settings) -> None:
    tokens = settings.tokens
    if tokens.access_token_seconds > 86400:
        raise ConfigurationError(
            "tokens.access_token_seconds", "an access token cannot be taken back; at most 86400 (RFC 9700 §2.2)."
        )
    if tokens.refresh_token_seconds > tokens.grant_seconds:
        raise ConfigurationError("tokens.refresh_token_seconds", "must not exceed tokens.grant_seconds.")
