"""Importing statements: what fits is paid or returned, once; all else is a named line, and moves nothing."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic import command

from ledger.events.bank import BankOutcomeTold, BankStatementImported
from ledger.payout_commands import SetWithholding
from ledger.refusals import NotFound, UnreadableStatement
from ledger.store import migrations
from payouts import batches
from payouts.bank import camt053, importing, settling, statement_csv
from payouts.reconciling import reconcile
from projections.audit_log import Sequencer
from projections.rebuild import rebuild
from projections.tables import journal
from projections.verification import verify_ledger
from tests.support.bank import IBANS, BankFinance
from tests.support.bank_statement import camt053 as camt
from tests.support.bank_statement import camt053_of_one_sum, movement
from tests.support.bank_statement import statement_csv as as_csv

WRITERS = {
    "camt.053.001.02": (lambda *movements, **of: camt(*movements, version="02", **of), "camt.053"),
    "camt.053.001.08": (lambda *movements, **of: camt(*movements, version="08", **of), "camt.053"),
    "csv": (as_csv, "csv"),
    "csv with semicolons": (lambda *movements, **of: as_csv(*movements, delimiter=";", **of), "csv"),
}


def verdicts(found):
    """What each entry was found to be."""
    return [line.verdict for line in found.lines]


@pytest.fixture
def one(bank):
    """A payout of 50.00 to acme, exported on the first day; it is the second one now."""
    acme = bank.at_bank("acme", available_minor=50_00)
    batch = bank.exported()
    bank.later(days=1, hours=12)
    return bank.payout(batch, acme)


@pytest.mark.parametrize("form", WRITERS)
def test_money_that_left_and_came_back_is_told_by_any_form(bank, one, form):
    """Booked: paid, with the bank's day. A return: the partner's again, with the reason; nothing is over."""
    write, kind = WRITERS[form]

    paid = bank.read_statement(write(movement(one.payout_id, 50_00, counterparty_iban=IBANS[0])), kind)

    assert (verdicts(paid), paid.recorded, paid.differences) == (["paid"], 1, 0)
    assert bank.payout(batch_of(bank, one)).status == "paid"
    assert bank.balance(one.partner_id) == {"paid": 50_00, "earned": 50_00}
    told = [r.fact for r in bank.ledger.history(one.payout_id) if isinstance(r.fact, BankOutcomeTold)]
    assert [fact.effective_at for fact in told] == [datetime(2024, 1, 2, tzinfo=UTC)]
    accounts = bank.world.balances()[one.partner_id]
    assert (accounts["bank_balance"], "stripe_balance" in accounts) == (-50_00, False)

    back = bank.read_statement(write(movement(one.payout_id, 50_00, back=True), statement_id="S-2"), kind)

    assert (verdicts(back), back.recorded) == (["returned"], 1)
    returned = bank.payout(batch_of(bank, one))
    assert (returned.status, returned.reason) == ("returned", "AC04: Closed account")
    assert bank.balance(one.partner_id) == {"available": 50_00, "earned": 50_00}
    assert "bank_balance" not in bank.world.balances()[one.partner_id]
    bank.check_zero_sum()


def batch_of(bank, payout):
    """The batch of a payout."""
    return batches.load(bank.ledger, payout.batch_id)


def test_the_same_statement_again_records_nothing(bank, one):
    """Not as it is, not in another order, not as a copy under another id, not after a return."""
    leaves = movement(one.payout_id, 50_00, bank_reference="B-1")
    back = movement(one.payout_id, 50_00, back=True, bank_reference="B-2")
    other = movement(None, 9_99)
    content = camt(back, other, leaves)
    first = bank.read_statement(content)
    facts = len(bank.world.log())

    again = bank.read_statement(content)
    copy = bank.read_statement(camt(leaves, back, statement_id="S-1 copy"))

    assert verdicts(first) == ["returned", "not_ours", "paid"]
    assert (again.lines, again.recorded) == (first.lines, 0)
    assert (verdicts(copy), copy.recorded) == (["paid", "returned"], 0)
    assert len(bank.world.log()) == facts + 1  # the copy's own report
    assert len(bank.world.facts(BankOutcomeTold)) == 2
    assert importing.load(bank.ledger, first.bank_statement_id).lines == first.lines
    bank.read_statement(content)
    assert len(bank.world.log()) == facts + 1


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"amount": "50.01"}, "amount"),
        ({"amount": "49.99"}, "amount"),
        ({"currency": "GBP"}, "currency"),
        ({"counterparty_iban": IBANS[1]}, "creditor"),
        ({"amount": "1.00", "currency": "USD", "counterparty_iban": IBANS[1]}, "amount, currency, creditor"),
    ],
)
def test_what_differs_is_named_and_moves_nothing(quick_bank, change, detail):
    """Amount, currency or account: a human looks; mended, the same entry is taken."""
    bank, payout = quick_bank
    entry = movement(payout.payout_id, 50_00)

    found = bank.read_statement(camt(entry | change))

    assert [(line.verdict, line.detail) for line in found.lines] == [("different", detail)]
    assert (found.differences, found.recorded) == (1, 0)
    assert bank.payout(batch_of(bank, payout)).status == "intent"
    assert verdicts(bank.read_statement(camt(entry))) == ["paid"]
    assert verdicts(bank.read_statement(camt(entry | change))) == ["different"]


@pytest.fixture
def quick_bank(sqlite_database_url, stripe_gateway):
    """As `one`, where one database says it all."""
    bank = BankFinance(sqlite_database_url, stripe_gateway)
    acme = bank.at_bank("acme", available_minor=50_00)
    batch = bank.exported()
    bank.later(days=1, hours=12)
    yield bank, bank.payout(batch, acme)
    bank.close()


def test_another_account_of_ours_is_a_difference(quick_bank):
    """The file named the account that pays: a statement of another one is about something else."""
    bank, payout = quick_bank

    found = bank.read_statement(camt(movement(payout.payout_id, 50_00), account=IBANS[3]))

    assert [(line.verdict, line.detail) for line in found.lines] == [("different", "account")]
    assert found.account_iban == IBANS[3]


def test_a_second_booking_is_a_double_and_never_a_second_payout(quick_bank):
    """Two entries of one statement, of two statements, under one reference of the entry: each is named."""
    bank, payout = quick_bank
    leaves = movement(payout.payout_id, 50_00)

    same = bank.read_statement(camt(leaves | {"entry_reference": "E"}, leaves | {"entry_reference": "E"}))
    later = bank.read_statement(camt(leaves, statement_id="S-2"))

    assert verdicts(same) == ["paid", "duplicate"]
    assert (verdicts(later), later.lines[0].detail) == (["duplicate"], "paid already by S-1/E/1")
    assert bank.balance(payout.partner_id)["paid"] == 50_00


def test_what_comes_too_early_waits_for_what_was_before(quick_bank):
    """A return whose booking no statement showed is named; with that imported, it is taken."""
    bank, payout = quick_bank
    back = camt(movement(payout.payout_id, 50_00, back=True), statement_id="S-2")

    early = bank.read_statement(back)
    bank.read_statement(camt(movement(payout.payout_id, 50_00)))
    then = bank.read_statement(back)

    assert (verdicts(early), verdicts(then)) == (["unexpected"], ["returned"])
    assert importing.load(bank.ledger, then.bank_statement_id).differences == 0
    assert len(bank.world.facts(BankStatementImported)) == 3


def test_references_that_name_nothing_are_named(quick_bank):
    """One in our form that no file holds is looked at; everybody else's entries are not ours to keep."""
    bank, payout = quick_bank
    stripe = bank.partner("bolt", available_minor=20_00)
    drafted = bank.payout(bank.draft(), stripe)
    entries = [
        movement(bank.world.program_id, 1_00),
        movement(drafted.payout_id, 20_00),
        movement(None, 3_00),
        movement(None, 4_00, end_to_end_id="RF18539007547034"),
        movement(payout.payout_id, 50_00, status="PDNG"),
        movement(payout.payout_id, 50_00, amount="50.001"),
    ]

    found = bank.read_statement(camt(*entries))

    assert verdicts(found) == [
        "unknown_reference",
        "unknown_reference",
        "not_ours",
        "not_ours",
        "not_booked",
        "unreadable",
    ]
    assert (found.differences, found.recorded) == (3, 0)
    kept = bank.world.facts(BankStatementImported)[-1]
    assert [line.payout_id for line in kept.lines[2:4]] == [None, None]
    assert "RF18539007547034" not in str(kept)


def test_one_sum_for_a_whole_file_pays_all_of_it(bank):
    """By the file's message id, when sum and number are those of the file; else it is named."""
    acme = bank.at_bank("acme", available_minor=50_00)
    bolt = bank.at_bank("bolt", available_minor=20_00, iban=IBANS[1])
    batch = bank.approved()
    message_id = bank.export(batch).exported.message_id
    bank.later(days=2)

    wrong = bank.read_statement(camt053_of_one_sum(70_00, message_id, transfers=3))
    less = bank.read_statement(camt053_of_one_sum(60_00, message_id, transfers=2))
    right = bank.read_statement(camt053_of_one_sum(70_00, message_id, transfers=2))
    again = bank.read_statement(camt053_of_one_sum(70_00, message_id, transfers=None))

    assert [verdicts(each) for each in (wrong, less)] == [["different"], ["different"]]
    assert (verdicts(right), right.recorded, again.recorded) == (["paid", "paid"], 2, 0)
    assert {bank.payout(batch, each).status for each in (acme, bolt)} == {"paid"}
    assert verdicts(bank.read_statement(camt053_of_one_sum(5_00, "F" * 32, transfers=1))) == ["not_ours"]


def test_an_import_that_was_broken_off_goes_on(bank, monkeypatch):
    """Killed between two entries: the one that was recorded is known, the other is recorded then."""
    first = bank.at_bank("acme", available_minor=50_00)
    second = bank.at_bank("bolt", available_minor=20_00, iban=IBANS[1])
    batch = bank.exported()
    bank.later(days=2)
    payouts = [bank.payout(batch, each) for each in (first, second)]
    content = camt(*[movement(each.payout_id, each.net_minor) for each in payouts])

    def dies(ledger, payout_id, entry, *, by):
        if payout_id == payouts[1].payout_id:
            raise KeyboardInterrupt
        return settling.settle(ledger, payout_id, entry, by=by)

    monkeypatch.setattr(importing, "settle", dies)
    with pytest.raises(KeyboardInterrupt):
        bank.read_statement(content)
    assert [bank.payout(batch, each).status for each in (first, second)] == ["paid", "intent"]
    monkeypatch.undo()

    found = bank.read_statement(content)

    assert (verdicts(found), found.recorded) == (["paid", "paid"], 1)
    assert len(bank.world.facts(BankOutcomeTold)) == 2


def test_tax_that_was_kept_comes_back_with_the_money(bank):
    """The partner has again what it had, and nothing is owed to the tax office for what was not paid."""
    acme = bank.at_bank("acme", available_minor=50_00)
    wish = SetWithholding(partner_id=acme, rate_bps=1_000, reason="no treaty")
    bank.world.desk.execute(wish, by="cli")
    payout = bank.payout(bank.exported(), acme)
    bank.later(days=1, hours=12)
    leaves, back = (movement(payout.payout_id, 45_00, back=back) for back in (False, True))

    bank.read_statement(camt(leaves))
    accounts = bank.world.balances()[acme]
    assert (accounts["bank_balance"], accounts["withholding_payable"]) == (-45_00, -5_00)
    bank.read_statement(camt(leaves, back, statement_id="S-1"))

    assert bank.balance(acme) == {"available": 50_00, "earned": 50_00}
    assert "withholding_payable" not in bank.world.balances()[acme]
    again = bank.payout(bank.draft(), acme)
    assert (again.amount_minor, again.withheld_minor) == (50_00, 5_00)
    assert sum(line.amount_minor for line in lines(bank, again)) == 50_00
    bank.check_zero_sum()
    with bank.ledger.database.read() as connection:
        c = journal.c
        legs = sa.select(c.account, c.posting_version).where(c.account == "bank_balance").distinct()
        assert [tuple(leg) for leg in connection.execute(legs)] == [("bank_balance", 2)]
        others = sa.select(c.posting_version).where(c.payout_id.is_(None)).distinct()
        assert list(connection.execute(others).scalars()) == [1]
    assert rebuild(bank.ledger, []).differences == ()
    Sequencer(bank.ledger).catch_up()
    report = verify_ledger(bank.ledger)
    assert (report.findings, report.waiting) == ((), 0)


def lines(bank, payout):
    """What makes a payout's amount."""
    return batches.lines(bank.ledger, payout.payout_id)


def test_stripe_is_not_asked_to_explain_what_the_bank_moved(bank, one):
    """A reconciliation with Stripe finds nothing of it: not as matched, and not as ours only."""
    bank.read_statement(camt(movement(one.payout_id, 50_00)))
    bank.later(days=2)

    run = reconcile(bank.ledger, bank.gateway, start=datetime(2024, 1, 1, tzinfo=UTC), by="cli")

    assert [item for item in run.items if item.ours and item.ours.payout_id == one.payout_id] == []
    assert [item for item in run.items if item.verdict == "ours_only"] == []


@pytest.mark.parametrize(
    ("content", "form", "says"),
    [
        (b"", "camt.053", "no XML"),
        (b"<a>", "camt.053", "no XML"),
        (b"\xff\xfe", "camt.053", "no XML"),
        (b"<Document/>", "camt.053", "no camt.053"),
        (b"<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.052.001.08'/>", "camt.053", "no camt.053"),
        (b"<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'/>", "camt.053", "no statement"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "camt.053", "DTDForbidden"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "camt.053", "DTDForbidden"),
        (camt(movement(None, 1)).replace(b"DBIT", b"XXXX"), "camt.053", "entry 1"),
        (camt(movement(None, 1)).replace(b"<Id>S-1</Id>", b""), "camt.053", "no Id"),
        (b"", "csv", "columns"),
        (b"a,b\n1,2\n", "csv", "columns"),
        (b"\xff", "csv", "UTF-8"),
        (as_csv(), "csv", "no entry"),
        (as_csv(movement(None, 1)) + b"only one field\n", "csv", "line 3"),
        (as_csv(movement(None, 1, direction="sideways")), "csv", "line 2"),
        (as_csv(movement(None, 1, entry_reference="")), "csv", "line 2"),
    ],
)
def test_what_can_not_be_read_is_refused_whole(content, form, says):
    """With what is wrong, and where; a document type is refused before anything in it is looked at."""
    parse = camt053.parse if form == "camt.053" else statement_csv.parse

    with pytest.raises(UnreadableStatement, match=says):
        parse(content)


@pytest.mark.parametrize("version", ["02", "08"])
def test_a_return_by_reversal_and_several_transactions_of_an_entry_are_read(version):
    """Amounts and references are each transaction's own; where it has none, a lone one has the entry's."""
    two = camt(movement(None, 3_00), version=version).decode()
    details = "".join(
        f"<TxDtls><Refs><EndToEndId>{name}</EndToEndId></Refs>{amount}</TxDtls>"
        for name, amount in (
            ("A", '<AmtDtls><TxAmt><Amt Ccy="EUR">1.00</Amt></TxAmt></AmtDtls>'),
            ("B", ""),
        )
    )
    start, end = two.index("<TxDtls>"), two.index("</TxDtls>") + len("</TxDtls>")
    lone = two[:start] + "<TxDtls><Refs><EndToEndId>C</EndToEndId></Refs></TxDtls>" + two[end:]

    [statement] = camt053.parse((two[:start] + details + two[end:]).encode())
    [alone] = camt053.parse(lone.encode())

    assert [(m.entry.end_to_end_id, m.entry.amount_minor) for m in statement.movements] == [
        ("A", 1_00),
        ("B", None),
    ]
    assert [m.entry.entry_reference for m in statement.movements] == ["1/1", "1/2"]
    assert [(m.entry.end_to_end_id, m.entry.amount_minor) for m in alone.movements] == [("C", 3_00)]


def test_statements_that_came_before_there_was_a_list_stand_in_it(bank, database_url):
    """The migration reads them from the log: each once, with the time at which it last said something new."""
    bank.read_statement(camt(movement(None, 7_00), statement_id="S-1"))
    bank.later(hours=1)
    bank.read_statement(camt(movement(None, 7_00), statement_id="S-2"))
    bank.later(hours=1)
    bank.read_statement(camt(movement(None, 7_00), movement(None, 8_00), statement_id="S-1"))

    def listed():
        with bank.ledger.database.read() as connection:
            return importing.list_statements(connection).rows

    before = listed()
    with migrations.locked_connection(database_url) as connection:
        command.downgrade(migrations._configuration(connection), "0018")
    migrations.migrate(database_url)

    found = importing.load_all(bank.ledger, [row["bank_statement_id"] for row in before])
    assert listed() == before
    assert [(each.statement_id, each.imported_at) for each in found] == [
        ("S-1", bank.world.now),
        ("S-2", bank.world.now - timedelta(hours=1)),
    ]


def test_a_statement_that_was_never_imported_is_not_found(quick_bank):
    """By its id."""
    bank, payout = quick_bank

    with pytest.raises(NotFound):
        importing.load(bank.ledger, payout.payout_id)
