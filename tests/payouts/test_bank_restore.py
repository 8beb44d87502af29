"""Files for our bank after a restore: nothing is exported twice, and what left is recorded as having left."""

import re

import pytest

from ledger import ids
from ledger.commands import DraftPayouts
from ledger.events.bank import BankFileTakenIn
from ledger.refusals import BankFilesInDoubt, DatabaseOlderThanProvider, InvalidField, NothingToPay
from ledger.store.database import Database
from payouts import batches, restore_check
from payouts.bank import exporting
from payouts.bank.exporting import Wish
from payouts.gateway import StripeGateway
from tests.support.backup import Backup
from tests.support.bank import DEBTOR, BankFinance
from tests.support.bank_statement import camt053, movement
from tests.support.finance import MAKER
from tests.support.reconciled import finance_and_stripe

REASON = "Put back to last night's backup."
SEEN = "Online banking shows it, of 2 January."


@pytest.fixture
def bank(database_url):
    """A finance department that pays by its own bank, too, and its stand-in, on one clock."""
    with finance_and_stripe(database_url, BankFinance) as (department, _):
        yield department


def known(bank):
    """Finance's word."""
    restore_check.account_for_bank_files(bank.ledger, "Looked at the bank.", person="Ada", by="key:f")


def test_a_file_that_the_ledger_lost_is_not_made_anew(bank, tmp_path):
    """The backup knows the approval. It would have the same message id, other bytes and another day."""
    bank.at_bank("acme", available_minor=50_00)
    batch = bank.approved()
    backup = Backup(bank.ledger.database, tmp_path)
    first = bank.export(batch).exported
    backup.put_back()
    bank.later(days=2)
    restore_check.restored(bank.ledger, REASON, by="cli")
    bank.later(hours=2)
    restore_check.look(bank.ledger, bank.gateway, by="payouts")

    with pytest.raises(BankFilesInDoubt, match=REASON):
        bank.export(batch)

    restore_check.freeze(bank.ledger, "While we look.", by="cli")
    with pytest.raises(InvalidField) as refused:
        bank.export(batch, has_left=" ")
    assert refused.value.pointer == "/has_left"
    recorded = bank.export(batch, has_left=SEEN, execution_date=first.execution_date)
    again = bank.export(batch, has_left=SEEN, execution_date=first.execution_date)
    assert (recorded.new, again.new) == (True, False)
    assert recorded.exported.message_id == first.message_id
    assert [fact.reason for fact in bank.world.facts(BankFileTakenIn)] == [SEEN]
    assert bank.payout(batch).status == "intent"
    restore_check.thaw(bank.ledger, "Looked.", by="cli")
    bank.at_bank("bolt", available_minor=20_00)
    second = bank.approved()
    with pytest.raises(BankFilesInDoubt):
        bank.export(second)
    known(bank)
    known(bank)
    assert bank.export(second).exported.total_minor == 20_00
    facts = [type(r.fact).__name__ for r in bank.ledger.history(ids.payout_gate_id())]
    assert facts.count("BankFilesAccountedFor") == 1


def test_a_batch_that_the_ledger_lost_is_drafted_under_its_id_and_its_file_recorded(bank, tmp_path):
    """The backup is older than the batch: the next one would pay the same money under other ids."""
    bank.at_bank("acme", available_minor=50_00)
    backup = Backup(bank.ledger.database, tmp_path)
    batch = bank.approved()
    first = bank.export(batch).exported
    backup.put_back()
    bank.later(days=2)
    restore_check.restored(bank.ledger, REASON, by="cli")
    bank.later(hours=2)
    restore_check.look(bank.ledger, bank.gateway, by="payouts")
    wish = DraftPayouts(batch_id=batch.batch_id, program_id=bank.world.program_id)

    again = bank.approve(batches.draft(bank.ledger, wish, by=MAKER))

    with pytest.raises(BankFilesInDoubt):
        bank.export(again)
    recorded = bank.export(again, has_left=SEEN, execution_date=first.execution_date).exported
    assert recorded.payout_ids == first.payout_ids
    known(bank)
    with pytest.raises(NothingToPay):
        bank.draft()


def test_a_restore_of_which_nobody_says_a_word_is_seen_by_where_the_database_stands(bank, tmp_path):
    """Every part was stopped, and Stripe lost nothing; but a file had been exported before the backup."""
    bank.at_bank("acme", available_minor=50_00)
    bank.exported()
    bank.at_bank("bolt", available_minor=20_00)
    batch = bank.approved()
    backup = Backup(bank.ledger.database, tmp_path)
    bank.export(batch)
    assert restore_check.gate(bank.ledger).bank_doubt is None
    backup.put_back()
    bank.later(days=2)

    for _ in range(2):
        with pytest.raises(BankFilesInDoubt, match="another one than at the last export"):
            bank.export(batch)

    bank.export(batch, has_left=SEEN)
    known(bank)
    bank.at_bank("crest", available_minor=15_00)
    assert bank.export(bank.approved()).new


def test_the_documented_role_may_ask_where_the_database_stands(restricted_url):
    """It needs no more rights than the application has."""
    database = Database(restricted_url)

    assert re.fullmatch(r"database \d+, timeline 1", database.place())
    database.close()


def test_a_database_put_back_under_a_running_part_stops_the_files_too(bank):
    """The part that notices says it for all."""
    bank.at_bank("acme", available_minor=50_00)
    batch = bank.approved()
    restore_check.note_put_back(bank.ledger, seen_position=7)
    bank.later(hours=2)
    restore_check.look(bank.ledger, bank.gateway, by="payouts")

    with pytest.raises(BankFilesInDoubt, match="while payouts were running"):
        bank.export(batch)


def test_an_export_asks_the_provider_first(bank, tmp_path):
    """Nobody said that it was restored, and no worker runs: what Stripe holds tells."""
    bank.at_bank("acme", available_minor=50_00)
    bank.partner("bolt", available_minor=30_00)
    batch = bank.approved()
    backup = Backup(bank.ledger.database, tmp_path)
    bank.pay()
    backup.put_back()
    bank.later(hours=1)
    wish = Wish(batch_id=batch.batch_id)

    with pytest.raises(DatabaseOlderThanProvider):
        exporting.export(bank.ledger, DEBTOR, wish, by="key:x", provider=bank.gateway)

    assert restore_check.gate(bank.ledger).bank_doubt is not None


def test_a_provider_that_does_not_answer_holds_no_file_up(bank):
    """Who pays by the bank alone may have no key for it; after a restore finance's word is enough there."""
    bank.at_bank("acme", available_minor=50_00)
    wish = Wish(batch_id=bank.approved().batch_id)
    deaf = StripeGateway("sk_test_x", "http://127.0.0.1:9")
    restore_check.restored(bank.ledger, REASON, by="cli")
    with pytest.raises(BankFilesInDoubt):
        exporting.export(bank.ledger, DEBTOR, wish, by="key:x", provider=deaf)
    known(bank)

    assert exporting.export(bank.ledger, DEBTOR, wish, by="key:x", provider=deaf).new


def test_a_statement_with_a_payout_that_no_file_told_stops_the_files(bank, tmp_path):
    """Nobody noticed the restore until the bank told of it."""
    bank.at_bank("acme", available_minor=50_00)
    batch = bank.approved()
    backup = Backup(bank.ledger.database, tmp_path)
    bank.export(batch)
    payout = bank.payout(batch)
    backup.put_back()

    report = bank.read_statement(camt053(movement(payout.payout_id, 50_00)))

    assert report.counts == {"unknown_reference": 1}
    with pytest.raises(BankFilesInDoubt, match=str(payout.payout_id)):
        bank.export(batch)
    bank.export(batch, has_left=SEEN)
    known(bank)
    assert bank.read_statement(camt053(movement(payout.payout_id, 50_00))).counts == {"paid": 1}
