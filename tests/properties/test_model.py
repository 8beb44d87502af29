"""Random commands against a tiny in-memory model: the same money, zero-sum, nothing paid twice."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger import account, ids
from ledger.desk import ACCOUNT
from ledger.refusals import InsufficientBalance
from tests.support.databases import sqlite_copy
from tests.support.world import World, day

TEMPLATE: dict[str, Path] = {}


@pytest.fixture(autouse=True, scope="module")
def _template(migrated_sqlite: Path) -> None:
    TEMPLATE["sqlite"] = migrated_sqlite


class Sold:
    """A sale as the model knows it."""

    def __init__(self, customer: str, amount: int, sold_on: int) -> None:
        self.customer, self.amount, self.sold_on = customer, amount, sold_on
        self.refunded = 0

    def kept(self) -> int:
        """20% of what is left, half-up, the other way round than the ledger computes it."""
        return (2 * (self.amount - self.refunded) + 5) // 10


class MoneyMachine(RuleBasedStateMachine):
    """One program at 20%, 30 days holding; two partners, one customer each."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.world = World(sqlite_copy(TEMPLATE["sqlite"], Path(self.folder.name)), batch_max=3)
        self.today = 0
        self.sales: dict[str, Sold] = {}
        self.paid = {"a": 0, "b": 0}

    def teardown(self) -> None:
        """Remove the database."""
        self.world.close()
        self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        """Partners with an agreement, a customer each."""
        self.world.program()
        self.partners = {name: self.world.partner(f"partner-{name}") for name in ("a", "b")}
        for name, partner in self.partners.items():
            self.world.touch(name, partner, day(-1))

    @rule(customer=st.sampled_from("ab"), amount=st.integers(1, 100_000))
    def sell(self, customer: str, amount: int) -> None:
        """A customer buys."""
        name = f"s{len(self.sales)}"
        self.sales[name] = Sold(customer, amount, self.today)
        [result] = self.world.send(self.world.sale(name, customer, amount, day(self.today)))
        assert result.status == "new"

    @precondition(lambda self: self.sales)
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        """A part of a sale is given back; more than the rest is refused."""
        name = data.draw(st.sampled_from(sorted(self.sales)))
        sold = self.sales[name]
        rest = sold.amount - sold.refunded
        amount = data.draw(st.integers(1, rest + 1))
        wish = self.world.refund(name, f"{name}r{uuid4()}", amount, day(self.today))
        [result] = self.world.send(wish)
        assert result.status == ("new" if amount <= rest else "invalid")
        if amount <= rest:
            sold.refunded += amount
            assert self.world.send(wish)[0].status == "duplicate"

    @rule(days=st.integers(1, 40))
    def pass_time(self, days: int) -> None:
        """Days go by."""
        self.today += days
        self.world.now += timedelta(days=days)

    @rule(name=st.sampled_from("ab"), more=st.sampled_from([0, 0, 1]))
    def pay(self, name: str, more: int) -> None:
        """All that is payable is reserved for a payout, once; a penny more is refused."""
        self.world.engine.drain()
        partner = self.partners[name]
        payable = self.world.rewarded(partner)[1]
        if payable + more == 0:
            return
        payout = uuid4()
        try:
            self._reserve(partner, payout, payable + more)
        except InsufficientBalance:
            assert more
            return
        assert not more
        self.paid[name] += payable
        with pytest.raises(InsufficientBalance):
            self._reserve(partner, uuid4(), 1)

    def _reserve(self, partner: UUID, payout: UUID, amount: int) -> None:
        self.world.ledger.execute(
            ids.account_id(self.world.program_id, partner, "GBP"),
            ACCOUNT,
            lambda state: account.reserve(
                state,
                account.Holder(self.world.program_id, partner, "GBP"),
                payout_id=payout,
                attempt=1,
                net_minor=amount,
                withheld_minor=0,
                effective_at=self.world.now,
            ),
            by="payouts",
        )

    @invariant()
    def agrees_with_the_model(self) -> None:
        """Held, payable, paid and owed back are what the model says, to the penny."""
        if not hasattr(self, "partners"):
            return
        self.world.engine.drain()
        balances = self.world.balances()
        for name, partner in self.partners.items():
            mine = [sold for sold in self.sales.values() if sold.customer == name]
            held = sum(s.kept() for s in mine if s.sold_on + 30 > self.today)
            matured = sum(s.kept() for s in mine if s.sold_on + 30 <= self.today)
            found = balances.get(partner, {})
            assert -found.get("commission_accrued", 0) == held
            assert -found.get("payout_clearing", 0) == self.paid[name]
            owed_back = found.get("clawback_receivable", 0)
            payable = -found.get("commission_payable", 0)
            assert payable - owed_back == matured - self.paid[name]
            assert owed_back >= 0
            assert owed_back == 0 or payable == 0
            assert payable >= 0


TestMoney = MoneyMachine.TestCase
TestMoney.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
