"""What people, partners and banks do while the worker works; and what they do when it has calmed down."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ledger import account, ids, payout
from ledger.account import Holder
from ledger.commands import (
    ApprovePayouts,
    CancelPayouts,
    DraftPayouts,
    ReinstatePartner,
    ResolvePayout,
    SuspendPartner,
)
from ledger.desk import ACCOUNT
from ledger.events.base import Fact
from ledger.payout_commands import SetWithholding
from ledger.refusals import Refusal
from ledger.store.application import Change
from payouts import batches, candidates, resolving
from tests.simulation.plan import RATES_BPS
from tests.simulation.provider import Refused
from tests.simulation.stage import CURRENCY

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

MAKER: Final = "key:maker"
CHECKER: Final = "key:checker"
PLENTY_MINOR: Final = 10**9
RESOLVED_RATE: Final = 0.8
"""How much of what is left to humans they get to."""


class Happenings:
    """Everything that is done by others than the worker. `earned` and `taken_back` are the truth of it."""

    def __init__(self, at: "Schedule") -> None:
        self._at, self._rng, self._stage = at, at.rng, at.stage
        self.partners = dict(list(at.stage.partners.items())[: at.plan.partners])
        self.earned = dict.fromkeys(self.partners, 0)
        self.taken_back = dict.fromkeys(self.partners, 0)
        self.has_reversed = False
        self._batches: list[UUID] = []
        self._kinds: dict[str, Callable[[UUID], None]] = {
            "earn": self.earn,
            "refund": self.refund,
            "draft": lambda _partner: self.draft(),
            "draft unseen": lambda _partner: self.draft(unseen=True),
            "suspend": self.suspend,
            "reinstate": self.reinstate,
            "capability lost": lambda partner: self.set_transfers(partner, active=False),
            "capability back": lambda partner: self.set_transfers(partner, active=True),
            "top up": lambda _partner: self._stage.provider.top_up(self._rng.randint(1, 50_000), "gbp"),
            "drain": lambda _partner: self._stage.provider.drain("gbp"),
            "withhold": self.withhold,
            "somebody looks": lambda _partner: self.look_at_one(),
            "bank pays": self.bank_pays,
            "reversed outside": self.reverse,
        }

    # The way of a schedule

    def begin(self) -> None:
        """Everybody has earned something, the platform has money, and a batch is approved."""
        for partner_id, rate_bps in zip(self.partners, self._at.plan.withheld_bps, strict=False):
            self.earn(partner_id)
            if rate_bps:
                self.withhold(partner_id, rate_bps)
        funds = sum(self.earned.values()) * self._at.plan.funds_percent // 100
        self._stage.provider.top_up(max(funds, 1), "gbp")
        self._at.look()
        self._ask(self.draft)

    def happen(self, kinds: Sequence[str]) -> None:
        """One of these, to one of the partners."""
        name = self._rng.choice(kinds)
        partner_id = self._rng.choice(list(self.partners))
        self._at.say(f"happens: {name} ({list(self.partners).index(partner_id)})")
        self._ask(lambda: self._kinds[name](partner_id))

    def mend(self) -> None:
        """What kept money from flowing is over."""
        self._stage.provider.mend(*self._at.plan.lasting, seed=self._at.seed)
        self._stage.provider.top_up(PLENTY_MINOR, "gbp")
        for partner_id in self.partners:
            self.set_transfers(partner_id, active=True)
            self.reinstate(partner_id)

    def resolve(self, held: Sequence[UUID]) -> None:
        """Finance looks at what was left to it in the provider's dashboard, and says how it stands."""
        for payout_id in held:
            if self._rng.random() < RESOLVED_RATE:
                self._ask(partial(self._resolve, payout_id))

    def look_at_one(self) -> None:
        """Somebody says how a payout stands whose outcome nobody learned, before the search does."""
        with self._stage.database.read() as connection:
            found = candidates.payouts_in(connection, payout.UNSETTLED, limit=100)
        if found:
            payout_id = self._rng.choice(sorted(found))
            self._resolve(payout_id)
            self._at.seen_by_humans.add(payout_id)

    def _resolve(self, payout_id: UUID) -> None:
        transfers = [
            transfer["id"]
            for transfer in self._stage.provider.transfers()
            if transfer["metadata"]["payout_id"] == str(payout_id) and not transfer["reversed"]
        ]
        self._at.say(f"somebody looks at payout {payout_id}: {transfers}")
        if len(transfers) > 1:
            return
        wish = ResolvePayout(
            payout_id=payout_id,
            outcome="confirmed" if transfers else "absent",
            reason="looked at the dashboard",
            transfer_id=transfers[0] if transfers else None,
        )
        resolving.resolve(self._stage.ledger, self._stage.gateway, wish, by=CHECKER)

    def last_batch(self) -> None:
        """What its makers left open is given up, and all that is payable then is drafted and approved."""
        self._at.look()
        for batch_id in self._batches:
            if batches.load(self._stage.ledger, batch_id).status == "draft":
                wish = CancelPayouts(batch_id=batch_id, reason="the end of the schedule")
                batches.cancel(self._stage.ledger, wish, by=MAKER)
        self._at.look()
        self._ask(lambda: self.draft(approved=True))

    def last_payouts(self) -> None:
        """The banks get what is left."""
        for partner_id in self.partners:
            self.bank_pays(partner_id)

    def _ask(self, wish: Callable[[], None]) -> None:
        try:
            wish()
        except (Refusal, Refused) as refused:
            self._at.say(f"refused: {refused}")

    # Money that is earned, and taken back

    def uuid(self) -> UUID:
        """An id that the seed decides upon."""
        return UUID(int=self._rng.getrandbits(128), version=4)

    def earn(self, partner_id: UUID) -> None:
        """A reward matures."""
        amount = self._rng.choice((9_99, 10_00, 10_01, 25_00, self._rng.randint(1, 100_000)))
        state, version = self._stage.ledger.load(self.account(partner_id), ACCOUNT)
        facts = account.mature(
            state,
            self._holder(partner_id),
            reward_id=self.uuid(),
            conversion_id=self.uuid(),
            amount_minor=amount,
            effective_at=self._at.clock.now,
        )
        self._append(self.account(partner_id), version, facts, "engine")
        self.earned[partner_id] += amount

    def refund(self, partner_id: UUID) -> None:
        """A matured reward is taken back: a part of what was earned."""
        left = self.earned[partner_id] - self.taken_back[partner_id]
        if left <= 0:
            return
        amount = self._rng.choice((1, left, self._rng.randint(1, left)))
        state, version = self._stage.ledger.load(self.account(partner_id), ACCOUNT)
        facts = account.reverse(
            state,
            self._holder(partner_id),
            reward_id=self.uuid(),
            conversion_id=self.uuid(),
            amount_minor=amount,
            reason="refund",
            effective_at=self._at.clock.now,
            cause_position=1,
        )
        self._append(self.account(partner_id), version, facts, "engine")
        self.taken_back[partner_id] += amount

    # Finance

    def draft(self, *, unseen: bool = False, approved: bool | None = None) -> None:
        """A batch of all that is due; `unseen`: by a maker whose views are behind. Mostly it is approved."""
        if not unseen:
            self._at.look()
        wish = DraftPayouts(batch_id=self.uuid(), program_id=self._stage.program_id)
        batch = batches.draft(self._stage.ledger, wish, by=MAKER)
        self._batches.append(batch.batch_id)
        if approved or self._rng.random() < 0.85:
            self._approve(batch.batch_id, batch.content_hash)

    def _approve(self, batch_id: UUID, content_hash: str) -> None:
        wish = ApprovePayouts(batch_id=batch_id, content_hash=content_hash)
        batches.approve(self._stage.ledger, wish, by=CHECKER)

    def withhold(self, partner_id: UUID, rate_bps: int | None = None) -> None:
        """From now on so much tax is withheld from what a partner is paid."""
        rate = self._rng.choice(RATES_BPS) if rate_bps is None else rate_bps
        self._stage.desk.execute(
            SetWithholding(partner_id=partner_id, rate_bps=rate, reason="a form"), by=CHECKER
        )

    def suspend(self, partner_id: UUID) -> None:
        """Finance suspends a partner."""
        self._stage.desk.execute(SuspendPartner(partner_id=partner_id, reason="checked"), by=CHECKER)

    def reinstate(self, partner_id: UUID) -> None:
        """And takes it back."""
        partner = self._stage.desk.partner(partner_id)
        if partner is not None and partner.status == "suspended":
            self._stage.desk.execute(ReinstatePartner(partner_id=partner_id, reason="checked"), by=CHECKER)

    # The provider and banks

    def set_transfers(self, partner_id: UUID, *, active: bool) -> None:
        """The partner's account may receive transfers, or no more."""
        self._stage.provider.set_transfers(self.partners[partner_id], active)

    def bank_pays(self, partner_id: UUID) -> None:
        """What the partner's account holds begins its way to the bank."""
        self._stage.provider.pay_out(self.partners[partner_id])

    def reverse(self, partner_id: UUID) -> None:
        """Somebody takes back a transfer in the provider's dashboard, or a part of it."""
        of = self.partners[partner_id]
        found = [t for t in self._stage.provider.transfers() if t["destination"] == of and not t["reversed"]]
        if found:
            transfer = self._rng.choice(found)
            left = transfer["amount"] - transfer["amount_reversed"]
            self.has_reversed = True
            self._stage.provider.reverse(transfer["id"], self._rng.choice((left, self._rng.randint(1, left))))

    # Streams

    def _append(self, stream: UUID, version: int, facts: list[Fact], by: str) -> None:
        assert self._stage.ledger.append([Change(stream, version, facts)], by=by) is not None

    def account(self, partner_id: UUID) -> UUID:
        """The partner's money account."""
        return ids.account_id(self._stage.program_id, partner_id, CURRENCY)

    def _holder(self, partner_id: UUID) -> Holder:
        return Holder(self._stage.program_id, partner_id, CURRENCY)
