"""GitHub: OAuth apps and GitHub Apps, on github.com, on ghe.com and on an Enterprise Server.

It is no OpenID provider. Differences from OAuth 2.0, and where they are documented:

- Who signed in is asked of the REST API. The account's number is the identity: a login can be given up and taken over.
- Which addresses are verified is a second question.
- The token endpoint answers errors with status 200 and codes of its own, and separates scopes by commas.
- Tokens are ended by the REST API.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

from nameplate.errors import UpstreamError
from nameplate.protocol.email_address import read_email_address
from nameplate.protocol.sign_in_policy import SignInPolicy, build_sign_in_policy
from nameplate.upstream.http import build_unavailable
from nameplate.upstream.port import UpstreamTokens
from nameplate.upstream.presets.preset import Preset, Shape, build_base, read_allowed_people, read_base_url, refuse
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import Answer, Ask, ProviderOptions

__all__ = ["PRESET", "build"]

_GITHUB = "https://github.com"
_GITHUB_API = "https://api.github.com"

# https://docs.github.com/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps. A GitHub App has permissions
# instead, and is not harmed by them.
_SCOPES = ("read:user", "user:email")
_ORGANIZATION_SCOPE = "read:org"
# https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#expiring-access-tokens: an OAuth
# app gets a refresh token for it. An Enterprise Server may ignore it, and then sends a token that never expires.
_OFFLINE_SCOPES = ("offline_access",)
# https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
# and, for refresh tokens, what GitHub answers in fact
_ERRORS = {
    "bad_verification_code": "invalid_grant",
    "bad_refresh_token": "invalid_grant",
    "incorrect_client_credentials": "invalid_client",
    "unverified_user_email": "access_denied",
}
_PAGE = 100  # https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api: entries at most


@dataclass(frozen=True, slots=True, kw_only=True)
class _Api:
    """The REST API, as far as signing in goes. ``wanted`` is whose addresses may sign in."""

    url: str
    wanted: SignInPolicy
    tells_groups: bool

    async def fetch_claims(
        self, ask: Ask, tokens: UpstreamTokens, claims: Mapping[str, object]
    ) -> Mapping[str, object]:
        """The account's claims with its verified address, and its groups where they are wanted."""
        addresses = _read_verified(await self._fetch_list(ask, "/user/emails", tokens))
        email = _choose_address(addresses, self.wanted)
        # The account's own "email" is what its profile shows, and nothing says that it is verified.
        known = {**claims, "email": email or claims.get("email"), "email_verified": email is not None}
        return {**known, **await self._fetch_groups(ask, tokens)} if self.tells_groups else known

    async def _fetch_groups(self, ask: Ask, tokens: UpstreamTokens) -> Mapping[str, object]:
        """https://docs.github.com/rest/orgs/orgs#list-organizations-for-the-authenticated-user, and
        https://docs.github.com/rest/teams/teams#list-teams-for-the-authenticated-user
        """
        organizations = await self._fetch_list(ask, "/user/orgs", tokens)
        teams = await self._fetch_list(ask, "/user/teams", tokens)
        groups = [*map(_read_organization, organizations or ()), *map(_read_team, teams or ())]
        is_whole = all(entries is not None and len(entries) < _PAGE for entries in (organizations, teams))
        found: dict[str, object] = {"groups": [group for group in groups if group]}
        # As a provider says it that has groups elsewhere (OpenID Connect Core §5.6.2): then "not listed" is not "no".
        return found if is_whole else {**found, "_claim_names": {"groups": self.url}}

    async def _fetch_list(self, ask: Ask, path: str, tokens: UpstreamTokens) -> Sequence[object] | None:
        """The entries; None where the app may not know them. Raises ``UpstreamError``."""
        headers = {
            "Authorization": f"Bearer {tokens.access_token.reveal()}",
            "Accept": "application/vnd.github+json",
        }
        answer = await ask("GET", f"{self.url}{path}?per_page={_PAGE}", headers=headers)
        _check_availability(answer, path)
        entries = answer.read_json() if answer.status == 200 else None
        return entries if isinstance(entries, list) else None

    async def revoke_tokens(self, ask: Ask, tokens: UpstreamTokens, options: ProviderOptions) -> None:
        """End this token, and no other of the same person.

        https://docs.github.com/rest/apps/oauth-applications#delete-an-app-token
        """
        secret = "" if options.client_secret is None else options.client_secret.reveal()
        pair = b64encode(f"{options.client_id}:{secret}".encode()).decode()
        answer = await ask(
            "DELETE",
            f"{self.url}/applications/{quote(options.client_id, safe='')}/token",
            headers={"Authorization": f"Basic {pair}", "Accept": "application/vnd.github+json"},
            json={"access_token": tokens.access_token.reveal()},
        )
        _check_availability(answer, "/applications/…/token")
        if answer.status not in {204, 404, 422}:  # 404 and 422: it has ended before
            raise UpstreamError(
                "server_error",
                "The identity provider refused to end the sign-in.",
                reason="upstream.revocation_refused",
                detail=f"GitHub answered {answer.status} to the deletion of a token",
            )


def _check_availability(answer: Answer, path: str) -> None:
    if answer.status >= 500 or _is_limited(answer):
        raise build_unavailable(
            f"GitHub answered {answer.status} at {path}",
            reason="upstream.unavailable",
            retry_after_seconds=answer.retry_after_seconds,
        )


def _is_limited(answer: Answer) -> bool:
    """https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit: 429, or a
    403 that says so, with or without Retry-After. Any other 403 is a lack of permission.
    """
    if answer.status != 403:
        return answer.status == 429
    match answer.read_json():
        case {"message": str(message)} if "rate limit" in message.lower():
            return True
        case _:
            return answer.retry_after_seconds is not None


def _read_verified(entries: Sequence[object] | None) -> list[str]:
    """The verified addresses, the primary one first.

    https://docs.github.com/rest/users/emails#list-email-addresses-for-the-authenticated-user
    """
    primary, others = [], []
    for entry in entries or ():
        match entry:
            case {"email": str(email), "verified": True, "primary": True}:
                primary.append(email)
            case {"email": str(email), "verified": True}:
                others.append(email)
            case _:
                pass
    return [*primary, *others]


def _choose_address(addresses: Sequence[str], wanted: SignInPolicy) -> str | None:
    """The first address that may sign in, else the first: people have the company's as a second one on GitHub."""
    for text in addresses:
        address = read_email_address(text)
        if address and (address in wanted.emails or address.domain in wanted.email_domains):
            return text
    return next(iter(addresses), None)


def _read_organization(entry: object) -> str | None:
    match entry:
        case {"login": str(login)}:
            return login
        case _:
            return None


def _read_team(entry: object) -> str | None:
    match entry:
        case {"slug": str(slug), "organization": {"login": str(login)}}:
            return f"{login}/{slug}"
        case _:
            return None


def _read_token_answer(members: Mapping[str, object]) -> Mapping[str, object]:
    read, error, scope = dict(members), members.get("error"), members.get("scope")
    if isinstance(error, str):
        read["error"] = _ERRORS.get(error, error)
    if isinstance(scope, str):
        read["scope"] = scope.replace(",", " ")
    return read


def build(settings: UpstreamSettings) -> ProviderOptions:
    """An OAuth app or a GitHub App."""
    site = read_base_url(settings, _GITHUB)
    tells_groups = _ORGANIZATION_SCOPE in settings.scopes
    if settings.allowed_groups is not None and not tells_groups:
        refuse(settings, "allowed_groups", 'organizations and teams are only told with scopes = ["read:org"].')
    base = build_base(
        settings,
        Shape(
            kind="oauth2",
            # The issuer in https://github.com/.well-known/oauth-authorization-server/login/oauth, and the "iss" that
            # GitHub sent for some days in April 2026: https://github.com/langfuse/langfuse/issues/13091
            issuer=f"{site}/login/oauth",
            scopes=_SCOPES,
            # https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps: in the body
            auth_methods=("client_secret_post",),
            offline_scopes=_OFFLINE_SCOPES,
        ),
    )
    wanted = build_sign_in_policy(
        read_allowed_people(settings), is_organization=True, table=f"upstreams.{settings.name}"
    )
    api = _Api(url=_build_api_url(site), wanted=wanted, tells_groups=tells_groups)
    return replace(
        base,
        authorization_endpoint=f"{site}/login/oauth/authorize",
        token_endpoint=f"{site}/login/oauth/access_token",
        userinfo_endpoint=f"{api.url}/user",
        subject_claim="id",
        username_claims=("login",),
        display_name_claims=("name", "login"),
        groups_claim="groups" if tells_groups else None,
        read_token_answer=_read_token_answer,
        fetch_claims=api.fetch_claims,
        revoke_tokens=api.revoke_tokens,
    )


def _build_api_url(site: str) -> str:
    """https://docs.github.com/enterprise-cloud@latest/admin/data-residency, and
    https://docs.github.com/enterprise-server@latest/rest/quickstart
    """
    if site == _GITHUB:
        return _GITHUB_API
    return f"https://api.{urlsplit(site).netloc}" if _is_data_residency(site) else f"{site}/api/v3"


def _is_data_residency(site: str) -> bool:
    return site.startswith("https://") and site.endswith(".ghe.com")


def _is_organization(settings: UpstreamSettings) -> bool:
    # On ghe.com the enterprise makes the accounts. On an Enterprise Server people can sign up unless that is disabled:
    # https://docs.github.com/enterprise-server@latest/admin/managing-iam/using-built-in-authentication/disabling-unauthenticated-sign-ups
    return settings.base_url is not None and _is_data_residency(settings.base_url)


PRESET = Preset(
    title="GitHub",
    build=build,
    is_organization=_is_organization,
    members=frozenset({"base_url", "allowed_groups"}),
)
