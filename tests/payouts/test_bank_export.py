"""Exporting for our bank: intents with the file, the same bytes for ever, nothing of it over Stripe."""

import subprocess
import sys
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from sepaxml.validation import try_valid_xml  # type: ignore[import-untyped]
from xmlschema import XMLSchemaValidationError

from ledger import bank_file, ids
from ledger.bank_file import BankTransfer
from ledger.commands import CancelPayouts, PausePartnerPayouts, ResumePartnerPayouts, SuspendPartner
from ledger.events.bank import BankFileExported
from ledger.events.payout import PayoutIntentRecorded
from ledger.refusals import (
    BankAccountNotConfigured,
    ContentConflict,
    IllegalTransition,
    InvalidField,
    NotFound,
    NothingToPay,
    PayoutsAreFrozen,
)
from payouts import batches, outlook, restore_check
from payouts.bank import exporting, pain001
from payouts.bank.exporting import Wish
from tests.support.bank import DEBTOR, IBANS
from tests.support.bank_file import read
from tests.support.finance import CHECKER, day

CREATED_AT = datetime(2026, 6, 1, 11, 0, 0, 5, tzinfo=UTC)


def intent(bank, payout):
    """The intent of a payout."""
    facts = [recorded.fact for recorded in bank.ledger.history(payout.payout_id)]
    [found] = [fact for fact in facts if isinstance(fact, PayoutIntentRecorded)]
    return found


def test_a_file_holds_what_was_approved_for_the_bank_and_no_more(bank):
    """Sums, names, IBANs and ids, read as a bank reads them; it fits the official schema."""
    acme = bank.at_bank("acme", available_minor=1_234_56)
    bolt = bank.at_bank("bolt", available_minor=30_00, iban=IBANS[2])
    bank.link(bolt, IBANS[2], "Ødegård & Fils")
    bank.partner("stripe", available_minor=77_00)
    batch = bank.approved()

    done = bank.export(batch)

    try_valid_xml(done.exported.content.encode(), "pain.001.001.09")
    file = read(done.exported.content)
    assert (file.debtor_name, file.debtor_iban) == (DEBTOR.name, DEBTOR.iban)
    assert (file.created_at, file.execution_date) == ("2024-01-01T00:00:00", "2024-01-01")
    assert (file.payment_id, file.booked_as_one) == (file.message_id, "false")
    by_id = {order.end_to_end_id: order for order in file.orders}
    assert len(by_id) == 2
    for partner_id, cents, name, iban in (
        (acme, 1_234_56, "Muller + Sohne GmbH", IBANS[0]),
        (bolt, 30_00, "Odegard + Fils", IBANS[2]),
    ):
        payout = bank.payout(batch, partner_id)
        order = by_id[payout.payout_id.hex.upper()]
        assert (order.cents, order.currency, order.name, order.iban) == (cents, "EUR", name, iban)
        assert order.end_to_end_id in order.text
        assert bank_file.payout_of(order.end_to_end_id) == payout.payout_id
    assert max(len(name) for name in (file.message_id, *by_id)) <= 35


def test_the_intent_stands_with_the_file_and_before_anything_leaves(bank):
    """One append: the money is reserved, and each intent says message, transfer and the hash of the file."""
    acme = bank.at_bank("acme", available_minor=50_00)
    batch = bank.approved()

    exported = bank.export(batch).exported

    payout = bank.payout(batch, acme)
    assert (payout.status, payout.attempt) == ("intent", 1)
    assert bank.balance(acme) == {"in_transit": 50_00, "earned": 50_00}
    recorded = intent(bank, payout)
    body = msgspec.json.decode(recorded.body, type=BankTransfer)
    assert (body.message_id, body.end_to_end_id) == (exported.message_id, payout.payout_id.hex.upper())
    assert body.content_sha256 == exported.content_sha256 == bank_file.digest(exported.content)
    assert (body.creditor_iban, body.amount_minor, recorded.api_version) == (
        IBANS[0],
        50_00,
        pain001.SCHEMA,
    )
    positions = {type(r.fact).__name__: r.position for r in bank.world.log()[-3:]}
    assert set(positions) == {"BankFileExported", "PayoutReserved", "PayoutIntentRecorded"}
    assert max(positions.values()) - min(positions.values()) == 2
    bank.check_zero_sum()


def test_a_second_export_is_the_very_same_file(bank):
    """Later, by somebody else, after the partner's account changed: the same bytes, and no new fact."""
    acme = bank.at_bank("acme", available_minor=50_00)
    batch = bank.approved()
    first = bank.export(batch)
    facts = len(bank.world.log())
    bank.link(acme, IBANS[1], "Somebody else")
    bank.later(days=3)

    again = bank.export(batch, person="Another")

    assert (first.new, again.new) == (True, False)
    assert again.exported == first.exported
    assert len(bank.world.log()) == facts + 1
    with pytest.raises(ContentConflict) as refused:
        bank.export(batch, execution_date=date(2024, 1, 4))
    assert refused.value.pointer == "/execution_date"


def test_ids_are_derived_so_that_a_lost_file_comes_back_as_itself():
    """After a restore the bank gets the same message id for the same batch, and sees it."""
    batch, payout = ids.program_id("a batch"), ids.program_id("a payout")

    assert bank_file.message_id(batch, 1) == bank_file.message_id(batch, 1)
    assert bank_file.message_id(batch, 1) != bank_file.message_id(batch, 2)
    shown = bank_file.end_to_end_id(payout)
    spaced = " ".join(shown[start : start + 4] for start in range(0, 32, 4))
    for written in (shown, shown.lower(), str(payout), spaced):
        assert bank_file.payout_of(written) == payout
    for other in (None, "", "NOTPROVIDED", "RF18539007547034", "G" * 32, shown + "0"):
        assert bank_file.payout_of(other) is None


def test_whoever_is_held_waits_for_a_later_file(bank):
    """Left out with the reason; once lifted the next number takes it, and nothing that is out already."""
    acme = bank.at_bank("acme", available_minor=50_00)
    bolt = bank.at_bank("bolt", available_minor=20_00, iban=IBANS[1])
    batch = bank.approved()
    desk = bank.world.desk
    desk.execute(PausePartnerPayouts(partner_id=bolt, reason="address?"), by="cli")

    first = bank.export(batch)

    assert first.exported.payout_ids == (bank.payout(batch, acme).payout_id,)
    [left_out] = first.left_out
    assert (left_out.partner_id, left_out.reason, left_out.canceled) == (bolt, "address? (finance)", False)
    with pytest.raises(NothingToPay, match="address"):
        bank.export(batch, number=2)
    with pytest.raises(InvalidField) as refused:
        bank.export(batch, number=3)
    assert refused.value.pointer == "/number"
    desk.execute(ResumePartnerPayouts(partner_id=bolt), by="cli")
    second = bank.export(batch, number=2)
    assert second.exported.payout_ids == (bank.payout(batch, bolt).payout_id,)
    assert second.exported.message_id != first.exported.message_id
    assert [each.reason for each in second.left_out] == ["it is intent"]


def test_what_can_not_be_sent_any_more_is_canceled(bank):
    """A partner suspended since, and money that is gone: each with its reason, and the others go out."""
    acme = bank.at_bank("acme", available_minor=50_00)
    bolt = bank.at_bank("bolt", available_minor=20_00, iban=IBANS[1])
    core = bank.at_bank("core", available_minor=30_00, iban=IBANS[2])
    batch = bank.approved()
    bank.world.desk.execute(SuspendPartner(partner_id=acme, reason="fraud"), by="cli")
    bank.reverse(bolt, 5_00)

    done = bank.export(batch)

    reasons = {each.partner_id: each.reason for each in done.left_out if each.canceled}
    assert reasons[acme] == "PartnerNotApproved: the partner is suspended"
    assert reasons[bolt].startswith("InsufficientBalance")
    assert [bank.payout(batch, each).status for each in (acme, bolt, core)] == [
        "canceled",
        "canceled",
        "intent",
    ]
    assert bank.balance(bolt)["available"] == 15_00


def test_only_an_approved_batch_leaves(bank):
    """No draft, no canceled one, none that does not exist; not while payouts are frozen, nor from nowhere."""
    bank.at_bank("acme", available_minor=50_00)
    batch = bank.draft()
    with pytest.raises(IllegalTransition):
        bank.export(batch)
    with pytest.raises(NotFound):
        exporting.export(bank.ledger, DEBTOR, Wish(batch_id=ids.program_id("none")), by="cli")
    with pytest.raises(NotFound):
        exporting.load(bank.ledger, batch.batch_id, 1)
    bank.approve(batch)
    with pytest.raises(BankAccountNotConfigured):
        exporting.export(bank.ledger, None, Wish(batch_id=batch.batch_id), by="cli")
    restore_check.freeze(bank.ledger, "look first", by="cli")
    with pytest.raises(PayoutsAreFrozen):
        bank.export(batch)
    restore_check.thaw(bank.ledger, "looked", by="cli")
    for wrong in (date(2023, 12, 31), date(2024, 2, 1)):
        with pytest.raises(InvalidField) as refused:
            bank.export(batch, execution_date=wrong)
        assert refused.value.pointer == "/execution_date"
    assert not bank.world.facts(BankFileExported)
    assert bank.export(batch, execution_date=date(2024, 1, 31)).exported.execution_date == date(2024, 1, 31)


def test_two_who_export_at_once_get_one_file(bank, monkeypatch):
    """Who comes second answers what the first one made."""
    bank.at_bank("acme", available_minor=50_00)
    batch = bank.approved()
    made, files = exporting._file, []

    def slower(*arguments):
        monkeypatch.setattr(exporting, "_file", made)
        files.append(bank.export(batch))
        return made(*arguments)

    monkeypatch.setattr(exporting, "_file", slower)
    second = bank.export(batch)

    assert (files[0].new, second.new) == (True, False)
    assert second.exported == files[0].exported
    assert len(bank.world.facts(BankFileExported)) == len(bank.world.facts(PayoutIntentRecorded)) == 1


def test_the_worker_lets_a_file_alone_and_the_restore_check_does_not_miss_it(bank):
    """Nothing goes to Stripe, days later neither; what waits for what is told."""
    acme, bolt = bank.at_bank("acme", available_minor=50_00), bank.partner("bolt", available_minor=30_00)
    batch = bank.approved()
    before = {each.partner_id: each for each in outlook.of_batch(bank.ledger, batch.batch_id).payouts}
    assert before[acme].waits_for == "the file for the bank"
    worker = bank.worker()
    bank.pay(worker)
    bank.later(days=2)
    bank.export(batch)
    bank.later(days=2)
    bank.pay(worker)

    # It looks at what Stripe made since our last word to Stripe, whenever we spoke to the bank.
    assert restore_check.look_from(bank.ledger) == day(0) - restore_check.MARGIN

    assert [transfer.amount for transfer in bank.transfers(batch)] == [30_00]
    assert bank.payout(batch, acme).status == "intent"
    assert bank.payout(batch, bolt).status == "confirmed"
    after = {each.partner_id: each for each in outlook.of_batch(bank.ledger, batch.batch_id).payouts}
    assert (after[acme].next, after[acme].waits_for) == ("wait", "the bank's statement, or somebody's word")
    with pytest.raises(IllegalTransition):
        batches.cancel(bank.ledger, CancelPayouts(batch_id=batch.batch_id, reason="late"), by=CHECKER)


def test_the_text_is_made_of_what_it_is_given_and_of_nothing_else():
    """Twice the same bytes; with a BIC on either side, too; a name that breaks XML breaks nothing."""
    transfer = BankTransfer(
        message_id="M",
        end_to_end_id="E",
        amount_minor=5,
        currency="EUR",
        creditor_name="<Acme & Co.>",
        creditor_iban=IBANS[0],
        creditor_bic="COBADEFFXXX",
        text="Payout",
        debtor_iban=DEBTOR.iban,
    )
    at: Any = {"created_at": CREATED_AT, "execution_date": date(2026, 6, 1)}
    debtor = msgspec.structs.replace(DEBTOR, bic="BCEELULL")

    one, two = (pain001.text_of("M", debtor, [transfer], **at) for _ in range(2))

    assert one == two
    file = read(one)
    assert (file.message_id, file.created_at) == ("M", "2026-06-01T11:00:00")
    [order] = file.orders
    assert (order.name, order.bic, order.cents) == ("<Acme & Co.>", "COBADEFFXXX", 5)
    assert "<BICFI>BCEELULL</BICFI>" in one
    assert "NOTPROVIDED" not in one
    assert "<Id>NOTPROVIDED</Id>" in pain001.text_of("M", DEBTOR, [transfer], **at)


def test_what_does_not_fit_the_schema_never_gets_out():
    """The library's copy of the official schema is asked about every file."""
    wrong = BankTransfer(
        message_id="M",
        end_to_end_id="E" * 36,
        amount_minor=5,
        currency="EUR",
        creditor_name="Acme",
        creditor_iban=IBANS[0],
        creditor_bic=None,
        text="Payout",
        debtor_iban=DEBTOR.iban,
    )

    with pytest.raises(XMLSchemaValidationError):
        pain001.text_of("M", DEBTOR, [wrong], created_at=CREATED_AT, execution_date=date(2026, 6, 1))


def test_text_unidecode_is_never_imported():
    """The one requirement of the library under another licence stays unused."""
    script = """
import sys
from datetime import UTC, datetime
from ledger.bank_file import BankTransfer, Debtor
from payouts.bank import pain001
one = BankTransfer(
    message_id="M", end_to_end_id="E", amount_minor=1, currency="EUR", creditor_name="Acme", text="t",
    creditor_iban="DE89370400440532013000", creditor_bic=None, debtor_iban="LU280019400644750000",
)
now = datetime.now(UTC)
debtor = Debtor("Us", one.debtor_iban)
made = pain001.text_of("M", debtor, [one], created_at=now, execution_date=now.date())
sys.exit("text_unidecode" in sys.modules or "<EndToEndId>E<" not in made)
"""

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
