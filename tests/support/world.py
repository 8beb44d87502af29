"""A small world for tests: a ledger with a program, partners and an engine, a clock that tests move."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ledger import ids
from ledger.commands import (
    AcceptAgreement,
    ApplyAsPartner,
    ApprovePartner,
    CancelConversion,
    ConversionCommand,
    CreateProgram,
    LoseDispute,
    OpenDispute,
    PublishTerms,
    ReattributeCustomer,
    RecordReferral,
    RecordRefund,
    RecordSale,
    Share,
    WinDispute,
)
from ledger.desk import Desk
from ledger.engine import RewardEngine
from ledger.events.base import Fact, Recorded
from ledger.intake import Intake, ItemResult
from ledger.postings import postings
from ledger.store.application import Ledger
from ledger.store.database import Database

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


def day(number: int, *, hours: int = 0) -> datetime:
    """A day of the tests' calendar: day(0) is the first of January 2024."""
    return EPOCH + timedelta(days=number, hours=hours)


def terms(**changes: Any) -> dict[str, Any]:
    """A terms document: 20% of every sale, lifetime, 30 days holding, no cap, unless changed."""
    document: dict[str, Any] = {
        "language": 1,
        "rules": [
            {"kinds": ["sale", "renewal"], "reward": {"rate_bps": 2000}, "duration": {"lifetime": True}}
        ],
        "holding_days": 30,
        "attribution": {"model": "first_touch", "window_days": None},
        "minimum_payout_minor": 1,
    }
    return document | changes


class World:
    """Everything that a test of the main job needs, with one currency."""

    def __init__(self, database_url: str, *, batch_max: int = 1_000, currency: str = "GBP") -> None:
        self.currency = currency
        self.now = day(0)
        self.database = Database(database_url)
        self.ledger = Ledger(self.database, clock=lambda: self.now)
        self.desk = Desk(self.ledger)
        self.intake = Intake(self.ledger)
        self.engine = RewardEngine(self.ledger, batch_max=batch_max)
        self.program_id = UUID(int=0)

    def close(self) -> None:
        """Give the connections back."""
        self.ledger.close()

    # Wishes

    def program(self, document: dict[str, Any] | None = None, *, reference: str = "program") -> UUID:
        """A program with its first terms in force since day -1000."""
        create = CreateProgram(
            reference=reference, name="Program", type="revenue_share", currency=self.currency
        )
        self.program_id = self.desk.execute(create, by="test").id
        self.publish(document or terms(), effective_at=day(-1000))
        return self.program_id

    def publish(self, document: dict[str, Any], *, effective_at: datetime | None = None) -> None:
        """The next version of the program's terms."""
        wish = PublishTerms(program_id=self.program_id, terms=document, effective_at=effective_at)
        self.desk.execute(wish, by="test")

    def partner(self, reference: str, *, agreed: datetime | None = None, version: int = 1) -> UUID:
        """An approved partner with an agreement in force since day -1000 unless said otherwise."""
        partner_id = self.applicant(reference)
        self.agree(partner_id, agreed or day(-1000), version)
        return partner_id

    def applicant(self, reference: str) -> UUID:
        """An approved partner without an agreement."""
        wish = ApplyAsPartner(reference=reference, name=reference)
        partner_id = self.desk.execute(wish, by="test").id
        self.desk.execute(ApprovePartner(partner_id=partner_id), by="test")
        return partner_id

    def agree(self, partner_id: UUID, effective_at: datetime, version: int = 1) -> None:
        """The partner accepts a version of the terms."""
        wish = AcceptAgreement(
            program_id=self.program_id,
            partner_id=partner_id,
            terms_version=version,
            accepted_by="somebody",
            effective_at=effective_at,
        )
        self.desk.execute(wish, by="test")

    def touch(self, customer: str, partner_id: UUID, at: datetime) -> None:
        """The partner brought the customer."""
        wish = RecordReferral(
            program_id=self.program_id, customer=customer, partner_id=partner_id, effective_at=at
        )
        self.desk.execute(wish, by="test")

    def reattribute(self, customer: str, shares: dict[UUID, int], at: datetime) -> None:
        """Finance decides for whom the customer counts."""
        wish = ReattributeCustomer(
            program_id=self.program_id,
            customer=customer,
            shares=tuple(Share(partner_id=p, share_bps=bps) for p, bps in shares.items()),
            reason="agreed by phone",
            effective_at=at,
        )
        self.desk.execute(wish, by="test")

    def sale(self, name: str, customer: str, amount_minor: int, at: datetime) -> ConversionCommand:
        """The wish to record a sale."""
        return RecordSale(
            program_id=self.program_id,
            source="shop",
            external_id=name,
            customer=customer,
            amount_minor=amount_minor,
            currency=self.currency,
            effective_at=at,
        )

    def refund(self, name: str, refund_id: str, amount_minor: int, at: datetime) -> ConversionCommand:
        """The wish to record a refund of a sale."""
        return RecordRefund(
            **self._about(name, at), refund_id=refund_id, amount_minor=amount_minor, currency=self.currency
        )

    def open_dispute(self, name: str, at: datetime, amount_minor: int | None = None) -> ConversionCommand:
        """The wish to record that a sale is disputed."""
        return OpenDispute(**self._about(name, at), dispute_id="dispute", amount_minor=amount_minor)

    def win_dispute(self, name: str, at: datetime) -> ConversionCommand:
        """The wish to record that the dispute was won."""
        return WinDispute(**self._about(name, at), dispute_id="dispute")

    def lose_dispute(self, name: str, at: datetime) -> ConversionCommand:
        """The wish to record that the dispute was lost."""
        return LoseDispute(**self._about(name, at), dispute_id="dispute")

    def cancellation(self, name: str, at: datetime) -> ConversionCommand:
        """The wish to record that a sale was canceled."""
        return CancelConversion(**self._about(name, at))

    def _about(self, name: str, at: datetime) -> dict[str, Any]:
        return {"program_id": self.program_id, "source": "shop", "external_id": name, "effective_at": at}

    def send(self, *wishes: ConversionCommand) -> list[ItemResult]:
        """Record conversions and facts about them."""
        return self.intake.record(wishes, by="test")

    # Facts

    def log(self) -> list[Recorded]:
        """Every recorded fact."""
        with self.database.read() as connection:
            rows = self.ledger.log.read_log(connection, after=0, limit=1_000_000)
        return [self.ledger.decode(row) for row in rows]

    def facts(self, *kinds: type[Fact]) -> list[Any]:
        """The facts of some types, in log order."""
        return [recorded.fact for recorded in self.log() if isinstance(recorded.fact, kinds)]

    def balances(self) -> dict[UUID, dict[str, int]]:
        """Per partner the balance of each account that is not zero, straight from the postings."""
        return self._balances(None)

    def _balances(self, program_id: UUID | None) -> dict[UUID, dict[str, int]]:
        found: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for recorded in self.log():
            legs = postings(recorded.fact)
            assert sum(leg.amount_minor for leg in legs) == 0
            for leg in legs:
                if program_id not in (None, leg.program_id):
                    continue
                found[leg.partner_id][leg.account] += leg.amount_minor
        return {
            partner: {name: amount for name, amount in accounts.items() if amount}
            for partner, accounts in found.items()
            if any(accounts.values())
        }

    def balances_of(self, program_id: UUID) -> dict[UUID, dict[str, int]]:
        """As `balances`, of one program."""
        return self._balances(program_id)

    def rewarded(self, partner_id: UUID) -> tuple[int, int]:
        """What a partner has pending and available, in pence."""
        accounts = self.balances().get(partner_id, {})
        return -accounts.get("commission_accrued", 0), -accounts.get("commission_payable", 0)

    def conversion_id(self, name: str) -> UUID:
        """The id of a sale."""
        return ids.conversion_id(self.program_id, "shop", name)


def shuffled(items: Iterable[Any], seed: int) -> list[Any]:
    """The items in an order that the seed tells."""
    import random

    order = list(items)
    random.Random(seed).shuffle(order)
    return order
