"""A small world for tests of views: consecutive versions, and facts with everything filled in."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

from ledger import account, ids
from ledger.events.account import ClawbackWrittenOff, TransferReversalCredited
from ledger.events.base import Fact, Recorded
from ledger.events.conversion import ConversionRecorded, ConversionRefunded
from ledger.events.payout import TransferConfirmed
from ledger.events.reward import RewardAccrued, RewardReversed
from ledger.store.application import Change, Ledger

PROGRAM = ids.program_id("retail")
BEGIN = datetime(2024, 1, 1, 12, tzinfo=UTC)


def partner(number: int) -> UUID:
    """The id of a partner."""
    return ids.partner_id(f"partner-{number}")


def conversion(number: int) -> UUID:
    """The id of a conversion."""
    return ids.conversion_id(PROGRAM, "shop", f"invoice-{number}")


def reward(number: int) -> UUID:
    """The id of a reward."""
    return uuid5(conversion(number), "reward")


def day(number: int) -> datetime:
    """A time in the world, so many days after the beginning."""
    return BEGIN + timedelta(days=number, microseconds=number)


class World:
    """Appends facts to a ledger whose clock moves a second each time."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.versions: dict[UUID, int] = {}
        self.accounts: dict[UUID, account.AccountState] = {}

    def add(
        self, stream: UUID, *facts: Fact, by: str = "engine", at: datetime | None = None
    ) -> list[Recorded]:
        """Append facts to a stream."""
        version = self.versions.get(stream, 0)
        recorded = self.ledger.append([Change(stream, version, facts)], by=by, at=at)
        assert recorded is not None
        self.versions[stream] = version + len(facts)
        return recorded

    def _account(self, number: int, currency: str, *facts: Fact) -> None:
        stream = ids.account_id(PROGRAM, partner(number), currency)
        self.add(stream, *facts)
        for fact in facts:
            self.accounts[stream] = account.evolve(self.account(number, currency), fact)

    def account(self, number: int, currency: str = "GBP") -> account.AccountState:
        """What the ledger's own rule holds of an account."""
        return self.accounts.get(ids.account_id(PROGRAM, partner(number), currency), account.EMPTY)

    def sale(self, number: int, amount: int = 10_000, **more: Any) -> None:
        """A customer bought."""
        given = {"kind": "sale", "customer": f"customer-{number}", "effective_at": day(number), **more}
        self.add(
            conversion(number),
            ConversionRecorded(
                program_id=PROGRAM,
                source="shop",
                external_id=f"invoice-{number}",
                amount_minor=amount,
                currency="GBP",
                **given,
            ),
        )

    def refund(self, number: int, amount: int, reference: str = "r1") -> None:
        """A part of a sale went back."""
        self.add(
            conversion(number),
            ConversionRefunded(
                program_id=PROGRAM,
                source="shop",
                external_id=f"invoice-{number}",
                refund_id=reference,
                amount_minor=amount,
                currency="GBP",
                effective_at=day(number + 1),
            ),
        )

    def accrue(self, number: int, amount: int, of: int = 1, currency: str = "GBP") -> None:
        """A conversion earned a partner a reward, which is held."""
        self.add(
            ids.rewards_id(conversion(number)),
            RewardAccrued(
                reward_id=reward(number),
                account_id=ids.account_id(PROGRAM, partner(of), currency),
                conversion_id=conversion(number),
                program_id=PROGRAM,
                partner_id=partner(of),
                customer_id=ids.customer_id(PROGRAM, f"customer-{number}"),
                amount_minor=amount,
                currency=currency,
                basis_minor=amount * 5,
                gross_minor=amount,
                share_bps=10_000,
                terms_version=1,
                rule=0,
                effective_at=day(number),
                matures_at=day(number + 30),
                reason="20% of the sale",
                cause_position=1,
                rate_bps=2_000,
            ),
        )

    def reverse_held(self, number: int, amount: int, of: int = 1, currency: str = "GBP") -> None:
        """A part of a held reward is taken back."""
        self.add(
            ids.rewards_id(conversion(number)),
            RewardReversed(
                reward_id=reward(number),
                account_id=ids.account_id(PROGRAM, partner(of), currency),
                conversion_id=conversion(number),
                program_id=PROGRAM,
                partner_id=partner(of),
                amount_minor=amount,
                currency=currency,
                reason="refund",
                effective_at=day(number + 2),
                cause_position=1,
            ),
        )

    def mature(self, number: int, amount: int, of: int = 1, currency: str = "GBP") -> None:
        """A reward's holding period ended."""
        facts = account.mature(
            self.account(of, currency),
            account.Holder(PROGRAM, partner(of), currency),
            reward_id=reward(number),
            conversion_id=conversion(number),
            amount_minor=amount,
            effective_at=day(number + 30),
        )
        self._account(of, currency, *facts)

    def reverse_matured(self, number: int, amount: int, of: int = 1, currency: str = "GBP") -> None:
        """A matured reward is taken back."""
        facts = account.reverse(
            self.account(of, currency),
            account.Holder(PROGRAM, partner(of), currency),
            reward_id=reward(number),
            conversion_id=conversion(number),
            amount_minor=amount,
            reason="refund",
            effective_at=day(number + 40),
            cause_position=1,
        )
        self._account(of, currency, *facts)

    def reserve(self, payout_id: UUID, net: int, withheld: int = 0, of: int = 1, attempt: int = 1) -> None:
        """A payout's intent takes money out of the account."""
        facts = account.reserve(
            self.account(of),
            account.Holder(PROGRAM, partner(of), "GBP"),
            payout_id=payout_id,
            attempt=attempt,
            net_minor=net,
            withheld_minor=withheld,
            effective_at=day(50),
        )
        self._account(of, "GBP", *facts)

    def release(self, payout_id: UUID, of: int = 1, attempt: int = 1) -> None:
        """A rejected attempt gives its money back."""
        facts = account.release(
            self.account(of),
            account.Holder(PROGRAM, partner(of), "GBP"),
            payout_id=payout_id,
            attempt=attempt,
            reason="rejected",
            effective_at=day(51),
        )
        self._account(of, "GBP", *facts)

    def confirm(self, payout_id: UUID, net: int, of: int = 1) -> None:
        """The provider holds the transfer."""
        self.add(
            payout_id,
            TransferConfirmed(
                attempt=1,
                transfer_id="tr_1",
                account_id=ids.account_id(PROGRAM, partner(of), "GBP"),
                program_id=PROGRAM,
                partner_id=partner(of),
                net_minor=net,
                currency="GBP",
                effective_at=day(52),
            ),
        )

    def credit_back(self, payout_id: UUID, amount: int, of: int = 1, withheld: int = 0) -> None:
        """Money of a transfer came back."""
        fact = TransferReversalCredited(
            payout_id=payout_id,
            reference="trr_1",
            program_id=PROGRAM,
            partner_id=partner(of),
            amount_minor=amount,
            withheld_minor=withheld,
            currency="GBP",
            effective_at=day(53),
        )
        self._account(of, "GBP", fact)

    def write_off(self, amount: int, of: int = 1) -> None:
        """Finance gave a clawback up."""
        fact = ClawbackWrittenOff(
            write_off_id=uuid4(),
            program_id=PROGRAM,
            partner_id=partner(of),
            amount_minor=amount,
            currency="GBP",
            reason="too small to chase",
            effective_at=day(60),
        )
        self._account(of, "GBP", fact)
