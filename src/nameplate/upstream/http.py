"""Requests to an identity provider that the operator trusts.

The guard for strangers' URLs does not apply. What comes back is bounded in time and bytes, no redirect is followed, no
cookie kept, and no message holds anything that was sent.
"""

import asyncio
import json as json_module
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import MappingProxyType
from urllib.parse import urlencode

import httpx2

from nameplate import __version__
from nameplate.errors import ConfigurationError, UpstreamError
from nameplate.protocol.fault import build_quotation
from nameplate.upstream.provider import Answer, ProviderOptions

__all__ = ["ANSWER_BYTES", "RETRY_SECONDS", "UpstreamHttp", "build_unavailable"]

ANSWER_BYTES = 256 * 1024
"""A longer answer is dropped while it comes."""

RETRY_SECONDS = 10
"""When to come back, where the provider does not say."""

_CONNECT_SECONDS = 5
_MAX_RETRY_SECONDS = 24 * 3600
_HEADERS = {
    "Accept": "application/json",  # GitHub answers a form without it
    "Accept-Encoding": "identity",  # nothing is ever inflated
    "User-Agent": f"nameplate/{__version__}",
}
# A connection that idles is closed before the provider closes it: a request must not run into that.
_LIMITS = httpx2.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=2)


class UpstreamHttp:
    """The connections to one provider. Calling it sends a request: it is an ``Ask``. One event loop at a time."""

    def __init__(self, options: ProviderOptions) -> None:
        """Raises ``ConfigurationError`` for a CA file that cannot be read."""
        self._name = options.name
        self._deadline_seconds = options.deadline_seconds
        self._tls = _build_tls_context(options)
        self._client: httpx2.AsyncClient | None = None

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        form: Mapping[str, str] | None = None,
        json: object = None,
    ) -> Answer:
        """The answer, whatever its status. Raises ``UpstreamError``."""
        sent_headers, content = {**_HEADERS, **headers}, None
        if form is not None:
            content = urlencode(form).encode()
            sent_headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif json is not None:
            content = json_module.dumps(json).encode()
            sent_headers["Content-Type"] = "application/json"
        try:
            async with asyncio.timeout(self._deadline_seconds):
                client = self._open_client()
                return await self._send(
                    client, client.build_request(method, url, headers=sent_headers, content=content)
                )
        except (TimeoutError, httpx2.TimeoutException):
            problem = f"no answer from {url} within {self._deadline_seconds} s"
            raise build_unavailable(f"{self._name}: {problem}", reason="upstream.timed_out") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            detail = f"{self._name}: {url}: {_describe(error)}"
            # The chain ends here: a local error can quote a header that was about to be sent.
            if _is_tls_failure(error):
                raise build_unavailable(detail, reason="upstream.tls_failed") from None
            raise build_unavailable(detail, reason="upstream.unreachable") from None

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _send(self, client: httpx2.AsyncClient, request: httpx2.Request) -> Answer:
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > ANSWER_BYTES:
                    raise UpstreamError(
                        "server_error",
                        "The identity provider's answer cannot be read.",
                        reason="upstream.too_large",
                        detail=f"{self._name}: {request.url} sent more than {ANSWER_BYTES} bytes",
                    )
        finally:
            await response.aclose()
        return Answer(
            status=response.status_code,
            media_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
            body=bytes(body),
            retry_after_seconds=_read_retry_after(response.headers.get("retry-after", "")),
        )

    def _open_client(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                verify=self._tls,
                trust_env=False,  # no proxy of the environment
                timeout=httpx2.Timeout(self._deadline_seconds, connect=min(_CONNECT_SECONDS, self._deadline_seconds)),
                limits=_LIMITS,
                # What the provider remembers of one person's request must not go along with the next person's.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
        return self._client


def build_unavailable(detail: str, *, reason: str, retry_after_seconds: int | None = None) -> UpstreamError:
    """The provider cannot be asked just now. That ends nothing."""
    return UpstreamError(
        "temporarily_unavailable",
        "The identity provider does not answer just now.",
        reason=reason,
        detail=detail,
        retry_after_seconds=retry_after_seconds or RETRY_SECONDS,
    )


def _build_tls_context(options: ProviderOptions) -> ssl.SSLContext:
    """The system's trust and the operator's; built once, as loading a bundle of certificates takes 20 ms."""
    context = httpx2.create_ssl_context(trust_env=False)
    file = options.trusted_ca_file
    if file is not None:
        try:
            context.load_verify_locations(cafile=file)
        except OSError as error:  # ssl.SSLError is one
            setting = f"upstreams.{options.name}.trusted_ca_file"
            raise ConfigurationError(setting, f"{file} cannot be read: {error}") from error
    return context


def _describe(error: Exception) -> str:
    """A failure in a few words for the log: of an error of our own side only the kind."""
    kind = type(error).__name__
    is_remote = isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError))
    return f"{kind} {build_quotation(str(error))}" if is_remote else kind


def _is_tls_failure(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _read_retry_after(text: str) -> int | None:
    """Seconds (RFC 9110 §10.2.3); a date, or nonsense, is as good as none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return None
    return min(max(int(text), 1), _MAX_RETRY_SECONDS)
