"""Months in which partners are paid: pounds over Stripe, euros by our own bank, tax withheld from some.

What each statement shows is held to sums over the CSV files; our code takes no part in what is expected. The
invoices are real, but thirteen years later; those of the partners in euros are taken to be in euros.
"""

import csv
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import openpyxl  # type: ignore[import-untyped]
import pytest
from babel import Locale

from api.statement_files.workbook import to_xlsx
from api.statement_formats import as_csv
from ledger import ids
from ledger.audit.revshare_verify import parse_key, verify
from ledger.events.period import PeriodTotalsFrozen
from ledger.month import Month
from ledger.payout_commands import SetWithholding
from ledger.period import following
from payouts.gateway import StripeGateway
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.statement import Statement
from projections.statements.proof import statement_proof
from tests.proof.stage import SIGNER
from tests.support.bank import IBANS, BankFinance
from tests.support.bank_statement import camt053, movement
from tests.support.closing import close, rows, stated
from tests.support.stripe_process import running_stripe

DATA = Path(__file__).resolve().parents[1] / "data" / "online_retail"
YEARS = 13
MONTHS = ("2023-12", "2024-01", "2024-02", "2024-03")
MINIMUM = 10_00
POUNDS = {"partner-08": 0, "partner-10": 1_500, "partner-28": 0, "partner-38": 0}
"""The tax that is withheld, in basis points."""
EUROS = {"partner-16": 2_500, "partner-34": 0, "partner-38": 1_000}
COLUMNS = ("earned", "pending", "available", "in_transit", "paid", "clawback", "withheld")


class Row(NamedTuple):
    """An invoice or a refund of one."""

    invoice: str
    refund: str
    customer: str
    at: datetime
    amount: int


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """The stand-in for Stripe, as the process that it is."""
    with running_stripe(tmp_path_factory.mktemp("stripe")) as address:
        yield StripeGateway("sk_test_standin", address)


@pytest.fixture
def finance(database_url, gateway):
    """Nobody earned anything yet."""
    made = BankFinance(database_url, gateway)
    made.world.now = datetime(2023, 11, 30, tzinfo=UTC)
    yield made
    made.close()


def read(name: str) -> list[dict[str, str]]:
    """A file's rows."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def moment(text: str) -> datetime:
    """When something was, thirteen years later."""
    at = datetime.fromisoformat(text)
    return at.replace(year=at.year + YEARS)


PARTNER_OF = {row["customer"]: row["partner"] for row in read("referrals")}
INVOICES = {
    row["invoice_id"]: Row(
        row["invoice_id"],
        "",
        row["customer"],
        moment(row["occurred_at"]),
        int(row["amount_minor"]),
    )
    for row in read("invoices")
    if PARTNER_OF.get(row["customer"]) in POUNDS | EUROS
}
REFUNDS = [
    Row(
        row["invoice_id"],
        row["refund_id"],
        INVOICES[row["invoice_id"]].customer,
        moment(row["occurred_at"]),
        int(row["amount_minor"]),
    )
    for row in read("refunds")
    if row["invoice_id"] in INVOICES
]


class Expected:
    """What one partner must have in one currency, month by month, by plain sums over the files."""

    def __init__(self, name: str, currency: str, tax_bps: int, provider: str | None) -> None:
        self.name, self.currency, self.tax_bps, self.provider = name, currency, tax_bps, provider
        self.gross = self.tax = self.moving = 0
        """All that was drafted so far, the tax of it, and what of it the bank has not booked yet."""
        self.payouts: list[tuple[int, int, int]] = []
        """Those of the month: amount, tax, what is sent."""

    def earned(self, ends: datetime) -> int:
        """20% of what was left of each invoice by then, rounded half up once."""
        back: dict[str, int] = defaultdict(int)
        for refund in REFUNDS:
            if refund.at < ends:
                back[refund.invoice] += refund.amount
        mine = [row for row in INVOICES.values() if PARTNER_OF[row.customer] == self.name and row.at < ends]
        return sum((2 * (row.amount - back[row.invoice]) + 5) // 10 for row in mine)

    def columns(self, ends: datetime) -> tuple[int, ...]:
        """What the statement of the month that ends then must show, in the order of COLUMNS."""
        earned = self.earned(ends)
        left = earned - self.gross
        paid = self.gross - self.tax - self.moving
        return earned, 0, max(left, 0), self.moving, paid, max(-left, 0), self.tax

    def draft(self, ends: datetime) -> int:
        """All that is payable when the month is over is drafted, if it is worth it: what is sent of it."""
        amount = self.earned(ends) - self.gross
        self.payouts = []
        if self.provider is None or amount < MINIMUM:
            return 0
        tax = (amount * self.tax_bps + 5_000) // 10_000
        self.gross, self.tax = self.gross + amount, self.tax + tax
        self.payouts = [(amount, tax, amount - tax)]
        return amount - tax


class Side(NamedTuple):
    """A program in one currency, and what its partners must have."""

    program_id: UUID
    currency: str
    expected: dict[UUID, Expected]

    def begin(self, finance: BankFinance) -> None:
        """Go on with this program."""
        finance.world.program_id, finance.world.currency = self.program_id, self.currency


def set_up(finance: BankFinance) -> list[Side]:
    """Two programs; partner-38 is in both, and its account is at a bank, which takes no pounds from us."""
    sides = []
    known: dict[str, UUID] = {}
    for currency, partners in (("EUR", EUROS), ("GBP", POUNDS)):
        finance.world.currency = currency
        finance.new_program()
        expected = {}
        for number, (name, tax_bps) in enumerate(partners.items()):
            if name in known:
                finance.world.agree(known[name], finance.world.now, 1)
            elif currency == "EUR":
                known[name] = finance.at_bank(name, iban=IBANS[number])
            else:
                known[name] = finance.partner(name)
            if tax_bps:
                wish = SetWithholding(partner_id=known[name], rate_bps=tax_bps, reason="no treaty")
                finance.world.desk.execute(wish, by="cli")
            provider = {"EUR": "bank", "GBP": None if name in EUROS else "stripe"}[currency]
            expected[known[name]] = Expected(name, currency, tax_bps, provider)
            for customer in sorted({row.customer for row in INVOICES.values()}):
                if PARTNER_OF[customer] == name:
                    finance.world.touch(customer, known[name], finance.world.now)
        sides.append(Side(finance.world.program_id, currency, expected))
    return sides


def send(finance: BankFinance, side: Side, begins: datetime, ends: datetime) -> None:
    """A month's invoices and refunds of a program."""
    world = finance.world
    mine = {each.name for each in side.expected.values()}
    sold = [row for row in INVOICES.values() if begins <= row.at < ends and PARTNER_OF[row.customer] in mine]
    back = [row for row in REFUNDS if begins <= row.at < ends and PARTNER_OF[row.customer] in mine]
    world.send(*(world.sale(row.invoice, row.customer, row.amount, row.at) for row in sold))
    world.send(*(world.refund(row.invoice, row.refund, row.amount, row.at) for row in back))
    finance.settle()


def pay(finance: BankFinance, side: Side, ends: datetime, *, is_booked: bool) -> None:
    """Draft, approve and send what is payable; the bank's part is booked a day later, or not yet."""
    sent = {partner_id: each.draft(ends) for partner_id, each in side.expected.items()}
    batch = finance.approved()
    assert {each.partner_id: each.net_minor for each in batch.payouts} == {
        partner_id: net for partner_id, net in sent.items() if net
    }
    if side.currency == "GBP":
        while finance.pay():
            pass
        return
    finance.export(batch)
    if is_booked:
        finance.later(days=1)
        on = finance.world.now.date().isoformat()
        booked = [movement(each.payout_id, each.net_minor, booked_on=on) for each in batch.payouts]
        finance.read_statement(camt053(*booked, statement_id=f"S-{on}"))
    else:
        for partner_id, net in sent.items():
            side.expected[partner_id].moving = net


def shown(statement: Statement) -> tuple[int, ...]:
    """The closing balance, in the order of COLUMNS."""
    return tuple(getattr(statement.closing, f"{name}_minor") for name in COLUMNS)


def check(statement: Statement, each: Expected, was: tuple[int, ...], now: tuple[int, ...]) -> None:
    """A statement against the sums: its object, its CSV, its workbook."""
    assert statement.currency == each.currency
    assert tuple(getattr(statement.opening, f"{name}_minor") for name in COLUMNS) == was
    assert shown(statement) == now
    tax = now[-1] - was[-1]
    assert statement.tax_withheld_minor == tax == sum(tax for _, tax, _ in each.payouts)
    told = [(one.amount_minor, one.withheld_minor, one.net_minor) for one in statement.payouts]
    assert told == each.payouts
    assert all(one.provider == each.provider for one in statement.payouts)
    table = list(csv.DictReader(io.StringIO(b"".join(as_csv(statement)).decode())))
    opening, *lines, closing = table
    assert tuple(int(closing[f"{name}_minor"]) for name in COLUMNS) == now
    for at, name in enumerate(COLUMNS):
        assert int(opening[f"{name}_minor"]) == was[at]
        assert sum(int(line[f"{name}_minor"]) for line in (opening, *lines)) == now[at]
    book = openpyxl.load_workbook(io.BytesIO(to_xlsx(statement, Locale("en"))))
    cells = {row[0]: row[1:] for row in book["Summary"].iter_rows(values_only=True) if row[0]}
    assert Decimal(str(cells["Earned"][2])) * 100 == now[0]
    assert Decimal(str(cells["Tax withheld in this period"][0])) * 100 == tax
    sent = [
        Decimal(str(row[8])) * 100 for row in book["Payouts"].iter_rows(min_row=2, values_only=True) if row[8]
    ]
    assert sent == [net for *_, net in each.payouts]


def check_totals(
    finance: BankFinance, side: Side, was: list[tuple[int, ...]], now: list[tuple[int, ...]]
) -> None:
    """What the closing froze over all partners of a program."""
    sums = [[sum(column) for column in zip(*each, strict=True)] for each in (was, now)]
    moved = dict(zip(COLUMNS, (to - of for of, to in zip(*sums, strict=True)), strict=True))
    history = finance.ledger.history(ids.periods_id(side.program_id))
    frozen = next(each.fact for each in reversed(history) if isinstance(each.fact, PeriodTotalsFrozen))
    told = {
        (total.account, total.currency): total.moved_minor for total in frozen.totals if total.moved_minor
    }
    money = "bank_balance" if side.currency == "EUR" else "stripe_balance"
    wanted = {
        "commission_expense": moved["earned"],
        "commission_payable": -moved["available"],
        "clawback_receivable": moved["clawback"],
        "payout_clearing": -moved["in_transit"],
        "withholding_payable": -moved["withheld"],
        money: -moved["paid"],
    }
    assert told == {(name, side.currency): amount for name, amount in wanted.items() if amount}


@pytest.mark.timeout(600)
def test_what_partners_are_shown_and_paid_is_what_the_files_say(finance):
    """To the penny and the cent: balances, payouts, tax, totals; and the verifier says yes to all of it."""
    sides = set_up(finance)
    held = {side.currency: dict.fromkeys(side.expected, (0,) * len(COLUMNS)) for side in sides}
    for month in MONTHS:
        begins, ends = Month.parse(month).begins_at("UTC"), Month.parse(following(month)).begins_at("UTC")
        finance.world.now = ends + timedelta(days=2)
        for side in sides:
            side.begin(finance)
            send(finance, side, begins, ends)
            close(finance, month)
            issued = {
                each.partner.partner_id: each
                for each in stated(finance)
                if (each.program.program_id, each.period.period) == (side.program_id, month)
            }
            was = held[side.currency]
            now = {partner_id: each.columns(ends) for partner_id, each in side.expected.items()}
            assert set(issued) == {each for each in now if now[each] != was[each] or any(now[each][2:4])}
            for partner_id, statement in issued.items():
                check(statement, side.expected[partner_id], was[partner_id], now[partner_id])
            check_totals(finance, side, list(was.values()), list(now.values()))
            held[side.currency] = now
        for side in sides if month != MONTHS[-1] else ():
            side.begin(finance)
            pay(finance, side, ends, is_booked=month != MONTHS[-2])
    told = stated(finance)
    assert {payout.state for each in told for payout in each.payouts} == {"confirmed", "paid", "intent"}
    assert {each.currency for each in told if str(each.partner.reference).startswith("partner-38")} == {
        "EUR",
        "GBP",
    }
    assert any(each.tax_withheld_minor for each in told if each.currency == "EUR")
    Sequencer(finance.ledger).catch_up()
    assert CheckpointMaker(finance.ledger, SIGNER).step(now_wanted=True) is not None
    for row in rows(finance):
        file = io.BytesIO(b"".join(statement_proof(finance.ledger, row.statement_id)))
        assert verify(file, parse_key(str(SIGNER.verifier))).remarks
