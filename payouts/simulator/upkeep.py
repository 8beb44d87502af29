"""What happens by itself as time goes by: payouts arrive or fail, accounts are paid out at midnight."""

from __future__ import annotations

from collections.abc import Callable

from payouts.simulator import bank_payouts, books
from payouts.simulator.books import PLATFORM, WORLD
from payouts.simulator.company import Company
from payouts.simulator.settings import DAY_S
from payouts.simulator.work import Work

MIDNIGHT = "midnight"


def catch_up(company: Company) -> None:
    """Let everything happen that is due by now, each at its own time and in its own transaction."""
    while company.is_due():
        now = company.clock()
        with company.store.write() as tx:
            due = tx.take_due(now)
            if due is not None:
                at, what, about = due
                _HAPPENINGS[what](company.work(tx, now=at), about)
        company.look_when_due()


def start_days(company: Company) -> None:
    """Let there be a midnight, once automatic payouts are wanted."""
    with company.acting() as work:
        known = work.tx.connection.execute("SELECT 1 FROM due WHERE what = ?", (MIDNIGHT,)).fetchone()
        if known is None:
            work.schedule((work.now // DAY_S + 1) * DAY_S, MIDNIGHT, "")


def _midnight(work: Work, _about: str) -> None:
    if not work.settings.automatic_payouts:
        return
    holders = work.tx.connection.execute(
        "SELECT DISTINCT account FROM book_total WHERE account NOT IN (?, ?) AND amount > 0 ORDER BY account",
        (PLATFORM, WORLD),
    ).fetchall()
    for (account,) in holders:
        found = work.tx.get("account", books.PLATFORM, account)
        if found is not None and found["payouts_enabled"]:
            bank_payouts.pay_out_everything(work, account)
    work.schedule(work.now + DAY_S, MIDNIGHT, "")


_HAPPENINGS: dict[str, Callable[[Work, str], None]] = {
    MIDNIGHT: _midnight,
    "payout in transit": lambda work, payout: bank_payouts.arrive(work, payout, "in_transit"),
    "payout paid": lambda work, payout: bank_payouts.arrive(work, payout, "paid"),
    "payout failed": bank_payouts.fail,
}
