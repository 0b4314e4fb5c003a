"""The state machine can fail: a model that is mistaken in one rule is found out.

What is found is a difference between model and server, so the same steps find a server that is mistaken.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test
from life_world import LifeBench, open_bench
from token_life_checks import Disagreement
from token_life_machine import make_machine
from token_life_model import TokenLifeModel
from token_life_values import Access, Ask, Assertion, Code, Document, Grant, Issued, Refresh, Verdict

MISTAKES: dict[type[TokenLifeModel], tuple[str, ...]] = {}
"""Mistaken models, and the rules of the machine that find each of them out."""


def found_by(*rules: str) -> Callable[[type[TokenLifeModel]], type[TokenLifeModel]]:
    """List a mistaken model."""

    def add(model: type[TokenLifeModel]) -> type[TokenLifeModel]:
        MISTAKES[model] = rules
        return model

    return add


@found_by("redeem_twice")
class CodesLiveForAnHour(TokenLifeModel):
    CODE_SECONDS = 3600


@found_by("redeem_twice")
class CodesMayBeTriedAgainForAnHour(TokenLifeModel):
    CLIENT_TRIES_AGAIN_SECONDS = 3600


@found_by("redeem_twice")
class WrongVerifiersBurnNothing(TokenLifeModel):
    def burn(self, code: Code) -> None:
        pass


@found_by("refresh_twice")
class RefreshTokensMayBeRepeatedForAnHour(TokenLifeModel):
    REPEAT_SECONDS = 3600


@found_by("refresh_by_an_older_token")
class RepeatsAreWiderThanWhatIsAskedFor(TokenLifeModel):
    def repeat(self, first: Issued, ask: Ask, scope: tuple[str, ...]) -> Issued:
        return first


@found_by("refresh_twice")
class ReusedRefreshTokensStillWork(TokenLifeModel):
    def use_again(self, token: Refresh, rotated_at: int, ask: Ask, scope: tuple[str, ...]) -> Verdict:
        return Verdict(status=200, issued=token.answer)


@found_by("refresh", "refresh_by_an_older_token")
class ReusedRefreshTokensEndNothing(TokenLifeModel):
    def end(self, grant: Grant, reason: str) -> None:
        if reason != "refresh_token.reused":
            super().end(grant, reason)


@found_by("refresh")
class NarrowedScopesStayNarrow(TokenLifeModel):
    def rotate(self, token: Refresh, ask: Ask, document: Document, scope: tuple[str, ...]) -> Verdict:
        token.grant.scope = scope
        return super().rotate(token, ask, document, scope)


@found_by("come_at_the_end")
class TokensOutliveTheirGrants(TokenLifeModel):
    def find_end(self, grant: Grant, seconds: int) -> int:
        return self.now + seconds


@found_by("revoke", "come_at_the_end")
class GrantsNeverExpire(TokenLifeModel):
    def is_live(self, grant: Grant) -> bool:
        return not grant.ended


@found_by("revoke")
class RevokedAccessTokensEndNothing(TokenLifeModel):
    def end_by_client(self, grant: Grant, token: Refresh | Access) -> None:
        if isinstance(token, Refresh):
            super().end_by_client(grant, token)


@found_by("revoke")
class AnybodyMayRevoke(TokenLifeModel):
    def revoke(self, token: Refresh | Access, ask: Ask) -> Verdict:
        return super().revoke(token, replace(ask, client=token.grant.client))


@found_by("come_as_another_client")
class AnybodyMayRefresh(TokenLifeModel):
    def refresh(self, token: Refresh, ask: Ask, scope: tuple[str, ...] | None) -> Verdict:
        return super().refresh(token, replace(ask, client=token.grant.client), scope)


@found_by("refresh", "restart")
class PeopleWhoWereTakenOutKeepTheirTokens(TokenLifeModel):
    def restart(self, *, has_account: bool) -> None:
        super().restart(has_account=True)


@found_by("prove_twice_by_the_same")
class AssertionsWorkTwice(TokenLifeModel):
    def use_up(self, assertion: Assertion) -> bool:
        return True


@found_by("prove_twice_by_the_same")
class AssertionsLiveForAnHour(TokenLifeModel):
    SKEW_SECONDS = 3600


@found_by("change_document")
class DocumentsAreReadEachTime(TokenLifeModel):
    FRESH_SECONDS = 0


@found_by("change_document")
class CopiesOfDocumentsAreNeverDoubted(TokenLifeModel):
    def is_doubtful(self, ask: Ask, grant: Grant, document: Document) -> bool:
        return False


@found_by("turn_host")
class CopiesOfDocumentsStandInForever(TokenLifeModel):
    LAST_GOOD_SECONDS = 10**9


@found_by("revoke", "look_closely", "pass_time")
class RevocationsAreToldForADay(TokenLifeModel):
    def must_be_told(self, grant: Grant) -> bool:
        return grant.ended != ""


@found_by("turn_host")
class ClientsEndWhenTheyAreGoneTwiceInAMinute(TokenLifeModel):
    CONFIRM_SECONDS = 0


@found_by("change_document")
class AnyNewKeysWillDo(TokenLifeModel):
    def are_keys_replaced(self, ask: Ask, grant: Grant, document: Document) -> bool:
        return False


@found_by("change_document")
class ProofsMayGetWeaker(TokenLifeModel):
    def is_pinned_above(self, ask: Ask, grant: Grant) -> bool:
        return False


@found_by("refresh", "rotate_keys")
class ReplacedKeysAreGoneAtOnce(TokenLifeModel):
    def is_verifiable(self, access: Access) -> bool:
        return access.signed_by is self.keys.find_signing()


@found_by("withdraw_key")
class WithdrawnKeysAreStillTrusted(TokenLifeModel):
    def is_verifiable(self, access: Access) -> bool:
        return True


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LifeBench]:
    with open_bench(tmp_path_factory.mktemp("life")) as opened:
        yield opened


@pytest.mark.parametrize("model", MISTAKES, ids=lambda model: model.__name__)
def test_a_mistaken_model_is_found_out(bench: LifeBench, model: type[TokenLifeModel]) -> None:
    settings = hypothesis.settings(
        max_examples=100,
        stateful_step_count=10,
        derandomize=True,  # whether it is found must not depend on luck
        database=None,
        phases=[hypothesis.Phase.generate],
        report_multiple_bugs=False,
    )
    with pytest.raises(Disagreement):
        run_state_machine_as_test(make_machine(bench, model, MISTAKES[model]), settings=settings)
