"""Every oracle can fire: something is wrong with a schedule that had ended well, and it says what."""

from itertools import count
from uuid import UUID

import pytest

from ledger.postings import postings
from payouts.simulator import bank_payouts
from payouts.simulator.books import PLATFORM
from tests.simulation import oracles
from tests.simulation.many import stage
from tests.simulation.schedule import Schedule


@pytest.fixture
def ended():
    """A schedule at its good end: somebody's money is at the bank, and webhooks told so."""
    runs = (Schedule(stage(), seed) for seed in count(1))
    return next(at for at in runs if at.run().good and at.plan.webhooks and at.hooks_worker and paid(at))


def paid(at):
    """The payouts whose money is at the bank."""
    return [p for p, state in oracles.Evidence(at).payouts.items() if state.status == "paid"]


def said(at):
    """What the oracles say now."""
    verdict = oracles.judge(at)
    return verdict, "; ".join(verdict.wrong)


def transfer_of(at, payout_id: UUID):
    """Its transfer at the provider."""
    return next(t for t in at.stage.provider.transfers() if t["metadata"]["payout_id"] == str(payout_id))


def test_money_that_nobody_paid_is_never_paid(ended):
    """A reward matures when all is over."""
    ended.happenings.earn(next(iter(ended.happenings.partners)))
    ended.happenings.earn(next(iter(ended.happenings.partners)))
    verdict, text = said(ended)

    assert verdict.never_paid == 1
    assert "payable to a partner were left" in text


def test_a_payout_that_nobody_sent_is_never_paid(ended):
    """It was approved when all was over."""
    for _ in range(2):
        ended.happenings.earn(next(iter(ended.happenings.partners)))
    ended.look()
    ended.happenings.draft(approved=True)
    verdict, text = said(ended)

    assert verdict.never_paid
    assert "is left as approved" in text


def test_a_payout_whose_money_the_bank_gave_back_is_not_at_an_end_as_paid(ended):
    """Nobody has told the ledger."""
    company = ended.stage.provider._standin.company
    for account in ended.happenings.partners.values():
        for one in ended.stage.provider._standin.objects("payout", account):
            with company.acting() as work:
                bank_payouts.fail(work, one["id"])
    verdict, text = said(ended)

    assert not verdict.good
    assert "is left as paid, its money is not at the bank" in text


def test_a_transfer_that_was_taken_back_unseen_is_missing_on_one_side(ended):
    """The first oracle and the second see it, each in its way."""
    transfer = transfer_of(ended, paid(ended)[0])
    with ended.stage.provider._standin.store.write() as tx:
        tx.replace({**transfer, "amount_reversed": 1})
    verdict, text = said(ended)

    assert not verdict.good
    assert f"the provider moved {transfer['amount'] - 1}" in text


def test_a_second_transfer_is_paid_twice(ended):
    """Of the same payout, alive like the first."""
    transfer = transfer_of(ended, paid(ended)[0])
    with ended.stage.provider._standin.store.write() as tx:
        tx.add(PLATFORM, {**transfer, "id": "tr_second"}, transfer["created"])
    verdict, _ = said(ended)

    assert verdict.paid_twice == 1


def test_a_bank_s_word_that_is_not_true_is_seen(ended):
    """The payout that is said to have brought it had something else."""
    of = transfer_of(ended, paid(ended)[0])["id"]
    for had in ended.stage.provider.in_payout.values():
        had.discard(of)
    verdict, text = said(ended)

    assert not verdict.good
    assert f"which never had {of}" in text


def test_legs_that_do_not_sum_to_zero_are_seen(ended, monkeypatch):
    """By a rule that forgets a leg."""
    monkeypatch.setattr(oracles, "postings", lambda fact: postings(fact)[:1])
    verdict, text = said(ended)

    assert not verdict.good
    assert " sums to {'GBP': " in text


@pytest.mark.parametrize("trick", ["forged", "future"])
def test_a_webhook_that_the_provider_did_not_sign_just_then_is_seen(ended, trick):
    """Had the door taken one."""
    with ended.stage.provider._standin.store.write() as tx:
        tx.connection.execute("UPDATE delivery SET trick = ?, status = 'delivered'", (trick,))
    verdict, text = said(ended)

    assert not verdict.good
    assert "was taken, and nobody of the provider's signed it just now" in text


def test_a_worker_that_stumbled_is_seen(ended):
    """Though it went on, and all came out well."""
    ended.stage.stumbles.append(ZeroDivisionError("x"))

    assert said(ended)[1] == "a worker stumbled: ZeroDivisionError('x')"
