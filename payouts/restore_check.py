"""The restore check: does the provider hold transfers of ours that the ledger does not know?

Then the database is older than what was sent: it was restored from a backup. Sending on would pay again what
the lost facts had paid, so the worker refuses to start until each of these transfers is taken in, or has a
human's reason. A reason alone lets no payout be sent whose transfer is there: that has to be taken back, too,
or its partner's payouts held. In the latter case the payout is set aside: it is not sent while its transfer
is there, whoever lets the partner's payouts go on meanwhile.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import sqlalchemy as sa

from ledger import ids, payout_gate
from ledger.desk import PARTNER
from ledger.events.base import Fact
from ledger.payout import DELIVERED, OPEN, REOPENABLE, UNSETTLED, PayoutState
from ledger.payout_gate import GateState
from ledger.refusals import BankFilesInDoubt, DatabaseOlderThanProvider, PayoutsAreFrozen
from ledger.store.application import Decider, Ledger
from payouts.batches import PAYOUT
from payouts.gateway_books import payout_id_of
from payouts.outcomes import Transfer
from payouts.reconciliations import PROVIDER, reasons
from projections.tables import payout_attempts, payouts

GATE: Final = Decider(payout_gate.OPEN, payout_gate.evolve)
MARGIN: Final = timedelta(hours=1)
"""How much earlier than the last intent we begin to look: clocks differ, and lists lag."""
LOOK_BACK: Final = timedelta(days=90)
"""How far back we look where the ledger has no intent at all: it may have lost them all."""
KNOWN_ENOUGH: Final = 500
"""Transfers of ours, the newest first, after which we stop when the ledger knows each of them.

What a restored ledger lacks are the newest ones.
"""
UNKNOWN_ENOUGH: Final = 100
"""Unknown transfers after which we stop: one is reason enough, and the reconciliation finds all."""
_AT_ONCE: Final = 100
BY: Final = "payouts"


class Transfers(Protocol):
    """What is asked of the provider. Raises the gateway's GatewayError."""

    def transfers_since(self, created_from: datetime) -> Iterator[Transfer]:
        """The transfers from a time on, the newest first."""
        ...


def gate(ledger: Ledger) -> GateState:
    """Whether payouts may be sent, as far as the ledger knows."""
    return ledger.load(ids.payout_gate_id(), GATE).state


def refuse_when_frozen(ledger: Ledger) -> None:
    """Refuses with PayoutsAreFrozen where somebody stopped all payouts."""
    state = gate(ledger)
    if state.frozen is not None:
        raise PayoutsAreFrozen(f"payouts are frozen: {state.frozen}")


def refuse_when_closed(ledger: Ledger) -> None:
    """Refuses with PayoutsAreFrozen, or DatabaseOlderThanProvider while lost transfers are not explained.

    As far as the ledger knows: the provider is not asked.
    """
    refuse_when_frozen(ledger)
    if gate(ledger).is_suspect:
        raise DatabaseOlderThanProvider(
            "the database was restored: nothing is sent until what the provider holds is explained"
        )


def refuse_after_restore(ledger: Ledger, provider: Transfers, *, by: str = BY) -> None:
    """Look at the provider's newest transfers, record what is found. Refuses with DatabaseOlderThanProvider.

    Once something was unknown, every look goes back as far as that one did, until all of it is explained.
    """
    unknown = look(ledger, provider, by=by)
    if unknown:
        raise DatabaseOlderThanProvider(
            f"{PROVIDER} holds transfers that this ledger does not know ({len(unknown)} seen, the newest is"
            f" {unknown[0]}): was the database restored? Nothing is sent until each is taken in, or"
            " has a reason and is taken back or its partner held",
            transfer_ids=list(unknown),
        )
    until = gate(ledger).settled_from
    if until is not None:
        raise DatabaseOlderThanProvider(
            "the database was put back to an earlier day while payouts were running: nothing is sent before"
            f" {until.isoformat()}, when {PROVIDER}'s lists have shown all that was sent",
            transfer_ids=[],
        )


def note_put_back(ledger: Ledger, *, seen_position: int, by: str = BY) -> None:
    """Record that the log lost what stood at a position: from then on nothing is sent until all is known.

    Since when is looked is settled here, before another attempt's intent is the last that we know.
    """
    looked_from, now = look_from(ledger), ledger.clock()
    _change(
        ledger,
        lambda _: payout_gate.put_back(PROVIDER, looked_from, seen_position=seen_position, now=now),
        by,
    )


def restored(ledger: Ledger, reason: str, *, by: str) -> GateState:
    """Say that the database was put back: nothing is sent or exported before all is known. The gate then."""
    looked_from, now = look_from(ledger), ledger.clock()
    return _change(ledger, lambda _: payout_gate.restored(PROVIDER, looked_from, reason=reason, now=now), by)


def doubt_bank_files(ledger: Ledger, reason: str, *, by: str) -> GateState:
    """Record that a file may be at our bank that the ledger does not know: the gate after it."""
    return _change(
        ledger, lambda state: payout_gate.doubt_bank_files(state, reason=reason, now=ledger.clock()), by
    )


def note_place(ledger: Ledger, *, by: str) -> None:
    """Record where the database stands, before a file leaves from there; and a doubt where that is new."""
    place = ledger.database.place()
    _change(ledger, lambda state: payout_gate.seen_at(state, place, ledger.clock()), by)


def account_for_bank_files(ledger: Ledger, reason: str, *, person: str | None, by: str) -> GateState:
    """Record finance's word that every file that left is in the ledger: the gate after it."""
    return _change(
        ledger,
        lambda state: payout_gate.account_for_bank_files(
            state, reason=reason, person=person, now=ledger.clock()
        ),
        by,
    )


def refuse_while_files_are_in_doubt(ledger: Ledger) -> None:
    """Refuses with BankFilesInDoubt, DatabaseOlderThanProvider: another file might pay the same again.

    For a provider that was not asked since a restore nothing waits: who pays by the bank alone has no other.
    """
    state = gate(ledger)
    if state.unknown_transfers:
        raise DatabaseOlderThanProvider(
            "the database was restored: nothing is exported until what the provider holds is explained"
        )
    if state.bank_doubt is not None:
        raise BankFilesInDoubt(
            f"{state.bank_doubt}: files may be at the bank that this ledger does not know. Nothing is"
            " exported until what left is recorded, and finance says that every file is accounted for"
        )


def look(ledger: Ledger, provider: Transfers, *, by: str) -> list[str]:
    """The transfers that the ledger does not know, recorded with the time from which was looked."""
    looked_from = look_from(ledger)
    found = lost_transfers(ledger, provider, looked_from)
    now = ledger.clock()
    _change(
        ledger,
        lambda state: payout_gate.looked(
            state,
            provider=PROVIDER,
            looked_from=looked_from,
            unknown=found.unknown,
            set_aside=found.set_aside,
            now=now,
        ),
        by,
    )
    return found.unknown


def look_from(ledger: Ledger) -> datetime:
    """Since when the provider's transfers are looked at: a little before the last intent that we know."""
    suspect_from = gate(ledger).suspect_from
    if suspect_from is not None:
        return suspect_from
    joined = payout_attempts.join(payouts, payouts.c.payout_id == payout_attempts.c.payout_id)
    last = (
        sa.select(payout_attempts.c.intent_at)
        .select_from(joined)
        .where(payouts.c.provider == PROVIDER)
        .order_by(payout_attempts.c.intent_at.desc())
        .limit(1)
    )
    with ledger.database.read() as connection:
        found: datetime | None = connection.execute(last).scalar()
    return ledger.clock() - LOOK_BACK if found is None else found - MARGIN


class Lost(NamedTuple):
    """Transfers that the ledger does not know, the newest first; payouts to be set aside for others."""

    unknown: list[str]
    set_aside: set[UUID]


def lost_transfers(ledger: Ledger, provider: Transfers, looked_from: datetime) -> Lost:
    """What of our transfers since a time the ledger does not know, and no human has explained."""
    named = ((t, payout_id) for t in provider.transfers_since(looked_from) if (payout_id := payout_id_of(t)))
    found = Lost([], set())
    known = 0
    # While something was unknown before, the known ones among them say nothing about the older ones.
    suspected = gate(ledger).suspect_from is not None
    while chunk := list(islice(named, _AT_ONCE)):
        lost = _lost(ledger, chunk)
        found.unknown.extend(lost.unknown)
        found.set_aside.update(lost.set_aside)
        known += len(chunk) - len(lost.unknown)
        if len(found.unknown) >= UNKNOWN_ENOUGH:
            break
        if not found.unknown and not suspected and known >= KNOWN_ENOUGH:
            break
    return found


def _lost(ledger: Ledger, found: Sequence[tuple[Transfer, UUID]]) -> Lost:
    states = ledger.load_many([payout_id for _, payout_id in found], PAYOUT)
    lost = [(t, payout_id, states[payout_id].state) for t, payout_id in found]
    lost = [(t, payout_id, state) for t, payout_id, state in lost if not is_known(state, t)]
    explained = reasons(ledger, [t.id for t, _, _ in lost])
    partners = ledger.load_many([s.draft.partner_id for _, _, s in lost if s.draft], PARTNER)
    held = {partner_id for partner_id, at in partners.items() if at.state and at.state.payout_holds}
    sorted_ = Lost([], set())
    for transfer, payout_id, state in lost:
        if transfer.id not in explained:
            sorted_.unknown.append(transfer.id)
        elif _would_be_paid_again(state, transfer):
            if state.draft is not None and state.draft.partner_id in held:
                sorted_.set_aside.add(payout_id)
            else:
                sorted_.unknown.append(transfer.id)
    return sorted_


def _would_be_paid_again(state: PayoutState, transfer: Transfer) -> bool:
    """Whether a reason alone is not enough: the payout would be sent, and its transfer still holds money."""
    return state.status in OPEN | REOPENABLE and transfer.amount_reversed < transfer.amount


def is_known(state: PayoutState, transfer: Transfer) -> bool:
    """Whether the ledger has the transfer, or an intent whose outcome it is still about to learn."""
    if state.status in DELIVERED:
        return state.transfer_id == transfer.id
    attempt = transfer.metadata.get("attempt", "")
    return state.status in UNSETTLED and attempt == str(state.attempt)


def freeze(ledger: Ledger, reason: str, *, by: str) -> GateState:
    """Stop all payouts until they are thawed: the gate after it."""
    return _change(ledger, lambda state: payout_gate.freeze(state, reason=reason, now=ledger.clock()), by)


def thaw(ledger: Ledger, reason: str, *, by: str) -> GateState:
    """Let payouts go on that were stopped by hand: the gate after it."""
    return _change(ledger, lambda state: payout_gate.thaw(state, reason=reason, now=ledger.clock()), by)


def _change(ledger: Ledger, decide: Callable[[GateState], list[Fact]], by: str) -> GateState:
    return ledger.execute(ids.payout_gate_id(), GATE, decide, by=by)[0].state
