"""A provider's token and revocation endpoints (RFC 6749 §4.1.3, §6, RFC 7009)."""

from collections.abc import Iterable, Mapping

from nameplate.errors import UpstreamError
from nameplate.protocol.upstream_answer import TokenAnswer, TokenResponse, parse_token_answer
from nameplate.secret import Secret
from nameplate.upstream.client_proof import build_client_proof
from nameplate.upstream.discovery import Discovery
from nameplate.upstream.http import UpstreamHttp, build_unavailable
from nameplate.upstream.memory import Memory
from nameplate.upstream.port import UpstreamTokens
from nameplate.upstream.provider import Answer, ProviderOptions

__all__ = ["TokenEndpoint", "build_tokens"]

# The members of an answer that are quoted in the log.
_QUOTED_MEMBERS = ("error", "error_description", "token_type")
_SENT_SECRETS = ("client_assertion", "client_secret", "code", "code_verifier", "refresh_token")


class TokenEndpoint:
    """What is done at the token endpoint of one provider, and at its revocation endpoint."""

    def __init__(self, options: ProviderOptions, http: UpstreamHttp, discovery: Discovery) -> None:
        self._options = options
        self._http = http
        self._discovery = discovery

    async def exchange_code(self, code: Secret, memory: Memory, *, callback: str, now: int) -> TokenAnswer:
        """The tokens that the code buys (RFC 6749 §4.1.3). A code can be tried once. Raises ``UpstreamError``."""
        form = {"grant_type": "authorization_code", "code": code.reveal(), "redirect_uri": callback}
        if memory.verifier is not None:
            form["code_verifier"] = memory.verifier
        if memory.resource is not None:
            form["resource"] = memory.resource
        return await self._ask(form, is_refresh=False, now=now)

    async def refresh(self, tokens: UpstreamTokens, *, now: int) -> UpstreamTokens:
        """New tokens for old (RFC 6749 §6). Raises ``UpstreamError``."""
        if tokens.refresh_token is None:
            raise UpstreamError(
                "server_error",
                "The identity provider's access has run out.",
                reason="upstream.no_refresh_token",
                detail=f"{self._options.name}: there is no refresh token",
            )
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token.reveal()}
        answer = await self._ask(form, is_refresh=True, now=now)
        return build_tokens(answer, now=now, scope=tokens.scope, refresh_token=tokens.refresh_token)

    async def revoke(self, tokens: UpstreamTokens, *, now: int) -> None:
        """End the tokens, by the refresh token where there is one (RFC 7009 §2.1: the access token ends with it).

        Nothing is done where the provider has no revocation endpoint. Raises ``UpstreamError``.
        """
        metadata = await self._discovery.load()
        url = metadata.revocation_endpoint
        if url is None:
            return
        hint = "access_token" if tokens.refresh_token is None else "refresh_token"
        token = tokens.refresh_token or tokens.access_token
        headers, proof = build_client_proof(self._options, token_endpoint=metadata.token_endpoint, now=now)
        form = {"token": token.reveal(), "token_type_hint": hint, **proof}
        answer = await self._http("POST", url, headers=headers, form=form)
        if answer.status != 200:  # RFC 7009 §2.2: also for a token that is unknown
            raise self._build_revocation_failure(answer)

    async def _ask(self, grant: Mapping[str, str], *, is_refresh: bool, now: int) -> TokenAnswer:
        url = (await self._discovery.load()).token_endpoint
        headers, proof = build_client_proof(self._options, token_endpoint=url, now=now)
        form = {**self._options.token_parameters, **grant, **proof}
        answer = await self._http("POST", url, headers=headers, form=form)
        read = answer.read_json()
        members = self._options.read_token_answer(read) if isinstance(read, dict) else None
        return parse_token_answer(
            TokenResponse(
                status=answer.status,
                media_type=answer.media_type,
                members=None if members is None else _redact(members, self._list_secrets(form)),
                is_refresh=is_refresh,
                retry_after_seconds=answer.retry_after_seconds,
            )
        )

    def _list_secrets(self, form: Mapping[str, str]) -> list[str]:
        secrets = [form[name] for name in _SENT_SECRETS if name in form]
        return secrets if self._options.client_secret is None else [*secrets, self._options.client_secret.reveal()]

    def _build_revocation_failure(self, answer: Answer) -> UpstreamError:
        detail = f"{self._options.name}: the revocation endpoint answered {answer.status}"
        if answer.status >= 500 or answer.status == 429:
            return build_unavailable(
                detail, reason="upstream.unavailable", retry_after_seconds=answer.retry_after_seconds
            )
        return UpstreamError(
            "server_error",
            "The identity provider refused to end the sign-in.",
            reason="upstream.revocation_refused",
            detail=detail,
        )


def build_tokens(answer: TokenAnswer, *, now: int, scope: str, refresh_token: Secret | None) -> UpstreamTokens:
    """The tokens to keep. ``scope`` and ``refresh_token`` stand where the answer has none (RFC 6749 §5.1, §6)."""
    return UpstreamTokens(
        access_token=answer.access_token,
        token_type=answer.token_type,
        expires_at=None if answer.expires_in is None else now + answer.expires_in,
        refresh_token=answer.refresh_token or refresh_token,
        scope=scope if answer.scope is None else answer.scope,
    )


def _redact(members: Mapping[str, object], secrets: Iterable[str]) -> dict[str, object]:
    """The members without what was sent: some providers repeat it in the text that goes into the log."""
    redacted = dict(members)
    for name in _QUOTED_MEMBERS:
        text = redacted.get(name)
        if text is None or text == "":
            continue
        text = str(text)
        for secret in secrets:
            text = text.replace(secret, "***")
        redacted[name] = text
    return redacted
