"""The state machine that Hypothesis plays: what may happen next in the life of tokens, and what must hold after it."""

import itertools
from collections.abc import Collection, Sequence
from typing import ClassVar, TypeVar

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from life_clients import make_clients
from life_world import LifeBench
from token_life_model import TokenLifeModel
from token_life_moves import (
    ANSWERS,
    ASKED_AFTER,
    ASKED_AGAIN_AFTER,
    ASKED_SCOPES,
    BOTH,
    CHANGES,
    CLIENTS,
    FEW,
    FIRST_TRIES,
    HOSTS,
    LEFT,
    LONG_MOMENTS,
    MOMENTS,
    MOSTLY,
    NOTICED_AFTER,
    PICKS,
    PROOFS,
    PROVEN_AFTER,
    RARELY,
    REDIRECTS_SENT,
    REPEATED_AFTER,
    RETRIED_AFTER,
    SCOPES,
    SETTINGS,
    TERMS,
    WAITS,
    edit,
)
from token_life_play import Redirect, TokenLifePlay
from token_life_values import KEY, Access, Ask, Client, Code, Grant, HostState, Refresh

__all__ = ["TokenLife", "make_machine"]

T = TypeVar("T")

MOST_KEYS = 20
"""The server refuses to make a key by hand where there are 32."""


class TokenLife(RuleBasedStateMachine):
    """Clients, a person, an operator and time, in any order.

    Grants, codes and clients are drawn by a number: what lives and is new comes first, so that most steps are about it.
    """

    bench: ClassVar[LifeBench]
    model_type: ClassVar[type[TokenLifeModel]] = TokenLifeModel

    def __init__(self) -> None:
        super().__init__()
        self.world = self.bench.open_world(SETTINGS)
        self.clients = make_clients()
        self.fresh_keys = itertools.count(len(self.clients))
        self.model = self.model_type(TERMS, self.world.now, self.clients)
        self.play = TokenLifePlay(self.world, self.model)

    def teardown(self) -> None:
        """Once more, all tokens that ever were; also those that expired long ago."""
        try:
            for access in [] if self.play.has_disagreed else self._list_accesses():
                self.play.compare_access(access)
        finally:
            self.world.close()

    # Sign-ins

    @initialize(client=CLIENTS)
    def begin(self, client: int) -> None:
        self._sign_in(self.clients[client])

    @precondition(lambda self: self.model.has_account)
    @rule(client=CLIENTS, is_web=RARELY, scope=SCOPES, answer=ANSWERS)
    def authorize(self, client: int, is_web: bool, scope: tuple[str, ...], answer: str) -> None:
        self.play.authorize(self.clients[client], "web" if is_web else "loopback", scope, answer)

    # Codes

    @precondition(lambda self: self.model.codes)
    @rule(pick=PICKS, wait=RETRIED_AFTER, proof=PROOFS, has_verifier=MOSTLY, redirect=REDIRECTS_SENT)
    def redeem(self, pick: int, wait: int, proof: str, has_verifier: bool, redirect: Redirect) -> None:
        code = choose(self._list_codes(), pick)
        self._wait(wait)
        self.play.redeem(code, self._ask(code.grant.client, proof), has_verifier=has_verifier, redirect=redirect)

    @precondition(lambda self: self.model.has_account)
    @rule(client=CLIENTS, first=FIRST_TRIES, wait=RETRIED_AFTER, proof=PROOFS)
    def redeem_twice(self, client: int, first: str, wait: int, proof: str) -> None:
        of = self.clients[client]
        code = self.play.authorize(of, min(of.published.redirects), ("notes:read",))
        if code is not None:
            asker = self._choose_other(of, wait) if first == "other client" else of
            redirect: Redirect = "other" if first == "other redirect" else "same"
            has_verifier = first != "wrong verifier"
            if first != "never":
                self.play.redeem(code, self._ask(asker, "fitting"), has_verifier=has_verifier, redirect=redirect)
            self._wait(wait)
            self.play.redeem(code, self._ask(of, proof))

    @precondition(lambda self: self.model.codes)
    @rule(pick=PICKS, by=FEW, is_refresh=MOSTLY, proof=PROOFS)
    def come_as_another_client(self, pick: int, by: int, is_refresh: bool, proof: str) -> None:
        """With what was given to somebody else."""
        if is_refresh and (grant := self._find_grant(pick)):
            self.play.refresh(grant.refreshes[-1], self._ask(self._choose_other(grant.client, by), proof))
        else:
            code = choose(self._list_codes(), pick)
            self.play.redeem(code, self._ask(self._choose_other(code.grant.client, by), proof))

    # Refresh tokens

    @rule(pick=PICKS, wait=WAITS, proof=PROOFS, scope=ASKED_SCOPES)
    def refresh(self, pick: int, wait: int, proof: str, scope: tuple[str, ...] | None) -> None:
        if grant := self._find_grant(pick):
            self._wait(wait)
            self.play.refresh(grant.refreshes[-1], self._ask(grant.client, proof), scope)

    @rule(pick=PICKS, wait=REPEATED_AFTER, proof=PROOFS)
    def refresh_twice(self, pick: int, wait: int, proof: str) -> None:
        if grant := self._find_grant(pick):
            token = grant.refreshes[-1]
            self.play.refresh(token, self._ask(grant.client, "fitting"))
            self._wait(wait)
            self.play.refresh(token, self._ask(grant.client, proof))

    @rule(pick=PICKS, age=FEW, proof=PROOFS, scope=ASKED_SCOPES)
    def refresh_by_an_older_token(self, pick: int, age: int, proof: str, scope: tuple[str, ...] | None) -> None:
        if grant := self._find_grant(pick):
            token = grant.refreshes[max(0, len(grant.refreshes) - 2 - age)]
            self.play.refresh(token, self._ask(grant.client, proof), scope)

    @rule(pick=PICKS, before=PROVEN_AFTER, between=PROVEN_AFTER)
    def prove_twice_by_the_same(self, pick: int, before: int, between: int) -> None:
        """An assertion comes a while after it was signed, and again."""
        grant = self._find_grant(pick)
        if grant is not None and KEY in grant.client.published.methods:
            ask = self._ask(grant.client, "fitting")
            for wait in (before, between):
                self._wait(wait)
                self.play.refresh(grant.refreshes[-1], ask)

    @rule(wait=WAITS)
    def everybody_comes(self, wait: int) -> None:
        self._wait(wait)
        for client in self.clients:
            self._come(client, "fitting")

    @rule(pick=PICKS, left=LEFT)
    def come_at_the_end(self, pick: int, left: int) -> None:
        """At the last moment at which the token may idle, and then shortly before the grant is over."""
        grant = self._find_grant(pick)
        if grant is None or not self.model.is_live(grant):
            return
        token = grant.refreshes[-1]
        for ends_at in (token.expires_at - 1, grant.expires_at - left):
            self._wait(ends_at - self.model.now)
            self.play.refresh(grant.refreshes[-1], self._ask(grant.client, "fitting"))

    # Revocation

    @rule(pick=PICKS, age=FEW, is_access=BOTH, is_foreign=RARELY, proof=PROOFS)
    def revoke(self, pick: int, age: int, is_access: bool, is_foreign: bool, proof: str) -> None:
        if grant := self._find_grant(pick):
            tokens: Sequence[Access | Refresh] = grant.accesses if is_access else grant.refreshes
            client = self._choose_other(grant.client, age) if is_foreign else grant.client
            self.play.revoke(tokens[max(0, len(tokens) - 1 - age)], self._ask(client, proof))

    @precondition(lambda self: self._list_accesses())
    @rule(pick=PICKS)
    def look_closely(self, pick: int) -> None:
        """What resource servers do: verify a token by themselves, ask about somebody else's, read who was revoked."""
        access = choose(self._list_accesses(), pick)
        self.play.verify_offline(access)
        self.play.compare_with_another_asker(access)
        self.play.compare_revocations()

    # Clients' documents

    @rule(client=CLIENTS, was_here=BOTH, change=CHANGES, wait=NOTICED_AFTER, proof=PROOFS)
    def change_document(self, client: int, was_here: bool, change: str, wait: int, proof: str) -> None:
        of = self.clients[client]
        self._see_to_grant(of)
        if was_here:  # since its document was last read
            self._wait(60)
            self._come(of, "fitting")
        of.published = edit(of.published, change, next(self.fresh_keys))
        self.play.clients.host(of)
        self._wait(wait)
        self._come(of, proof)

    @rule(client=CLIENTS, state=HOSTS, wait=ASKED_AFTER, again=ASKED_AGAIN_AFTER)
    def turn_host(self, client: int, state: HostState, wait: int, again: int) -> None:
        of = self.clients[client]
        self._see_to_grant(of)
        of.host = state
        self.play.clients.host(of)
        for seconds in (wait, again):
            self._wait(seconds)
            self._come(of, "fitting")

    # The server, and time

    @rule(seconds=MOMENTS)
    def pass_time(self, seconds: int) -> None:
        self.play.pass_time(seconds)

    @rule(seconds=LONG_MOMENTS)
    def pass_hours(self, seconds: int) -> None:
        self.play.pass_time(seconds)

    @precondition(lambda self: len(self.model.keys.keys) < MOST_KEYS)
    @rule(at_once=BOTH)
    def rotate_keys(self, at_once: bool) -> None:
        self.play.rotate_keys(at_once=at_once)

    @rule(pick=PICKS)
    def withdraw_key(self, pick: int) -> None:
        self.play.withdraw_key(choose(self.model.keys.list_published(), pick))

    @rule(is_swept=BOTH, has_account=MOSTLY)
    def restart(self, is_swept: bool, has_account: bool) -> None:
        if is_swept:
            self.play.sweep()
        self.play.restart(has_account=has_account)

    # What must hold after each step

    @invariant()
    def server_and_model_agree(self) -> None:
        """On the audit trail, on what has not expired, and that a grant has one refresh token to use."""
        self.play.compare_audit_trail()
        self.play.compare_unrotated()
        for access in self._list_accesses():
            if self.model.now < access.expires_at:
                self.play.compare_access(access)

    # What steps are about

    def _wait(self, seconds: int) -> None:
        if seconds > 0:
            self.play.pass_time(seconds)

    def _sign_in(self, client: Client) -> None:
        """All as it should be: for most of what can happen, there have to be tokens."""
        redirect = min(client.published.redirects)
        if self.model.has_account and (code := self.play.authorize(client, redirect, ("notes:read", "notes:write"))):
            self.play.redeem(code, self._ask(client, "fitting"))

    def _see_to_grant(self, client: Client) -> None:
        """Where the client holds nothing, it signs in."""
        if not any(grant.client is client for grant in self._list_live()):
            self._sign_in(client)

    def _come(self, client: Client, proof: str) -> None:
        """The client refreshes all that it holds."""
        for grant in self._list_live():
            if grant.client is client:
                self.play.refresh(grant.refreshes[-1], self._ask(client, proof))

    def _find_grant(self, pick: int) -> Grant | None:
        """A grant that has refresh tokens: a live one if that can be, rarely the last of those that ended."""
        if not self._list_live():
            self._sign_in(choose(self.clients, pick))
        ended = [grant for grant in self.model.grants if grant.refreshes and not self.model.is_live(grant)]
        found = [*self._list_live(), *ended[-1:]]
        return choose(found, pick) if found else None

    def _list_live(self) -> list[Grant]:
        """Live grants with refresh tokens, the latest first."""
        return [grant for grant in reversed(self.model.grants) if grant.refreshes and self.model.is_live(grant)]

    def _list_codes(self) -> list[Code]:
        """Codes, those first that may still be redeemed, and of these the latest."""
        codes = list(reversed(self.model.codes))
        codes.sort(key=lambda code: (not self.model.is_live(code.grant), code.spent_at is not None))
        return codes

    def _list_accesses(self) -> list[Access]:
        return [access for grant in reversed(self.model.grants) for access in reversed(grant.accesses)]

    def _choose_other(self, client: Client, pick: int) -> Client:
        return choose([each for each in self.clients if each is not client], pick)

    def _ask(self, client: Client, proof: str) -> Ask:
        return self.play.clients.ask(client, proof)


def make_machine(
    bench: LifeBench, model_type: type[TokenLifeModel] = TokenLifeModel, rules: Collection[str] = ()
) -> type[TokenLife]:
    """The machine on this bench, with this model; where ``rules`` are named, with these alone."""
    names = {rule.function.__name__ for rule in TokenLife.setup_state().rules}
    assert names.issuperset(rules), rules
    hidden = dict.fromkeys(names.difference(rules) if rules else ())  # a rule that is None is none
    return type("TokenLife", (TokenLife,), {"bench": bench, "model_type": model_type, **hidden})


def choose(among: Sequence[T], pick: int) -> T:
    """One of them, by a number."""
    return among[pick % len(among)]
