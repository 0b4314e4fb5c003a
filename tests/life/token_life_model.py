"""What a grant, its tokens, the document of its client and the passing of time should allow.

Pure: no I/O, no clock, no values of tokens. It is written from the specifications and the decisions (architecture
decisions 5, 6, 10, 12 and 14; docs/decisions/0008, 0011, 0013 and 0014), not from the code that it judges. The
sentences that a rule follows from stand beside it.
"""

from collections.abc import Sequence
from dataclasses import replace

from client_model import ClientModel, find_last_visit
from token_life_values import (
    KEY,
    NONE,
    Access,
    Ask,
    Client,
    Code,
    Document,
    Grant,
    Issued,
    Refresh,
    Terms,
    Verdict,
    refuse,
)

__all__ = ["TokenLifeModel"]


class TokenLifeModel(ClientModel):
    """The authorization server, as it should be. Each request is a method; what it decided is its verdict."""

    CODE_SECONDS = 60
    CLIENT_TRIES_AGAIN_SECONDS = 10
    REPEAT_SECONDS = 120
    CODE_KEPT_SECONDS = 24 * 3600

    def __init__(self, terms: Terms, now: int, clients: Sequence[Client]) -> None:
        super().__init__(terms, now, clients)
        self.has_account = True
        self.grants: list[Grant] = []
        self.codes: list[Code] = []

    # What others see

    def is_active(self, access: Access) -> bool:
        """0013: a token that we signed, not expired, whose grant lives and whose person still has an account."""
        return (
            self.is_verifiable(access)
            and self.now < access.expires_at
            and self.is_live(access.grant)
            and self.has_account
        )

    def is_verifiable(self, access: Access) -> bool:
        """Whether one of the published keys signed it."""
        return access.signed_by in self.keys.list_published()

    def must_be_told(self, grant: Grant) -> bool:
        """0013: the feed holds what was revoked while the longest-lived token could live, plus a minute for clocks."""
        return bool(grant.ended) and self.now <= grant.ended_at + self.keys.terms.longest_token_seconds + 60

    def may_be_forgotten(self, value: Code | Refresh) -> bool:
        """Whether the store may have swept it: nothing can come of it any more."""
        match value:
            case Code():
                return self.now >= value.issued_at + self.CODE_KEPT_SECONDS
            case Refresh():
                return self.now >= value.expires_at

    def restart(self, *, has_account: bool) -> None:
        """The server is started anew, with the person's account in its configuration or without."""
        self.has_account = has_account
        self.forget_strangers()

    # Authorization

    def ask_person(self, client: Client, redirect: str) -> int:
        """The status of the answer to an authorization request: 200 where the person is asked."""
        document = self.load_document(client, for_grant=False)
        if not isinstance(document, Document):
            return {"unreachable": 503, "refused": 400}[document]
        return 200 if redirect in document.redirects else 400

    def allow(self, client: Client, scope: tuple[str, ...]) -> Code:
        """The person allowed what was asked just now."""
        document = client.copy
        assert document is not None
        client.is_approved = True
        # 0011: a client that may come as none gets the lifetime of a grant of a public client
        lifetimes = self.terms.choose(proves=NONE not in document.methods)
        grant = Grant(client=client, document=document, scope=scope, expires_at=self.now + lifetimes.grant_seconds)
        code = Code(grant=grant, issued_at=self.now)
        self.grants.append(grant)
        self.codes.append(code)
        self.tell("authorization.approved", grant)
        return code

    def deny(self) -> None:
        """The person declined: that leaves a line in the audit trail."""
        self.tell("authorization.denied")

    # The token endpoint

    def redeem(self, code: Code, ask: Ask, *, has_verifier: bool, has_redirect: bool) -> Verdict:
        """A code is redeemed. The two flags are false where the verifier or the redirect URI is another one.

        The order is that of 0011: whose code, the proof, everything else.
        """
        grant = code.grant
        if code.is_forgotten:
            return refuse("invalid_grant")
        if ask.client is not grant.client:
            if NONE in grant.document.methods:
                self.burn(code)
            return refuse("invalid_grant")
        is_over = code.spent_at is None and self.now >= code.issued_at + self.CODE_SECONDS
        if is_over or not self.is_live(grant):
            return refuse("invalid_grant")
        if not self.prove(ask, grant.document):
            return refuse("invalid_client")
        if not (has_verifier and has_redirect):
            self.burn(code)
            return refuse("invalid_grant")
        if not self.has_account:
            return refuse("invalid_grant")
        if code.spent_at is not None:
            return self.replay_code(code, code.spent_at)
        code.spent_at = self.now
        self.tell("code.redeemed", grant)
        return self._issue(grant, ask, grant.document, grant.scope, has_refresh=grant.document.has_refresh)

    def burn(self, code: Code) -> None:
        """Decision 12: a wrong verifier burns the code and revokes nothing."""
        if code.spent_at is None:
            code.spent_at = self.now
            self.tell("code.burned", code.grant)

    def replay_code(self, code: Code, spent_at: int) -> Verdict:
        """Decision 12: a second redemption is refused; later than 10 s after the first, what it bought is revoked."""
        self.tell("code.replayed", code.grant)
        if self.now - spent_at > self.CLIENT_TRIES_AGAIN_SECONDS:
            self.end(code.grant, "code.replayed")
        return refuse("invalid_grant")

    def refresh(self, token: Refresh, ask: Ask, scope: tuple[str, ...] | None) -> Verdict:
        """A refresh token is used. ``scope`` is what is asked for; None for all that was granted."""
        grant = token.grant
        if ask.client is not grant.client or self.now >= token.expires_at or not self.is_live(grant):
            return refuse("invalid_grant")
        document = self.load_today(token, ask)
        if not isinstance(document, Document):
            return document
        if not self.prove(ask, document):
            return refuse("invalid_client")
        if refusal := self.judge_change(grant, ask, document):
            return refusal
        granted = grant.scope if scope is None else tuple(each for each in grant.scope if each in scope)
        if scope is not None and not set(scope) <= set(grant.scope):
            return refuse("invalid_scope")
        if not self.has_account:
            return refuse("invalid_grant")
        if token.rotated_at is not None:
            return self.use_again(token, token.rotated_at, ask, granted)
        return self.rotate(token, ask, document, granted)

    def load_today(self, token: Refresh, ask: Ask) -> Document | Verdict:
        """0008: a refresh is judged by the document of today. A second use without a proof is not (0011: where the
        grant was not bought by one): it is a repeat, or a theft, which no host may keep from being found out.
        """
        grant = token.grant
        if token.rotated_at is not None and ask.method == NONE == grant.method:
            return grant.document
        document = self.load_for(grant)
        if isinstance(document, Document) and self.is_copy_doubtful(token, ask, document):
            document = self.load_for(grant, since=find_last_visit(token))
        return document

    def use_again(self, token: Refresh, rotated_at: int, ask: Ask, scope: tuple[str, ...]) -> Verdict:
        """Decision 12: a repeat gets the same answer for 120 s, until the successor is first used. Any other reuse
        revokes the grant.
        """
        first = token.answer
        assert first is not None
        assert first.refresh is not None
        if self.now - rotated_at <= self.REPEAT_SECONDS and first.refresh.rotated_at is None:
            self.tell("refresh_token.repeated", token.grant)
            return Verdict(status=200, issued=self.repeat(first, ask, scope))
        self.tell("refresh_token.reused", token.grant)
        self.end(token.grant, "refresh_token.reused")
        return refuse("invalid_grant")

    def repeat(self, first: Issued, ask: Ask, scope: tuple[str, ...]) -> Issued:
        """0011: the first answer, but for an access token that is over, or allows what the repeat does not ask for."""
        if set(first.access.scope) <= set(scope) and self.now < first.access.expires_at:
            return first
        return replace(first, access=self._issue_access(first.access.grant, ask, scope))

    def rotate(self, token: Refresh, ask: Ask, document: Document, scope: tuple[str, ...]) -> Verdict:
        """Decision 12: refresh tokens are rotated."""
        self.tell("refresh_token.rotated", token.grant, str(token.number))
        verdict = self._issue(token.grant, ask, document, scope, has_refresh=True)
        token.rotated_at, token.answer = self.now, verdict.issued
        return verdict

    # Revocation

    def revoke(self, token: Refresh | Access, ask: Ask) -> Verdict:
        """0013: any token that the grant ever gave ends it; of unknown and foreign ones nothing is said."""
        grant = token.grant
        is_known = self.is_verifiable(token) if isinstance(token, Access) else not token.is_forgotten
        if not is_known or ask.client is not grant.client or not self.is_live(grant):
            return Verdict(status=200)
        document = self.load_to_revoke(token, ask)
        if document is None:
            return Verdict(status=503, error="temporarily_unavailable")
        if not self.prove(ask, document):
            return refuse("invalid_client")
        if self.is_pinned_above(ask, grant) and KEY in document.methods:
            return refuse("invalid_client")
        self.end_by_client(grant, token)
        return Verdict(status=200)

    def load_to_revoke(self, token: Refresh | Access, ask: Ask) -> Document | None:
        """A document that cannot be had does not keep access alive: the one from consent stands in. None where a copy
        refuses the client that may be too old, and only the host could tell.
        """
        client = token.grant.client
        document = self.load_document(client, for_grant=True)
        if isinstance(document, Document) and self.is_copy_doubtful(token, ask, document):
            document = self.load_document(client, for_grant=True, since=find_last_visit(token))
            if document == "unreachable":
                return None
        return document if isinstance(document, Document) else token.grant.document

    def end_by_client(self, grant: Grant, token: Refresh | Access) -> None:
        """The unit is the grant."""
        self.end(grant, "client.revoked")

    # Tokens

    def find_end(self, grant: Grant, seconds: int) -> int:
        """Grants have an absolute lifetime, and no token outlives its grant."""
        return min(self.now + seconds, grant.expires_at)

    def _issue(
        self, grant: Grant, ask: Ask, document: Document, scope: tuple[str, ...], *, has_refresh: bool
    ) -> Verdict:
        grant.method = ask.method
        grant.keys = document.keys if ask.method == KEY else frozenset()
        access, refresh = self._issue_access(grant, ask, scope), None
        if has_refresh:
            expires_at = self.find_end(grant, self.terms.choose(proves=ask.method == KEY).refresh_seconds)
            refresh = Refresh(grant=grant, number=len(grant.refreshes), issued_at=self.now, expires_at=expires_at)
            grant.refreshes.append(refresh)
        return Verdict(status=200, issued=Issued(access=access, refresh=refresh))

    def _issue_access(self, grant: Grant, ask: Ask, scope: tuple[str, ...]) -> Access:
        access = Access(
            grant=grant,
            scope=scope,
            issued_at=self.now,
            expires_at=self.find_end(grant, self.terms.choose(proves=ask.method == KEY).access_seconds),
            signed_by=self.keys.find_signing(),
        )
        grant.accesses.append(access)
        return access
