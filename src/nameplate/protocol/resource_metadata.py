"""Protected resource metadata (RFC 9728): what it says and where it lies."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from nameplate.errors import ConfigurationError
from nameplate.protocol.scope import OFFLINE_ACCESS

__all__ = [
    "METADATA_ROOT_PATH",
    "build_metadata_path",
    "build_metadata_url",
    "build_resource_metadata",
    "check_identifier_url",
    "is_loopback_url",
]

METADATA_ROOT_PATH = "/.well-known/oauth-protected-resource"  # RFC 9728 §3

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_PLAIN_URL = re.compile(
    r"https?://(?:[a-z0-9\-._~]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)?"
)


def is_loopback_url(url: str) -> bool:
    """Whether the URL names this machine: ``localhost``, ``127.0.0.1`` or ``[::1]``."""
    try:
        return urlsplit(url).hostname in _LOOPBACK_HOSTS
    except ValueError:
        return False


def check_identifier_url(setting: str, url: str) -> None:
    """Raises ``ConfigurationError`` unless the URL can be an issuer or a resource identifier.

    That is https (http on loopback only), lower-case host, ASCII, no user, query or fragment (RFC 8414 §2, RFC 9728
    §1.2). Several clients rewrite anything else before they compare it, and it is compared byte for byte.
    """
    if _PLAIN_URL.fullmatch(url) is None or not _is_authority_valid(url):
        problem = "must be an absolute URL with a lower-case host and no user, query or fragment"
        raise ConfigurationError(setting, problem)
    if url.startswith("http:") and not is_loopback_url(url):
        raise ConfigurationError(setting, "must be https (http is for localhost, 127.0.0.1 and [::1] only)")


def _is_authority_valid(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:  # a port above 65535, a bracketed host that is no address
        return False


def build_metadata_path(resource: str) -> str:
    """The path of a resource's metadata: the suffix stands before the resource's own path (RFC 9728 §3.1)."""
    path = urlsplit(resource).path
    return METADATA_ROOT_PATH + ("" if path == "/" else path)


def build_metadata_url(resource: str) -> str:
    """The URL of a resource's metadata, for ``resource_metadata`` in a challenge (RFC 9728 §5.1)."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{build_metadata_path(resource)}"


def build_resource_metadata(
    resource: str,
    *,
    authorization_servers: Iterable[str],
    scopes: Iterable[str],
    name: str | None = None,
    documentation_url: str | None = None,
) -> dict[str, object]:
    """The document (RFC 9728 §2). ``resource`` and the issuers stand in it byte for byte.

    ``offline_access`` is never advertised: whether a client may refresh is between it and the authorization server
    (MCP authorization, "Refresh Tokens"). Tokens are taken from the header only.
    """
    metadata: dict[str, object] = {
        "resource": resource,
        "authorization_servers": list(authorization_servers),
        "bearer_methods_supported": ["header"],
    }
    optional = {
        "scopes_supported": [scope for scope in dict.fromkeys(scopes) if scope != OFFLINE_ACCESS],
        "resource_name": name,
        "resource_documentation": documentation_url,
    }
    return metadata | {member: value for member, value in optional.items() if value}
