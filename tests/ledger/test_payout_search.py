"""What follows an outcome that nobody learned: facts, a wish, new facts."""

from datetime import timedelta

import msgspec
import pytest

from ledger import payout, payout_batch, payout_search
from ledger.commands import ResolvePayout
from ledger.events.payout import (
    PayoutBatchApproved,
    PayoutBatchDrafted,
    PayoutBatchPaused,
    PayoutBatchResumed,
    PayoutLeftToHuman,
    PayoutResolved,
)
from ledger.refusals import ContentConflict, IllegalTransition, InvalidField, NotFound
from tests.ledger.test_payout import ABSENT, BATCH, CONFIRMED, INTENT_2, NOW, PAYOUT, SEARCHED, UP_TO, replay

LATER = NOW + payout_search.KEY_TRUSTED_FOR
MARGIN = timedelta(hours=1)
SEARCHING = [*UP_TO["unknown"], SEARCHED]


@pytest.mark.parametrize("state", UP_TO)
def test_a_search_begins_once_the_key_is_no_longer_trusted(state):
    """While the outcome is open, and in no other state."""
    given = replay(UP_TO[state])

    if state in ("intent", "sent", "unknown"):
        began = payout_search.begin_search(given, attempt=1, now=LATER)
        assert began == [msgspec.structs.replace(SEARCHED, effective_at=LATER)]
        assert replay([*UP_TO[state], *began]).status == "unknown"
        with pytest.raises(IllegalTransition, match="still trusted"):
            payout_search.begin_search(given, attempt=1, now=LATER - timedelta(microseconds=1))
    elif state not in ("held", "absent"):
        with pytest.raises((IllegalTransition, NotFound)):
            payout_search.begin_search(given, attempt=1, now=LATER)


def test_once_searched_for_a_key_is_never_sent_again():
    """However young its intent; the next attempt has a key of its own."""
    assert payout_search.key_is_trusted(replay(UP_TO["unknown"]), NOW)
    assert not payout_search.key_is_trusted(replay(SEARCHING), NOW)
    assert payout_search.begin_search(replay(SEARCHING), attempt=1, now=LATER) == []
    assert payout_search.key_is_trusted(replay([*UP_TO["absent"], INTENT_2]), NOW)


def find_absent(given, looked_at, attempt=1):
    return payout_search.find_absent(
        replay(given), attempt=attempt, looked_at=looked_at, margin=MARGIN, listed=3, now=LATER
    )


def test_absence_is_proven_by_a_look_after_the_margin():
    """With what was listed as its evidence; it leads to the next attempt. Said twice it is said once."""
    [absent] = find_absent(SEARCHING, NOW + MARGIN)

    assert absent == msgspec.structs.replace(
        ABSENT, searched_to=NOW + MARGIN, transfers_listed=3, effective_at=LATER
    )
    state = replay([*SEARCHING, absent])
    assert (state.status, state.reason) == ("absent", "none of 3 transfers listed is ours")
    assert find_absent([*SEARCHING, absent], NOW) == []


@pytest.mark.parametrize("given", [*UP_TO.values(), SEARCHING])
def test_nothing_else_proves_absence(given):
    """No look before the margin, no state in which the key may still be sent, no other attempt."""
    if replay(given).status != "absent":
        with pytest.raises(IllegalTransition):
            find_absent(given, NOW + MARGIN - timedelta(microseconds=1))
    with pytest.raises(IllegalTransition):
        find_absent(given, NOW + MARGIN, attempt=2)


def test_what_a_rule_cannot_decide_is_left_to_a_human():
    """Nothing leads on from there but an outcome, or somebody's word."""
    left = PayoutLeftToHuman(attempt=1, reason="two", transfer_ids=("tr_1", "tr_2"), effective_at=NOW)

    def leave(given):
        return payout_search.leave_to_human(
            replay(given), attempt=1, reason="two", transfer_ids=["tr_1", "tr_2"], now=NOW
        )

    for given in (UP_TO["intent"], SEARCHING, UP_TO["absent"]):
        assert leave(given) == [left]
    assert leave([*SEARCHING, left]) == []
    for state in ("draft", "approved", "confirmed", "rejected", "canceled"):
        with pytest.raises(IllegalTransition):
            leave(UP_TO[state])


FOUND = ResolvePayout(payout_id=PAYOUT, outcome="confirmed", transfer_id="tr_1", reason="in the dashboard")
NONE = ResolvePayout(payout_id=PAYOUT, outcome="absent", reason="Stripe's support says so")
WORD = PayoutResolved(
    attempt=1, outcome="absent", reason=NONE.reason, resolved_by="key:ann", effective_at=NOW
)


def resolve(given, command):
    return payout_search.resolve(command, replay(given), by="key:ann", now=NOW)


@pytest.mark.parametrize("given", [UP_TO["unknown"], SEARCHING, UP_TO["held"]])
def test_somebody_says_that_the_transfer_exists(given):
    """It is confirmed by that word, which stands in the stream with who said it and why."""
    found = msgspec.structs.replace(WORD, outcome="confirmed", reason=FOUND.reason, transfer_id="tr_1")

    assert resolve(given, FOUND) == [found, CONFIRMED]
    assert resolve([*given, found, CONFIRMED], FOUND) == []
    with pytest.raises(ContentConflict):
        resolve([*given, found, CONFIRMED], NONE)


@pytest.mark.parametrize("given", [SEARCHING, UP_TO["held"]])
def test_somebody_says_that_there_is_no_transfer(given):
    """That leads to the next attempt."""
    assert resolve(given, NONE) == [WORD]
    assert resolve([*given, WORD], NONE) == []
    state = replay([*given, WORD])
    assert (state.status, state.reason, state.resolved) == ("absent", NONE.reason, WORD)
    assert payout.record_intent(PAYOUT, state, body="{}", api_version="v", now=NOW) == [INTENT_2]


@pytest.mark.parametrize("state", UP_TO)
def test_nobody_resolves_what_a_rule_still_decides(state):
    """Least of all that a transfer is absent which may be on its way."""
    for command in (FOUND, NONE):
        if (state, command.outcome) in {("unknown", "confirmed"), ("held", "confirmed"), ("held", "absent")}:
            continue
        with pytest.raises((IllegalTransition, NotFound)):
            resolve(UP_TO[state], command)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"reason": " "}, "/reason"),
        ({"transfer_id": None}, "/transfer_id"),
        ({"transfer_id": "ch_1"}, "/transfer_id"),
        ({"outcome": "absent"}, "/transfer_id"),
    ],
)
def test_a_word_without_its_reason_or_its_transfer_is_none(change, pointer):
    """Each refusal points at its field."""
    with pytest.raises(InvalidField) as refused:
        resolve(UP_TO["held"], msgspec.structs.replace(FOUND, **change))

    assert refused.value.pointer == pointer


def test_a_batch_is_paused_and_goes_on():
    """Once each; a draft sends nothing that could be paused."""
    drafted = PayoutBatchDrafted(
        program_id=BATCH,
        currency="GBP",
        payout_ids=(PAYOUT,),
        total_minor=1,
        made_by="key:ann",
        content_hash="h",
    )
    given = payout_batch.evolve(payout_batch.NO_BATCH, drafted)
    approved = payout_batch.evolve(given, PayoutBatchApproved(approved_by="key:bob", content_hash="h"))
    paused = PayoutBatchPaused(cause="balance_insufficient", reason="1.00 GBP short", effective_at=NOW)
    resumed = PayoutBatchResumed(cause="balance_insufficient", effective_at=NOW)

    assert payout_batch.pause(approved, reason="1.00 GBP short", now=NOW) == [paused]
    state = payout_batch.evolve(approved, paused)
    assert payout_batch.pause(state, reason="2.00 GBP short", now=NOW) == []
    assert payout_batch.resume(state, now=NOW) == [resumed]
    assert payout_batch.evolve(state, resumed) == approved
    assert payout_batch.resume(approved, now=NOW) == []
    with pytest.raises(IllegalTransition):
        payout_batch.pause(given, reason="1.00 GBP short", now=NOW)
