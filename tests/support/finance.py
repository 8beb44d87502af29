"""What finance does, for tests: a world with earnings, batches, workers and the stand-in for Stripe."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Never
from uuid import UUID, uuid4

import sqlalchemy as sa

from ledger import account, ids
from ledger.commands import ApprovePayouts, DraftPayouts
from ledger.desk import ACCOUNT
from ledger.postings import postings
from ledger.store.application import Change
from payouts import batches
from payouts.accounts import ensure_destinations
from payouts.batches import Batch, Payout
from payouts.gateway import StripeGateway
from payouts.outcomes import Account, Outcome, Transfer, TransferIntent
from payouts.worker import PayoutWorker
from projections import tables
from projections.runner import Runner
from tests.support.world import World, day, terms

MAKER, CHECKER = "key:maker", "key:checker"
CURRENCY = "GBP"


class Finance:
    """A program (in GBP) with a minimum of 10.00, whose partners are paid through a gateway."""

    def __init__(self, database_url: str, gateway: StripeGateway, *, currency: str = CURRENCY) -> None:
        self.world = World(database_url, currency=currency)
        self.ledger = self.world.ledger
        self.gateway = gateway
        self.runner = Runner(self.ledger)
        self.name = ""
        self.new_program()

    def close(self) -> None:
        """Give the connections back."""
        self.world.close()

    def new_program(self) -> None:
        """Begin with nobody's money: what was left of an earlier program is not drafted here."""
        # A name of its own: the stand-in outlives a test, and ids are derived from names.
        self.name = uuid4().hex[:8]
        self.world.program(terms(minimum_payout_minor=10_00, holding_days=0), reference=self.name)

    # Before a payout

    def partner(self, name: str = "acme", *, available_minor: int = 0, linked: bool = True) -> UUID:
        """An approved partner with a payout account and something available."""
        partner_id = self.world.partner(f"{name}-{self.name}")
        if linked:
            ensure_destinations(self.ledger, self.gateway, self.world.desk, [partner_id], by="cli")
        if available_minor:
            self.earn(partner_id, available_minor)
        return partner_id

    def earn(self, partner_id: UUID, amount_minor: int) -> str:
        """A sale of which the partner gets this much (20%), accrued and matured by the engine: its name."""
        sale = f"sale-{uuid4().hex[:8]}"
        self.world.touch(f"customer-{sale}", partner_id, self.world.now - timedelta(minutes=1))
        self.world.send(self.world.sale(sale, f"customer-{sale}", amount_minor * 5, self.world.now))
        self.settle()
        return sale

    def refund(self, sale: str, amount_minor: int) -> None:
        """A refund of a sale, seen by the engine."""
        self.world.send(self.world.refund(sale, f"refund-{uuid4().hex[:8]}", amount_minor, self.world.now))
        self.settle()

    def settle(self) -> None:
        """Let the engine and the views catch up."""
        while self.world.engine.step():
            pass
        self.runner.catch_up()

    def reverse(self, partner_id: UUID, amount_minor: int) -> None:
        """Take back a matured reward, straight on the account."""
        stream = self.account_id(partner_id)
        state, version = self.ledger.load(stream, ACCOUNT)
        facts = account.reverse(
            state,
            account.Holder(self.world.program_id, partner_id, self.world.currency),
            reward_id=uuid4(),
            conversion_id=uuid4(),
            amount_minor=amount_minor,
            reason="refund",
            effective_at=self.world.now,
            cause_position=1,
        )
        assert self.ledger.append([Change(stream, version, facts)], by="engine")

    # The way of a payout

    def draft(self, **changes: Any) -> Batch:
        """A batch of all that is due, by the maker."""
        self.runner.catch_up()
        wish = DraftPayouts(batch_id=uuid4(), program_id=self.world.program_id, **changes)
        return batches.draft(self.ledger, wish, by=MAKER)

    def draft_unseen(self) -> Batch:
        """A batch by another maker, whose view has not seen the latest draft."""
        wish = DraftPayouts(batch_id=uuid4(), program_id=self.world.program_id)
        return batches.draft(self.ledger, wish, by=MAKER)

    def approve(self, batch: Batch) -> Batch:
        """Approve a batch as it stands, by the checker."""
        wish = ApprovePayouts(batch_id=batch.batch_id, content_hash=batch.content_hash)
        approved = batches.approve(self.ledger, wish, by=CHECKER)
        self.runner.catch_up()
        return approved

    def approved(self) -> Batch:
        """A batch drafted and approved."""
        return self.approve(self.draft())

    def worker(self, gateway: Any = None, **options: Any) -> PayoutWorker:
        """A new worker, as after a start."""
        return PayoutWorker(self.ledger, gateway or self.gateway, **options)

    def pay(self, worker: PayoutWorker | None = None) -> int:
        """One turn of a worker, between two turns of the views."""
        self.runner.catch_up()
        done = (worker or self.worker()).step()
        self.runner.catch_up()
        return done

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.world.now += timedelta(**span)

    # What is to be seen

    def account_id(self, partner_id: UUID) -> UUID:
        """The partner's money account."""
        return ids.account_id(self.world.program_id, partner_id, self.world.currency)

    def payout(self, batch: Batch, partner_id: UUID | None = None) -> Payout:
        """The payout of a batch (of a partner), as it stands now."""
        found = batches.load(self.ledger, batch.batch_id).payouts
        return next(p for p in found if partner_id in (None, p.partner_id))

    def payouts(self, batch: Batch) -> tuple[Payout, ...]:
        """All payouts of a batch, as they stand now."""
        return batches.load(self.ledger, batch.batch_id).payouts

    def facts_of(self, payout: Payout) -> list[str]:
        """The names of a payout's facts."""
        return [type(r.fact).__name__ for r in self.ledger.history(payout.payout_id)]

    def transfers(self, batch: Batch) -> list[Transfer]:
        """What the stand-in holds for a batch."""
        found: list[Transfer] = []
        for destination in {p.destination for p in batch.payouts}:
            found += self.gateway.find_transfers(f"batch-{batch.batch_id}", destination)
        return found

    def balance(self, partner_id: UUID) -> dict[str, int]:
        """The partner's row of the balances view, without the zeros."""
        self.runner.catch_up()
        of = tables.balances.c
        with self.ledger.database.read() as connection:
            row = connection.execute(sa.select(tables.balances).where(of.partner_id == partner_id)).one()
        names = ("pending", "available", "in_transit", "paid", "clawback", "earned")
        return {name: value for name in names if (value := row._mapping[f"{name}_minor"])}

    def check_zero_sum(self) -> None:
        """Every entry of the journal, and so the whole of it, sums to zero per currency."""
        self.runner.catch_up()
        of = tables.journal.c
        statement = sa.select(of.position, sa.func.sum(of.amount_minor)).group_by(of.position, of.currency)
        with self.ledger.database.read() as connection:
            sums = connection.execute(statement).all()
        assert sums
        assert all(total == 0 for _, total in sums)
        assert sum(leg.amount_minor for r in self.world.log() for leg in postings(r.fact)) == 0


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it, nothing after it runs."""


def die(*_: object) -> Never:
    """The process ends here."""
    raise Killed


class Cut:
    """A gateway that meets a happening around each call: before it, or after it with its outcome."""

    def __init__(
        self,
        gateway: StripeGateway,
        *,
        before: Callable[[TransferIntent], None] | None = None,
        after: Callable[[Outcome], Outcome] | None = None,
    ) -> None:
        self._gateway = gateway
        self._before, self._after = before, after
        self.intents: list[TransferIntent] = []

    def create_transfer(self, intent: TransferIntent) -> Outcome:
        """As the gateway, with what was asked for around it."""
        self.intents.append(intent)
        if self._before is not None:
            self._before(intent)
        outcome = self._gateway.create_transfer(intent)
        return outcome if self._after is None else self._after(outcome)

    def find_transfers(self, transfer_group: str, destination: str) -> list[Transfer]:
        """As the gateway."""
        return self._gateway.find_transfers(transfer_group, destination)

    def account(self, account_id: str) -> Account:
        """As the gateway."""
        return self._gateway.account(account_id)

    def platform_balance(self) -> dict[str, int]:
        """As the gateway."""
        return self._gateway.platform_balance()


class Script:
    """A gateway that never sends: it answers as told, one after the other, the last for ever.

    Its lists hold what is put into `listed`, its accounts are in order unless they stand in `restricted`,
    and the platform has `balance`.
    """

    def __init__(self, *outcomes: Outcome, before: Callable[[], None] = lambda: None) -> None:
        self._outcomes, self._before = list(outcomes), before
        self.intents: list[TransferIntent] = []
        self.listed: list[Transfer] = []
        self.restricted: set[str] = set()
        self.balance = {"gbp": 0}
        self.asked: list[str] = []

    def create_transfer(self, intent: TransferIntent) -> Outcome:
        """The next answer."""
        self.intents.append(intent)
        self._before()
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]

    def find_transfers(self, transfer_group: str, destination: str) -> list[Transfer]:
        """What is listed."""
        self.asked.append(f"{transfer_group} {destination}")
        return list(self.listed)

    def account(self, account_id: str) -> Account:
        """An account, in order or restricted."""
        self.asked.append(account_id)
        active = account_id not in self.restricted
        reason = None if active else "requirements.past_due"
        return Account(account_id, "GB", "gbp", active, active, reason, ())

    def platform_balance(self) -> dict[str, int]:
        """What the platform has."""
        self.asked.append("balance")
        return dict(self.balance)


__all__ = ["CHECKER", "MAKER", "Cut", "Finance", "Killed", "Script", "day", "die"]
