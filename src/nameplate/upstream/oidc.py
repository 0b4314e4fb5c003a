"""Who signed in at an OpenID Connect provider: the ID token says so, and the userinfo endpoint adds to it."""

from typing import NoReturn

from nameplate.errors import UpstreamError
from nameplate.jose import Refused, UnknownKey
from nameplate.jose.compact import CompactToken, read_compact
from nameplate.protocol.fault import build_quotation
from nameplate.protocol.id_token import ExpectedIdToken, IdToken, check_id_token_claims
from nameplate.protocol.upstream_answer import TokenAnswer
from nameplate.upstream.discovery import Discovery
from nameplate.upstream.identity import Identity, SignIn
from nameplate.upstream.person import merge_claims
from nameplate.upstream.provider import TENANT_MARK, Ask, ProviderOptions
from nameplate.upstream.provider_keys import ProviderKeys, PublishedKeys
from nameplate.upstream.userinfo import fetch_userinfo

__all__ = ["IdTokenIdentifier"]


class IdTokenIdentifier:
    """An ``Identifier`` by ID token (OpenID Connect Core §3.1.3.7), checked although it came by TLS."""

    def __init__(self, options: ProviderOptions, discovery: Discovery, keys: ProviderKeys, ask: Ask) -> None:
        self._options = options
        self._discovery = discovery
        self._keys = keys
        self._ask = ask

    async def identify(self, answer: TokenAnswer, sign_in: SignIn) -> Identity:
        """As ``Identifier.identify``."""
        if answer.id_token is None:
            _refuse("there is none", reason="upstream.id_token_missing")
        token = await self._verify(answer.id_token.reveal(), answer, sign_in)
        # RFC 9207 §2.4: where the browser brought an issuer and there is an ID token, both are the same
        if sign_in.answer_issuer not in (None, token.issuer):
            _refuse("its iss is not the one that the browser brought", reason="upstream.wrong_issuer")
        metadata = await self._discovery.load()
        if not self._options.asks_userinfo or metadata.userinfo_endpoint is None:
            return Identity(issuer=token.issuer, claims=token.claims)
        userinfo = await fetch_userinfo(
            self._ask, metadata.userinfo_endpoint, answer.access_token, subject=token.subject
        )
        return Identity(issuer=token.issuer, claims=merge_claims(token.claims, userinfo, self._options))

    async def aclose(self) -> None:
        """End a fetch of keys that is under way."""
        await self._keys.aclose()

    async def _verify(self, text: str, answer: TokenAnswer, sign_in: SignIn) -> IdToken:
        compact = read_compact(text)
        if isinstance(compact, Refused):
            _refuse(f"it is {compact.reason}", reason="upstream.id_token_signature")
        outcome = await self._keys.verify(text)
        if isinstance(outcome, UnknownKey):
            _refuse(f"the provider publishes no key {build_quotation(outcome.kid)}", reason="upstream.id_token_key")
        if isinstance(outcome, Refused):
            alg = build_quotation(str(compact.header.get("alg")))
            _refuse(f"refused for its {outcome.reason}; its alg is {alg}", reason="upstream.id_token_signature")
        verified, published = outcome
        token = check_id_token_claims(
            verified.claims,
            self._build_expected(sign_in),
            algorithm=str(compact.header.get("alg")),
            access_token=answer.access_token.reveal(),
            now=sign_in.now,
        )
        self._check_key_issuer(token, compact, published)
        return token

    def _build_expected(self, sign_in: SignIn) -> ExpectedIdToken:
        memory = sign_in.memory
        if not memory.nonce:
            _refuse("no nonce was sent in this sign-in", reason="upstream.memory")
        return ExpectedIdToken(
            issuer=self._options.issuer,
            client_id=self._options.client_id,
            nonce=memory.nonce,
            begun_at=memory.begun_at,
            issuer_template=self._options.issuer_template,
            tenant_claim=self._options.tenant_claim,
            max_age_seconds=memory.max_age_seconds,
            has_auth_time=self._options.has_auth_time,
        )

    def _check_key_issuer(self, token: IdToken, compact: CompactToken, published: PublishedKeys) -> None:
        """A key that is published for one tenant signs for no other (Entra, "Signing key issuer validation")."""
        if self._options.issuer_template is None:
            return
        owner = published.issuers.get(str(compact.header.get("kid")))
        tenant = str(token.claims.get(self._options.tenant_claim))
        if owner is not None and owner.replace(TENANT_MARK, tenant) != token.issuer:
            _refuse("it is signed by a key of another issuer", reason="upstream.id_token_issuer")


def _refuse(problem: str, *, reason: str) -> NoReturn:
    raise UpstreamError(
        "server_error",
        "The identity provider's answer is not for this sign-in.",
        reason=reason,
        detail=f"ID token: {problem}",
    )
