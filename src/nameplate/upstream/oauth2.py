"""Who signed in at a plain OAuth 2.0 provider: its userinfo endpoint says so, asked with the new access token."""

from collections.abc import Mapping

from nameplate.errors import UpstreamError
from nameplate.protocol.upstream_answer import TokenAnswer
from nameplate.upstream.discovery import Discovery
from nameplate.upstream.identity import Identity, SignIn
from nameplate.upstream.provider import Ask, ProviderOptions
from nameplate.upstream.userinfo import fetch_userinfo

__all__ = ["UserinfoIdentifier"]


class UserinfoIdentifier:
    """An ``Identifier`` for providers without ID tokens.

    That the access token was issued to us, and not planted, follows from where it came from: the token endpoint itself,
    for our code, our secret and our PKCE verifier.
    """

    def __init__(self, options: ProviderOptions, discovery: Discovery, ask: Ask) -> None:
        self._issuer = options.issuer
        self._discovery = discovery
        self._ask = ask

    async def identify(self, answer: TokenAnswer, sign_in: SignIn) -> Identity:
        """As ``Identifier.identify``."""
        url = (await self._discovery.load()).userinfo_endpoint
        if url is None:
            raise UpstreamError(
                "server_error",
                "The identity provider's metadata cannot be used.",
                reason="upstream.metadata",
                detail=f"{sign_in.memory.name}: there is no userinfo_endpoint",
            )
        claims: Mapping[str, object] = await fetch_userinfo(self._ask, url, answer.access_token, subject=None)
        return Identity(issuer=self._issuer, claims=claims)

    async def aclose(self) -> None:
        """Nothing is under way."""
