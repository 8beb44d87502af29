"""Makes tests/fixtures/statements: a log, and the hashes of its statements, written once and never again.

`python -m tests.support.frozen_statements` writes them where they are missing. `log.json` has the rows of the
log; `hashes.json` each statement's number and the SHA-256 of its content.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from ledger import account, payout
from ledger.commands import WriteOffClawback
from ledger.desk import ACCOUNT
from ledger.events.payout import PayoutPaid
from ledger.payout_commands import SetWithholding
from ledger.store.application import Change, Ledger
from payouts.due import PAYOUT
from payouts.outcomes import Confirmed, Rejected
from payouts.withheld import withheld_back
from projections.runner import Runner
from projections.statement import Statement
from projections.statements.issuing import CorrectStatement, correct
from tests.support.closing import FEBRUARY, JANUARY, MARCH, close, link, rows, stated
from tests.support.databases import sqlite_copy, sqlite_template
from tests.support.finance import Finance, Script, day
from tests.support.world import terms

FOLDER = Path(__file__).parents[1] / "fixtures" / "statements"
LOG, HASHES = "log.json", "hashes.json"


def lived(finance: Finance) -> None:
    """Three months of everything that moves money, in pounds, and one in yen."""
    world = finance.world
    world.now = day(10)
    acme, bolt = finance.partner("acme", linked=False), finance.partner("bolt", linked=False)
    for partner_id in (acme, bolt):
        link(finance, partner_id)
    world.desk.execute(SetWithholding(partner_id=acme, rate_bps=1_500, reason="no treaty"), by="cli")
    sale = finance.earn(acme, 33_33)
    finance.approved()
    finance.pay()  # confirmed, with tax withheld
    world.publish(terms(holding_days=30), effective_at=day(11))
    world.agree(bolt, day(11), 2)
    world.now = day(12)
    held = finance.earn(bolt, 12_00)
    finance.refund(held, 30_00)  # a reward that is held is reversed in part
    world.now = day(40)
    close(finance, JANUARY)
    world.send(world.refund(sale, "late", 50_00, day(20)))  # paid by now: owed back
    finance.settle()
    _written_off(finance, acme)
    finance.earn(acme, 35_00)  # the debt is set off
    finance.approved()
    finance.pay()  # rejected: what was reserved is released
    _came_back(finance, acme)
    world.now = day(70)
    finance.settle()
    close(finance, FEBRUARY)
    there = PayoutPaid(effective_at=day(69), reference="po_1")
    payout_id = _january(finance, acme).payouts[0].payout_id
    version = len(finance.ledger.history(payout_id))
    assert finance.ledger.append([Change(payout_id, version, [there])], by="payouts")
    first = next(row.statement_id for row in rows(finance) if row.partner_id == acme)
    wish = CorrectStatement(statement_id=first, reason="The bank has it")
    correct(finance.ledger, wish, by="key:finance")
    world.currency = "JPY"
    finance.new_program()
    world.now = day(75)
    finance.earn(finance.partner("yuki", linked=False), 4_000)
    world.now = day(100)
    finance.settle()
    close(finance, MARCH)


def _january(finance: Finance, partner_id: UUID) -> Statement:
    """A partner's first statement."""
    return next(each for each in stated(finance) if each.partner.partner_id == partner_id)


def _written_off(finance: Finance, partner_id: UUID) -> None:
    """A part of what is owed back."""
    wish = WriteOffClawback(
        program_id=finance.world.program_id,
        partner_id=partner_id,
        write_off_id=UUID(int=5),
        amount_minor=3_00,
        currency=finance.world.currency,
        reason="too little to ask for",
    )
    finance.world.desk.execute(wish, by="cli")


def _came_back(finance: Finance, partner_id: UUID) -> None:
    """A part of January's transfer, with the tax that was withheld of it."""
    ledger = finance.ledger
    payout_id = _january(finance, partner_id).payouts[0].payout_id
    state, version = ledger.load(payout_id, PAYOUT)
    holder = account.Holder(finance.world.program_id, partner_id, finance.world.currency)
    money, at = ledger.load(finance.account_id(partner_id), ACCOUNT)
    back = {"reference": "trr_1", "amount_minor": 10_00}
    reversed_ = payout.reverse(state, origin="us", now=finance.world.now, **back)  # type: ignore[arg-type]
    credited = account.take_back(
        money,
        holder,
        payout_id=payout_id,
        withheld_minor=withheld_back(ledger, state, 10_00),
        effective_at=finance.world.now,
        **back,  # type: ignore[arg-type]
    )
    changes = [
        Change(payout_id, version, reversed_),
        Change(finance.account_id(partner_id), at, credited),
    ]
    assert ledger.append(changes, by="payouts")


def put(ledger: Ledger, log: Iterable[Sequence[Any]]) -> None:
    """Store the rows of a log as they stand, in a database that is empty, and let the views see them."""
    uuid = str if ledger.database.is_postgresql else (lambda text: UUID(text).hex)
    insert = sa.text(
        "INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id)"
        " VALUES (:stream, :version, :topic, :state, :place)"
    )
    with ledger.database.write() as connection:
        for stream, version, topic, state, place in log:
            row = {"version": version, "topic": topic, "state": state.encode(), "place": place}
            connection.execute(insert, {"stream": uuid(stream), **row})
    Runner(ledger).catch_up()


def write_missing(folder: Path = FOLDER) -> None:
    """Write the two files if they are missing."""
    if (folder / LOG).exists():
        return
    with TemporaryDirectory() as scratch:
        url = sqlite_copy(sqlite_template(Path(scratch)), Path(scratch))
        gateway: Any = Script(Confirmed("tr_1"), Rejected("balance_insufficient", "too low"))
        finance = Finance(url, gateway)
        lived(finance)
        with finance.ledger.database.read() as connection:
            found = finance.ledger.log.read_log(connection, after=0, limit=100_000)
        hashes = {row.number: row.content_sha256 for row in rows(finance)}
        finance.close()
    log = [[str(row[0]), row[1], row[2], bytes(row[3]).decode(), row[4]] for row in found]
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in log)
    (folder / LOG).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (folder / HASHES).write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_missing()
