"""An ``Upstream`` at an OAuth 2.0 or OpenID Connect provider, by the authorization code flow."""

import secrets
import time
from collections.abc import Callable

from nameplate.protocol.parameters import Parameters
from nameplate.protocol.scope import build_scope
from nameplate.protocol.upstream_answer import ExpectedAnswer, parse_authorization_answer
from nameplate.upstream.authorization_url import build_authorization_url
from nameplate.upstream.discovery import Discovery
from nameplate.upstream.http import UpstreamHttp
from nameplate.upstream.identity import Identifier, SignIn
from nameplate.upstream.memory import Memory
from nameplate.upstream.oauth2 import UserinfoIdentifier
from nameplate.upstream.oidc import IdTokenIdentifier
from nameplate.upstream.port import Begun, Completed, SignInHints, Upstream, UpstreamTokens
from nameplate.upstream.provider import ProviderOptions
from nameplate.upstream.provider_keys import ProviderKeys
from nameplate.upstream.token_endpoint import TokenEndpoint, build_tokens

__all__ = ["CodeFlow", "open_upstream"]

_SECRET_BYTES = 32


class CodeFlow:
    """What ``Upstream`` promises, for one provider. One event loop at a time."""

    def __init__(
        self,
        options: ProviderOptions,
        *,
        clock: Callable[[], float] = time.time,
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is asked of the provider yet. ``clock`` gives epoch seconds, ``steady_clock`` never runs backwards.

        Raises ``ConfigurationError`` for a CA file that cannot be read.
        """
        self._options = options
        self._clock = clock
        self._http = UpstreamHttp(options)
        self._discovery = Discovery(options, self._http, clock=steady_clock)
        self._tokens = TokenEndpoint(options, self._http, self._discovery)
        self._identifier = self._build_identifier(steady_clock)

    @property
    def name(self) -> str:
        """As ``Upstream.name``."""
        return self._options.name

    @property
    def title(self) -> str:
        """As ``Upstream.title``."""
        return self._options.title

    @property
    def keeps_tokens(self) -> bool:
        """As ``Upstream.keeps_tokens``."""
        return self._options.keeps_tokens

    async def begin(self, *, state: str, callback: str, hints: SignInHints) -> Begun:
        """As ``Upstream.begin``."""
        metadata = await self._discovery.load()
        memory = Memory(
            name=self._options.name,
            state=state,
            begun_at=int(self._clock()),
            nonce=secrets.token_urlsafe(_SECRET_BYTES) if self._options.kind == "oidc" else None,
            verifier=secrets.token_urlsafe(_SECRET_BYTES) if self._options.uses_pkce else None,
            max_age_seconds=hints.max_age_seconds,
            resource=hints.resource if self._options.passes_resource else None,
        )
        url = build_authorization_url(
            metadata.authorization_endpoint, self._options, memory, callback=callback, hints=hints
        )
        return Begun(url=url, memory=memory.to_json())

    async def complete(self, parameters: Parameters, *, memory: bytes, callback: str, now: int) -> Completed:
        """As ``Upstream.complete``."""
        remembered = Memory.from_json(memory, name=self._options.name)
        metadata = await self._discovery.load()
        expected = ExpectedAnswer(
            state=remembered.state,
            issuer=self._options.issuer,
            issuer_template=self._options.issuer_template,
            sends_issuer=metadata.sends_issuer,
        )
        brought = parse_authorization_answer(parameters, expected)
        answer = await self._tokens.exchange_code(brought.code, remembered, callback=callback, now=now)
        tokens = build_tokens(answer, now=now, scope=build_scope(self._options.scopes), refresh_token=None)
        sign_in = SignIn(memory=remembered, answer_issuer=brought.issuer, now=now)
        identity = await self._identifier.identify(answer, sign_in)
        claims = identity.claims
        if self._options.fetch_claims is not None:
            claims = await self._options.fetch_claims(self._http, tokens, claims)
        person = self._options.read_person(claims, identity.issuer, self._options)
        return Completed(person=person, tokens=tokens)

    async def refresh(self, tokens: UpstreamTokens, now: int) -> UpstreamTokens:
        """As ``Upstream.refresh``."""
        return await self._tokens.refresh(tokens, now=now)

    async def revoke(self, tokens: UpstreamTokens) -> None:
        """As ``Upstream.revoke``."""
        if self._options.revoke_tokens is not None:
            await self._options.revoke_tokens(self._http, tokens, self._options)
        else:
            await self._tokens.revoke(tokens, now=int(self._clock()))

    async def aclose(self) -> None:
        """As ``Upstream.aclose``."""
        await self._identifier.aclose()
        await self._discovery.aclose()
        await self._http.aclose()

    def _build_identifier(self, steady_clock: Callable[[], float]) -> Identifier:
        if self._options.kind == "oauth2":
            return UserinfoIdentifier(self._options, self._discovery, self._http)
        keys = ProviderKeys(self._options.name, self._discovery, self._http, clock=steady_clock)
        return IdTokenIdentifier(self._options, self._discovery, keys, self._http)


def open_upstream(
    options: ProviderOptions,
    *,
    clock: Callable[[], float] = time.time,
    steady_clock: Callable[[], float] = time.monotonic,
) -> Upstream:
    """The provider of these options. Nothing is asked of it yet, so it may be down. Clocks as for ``CodeFlow``.

    Raises ``ConfigurationError`` for a CA file that cannot be read.
    """
    return CodeFlow(options, clock=clock, steady_clock=steady_clock)
