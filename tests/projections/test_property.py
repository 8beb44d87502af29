"""Whatever happens to an account, in whatever batches: the books hold and agree with the rule."""

import itertools
import tempfile
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import ids
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections import queries
from projections.rebuild import rebuild
from projections.runner import Runner
from tests.projections.conftest import Clock
from tests.projections.world import PROGRAM, World, partner
from tests.support.databases import postgresql_database, sqlite_copy

PARTNERS = (1, 2)
STEP = st.tuples(
    st.sampled_from(
        ["accrue", "reverse_held", "mature", "reverse_matured", "reserve", "settle", "write_off"]
    ),
    st.sampled_from(PARTNERS),
    st.integers(1, 10_000),
)


class Model:
    """The same account told without accounts of a chart: plain numbers per partner."""

    def __init__(self, world):
        self.world = world
        self.numbers = itertools.count(1)
        self.held: dict[int, dict[int, int]] = {of: {} for of in PARTNERS}
        self.matured: dict[int, dict[int, int]] = {of: {} for of in PARTNERS}
        self.reserved: dict[int, dict[UUID, int]] = {of: {} for of in PARTNERS}
        self.paid = dict.fromkeys(PARTNERS, 0)

    def tell(self, step, of, amount):
        """Tell a fact if it can be, and remember it."""
        getattr(self, f"_{step}")(of, amount)

    def _accrue(self, of, amount):
        number = next(self.numbers)
        self.world.accrue(number, amount, of=of)
        self.held[of][number] = amount

    def _reverse_held(self, of, amount):
        if self.held[of]:
            number, left = next(iter(self.held[of].items()))
            taken = min(amount, left)
            self.world.reverse_held(number, taken, of=of)
            self.held[of][number] = left - taken

    def _mature(self, of, _amount):
        if self.held[of]:
            number, left = self.held[of].popitem()
            if left:
                self.world.mature(number, left, of=of)
                self.matured[of][number] = left

    def _reverse_matured(self, of, amount):
        if self.matured[of]:
            number, left = self.matured[of].popitem()
            self.world.reverse_matured(number, min(amount, left), of=of)

    def _reserve(self, of, amount):
        payable = self.world.account(of).payable_minor
        if payable:
            payout = ids.payout_id(PROGRAM, ids.referral_code_id(str(next(self.numbers))))
            taken = min(amount, payable)
            self.world.reserve(payout, taken - taken // 10, taken // 10, of=of)
            self.reserved[of][payout] = taken - taken // 10

    def _settle(self, of, amount):
        if self.reserved[of]:
            payout, net = self.reserved[of].popitem()
            if amount % 3:
                self.world.confirm(payout, net, of=of)
                self.paid[of] += net
                if amount % 3 == 2:
                    self.world.credit_back(payout, net, of=of, withheld=amount % 2 * (net // 9))
                    self.paid[of] -= net
            else:
                self.world.release(payout, of=of)

    def _write_off(self, of, amount):
        owed = self.world.account(of).clawback_minor
        if owed:
            self.world.write_off(min(amount, owed), of=of)


def check(url, steps, batch_events, quick_events):
    """Tell the steps, project them in small batches, and hold the views to what they must be."""
    ledger = Ledger(Database(url), clock=Clock())
    try:
        model = Model(World(ledger))
        runner = Runner(ledger, batch_events=batch_events, quick_events=quick_events)
        for number, (step, of, amount) in enumerate(steps):
            model.tell(step, of, amount)
            if number % 5 == 0:
                runner.step()
        runner.catch_up()
        with ledger.database.read() as connection:
            assert queries.zero_sum(connection) == []
            assert queries.balances_as_of(connection) == queries.balances(connection)
            for of in PARTNERS:
                balance = queries.balance_of(connection, PROGRAM, partner(of), "GBP")
                account = model.world.account(of)
                assert balance.pending_minor == sum(model.held[of].values())
                assert balance.available_minor == account.payable_minor
                assert balance.clawback_minor == account.clawback_minor
                assert balance.in_transit_minor == sum(model.reserved[of].values())
                assert balance.paid_minor == model.paid[of]
        assert rebuild(ledger, ["journal", "balances"]).differences == ()
    finally:
        ledger.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_books_hold_whatever_happens(kind, request):
    """Zero-sum per entry and currency; balances equal the journal, the ledger's rule and a plain model."""

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        steps=st.lists(STEP, min_size=5, max_size=30),
        batch_events=st.integers(1, 9),
        quick_events=st.integers(1, 9),
    )
    def holds(steps, batch_events, quick_events):
        if kind == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                url = sqlite_copy(request.getfixturevalue("migrated_sqlite"), Path(folder))
                check(url, steps, batch_events, quick_events)
        else:
            server = request.getfixturevalue("postgres_url")
            template = request.getfixturevalue("migrated_postgresql")
            with postgresql_database(server, template=template) as url:
                check(url, steps, batch_events, quick_events)

    holds()
