"""What is done about an event: the thing it names is asked for as it stands now, and only that counts."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol
from uuid import UUID

import msgspec

from ledger import account, payout
from ledger.desk import ACCOUNT, PARTNER
from ledger.events.base import Fact
from ledger.events.payout import PayoutPaid
from ledger.payout import PayoutState
from ledger.refusals import LostRace
from ledger.store.application import ATTEMPTS_MAX, Change, Decider, Ledger
from payouts import accounts, candidates
from payouts.batches import PAYOUT
from payouts.connected import BankPayout, Contents, Reversal, SentTransfer
from payouts.eligibility import STRIPE as PROVIDER
from payouts.gateway_accounts import closed_account, is_closed_to_us
from payouts.outcomes import Account, GatewayError
from payouts.webhooks.delivery import Delivery, deliveries, standing
from payouts.webhooks.events import Subject
from payouts.withheld import withheld_back

BY: Final = "webhooks"
LOOK_BACK: Final = timedelta(days=30)
"""How far back transfers and payouts of an account are looked at, and further where ours are open longer."""
FINAL_AFTER: Final = timedelta(days=14)
"""A bank may give a payout back within five business days; after this nothing of it changes any more."""


class Provider(Protocol):
    """What is asked of the provider."""

    @property
    def livemode(self) -> bool: ...
    def account(self, account_id: str) -> Account: ...
    def bank_payouts(self, account_id: str, created_from: int) -> list[BankPayout]: ...
    def bank_payout_contents(self, account_id: str, payout_id: str) -> Contents: ...
    def transfers_to(self, account_id: str, created_from: int) -> list[SentTransfer]: ...
    def sent_transfer(self, transfer_id: str) -> SentTransfer | None: ...
    def reversals(self, transfer_id: str) -> list[Reversal]: ...


class Result(msgspec.Struct, frozen=True):
    """What came of an event: it was heeded, or it is about nothing of ours."""

    status: Literal["done", "noted"]
    reason: str | None = None


class TooEarly(Exception):
    """What the event is about is not settled with us yet: it is looked at again later."""


class ForHuman(Exception):
    """Nothing that a program may decide; the reason says what was found."""


class _Followed(msgspec.Struct, frozen=True):
    """A payout, with the fact that said it was paid."""

    state: PayoutState = payout.NO_PAYOUT
    paid: PayoutPaid | None = None


def _follow(followed: _Followed, fact: Fact) -> _Followed:
    paid = fact if isinstance(fact, PayoutPaid) else followed.paid
    return _Followed(payout.evolve(followed.state, fact), paid)


_FOLLOWED: Final = Decider(_Followed(), _follow)


class Handlers:
    """Looks at what events name, and appends what follows from it through the deciders."""

    def __init__(self, ledger: Ledger, provider: Provider) -> None:
        self._ledger = ledger
        self._provider = provider

    def look(self, subject: Subject) -> Result:
        """Look at a thing. Raises TooEarly, ForHuman, GatewayError, or a refusal of the rules."""
        looks: dict[str, Callable[[str], Result]] = {
            "account": self._account,
            "deliveries": self._deliveries,
            "transfer": self._transfer,
        }
        return looks[subject.kind](subject.id)

    # Accounts

    def _account(self, account_id: str) -> Result:
        seen_at = self._ledger.clock()
        try:
            found = self._provider.account(account_id)
        except GatewayError as error:
            if not is_closed_to_us(error.outcome):
                raise
            found = closed_account(account_id)
        ours = self._partners_of(found)
        if not ours:
            raise TooEarly(f"no partner has the account {account_id}")
        for partner_id in ours:
            accounts.see(self._ledger, partner_id, found, seen_at=seen_at, by=BY)
        return Result("done")

    def _partners_of(self, found: Account) -> list[UUID]:
        """The partners whose money goes there: those the view knows, and the one it was made for."""
        with self._ledger.database.read() as connection:
            named = set(candidates.partners_paid_to(connection, found.account_id))
        made_for = _uuid(found.reference)
        states = self._ledger.load_many([*named, *([made_for] if made_for else [])], PARTNER)
        return [
            partner_id
            for partner_id, (state, _) in states.items()
            if state is not None and state.payout_accounts.get(PROVIDER) == found.account_id
        ]

    # Payouts to banks

    def _deliveries(self, account_id: str) -> Result:
        now = self._ledger.clock()
        with self._ledger.database.read() as connection:
            oldest = candidates.oldest_open_payout(connection, account_id, final_before=now - FINAL_AFTER)
        since = min(now - LOOK_BACK, oldest - timedelta(days=1)) if oldest else now - LOOK_BACK
        transfers = self._provider.transfers_to(account_id, _seconds(since))
        ours = {one: payout_id for one in transfers if (payout_id := _uuid(one.payout_id))}
        if not ours:
            return Result("noted", "no transfer of ours went to this account lately")
        followed = self._ledger.load_many(list(ours.values()), _FOLLOWED)
        sent = {one: p for one, p in ours.items() if followed[p].state.state.transfer_id == one.transfer_id}
        told = self._told(account_id, since, {one: followed[p].state for one, p in sent.items()}, now)
        for transfer, payout_id in sent.items():
            self._move_on(payout_id, told[transfer.transfer_id])
        # The list shows what came back, also where the word of it is lost, or came before the transfer was
        # confirmed with us. It may have to wait, or need a human: where all others are told already.
        for transfer, payout_id in sent.items():
            if transfer.reversed_minor > sum(followed[payout_id].state.state.reversals.values()):
                self._transfer(transfer.transfer_id)
        open_ones = [p for p in ours.values() if followed[p].state.state.status in payout.UNSETTLED]
        if open_ones:
            raise TooEarly(f"payout {open_ones[0]} is not settled yet")
        return Result("done")

    def _told(
        self, account_id: str, since: datetime, sent: Mapping[SentTransfer, _Followed], now: datetime
    ) -> dict[str, Delivery]:
        """Where the money is. What is in a payout is asked only where it could matter still."""
        bank_payouts = self._provider.bank_payouts(account_id, _seconds(since))
        brought = {
            one.transfer_id: of.paid.reference
            for one, of in sent.items()
            if of.state.status == "paid" and of.paid is not None
        }
        stands = standing(brought, bank_payouts)
        open_ones = [one.created for one in sent if one.left_minor and one.transfer_id not in stands]
        first = min(open_ones, default=_seconds(now))
        contents = {
            one.payout_id: self._provider.bank_payout_contents(account_id, one.payout_id)
            for one in bank_payouts
            if one.automatic and one.created >= first
        }
        return deliveries(list(sent), bank_payouts, contents, brought)

    def _move_on(self, payout_id: UUID, delivery: Delivery) -> None:
        self._ledger.execute(
            payout_id, _FOLLOWED, lambda followed: delivered(followed, delivery, self._ledger.clock()), by=BY
        )

    # Transfers that came back

    def _transfer(self, transfer_id: str) -> Result:
        found = self._provider.sent_transfer(transfer_id)
        payout_id = _uuid(found.payout_id) if found is not None else None
        if found is None or payout_id is None:
            return Result("noted", "no transfer of ours")
        state = self._ledger.load(payout_id, PAYOUT).state
        if state.draft is None:
            raise ForHuman(f"{transfer_id} names payout {payout_id}, which the ledger does not know")
        if state.status not in payout.DELIVERED:
            raise TooEarly(f"payout {payout_id} is {state.status}: its transfer is not confirmed yet")
        if state.transfer_id != transfer_id:
            raise ForHuman(f"{transfer_id} and {state.transfer_id} both name payout {payout_id}: paid twice?")
        if not found.reversed_minor:
            return Result("done")
        listed = self._provider.reversals(transfer_id)
        for reversal in listed:
            self._take_back(payout_id, reversal)
        if sum(reversal.amount_minor for reversal in listed) < found.reversed_minor:
            raise TooEarly(f"{transfer_id} says that more came back than the list of its reversals shows yet")
        return Result("done")

    def _take_back(self, payout_id: UUID, reversal: Reversal) -> None:
        """The payout's fact and the account's in one append, decided upon the versions that were read."""
        for _ in range(ATTEMPTS_MAX):
            state, version = self._ledger.load(payout_id, PAYOUT)
            draft, now = payout.drafted(state), self._ledger.clock()
            if reversal.currency != draft.currency:
                raise ForHuman(f"{reversal.reversal_id} is in {reversal.currency}, not in {draft.currency}")
            back = payout.reverse(
                state,
                amount_minor=reversal.amount_minor,
                origin="provider",
                reference=reversal.reversal_id,
                now=now,
            )
            if not back:
                return
            money, money_version = self._ledger.load(draft.account_id, ACCOUNT)
            credited = account.take_back(
                money,
                payout.holder(draft),
                payout_id=payout_id,
                reference=reversal.reversal_id,
                amount_minor=reversal.amount_minor,
                withheld_minor=withheld_back(self._ledger, state, reversal.amount_minor),
                effective_at=now,
            )
            changes = [Change(payout_id, version, back), Change(draft.account_id, money_version, credited)]
            if self._ledger.append(changes, by=BY) is not None:
                return
        raise LostRace(f"payout {payout_id} lost {ATTEMPTS_MAX} races for its account")


def delivered(followed: _Followed, delivery: Delivery, now: datetime) -> list[Fact]:
    """The facts that follow from where the money is; none where that is known. Pure.

    What came back to us whole (reversed) is not followed any further; where a part did, the rest is. Where
    another payout brought the money to the bank than the one that we heard of, the first one had failed in
    between.
    """
    state = followed.state
    if state.status not in ("confirmed", "paid", "returned"):
        return []
    match delivery.where:
        case "bank":
            by_another = followed.paid is not None and followed.paid.reference != delivery.bank_payout
            before: list[Fact] = []
            if state.status == "paid" and by_another:
                before = payout.give_back(state, reason="the bank returned an earlier payout", now=now)
            for fact in before:
                state = payout.evolve(state, fact)
            return [*before, *payout.settle(state, reference=delivery.bank_payout, now=now)]
        case "returned":
            failed = "failed" if delivery.certain else "failed and may have had it"
            reason = f"payout {delivery.bank_payout} {failed}: {delivery.failure or 'no reason given'}"
            return payout.give_back(state, reason=reason, now=now)
        case _:
            return []


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
