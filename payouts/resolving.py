"""A human's word on a payout whose outcome nobody learned, recorded with the money that it moves."""

from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import sqlalchemy as sa

from ledger import account, ids, payout, payout_search, transfer_claim
from ledger.commands import ResolvePayout
from ledger.desk import ACCOUNT
from ledger.events.base import Fact
from ledger.events.payout import PayoutDrafted
from ledger.payout import PayoutState
from ledger.refusals import IllegalTransition, LostRace, NotFound, TransferTaken, UnknownTransfer
from ledger.store.application import ATTEMPTS_MAX, Change, Decider, Ledger
from payouts.batches import PAYOUT, Payout, load_payout
from payouts.outcomes import Transfer
from payouts.reconciliations import PROVIDER
from payouts.searching import MARGIN
from payouts.transfer_checks import AT, check_is_as_drafted, check_is_of, check_none_is_of
from projections import tables

CLAIM: Final = Decider(transfer_claim.UNCLAIMED, transfer_claim.evolve)


class Transfers(Protocol):
    """What is asked of the provider. Each raises the gateway's GatewayError."""

    def transfer(self, transfer_id: str) -> Transfer | None:
        """A transfer by its id; None: there is none."""
        ...

    def find_transfers(self, transfer_group: str, destination: str) -> list[Transfer]:
        """All transfers of a group to an account."""
        ...


def resolve(ledger: Ledger, provider: Transfers, command: ResolvePayout, *, by: str) -> Payout:
    """Record how the payout stands; the same word again changes nothing.

    What is said is compared with what the provider shows, and a transfer is claimed for the payout in the
    same append, so that it pays no other one. Absent gives back what was reserved, in the same append, so
    that the next attempt can be opened.

    Refuses with NotFound, InvalidField, IllegalTransition, ContentConflict (it was resolved otherwise);
    UnknownTransfer, TransferTaken, TransferCurrencyDiffers, TransferAmountDiffers, TransferDestinationDiffers
    (confirmed by the wrong one), TransferExists (it is not absent), InsufficientBalance (confirmed, but its
    money went out since). The gateway's GatewayError passes through.
    """
    for _ in range(ATTEMPTS_MAX):
        state, version = ledger.load(command.payout_id, PAYOUT)
        if state.draft is None:
            raise NotFound(f"there is no payout {command.payout_id}", pointer="/payout_id")
        now = ledger.clock()
        facts = payout_search.resolve(command, state, by=by, now=now)
        if not facts:
            return load_payout(ledger, command.payout_id)
        if state.draft.provider == PROVIDER:
            _check_wait(command, state, now)
            _ask(provider, command, state.draft)
        changes = [
            Change(command.payout_id, version, facts),
            *_claim(ledger, command, state.draft),
            *_money(ledger, command, state, state.draft),
        ]
        if ledger.append(changes, by=by) is not None:
            return load_payout(ledger, command.payout_id)
    raise LostRace(f"payout {command.payout_id} was changed by others {ATTEMPTS_MAX} times in a row")


def _check_wait(command: ResolvePayout, state: PayoutState, now: datetime) -> None:
    """That nobody can still send what is said to be absent; lists do not show that.

    What is held waits, too: another attempt's transfer may hold it while its own is on its way.
    """
    given_up_at = payout_search.key_given_up_at(state)
    if command.outcome == "absent" and given_up_at is not None and now - given_up_at < MARGIN:
        raise IllegalTransition(
            f"it may still be on its way: absent can be said from {given_up_at + MARGIN} on",
            state=state.status,
        )


def _ask(provider: Transfers, command: ResolvePayout, draft: PayoutDrafted) -> None:
    """Compare the word with what the provider shows."""
    if command.transfer_id is None:
        listed = provider.find_transfers(payout_search.transfer_group(draft), draft.destination)
        check_none_is_of(command.payout_id, listed)
        return
    transfer = provider.transfer(command.transfer_id)
    if transfer is None:
        raise UnknownTransfer(f"{PROVIDER} has no transfer {command.transfer_id}", pointer=AT)
    check_is_of(command.payout_id, transfer)
    check_is_as_drafted(draft, transfer)


def _claim(ledger: Ledger, command: ResolvePayout, draft: PayoutDrafted) -> list[Change]:
    """What makes a named transfer the payout's. Who names the same one at the same time loses the race."""
    if command.transfer_id is None:
        return []
    # A transfer that the worker confirmed has no claim: its metadata name its payout. Should somebody have
    # taken them away at the provider, the view still knows.
    c = tables.payouts.c
    statement = sa.select(c.payout_id).where(
        c.transfer_id == command.transfer_id, c.payout_id != command.payout_id
    )
    with ledger.database.read() as connection:
        other: UUID | None = connection.execute(statement.limit(1)).scalar()
    if other is not None:
        raise TransferTaken(f"that is the transfer of payout {other}", pointer=AT)
    stream = ids.transfer_claim_id(draft.provider, command.transfer_id)
    state, version = ledger.load(stream, CLAIM)
    facts = transfer_claim.claim(
        state,
        provider=draft.provider,
        transfer_id=command.transfer_id,
        payout_id=command.payout_id,
        now=ledger.clock(),
    )
    return [Change(stream, version, facts)] if facts else []


def _money(ledger: Ledger, command: ResolvePayout, state: PayoutState, draft: PayoutDrafted) -> list[Change]:
    """What is absent is released. What exists must be reserved: a proof of absence may have released it."""
    money, version = ledger.load(draft.account_id, ACCOUNT)
    facts: list[Fact]
    if command.outcome == "absent":
        facts = account.release(
            money,
            payout.holder(draft),
            payout_id=command.payout_id,
            attempt=state.attempt,
            reason=f"resolved: {command.reason}",
            effective_at=ledger.clock(),
        )
    else:
        facts = account.reserve(
            money,
            payout.holder(draft),
            payout_id=command.payout_id,
            attempt=state.attempt,
            net_minor=draft.net_minor,
            withheld_minor=draft.withheld_minor,
            effective_at=ledger.clock(),
        )
    return [Change(draft.account_id, version, facts)] if facts else []
