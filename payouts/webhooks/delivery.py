"""Which of our transfers a connected account's payouts to its bank brought there, or back. Pure.

The provider says what is in an automatic payout. Of others, and where it does not say, the oldest money is
taken to have gone out first; but it forgets what was in one that failed, and such a one may have had any of
it. Everything but what was told already, and stands, is worked out anew from all that the provider shows
now, so that no order of events, and no event twice, makes a difference. docs/decisions says more.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from payouts.connected import BankPayout, Contents, SentTransfer

Whereabouts = Literal["balance", "on_its_way", "bank", "returned"]
"""Where a transfer's money is: in the account's balance, on its way to the bank, there, or back from it."""
UNDONE: Final = ("failed", "canceled")
"""How a payout stands that brought nothing to the bank in the end."""
_CHAIN_MAX: Final = 20


class Delivery(msgspec.Struct, frozen=True):
    """Where a transfer's money is, by the last payout to a bank that had it."""

    where: Whereabouts = "balance"
    bank_payout: str | None = None
    failure: str | None = None
    certain: bool = True
    """False: the payout failed and the provider does not say any more what was in it; this may have been."""

    @property
    def is_back(self) -> bool:
        """Whether it is known to have come back from the bank."""
        return self.where == "returned" and self.certain


class _Purse:
    """The transfers whose money is in the account's balance, oldest first, and how much of each."""

    def __init__(self, transfers: Sequence[SentTransfer]) -> None:
        self.transfers = sorted(transfers, key=lambda one: (one.created, one.transfer_id))
        self.left = {one.transfer_id: one.left_minor for one in transfers}
        self._by_payment = {one.payment_id: one.transfer_id for one in transfers if one.payment_id}

    def named(self, payments: Collection[str]) -> list[str]:
        """The transfers that these payments are, as far as something of them is left."""
        found = [self._by_payment[payment] for payment in sorted(payments) if payment in self._by_payment]
        return [one for one in found if self.left[one]]

    def there_at(self, wanted: BankPayout) -> list[str]:
        """What was in the balance when a payout was made, and may be in it."""
        return [
            one.transfer_id
            for one in self.transfers
            if self.left[one.transfer_id]
            and one.currency == wanted.currency
            and one.created <= wanted.created
        ]

    def take(self, transfers: Sequence[str], amount_minor: int) -> list[tuple[str, int]]:
        """Take out these, as far as the amount goes: what of each."""
        taken = []
        for one in transfers:
            if part := min(self.left[one], amount_minor):
                taken.append((one, part))
                self.left[one] -= part
                amount_minor -= part
        return taken

    def put_back(self, taken: Sequence[tuple[str, int]]) -> None:
        """A payout came to nothing."""
        for transfer_id, part in taken:
            self.left[transfer_id] += part


def standing(
    brought: Mapping[str, str | None], bank_payouts: Sequence[BankPayout]
) -> Mapping[str, str | None]:
    """Of the transfers that a payout is known to have brought to the bank, those of which this stands: the
    provider does not say that the payout failed. What was told of them is not guessed anew.
    """
    undone = {one.payout_id for one in bank_payouts if one.status in UNDONE}
    return {transfer: payout for transfer, payout in brought.items() if payout not in undone}


def deliveries(
    transfers: Sequence[SentTransfer],
    bank_payouts: Sequence[BankPayout],
    contents: Mapping[str, Contents],
    brought: Mapping[str, str | None],
) -> dict[str, Delivery]:
    """Where the money of each transfer is. `contents` holds what the provider said of automatic payouts,
    `brought` the payout by which a transfer is known to have come to the bank, for good or for some time.
    """
    stands = standing(brought, bank_payouts)
    purse = _Purse([one for one in transfers if one.transfer_id not in stands])
    known: Counter[str | None] = Counter()
    for one in transfers:
        if one.transfer_id in stands:
            known[stands[one.transfer_id]] += one.left_minor
    found = {one.transfer_id: Delivery() for one in transfers}
    found |= {transfer: Delivery("bank", payout) for transfer, payout in stands.items() if transfer in found}
    perhaps: dict[str, list[str]] = {}
    for each in sorted(bank_payouts, key=lambda one: (one.created, one.payout_id)):
        inside = _inside(each.payout_id, contents)
        if each.status == "failed" and each.payout_id in contents and inside.is_nothing:
            there = purse.there_at(each)
            told = [one for one in there if brought.get(one) == each.payout_id]
            # An automatic payout takes all that there is, and its amount does not tell whose: a reversal of
            # one transfer may have been paid with the money of another.
            perhaps[each.payout_id] = told or there
            news_of = told or [one for one in there if not found[one].is_back]
            found |= dict.fromkeys(news_of, _returned(each, certain=bool(told)))
            continue
        taken = _take(purse, each, inside, known[each.payout_id], perhaps)
        if each.status in UNDONE:
            purse.put_back(taken)
        for transfer_id, _ in taken:
            news = _told(each, whole=purse.left[transfer_id] == 0)
            if news is not None:
                found[transfer_id] = news
    return found


def _take(
    purse: _Purse,
    wanted: BankPayout,
    inside: "_Inside",
    known_minor: int,
    perhaps: Mapping[str, Sequence[str]],
) -> list[tuple[str, int]]:
    """Take out what is in a payout: what is named, and the rest of what may have been in failed ones that
    went out again with it; where nothing is said, the oldest money. `known_minor` of it is known to be
    others'.
    """
    # More than all of it: a guess that was wrong, told nonetheless, does not keep another's from being seen.
    rest = wanted.amount_minor - known_minor if known_minor <= wanted.amount_minor else wanted.amount_minor
    if inside.is_nothing:
        return purse.take(purse.there_at(wanted), rest)
    named = purse.named(inside.payments)
    taken = purse.take(named, sum(purse.left[one] for one in named))
    again = [one for failed in sorted(inside.failed_payouts) for one in perhaps.get(failed, ())]
    return taken + purse.take(again, max(0, rest - sum(part for _, part in taken)))


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


def _returned(bank_payout: BankPayout, *, certain: bool = True) -> Delivery:
    return Delivery("returned", bank_payout.payout_id, bank_payout.failure, certain)


class _Inside(NamedTuple):
    """Payments in a payout, also those that came back from a failed one and went out again with it; and the
    failed ones of which the provider does not say what was in them any more."""

    payments: set[str]
    failed_payouts: set[str]

    @property
    def is_nothing(self) -> bool:
        """Whether the provider says nothing."""
        return not (self.payments or self.failed_payouts)


def _inside(payout_id: str, contents: Mapping[str, Contents]) -> _Inside:
    inside = _Inside(set(), set())
    waiting, seen = [payout_id], {payout_id}
    while waiting and len(seen) <= _CHAIN_MAX:
        one = waiting.pop()
        said = contents.get(one, Contents())
        inside.payments.update(said.payments)
        again = [failed for failed in said.failed_payouts if failed not in seen]
        if one != payout_id and not said.payments:
            inside.failed_payouts.add(one)
        seen.update(again)
        waiting.extend(again)
    return inside
