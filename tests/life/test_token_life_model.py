"""The model by itself: sentences of the decisions, as steps and verdicts. A model that is wrong would excuse a server
that is.
"""

import pytest
from life_clients import make_clients
from signing_key_model import KeyTerms, SigningKeys
from token_life_model import TokenLifeModel
from token_life_moves import TERMS, edit
from token_life_values import KEY, Access, Ask, Assertion, Client, Code, Grant, HostState, Issued, Refresh, Verdict

START = 1_800_000_000
MINUTE, HOUR = 60, 3600
BOTH = ("notes:read", "notes:write")
PUBLIC, KEYED, EITHER = 0, 1, 2


class Story:
    """A model, and a client of it for which the person signed in."""

    def __init__(self, client: int = PUBLIC) -> None:
        self.clients = make_clients()
        self.client: Client = self.clients[client]
        self.model = TokenLifeModel(TERMS, START, self.clients)
        assert self.model.ask_person(self.client, "loopback") == 200
        self.code: Code = self.model.allow(self.client, BOTH)
        self.grant: Grant = self.code.grant

    def ask(self, client: Client | None = None, key: int | None = None) -> Ask:
        """A request of the client as it should be: by its newest key, if it has any."""
        client = client or self.client
        if KEY not in client.published.methods:
            return Ask(client=client)
        number = max(client.published.keys) if key is None else key
        return Ask(client=client, assertion=Assertion(client=client, key=number, expires_at=self.model.now + MINUTE))

    def redeem(self, ask: Ask | None = None, *, has_verifier: bool = True) -> Verdict:
        return self.model.redeem(self.code, ask or self.ask(), has_verifier=has_verifier, has_redirect=True)

    def refresh(self, age: int = 0, ask: Ask | None = None, scope: tuple[str, ...] | None = None) -> Verdict:
        """With the current token, or one that came before it."""
        return self.model.refresh(self.grant.refreshes[-1 - age], ask or self.ask(), scope)

    def change(self, change: str) -> None:
        """The client changes its document, and ten minutes later that is known."""
        self.client.published = edit(self.client.published, change, 7)
        self.model.pass_time(10 * MINUTE)

    def say(self, verdict: Verdict) -> tuple[int, str, str]:
        """What is answered, and why the grant ended, if it did."""
        return verdict.status, verdict.error, self.grant.ended


def read(verdict: Verdict) -> Issued:
    assert verdict.issued is not None, verdict
    return verdict.issued


@pytest.mark.parametrize(("wait", "ended"), [(10, ""), (11, "code.replayed")])
def test_a_second_redemption_is_refused_and_a_late_one_ends_what_was_bought(wait: int, ended: str) -> None:
    story = Story()
    access = read(story.redeem()).access
    assert story.model.is_active(access)
    story.model.pass_time(wait)
    assert story.say(story.redeem()) == (400, "invalid_grant", ended)
    assert story.model.is_active(access) is (ended == "")


def test_a_wrong_verifier_burns_the_code_and_revokes_nothing() -> None:
    story = Story()
    assert story.say(story.redeem(has_verifier=False)) == (400, "invalid_grant", "")
    assert story.say(story.redeem()) == (400, "invalid_grant", "")
    assert [event.name for event in story.model.events] == ["authorization.approved", "code.burned", "code.replayed"]


@pytest.mark.parametrize(("wait", "status"), [(59, 200), (60, 400)])
def test_a_code_lives_for_a_minute(wait: int, status: int) -> None:
    story = Story()
    story.model.pass_time(wait)
    assert story.redeem().status == status


@pytest.mark.parametrize(("client", "status"), [(PUBLIC, 400), (KEYED, 200), (EITHER, 400)])
def test_another_clients_name_burns_no_code_that_needs_a_key(client: int, status: int) -> None:
    story = Story(client)
    other = story.clients[client - 1]
    assert story.say(story.redeem(story.ask(other))) == (400, "invalid_grant", "")
    assert story.redeem().status == status


@pytest.mark.parametrize(
    ("wait", "said"), [(120, (200, "", "")), (121, (400, "invalid_grant", "refresh_token.reused"))]
)
def test_a_repeat_gets_the_same_answer_for_two_minutes(wait: int, said: tuple[int, str, str]) -> None:
    story = Story()
    story.redeem()
    first = read(story.refresh())
    story.model.pass_time(wait)
    again = story.refresh(age=1)
    assert story.say(again) == said
    assert again.issued in (first, None)
    assert story.model.is_active(first.access) is (again.issued == first)


@pytest.mark.parametrize(
    ("first", "again", "allows"),
    [(None, None, BOTH), (("notes:read",), None, ("notes:read",)), (None, ("notes:read",), ("notes:read",))],
)
def test_a_repeat_gets_no_more_than_it_asks_for(
    first: tuple[str, ...] | None, again: tuple[str, ...] | None, allows: tuple[str, ...]
) -> None:
    story = Story()
    story.redeem()
    one, two = read(story.refresh(scope=first)), read(story.refresh(age=1, scope=again))
    assert (two.access.scope, two.refresh) == (allows, one.refresh)
    assert (two == one) is (one.access.scope == allows)


def test_a_repeat_after_the_successor_was_used_ends_the_grant() -> None:
    story = Story()
    story.redeem()
    story.refresh()
    assert story.refresh().status == 200
    assert story.say(story.refresh(age=2)) == (400, "invalid_grant", "refresh_token.reused")
    assert story.say(story.refresh()) == (400, "invalid_grant", "refresh_token.reused")


def test_a_scope_narrows_one_access_token_and_never_widens() -> None:
    story = Story()
    story.redeem()
    assert read(story.refresh(scope=("notes:read",))).access.scope == ("notes:read",)
    assert read(story.refresh()).access.scope == BOTH
    assert story.say(story.refresh(scope=("notes:read", "notes:all"))) == (400, "invalid_scope", "")


@pytest.mark.parametrize("client", [PUBLIC, KEYED])
def test_an_idle_token_ends_and_a_grant_ends_however_often_it_is_refreshed(client: int) -> None:
    lifetimes = TERMS.choose(proves=client == KEYED)
    idle = Story(client)
    idle.redeem()
    idle.model.pass_time(lifetimes.refresh_seconds)
    assert idle.say(idle.refresh()) == (400, "invalid_grant", "")
    busy = Story(client)
    busy.redeem()
    busy.model.pass_time(lifetimes.refresh_seconds - 1)
    busy.refresh()
    busy.model.pass_time(lifetimes.grant_seconds - lifetimes.refresh_seconds)
    last = read(busy.refresh())
    assert last.access.expires_at == START + lifetimes.grant_seconds == busy.model.now + 1
    busy.model.pass_time(1)
    assert (busy.refresh().status, busy.model.is_active(last.access)) == (400, False)


@pytest.mark.parametrize("pick", [0, 1, 2])
def test_any_token_of_a_grant_ends_it_and_nobody_elses_does(pick: int) -> None:
    story = Story()
    access = read(story.redeem()).access
    story.refresh()
    tokens: list[Access | Refresh] = [access, *story.grant.refreshes]
    token = tokens[pick]
    assert story.say(story.model.revoke(token, story.ask(story.clients[KEYED]))) == (200, "", "")
    assert story.model.is_active(access)
    assert story.say(story.model.revoke(token, story.ask())) == (200, "", "client.revoked")
    assert not story.model.is_active(access)


@pytest.mark.parametrize("host", ["down", "gone", "broken"])
def test_a_document_that_cannot_be_had_keeps_no_access_alive(host: HostState) -> None:
    story = Story(KEYED)
    story.redeem()
    story.client.host = host
    story.model.pass_time(25 * HOUR)
    assert story.say(story.model.revoke(story.grant.refreshes[0], story.ask())) == (200, "", "client.revoked")


@pytest.mark.parametrize(
    ("host", "waits", "said"),
    [
        ("down", [599 + 24 * HOUR], (200, "", "")),
        ("down", [600 + 24 * HOUR], (503, "temporarily_unavailable", "")),
        ("gone", [600], (200, "", "")),
        ("gone", [600 + 24 * HOUR], (503, "temporarily_unavailable", "")),
        ("gone", [600, HOUR - 1], (200, "", "")),
        ("gone", [600, HOUR], (400, "invalid_client", "fetch.not_found")),
        ("broken", [600, HOUR], (400, "invalid_client", "document.secret")),
    ],
)
def test_what_a_refresh_makes_of_what_the_host_says(
    host: HostState, waits: list[int], said: tuple[int, str, str]
) -> None:
    story = Story()
    story.redeem()
    story.client.host = host
    for wait in waits:
        story.model.pass_time(wait)
        verdict = story.refresh()
    assert story.say(verdict) == said
    assert story.model.ask_person(story.client, "loopback") == (said[0] if host == "down" else 400)


def test_a_good_document_takes_a_refusal_back() -> None:
    story = Story()
    story.redeem()
    for host in ("gone", "serves", "gone"):
        story.client.host = host
        story.model.pass_time(HOUR)
        assert story.refresh().status == 200, host


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        ("add key", 7, (200, "", "")),
        ("add key", 0, (200, "", "")),
        ("replace keys", 0, (400, "invalid_client", "")),
        ("replace keys", 7, (400, "invalid_grant", "client.keys_replaced")),
        ("move redirect", 0, (200, "", "")),
    ],
)
def test_keys_may_change_one_after_the_other_and_not_all_at_once(
    change: str, key: int, said: tuple[int, str, str]
) -> None:
    story = Story(KEYED)
    story.redeem()
    story.change(change)
    assert story.say(story.refresh(ask=story.ask(key=key))) == said


@pytest.mark.parametrize(
    ("host", "key", "said"),
    [
        ("serves", 7, (400, "invalid_grant", "client.keys_replaced")),
        ("down", 7, (503, "temporarily_unavailable", "")),
        ("down", 0, (200, "", "")),
        ("gone", 7, (503, "temporarily_unavailable", "")),
    ],
)
def test_a_copy_from_before_the_token_refuses_nobody(host: HostState, key: int, said: tuple[int, str, str]) -> None:
    story = Story(KEYED)
    story.redeem()
    story.model.pass_time(1)
    story.refresh()
    story.client.published = edit(story.client.published, "replace keys", 7)
    story.client.host = host
    assert story.say(story.refresh(ask=story.ask(key=key))) == said


def test_what_was_proven_once_is_never_proven_less() -> None:
    story = Story(EITHER)
    story.redeem(Ask(client=story.client))
    story.refresh(ask=Ask(client=story.client))
    story.refresh()
    assert story.say(story.refresh(ask=Ask(client=story.client))) == (400, "invalid_client", "")
    assert story.refresh().status == 200
    story.change("none only")
    assert story.say(story.refresh()) == (400, "invalid_grant", "client.auth_method_weakened")


def test_a_client_that_will_be_known_by_its_key_is_refused_without_and_keeps_its_grant() -> None:
    story = Story()
    story.redeem()
    story.change("key only")
    assert story.say(story.refresh(ask=Ask(client=story.client))) == (400, "invalid_client", "")
    assert story.refresh().status == 200


@pytest.mark.parametrize(("wait", "status"), [(119, 200), (120, 400)])
def test_an_assertion_works_once_and_for_a_minute_longer_than_it_says(wait: int, status: int) -> None:
    story = Story(KEYED)
    story.redeem()
    ask = story.ask()
    story.model.pass_time(wait)
    assert story.refresh(ask=ask).status == status
    assert story.say(story.refresh(ask=ask)) == (400, "invalid_client", "")


def test_a_restart_forgets_the_documents_of_strangers_only() -> None:
    story = Story()
    stranger = story.clients[KEYED]
    story.model.ask_person(stranger, "loopback")
    for client in (stranger, story.client):
        client.host = "down"
    assert story.model.ask_person(stranger, "loopback") == 200
    story.model.restart(has_account=True)
    assert [story.model.ask_person(client, "loopback") for client in (stranger, story.client)] == [503, 200]


def test_signing_keys_are_published_before_they_sign_and_after_and_withdrawn_at_once() -> None:
    keys = SigningKeys(terms=KeyTerms(rotate_seconds=HOUR, publish_ahead_seconds=60, longest_token_seconds=600), now=0)
    keys.look_after(0)
    first = keys.find_signing()
    keys.look_after(HOUR - 60)
    second = keys.list_published()[1]
    assert keys.find_signing() is first
    keys.look_after(HOUR)
    assert keys.find_signing() is second
    keys.look_after(HOUR + 659)
    assert keys.list_published() == [first, second]
    assert keys.withdraw(second) is first
    assert keys.list_published() == [first]
    third = keys.withdraw(first)
    assert keys.list_published() == [third]
    assert keys.rotate(at_once=False).active_from == HOUR + 659 + 60
    assert keys.find_signing() is third
    assert keys.rotate(at_once=True) is keys.find_signing()
