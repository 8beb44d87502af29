"""Taking in: a transfer that the provider holds becomes its payout's again, after a restore."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

from ledger import account, checks, payout, payout_lines
from ledger.engine.snapshots import accounts_now
from ledger.events.payout import PayoutDrafted
from ledger.events.reconciliation import TransferTakenIn
from ledger.payout import UNSETTLED, PayoutState
from ledger.payout_search import transfer_group
from ledger.refusals import ContentChanged, LostRace, NotFound
from ledger.store.application import ATTEMPTS_MAX, Change, Ledger
from payouts import restore_check
from payouts.batches import PAYOUT, Payout, load_payout
from payouts.gateway_books import payout_id_of
from payouts.outcomes import API_VERSION, Transfer
from payouts.transfer_checks import AT, check_is_as_drafted
from payouts.worker import transfer_body

UNSAID: Final = "not said"


class Transfers(Protocol):
    """What is asked of the provider. Raises the gateway's GatewayError."""

    def transfer(self, transfer_id: str) -> Transfer | None:
        """A transfer by its id; None: there is none."""
        ...

    def transfers_since(self, created_from: datetime) -> Iterator[Transfer]:
        """The transfers from a time on, the newest first."""
        ...


def take_in(ledger: Ledger, provider: Transfers, transfer_id: str, reason: str, *, by: str) -> Payout:
    """Record a transfer as its payout's: the intent that made it, its money and its confirmation, at once.

    The payout must be approved (again, where the approval was lost, too), or wait for the outcome of an
    attempt, and be what was sent: same payout, amount, currency, destination, group. What is recorded anew as
    intent is made from the frozen draft, so it has the bytes that were sent. The same again changes nothing.
    Refuses with NotFound (no such transfer, none of ours, a payout that the ledger lost),
    TransferAmountDiffers and the like, ContentChanged, IllegalTransition, InsufficientBalance.
    """
    checks.note(reason, "/reason")
    transfer = provider.transfer(transfer_id)
    payout_id = None if transfer is None else payout_id_of(transfer)
    if transfer is None or payout_id is None:
        raise NotFound(f"the provider has no transfer {transfer_id} of ours", pointer="/transfer_id")
    if restore_check.gate(ledger).suspect_from is None:
        # What is taken in is the last intent from here on, and would hide others that were lost before it.
        restore_check.look(ledger, provider, by=by)
    for _ in range(ATTEMPTS_MAX):
        state, version = ledger.load(payout_id, PAYOUT)
        if state.draft is None:
            raise NotFound(
                f"the ledger lost payout {payout_id} ({transfer.transfer_group}): draft its batch again under"
                " the same id, or resolve the difference with a reason",
                pointer="/transfer_id",
            )
        if state.transfer_id == transfer.id:
            return load_payout(ledger, payout_id)
        changes = _changes(ledger, payout_id, state, version, transfer, reason)
        if ledger.append(changes, by=by) is not None:
            return load_payout(ledger, payout_id)
    raise LostRace(f"payout {payout_id} was changed by others {ATTEMPTS_MAX} times in a row")


def _changes(
    ledger: Ledger, payout_id: UUID, state: PayoutState, version: int, transfer: Transfer, reason: str
) -> list[Change]:
    draft = payout.drafted(state)
    _check(draft, transfer)
    now, sent_at = ledger.clock(), datetime.fromtimestamp(transfer.created, UTC)
    body = transfer_body(payout_id, state.attempt + 1, draft)
    intent = (
        []  # of an earlier attempt, which was the last that the backup knew: its money is reserved
        if state.status in UNSETTLED
        else payout.record_intent(payout_id, state, body=body, api_version=API_VERSION, now=sent_at)
    )
    taken = TransferTakenIn(
        transfer_id=transfer.id,
        sent_attempt=transfer.metadata.get("attempt", UNSAID),
        content_hash=transfer.metadata.get("content_hash", UNSAID),
        reason=reason,
        effective_at=now,
    )
    for fact in intent:
        state = payout.evolve(state, fact)
    confirmed = payout.confirm(
        state, attempt=state.attempt, transfer_id=transfer.id, sent_at=sent_at, now=sent_at
    )
    since = {draft.account_id: draft.account_from_version}
    with ledger.database.read() as connection:
        money = accounts_now(ledger, connection, since)[draft.account_id]
    payout_lines.check_lines(money.history, payout_id, draft)
    reserved = account.reserve(
        money.state,
        payout.holder(draft),
        payout_id=payout_id,
        attempt=state.attempt,
        net_minor=draft.net_minor,
        withheld_minor=draft.withheld_minor,
        effective_at=now,
    )
    changes = [Change(payout_id, version, [*intent, taken, *confirmed])]
    return [*changes, Change(draft.account_id, money.version, reserved)] if reserved else changes


def _check(draft: PayoutDrafted, transfer: Transfer) -> None:
    """That the transfer is what the draft says. The lines behind it may differ: the fact has both hashes."""
    check_is_as_drafted(draft, transfer)
    if transfer.transfer_group != transfer_group(draft):
        raise ContentChanged(f"{transfer.id} is not of its batch's group", pointer=AT)
