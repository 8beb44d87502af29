"""Which of our transfers a connected account's payouts to its bank brought there, or back. Pure.

The provider says what is in an automatic payout. Of others, and where it does not say, the oldest money is
taken to have gone out first; but it forgets what was in one that failed, and such a one may have had any of
it. Everything is worked out anew from all that the provider shows now, so that no
order of events, and no event twice, makes a difference. docs/decisions says more.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from payouts.connected import BankPayout, Contents, SentTransfer

Whereabouts = Literal["balance", "on_its_way", "bank", "returned"]
"""Where a transfer's money is: in the account's balance, on its way to the bank, there, or back from it."""
_CHAIN_MAX: Final = 20


class Delivery(msgspec.Struct, frozen=True):
    """Where a transfer's money is, by the last payout to a bank that had it."""

    where: Whereabouts = "balance"
    bank_payout: str | None = None
    failure: str | None = None


class _Purse:
    """The transfers whose money is in the account's balance, oldest first, and how much of each."""

    def __init__(self, transfers: Sequence[SentTransfer]) -> None:
        self.transfers = transfers
        self.left = {one.transfer_id: one.left_minor for one in transfers}

    def take(self, wanted: BankPayout, named: Sequence[str]) -> list[tuple[str, int]]:
        """Take out what is in a payout: what is named, else the oldest as far as the amount goes."""
        if named:
            taken = [(one, self.left[one]) for one in named if self.left[one]]
        else:
            taken, amount = [], wanted.amount_minor
            for one in self.there_at(wanted):
                if part := min(self.left[one], amount):
                    taken.append((one, part))
                    amount -= part
        for transfer_id, part in taken:
            self.left[transfer_id] -= part
        return taken

    def there_at(self, wanted: BankPayout) -> list[str]:
        """What was in the balance when a payout was made, and may be in it."""
        return [
            one.transfer_id
            for one in self.transfers
            if self.left[one.transfer_id]
            and one.currency == wanted.currency
            and one.created <= wanted.created
        ]

    def put_back(self, taken: Sequence[tuple[str, int]]) -> None:
        """A payout came to nothing."""
        for transfer_id, part in taken:
            self.left[transfer_id] += part


def deliveries(
    transfers: Sequence[SentTransfer],
    bank_payouts: Sequence[BankPayout],
    contents: Mapping[str, Contents],
) -> dict[str, Delivery]:
    """Where the money of each transfer is. `contents` holds what the provider said of automatic payouts."""
    by_payment = {one.payment_id: one.transfer_id for one in transfers if one.payment_id}
    purse = _Purse(sorted(transfers, key=lambda one: (one.created, one.transfer_id)))
    found = {one.transfer_id: Delivery() for one in transfers}
    for each in sorted(bank_payouts, key=lambda one: (one.created, one.payout_id)):
        payments = _payments(each.payout_id, contents)
        named = [by_payment[payment] for payment in sorted(payments) if payment in by_payment]
        if payments and not named:
            continue  # the provider says what is in it, and nothing is ours
        if each.status == "failed" and each.payout_id in contents and not payments:
            # An automatic payout takes all that there is, and its amount does not tell whose: a reversal of
            # one transfer may have been paid with the money of another.
            for transfer_id in purse.there_at(each):
                found[transfer_id] = _returned(each)
            continue
        taken = purse.take(each, named)
        if each.status in ("failed", "canceled"):
            purse.put_back(taken)
        for transfer_id, _ in taken:
            told = _told(each, whole=purse.left[transfer_id] == 0)
            if told is not None:
                found[transfer_id] = told
    return found


def _told(bank_payout: BankPayout, *, whole: bool) -> Delivery | None:
    """What a payout says of a transfer in it; a part of one alone says nothing of the whole."""
    match bank_payout.status:
        case "failed":
            return _returned(bank_payout)
        case "paid":
            return Delivery("bank", bank_payout.payout_id) if whole else None
        case "canceled":
            return None
        case _:
            return Delivery("on_its_way", bank_payout.payout_id) if whole else None


def _returned(bank_payout: BankPayout) -> Delivery:
    return Delivery("returned", bank_payout.payout_id, bank_payout.failure)


def _payments(payout_id: str, contents: Mapping[str, Contents]) -> set[str]:
    """The payments in a payout, also those that came back from a failed one and went out again with it."""
    payments: set[str] = set()
    waiting, seen = [payout_id], {payout_id}
    while waiting and len(seen) <= _CHAIN_MAX:
        inside = contents.get(waiting.pop(), Contents())
        payments.update(inside.payments)
        again = [failed for failed in inside.failed_payouts if failed not in seen]
        seen.update(again)
        waiting.extend(again)
    return payments
