"""Plays each act against a server and against the model, and holds what comes of it against what should."""

import secrets
from typing import Literal
from urllib.parse import urlencode

from life_clients import REDIRECTS
from life_world import RESOURCE
from signing_key_model import SigningKey
from token_life_checks import TokenLifeChecks
from token_life_values import Access, Ask, Client, Code, Refresh, Verdict

from flow_world import read_answer
from nameplate.protocol.pkce import build_code_challenge
from nameplate.server.key_changes import rotate_at_once, schedule_rotation, withdraw_key
from nameplate.server.signing_keys import REFRESH_SECONDS, build_key_policy

__all__ = ["Redirect", "TokenLifePlay"]

Redirect = Literal["same", "none", "other"]
"""The ``redirect_uri`` of a token request: that of the authorization request, none, or another one."""


class TokenLifePlay(TokenLifeChecks):
    """What clients, people, the operator and time do."""

    # Acts of clients and people

    def authorize(self, client: Client, redirect: str, scope: tuple[str, ...], answer: str = "allow") -> Code | None:
        """An authorization request, and the person's answer where the person is asked. The code, if one came."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(4)
        parameters = {
            "response_type": "code",
            "client_id": self.clients.ids[client],
            "redirect_uri": REDIRECTS[redirect][1],
            "state": state,
            "scope": " ".join(scope),
            "resource": RESOURCE,
            "code_challenge": build_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        status = self.model.ask_person(client, redirect)
        page = self.world.open_authorization(f"{self.world.issuer}/authorize?{urlencode(parameters)}")
        self.agree("the page", server=page.status, model=status)
        if status != 200:
            return None
        answered = read_answer(self.world.answer_consent(page, answer))
        self.agree("state and iss", server=(answered["state"], answered["iss"]), model=(state, self.world.issuer))
        if answer == "deny":
            self.model.deny()
            self.agree("the answer", server=answered.get("error"), model="access_denied")
            return None
        code = self.model.allow(client, scope)
        self.values[code], self.verifiers[code], self.redirects[code] = answered["code"], verifier, redirect
        return code

    def redeem(self, code: Code, ask: Ask, *, has_verifier: bool = True, redirect: Redirect = "same") -> Verdict:
        """A code comes to the token endpoint."""
        self.note_forgotten(code)
        other = "web" if self.redirects[code] == "loopback" else "loopback"
        sent = {"same": REDIRECTS[self.redirects[code]][1], "none": None, "other": REDIRECTS[other][1]}[redirect]
        verdict = self.model.redeem(code, ask, has_verifier=has_verifier, has_redirect=redirect != "other")
        form = {
            "grant_type": "authorization_code",
            "code": self.values[code],
            "redirect_uri": sent,
            "code_verifier": self.verifiers[code] if has_verifier else secrets.token_urlsafe(48),
            **self.clients.build_form(ask),
        }
        return self.compare_answer(self.world.post("/token", form), verdict)

    def refresh(self, token: Refresh, ask: Ask, scope: tuple[str, ...] | None = None) -> Verdict:
        """A refresh token comes to the token endpoint."""
        verdict = self.model.refresh(token, ask, scope)
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self.values[token],
            "scope": None if scope is None else " ".join(scope),
            **self.clients.build_form(ask),
        }
        return self.compare_answer(self.world.post("/token", form), verdict)

    def revoke(self, token: Refresh | Access, ask: Ask) -> Verdict:
        """A token comes to the revocation endpoint."""
        if isinstance(token, Refresh):
            self.note_forgotten(token)
        verdict = self.model.revoke(token, ask)
        form = {"token": self.values[token], **self.clients.build_form(ask)}
        return self.compare_answer(self.world.post("/revoke", form), verdict)

    # What happens around them

    def pass_time(self, seconds: int) -> None:
        """The clock moves, and the server looks after its keys."""
        self.world.clock.advance(seconds)
        self.model.pass_time(seconds)
        self.world.look_after_keys()
        self.compare_keys()

    def rotate_keys(self, *, at_once: bool) -> None:
        """As ``nameplate keys rotate``; the server reads its keys again within half a minute."""
        store, vault, now = self.world.server.context.store, self.world.open_vault(), self.world.now
        policy = build_key_policy(self.world.settings)
        work = rotate_at_once(store, vault, now) if at_once else schedule_rotation(store, vault, policy, now)
        change, key = self.world.run(work), self.model.keys.rotate(at_once=at_once)
        self.pass_time(REFRESH_SECONDS)
        self.agree("the next key", server=change.key.kid, model=self.kids[key])

    def withdraw_key(self, key: SigningKey) -> None:
        """As ``nameplate keys withdraw``."""
        store, vault = self.world.server.context.store, self.world.open_vault()
        change = self.world.run(withdraw_key(store, vault, self.kids[key], self.world.now))
        successor = self.model.keys.withdraw(key)
        self.pass_time(REFRESH_SECONDS)
        self.agree("what signs instead", server=change.key.kid, model=self.kids[successor])

    def restart(self, *, has_account: bool) -> None:
        """The server stops, and starts again over the same store."""
        self.world.stop()
        self.world.start(username="alice" if has_account else "bob")
        self.model.restart(has_account=has_account)
        self.compare_keys()

    def sweep(self) -> None:
        """What the server does by itself every minute."""
        self.world.run(self.world.server.context.store.sweep(self.world.now, limit=10_000))
