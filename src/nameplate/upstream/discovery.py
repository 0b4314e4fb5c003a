"""Finds a provider's endpoints: when they are first needed, daily, and when its keys change."""

import logging
import time
from collections.abc import Callable

from nameplate.errors import UpstreamError
from nameplate.upstream.http import UpstreamHttp, build_unavailable
from nameplate.upstream.kept import Kept, KeptTiming
from nameplate.upstream.metadata import ProviderMetadata, build_fixed_metadata, build_metadata_urls, read_metadata
from nameplate.upstream.provider import Answer, ProviderOptions

__all__ = ["METADATA_TIMING", "Discovery"]

_log = logging.getLogger("nameplate.upstream")

METADATA_TIMING = KeptTiming(refresh_seconds=24 * 3600, keep_seconds=7 * 24 * 3600)


class Discovery:
    """The metadata of one provider."""

    def __init__(
        self,
        options: ProviderOptions,
        http: UpstreamHttp,
        *,
        timing: KeptTiming = METADATA_TIMING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is asked yet. ``clock`` gives seconds that never run backwards."""
        self._options = options
        self._http = http
        self._fixed = None if options.needs_metadata else build_fixed_metadata(options)
        self._kept = Kept(f"the metadata of {options.name}", self._fetch, timing=timing, clock=clock)

    async def load(self) -> ProviderMetadata:
        """The metadata. Raises ``UpstreamError``."""
        return self._fixed or await self._kept.load()

    async def reload(self) -> ProviderMetadata:
        """The same, looked up again unless that was done a moment ago."""
        return self._fixed or await self._kept.reload()

    async def aclose(self) -> None:
        """End a fetch that is under way."""
        await self._kept.aclose()

    async def _fetch(self) -> ProviderMetadata:
        metadata = read_metadata(await self._fetch_document(), self._options)
        method = self._options.auth_method
        if metadata.auth_methods and method not in metadata.auth_methods:
            _log.warning(
                "the metadata of %s does not list %s, by which this server authenticates there",
                self._options.name,
                method,
            )
        return metadata

    async def _fetch_document(self) -> dict[str, object]:
        urls = build_metadata_urls(self._options)
        for url in urls:
            answer = await self._http("GET", url)
            if answer.status == 404 and url != urls[-1]:
                continue
            document = answer.read_json()
            if answer.status == 200 and isinstance(document, dict):
                return document
            raise self._build_failure(url, answer)
        raise AssertionError("there is no place to look for metadata")

    def _build_failure(self, url: str, answer: Answer) -> UpstreamError:
        problem = f"{self._options.name}: {url} answered {answer.status} {answer.media_type or 'without a media type'}"
        return build_unavailable(problem, reason="upstream.metadata_missing")
