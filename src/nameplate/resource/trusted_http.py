"""Requests to the authorization server that the operator trusts.

The guard for strangers' URLs does not apply, but what comes back is read like any other input: bounded in time and
bytes, without redirects, strictly as JSON.
"""

import base64
import ssl
from collections.abc import Mapping
from urllib.parse import quote_plus

import httpx2

from nameplate import __version__
from nameplate.errors import (
    BadMediaType,
    BadStatus,
    ConfigurationError,
    RedirectRefused,
    TimedOut,
    TlsFailed,
    TooLarge,
    Unreachable,
)
from nameplate.jose import read_json
from nameplate.secret import Secret

__all__ = ["build_basic_credentials", "build_tls_context", "fetch_object", "open_client"]

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # nothing is ever inflated
    "User-Agent": f"nameplate/{__version__}",
}
# A connection that idles is closed before the server closes it: a request must not run into that.
_LIMITS = httpx2.Limits(max_connections=16, max_keepalive_connections=4, keepalive_expiry=2)


def build_tls_context(trusted_ca_file: str | None) -> ssl.SSLContext:
    """The system's trust and the operator's; built once, as loading a bundle of certificates takes 20 ms.

    Raises ``ConfigurationError`` for a file that cannot be read.
    """
    context = httpx2.create_ssl_context(trust_env=False)
    if trusted_ca_file is not None:
        try:
            context.load_verify_locations(cafile=trusted_ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError("trusted_ca_file", f"{trusted_ca_file} cannot be read: {error}") from error
    return context


def build_basic_credentials(name: str, secret: Secret) -> dict[str, str]:
    """The header by which a resource server says who it is (RFC 6749 §2.3.1: both parts are form-encoded first)."""
    pair = f"{quote_plus(name)}:{quote_plus(secret.reveal())}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def open_client(tls: ssl.SSLContext, *, deadline_seconds: float) -> httpx2.AsyncClient:
    """A client that uses no proxy of the environment. The deadline is for each step; callers bound the whole."""
    return httpx2.AsyncClient(verify=tls, trust_env=False, timeout=deadline_seconds, limits=_LIMITS)


async def fetch_object(
    client: httpx2.AsyncClient,
    url: str,
    *,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """The JSON object at the URL: by GET, or by POST where there is a form. Raises ``FetchError``.

    An answer longer than ``max_bytes`` is dropped while it comes.
    """
    try:
        body = await _fetch_body(client, url, max_bytes, {**_HEADERS, **(headers or {})}, form)
    except httpx2.TimeoutException as error:
        raise TimedOut(f"{url}: {error!r}") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        failed = TlsFailed if _is_tls_failure(error) else Unreachable
        raise failed(f"{url}: {error!r}") from error
    value = read_json(body)
    if not isinstance(value, dict):
        raise BadMediaType(f"{url}: the answer is no JSON object")
    return value


async def _fetch_body(
    client: httpx2.AsyncClient, url: str, max_bytes: int, headers: Mapping[str, str], form: Mapping[str, str] | None
) -> bytes:
    method = "GET" if form is None else "POST"
    async with client.stream(method, url, headers=headers, data=form, follow_redirects=False) as response:
        if 300 <= response.status_code < 400:
            raise RedirectRefused(f"{url}: status {response.status_code}")
        if response.status_code != 200:
            raise BadStatus(response.status_code)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                raise TooLarge(f"{url}: more than {max_bytes} bytes")
        return bytes(body)


def _is_tls_failure(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
