"""Two checkers on the databases: at once, again, and what becomes of the payouts meanwhile."""

import threading
from uuid import uuid4

import pytest

from ledger.commands import ApprovePayouts, DraftPayouts
from ledger.payout_commands import ChangePayoutSettings
from ledger.refusals import SameMakerAndChecker, SecondCheckerNeeded
from ledger.store.application import Ledger
from ledger.store.database import Database
from payouts import batches


def limit(finance, over_minor):
    """Batches of more than this need two checkers."""
    wish = ChangePayoutSettings(program_id=finance.world.program_id, second_approval_over_minor=over_minor)
    finance.world.desk.execute(wish, by="cli")


def test_a_large_batch_is_sent_after_the_second_approval_alone(finance):
    """With one it is a draft, and so are its payouts; the limit of the day of the draft stays with it."""
    finance.partner(available_minor=30_00)
    limit(finance, 29_99)
    batch = finance.draft()
    limit(finance, None)
    wish = ApprovePayouts(batch_id=batch.batch_id, content_hash=batch.content_hash)

    first = batches.approve(finance.ledger, wish, by="key:b", person="bob")
    sent = finance.pay()
    facts = len(finance.world.log())
    again = batches.approve(finance.ledger, wish, by="key:b", person="bob")

    assert batch.approvals_needed == first.approvals_needed == 2
    assert (first.status, [p.status for p in first.payouts], sent) == ("draft", ["draft"], 0)
    assert ([a.by for a in first.approvals], first.approved_by, first.new) == (["key:b"], None, True)
    assert (again.new, len(finance.world.log())) == (False, facts)
    with pytest.raises(SecondCheckerNeeded):
        batches.approve(finance.ledger, wish, by="key:b2", person="Bob")
    second = batches.approve(finance.ledger, wish, by="key:c", person="carol")
    assert (second.status, [p.status for p in second.payouts]) == ("approved", ["approved"])
    assert [a.person for a in second.approvals] == ["bob", "carol"]
    assert finance.pay() == 1


def test_a_person_does_not_approve_by_another_key(finance):
    """What was drafted under one of its keys; nothing is stored then."""
    finance.partner(available_minor=30_00)
    finance.runner.catch_up()
    wish = DraftPayouts(batch_id=uuid4(), program_id=finance.world.program_id)
    batch = batches.draft(finance.ledger, wish, by="key:a", person="ann")
    facts = len(finance.world.log())

    with pytest.raises(SameMakerAndChecker):
        batches.approve(
            finance.ledger,
            ApprovePayouts(batch_id=batch.batch_id, content_hash=batch.content_hash),
            by="key:a2",
            person="Ann",
        )

    assert (batch.made_by_person, len(finance.world.log())) == ("ann", facts)


def test_checkers_at_once_are_two_and_no_more(finance):
    """Four people approve in the same moment: one fact each of the first two, the rest come too late."""
    finance.partner(available_minor=30_00)
    limit(finance, 0)
    batch = finance.draft()
    wish = ApprovePayouts(batch_id=batch.batch_id, content_hash=batch.content_hash)
    start, refused = threading.Barrier(4), []

    def check(person):
        ledger = Ledger(Database(finance.ledger.database.url))
        try:
            start.wait()
            batches.approve(ledger, wish, by=f"key:{person}", person=person)
        except Exception as error:
            refused.append(type(error).__name__)
        finally:
            ledger.close()

    threads = [threading.Thread(target=check, args=(person,)) for person in ("b", "c", "d", "e")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    names = [type(recorded.fact).__name__ for recorded in finance.ledger.history(batch.batch_id)]
    assert names == ["PayoutBatchDrafted", "PayoutBatchChecked", "PayoutBatchApproved"]
    assert refused == ["IllegalTransition"] * 2
    assert finance.facts_of(finance.payout(batch)) == ["PayoutDrafted", "PayoutApproved"]
