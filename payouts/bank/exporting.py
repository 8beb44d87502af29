"""Exporting a batch's file for our bank: it is recorded together with its payouts' intents, or not at all."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
import structlog

from ledger import account, bank_file, checks, ids, payout, payout_lines
from ledger.bank_account import PROVIDER
from ledger.bank_file import BankTransfer, Debtor
from ledger.desk import PARTNER, PROGRAM
from ledger.engine.snapshots import AccountNow, accounts_now
from ledger.events.bank import BankFileExported, BankFileTakenIn
from ledger.events.base import Fact
from ledger.partner import PartnerState
from ledger.payout import PayoutState
from ledger.refusals import (
    BankAccountNotConfigured,
    ContentChanged,
    IllegalTransition,
    InsufficientBalance,
    InvalidField,
    LostRace,
    NotFound,
    NothingToPay,
    PartnerNotApproved,
)
from ledger.sepa_text import latin
from ledger.store.application import ATTEMPTS_MAX, Change, Decider, Ledger
from payouts import batches, restore_check
from payouts.bank import pain001
from payouts.batches import PAYOUT, Batch
from payouts.eligibility import obstacles
from payouts.outcomes import GatewayError
from payouts.restore_check import Transfers

_log = structlog.get_logger(__name__)

FILE: Final = Decider(bank_file.NO_FILE, bank_file.evolve)
TEXT_LENGTH_MAX: Final = 140
"""Of what the partner reads on its statement (EPC implementation guidelines, AT-T009)."""
_TOLD_MAX: Final = 5


class LeftOut(msgspec.Struct, frozen=True):
    """A payout of a bank account that a file does not hold, and why; `canceled`: it never will be sent."""

    payout_id: UUID
    partner_id: UUID
    reason: str
    canceled: bool = False


class BankFile(msgspec.Struct, frozen=True):
    """A file as it was exported. `left_out` and `new` tell what the call that answers it did."""

    exported: BankFileExported
    left_out: tuple[LeftOut, ...] = ()
    new: bool = False


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Which file of which batch is asked for, by whom.

    `has_left`: how somebody knows that the bank has this file, of which the ledger lost everything.
    """

    batch_id: UUID
    number: int = 1
    execution_date: date | None = None
    person: str | None = None
    has_left: str | None = None


def load(ledger: Ledger, batch_id: UUID, number: int) -> BankFileExported:
    """A file that was exported. Refuses with NotFound."""
    exported = ledger.load(ids.bank_file_id(batch_id, number), FILE).state.exported
    if exported is None:
        raise NotFound(f"file {number} of batch {batch_id} was never exported")
    return exported


def export(
    ledger: Ledger, debtor: Debtor | None, wish: Wish, *, by: str, provider: Transfers | None = None
) -> BankFile:
    """The file of an approved batch: made, with its payouts' intents, or the very same as the first time.

    A later number takes what the files before it left out. One that has left is recorded whatever is in
    doubt, also while payouts are frozen: nothing is sent by that. `provider` is asked first whether the
    ledger lost transfers; one that does not answer holds nothing up. Refuses with NotFound, IllegalTransition
    (it is not approved), NothingToPay, InvalidField (number, day), ContentConflict (exported for another
    day), BankAccountNotConfigured, PayoutsAreFrozen, DatabaseOlderThanProvider, BankFilesInDoubt.
    """
    if wish.has_left is not None:
        checks.note(wish.has_left, "/has_left")
    for _ in range(ATTEMPTS_MAX):
        exported = ledger.load(ids.bank_file_id(wish.batch_id, wish.number), FILE).state.exported
        if exported is not None:
            bank_file.check_same(exported, wish.execution_date)
            return BankFile(exported)
        batch = _exportable(ledger, wish, provider)
        if debtor is None:
            raise BankAccountNotConfigured("nobody has said which bank account of ours pays")
        decided = _decide(ledger, debtor, wish, batch)
        changes = [change for one in decided for change in one.changes]
        left_out = tuple(one.left_out for one in decided if one.left_out is not None)
        made = _file(wish, debtor, decided, ledger.clock()) if _transfers(decided) else None
        if made is not None:
            changes.append(Change(ids.bank_file_id(wish.batch_id, wish.number), 0, _told(wish, made)))
            changes += _intents(decided, made)
        if changes and ledger.append(changes, by=by) is None:
            continue
        if made is None:
            raise NothingToPay(_nothing(left_out))
        return BankFile(made, left_out, new=True)
    raise LostRace(f"batch {wish.batch_id} was changed by others {ATTEMPTS_MAX} times in a row")


def _exportable(ledger: Ledger, wish: Wish, provider: Transfers | None) -> Batch:
    """The batch, where its file may be made now."""
    batch = batches.load(ledger, wish.batch_id)
    if batch.status != "approved":
        raise IllegalTransition(f"a batch that is {batch.status} is not exported", state=batch.status)
    if wish.number > 1:
        before = ledger.load(ids.bank_file_id(wish.batch_id, wish.number - 1), FILE).state.exported
        if before is None:
            raise InvalidField(f"file {wish.number - 1} comes first", pointer="/number")
    restore_check.note_place(ledger, by=restore_check.BY)
    if wish.has_left is None:
        if provider is not None:
            _look(ledger, provider)
        restore_check.refuse_when_frozen(ledger)
        restore_check.refuse_while_files_are_in_doubt(ledger)
    return batch


def _look(ledger: Ledger, provider: Transfers) -> None:
    """Whoever has no partner at the provider may have no key for it either."""
    try:
        restore_check.look(ledger, provider, by=restore_check.BY)
    except GatewayError as error:
        _log.warning("provider not asked before an export", outcome=repr(error.outcome))


def _told(wish: Wish, made: BankFileExported) -> list[Fact]:
    if wish.has_left is None:
        return [made]
    return [made, BankFileTakenIn(reason=wish.has_left, effective_at=made.effective_at)]


def _nothing(left_out: Sequence[LeftOut]) -> str:
    told = [f"payout {each.payout_id}: {each.reason}" for each in left_out[:_TOLD_MAX]]
    more = [f"and {len(left_out) - _TOLD_MAX} more"] if len(left_out) > _TOLD_MAX else []
    return "; ".join(["the batch has no payout for the bank that can leave now", *told, *more])


class _Around(NamedTuple):
    """What all transfers of a file share."""

    message_id: str
    debtor: Debtor
    program_name: str
    us_source: bool
    now: datetime


class _Decided(NamedTuple):
    """What is to be done with one payout; its intent is made when the whole file is."""

    payout_id: UUID
    state: PayoutState
    version: int
    changes: list[Change]
    transfer: BankTransfer | None = None
    left_out: LeftOut | None = None


def _transfers(decided: Sequence[_Decided]) -> list[BankTransfer]:
    return [one.transfer for one in decided if one.transfer is not None]


def _decide(ledger: Ledger, debtor: Debtor, wish: Wish, batch: Batch) -> list[_Decided]:
    wanted = [each for each in batch.payouts if each.provider == PROVIDER]
    loaded = ledger.load_many([each.payout_id for each in wanted], PAYOUT)
    partners = ledger.load_many(list({each.partner_id for each in wanted}), PARTNER)
    program = ledger.load(batch.program_id, PROGRAM).state
    around = _Around(
        message_id=bank_file.message_id(wish.batch_id, wish.number),
        debtor=debtor,
        program_name=latin(program.name if program else "") or "Payout",
        us_source=program is not None and program.payouts.us_source,
        now=ledger.clock(),
    )
    with ledger.database.read() as connection:
        accounts = accounts_now(
            ledger, connection, {each.account_id: each.account_from_version for each in wanted}
        )
    return [
        _one(
            around,
            each.payout_id,
            *loaded[each.payout_id],
            partner=partners[each.partner_id].state,
            money=accounts[each.account_id],
        )
        for each in wanted
    ]


def _one(
    around: _Around,
    payout_id: UUID,
    state: PayoutState,
    version: int,
    *,
    partner: PartnerState | None,
    money: AccountNow,
) -> _Decided:
    """A payout's transfer and the money that it reserves; or why it is left out, or ends."""
    draft = payout.drafted(state)

    def left_out(reason: str, *changes: Change) -> _Decided:
        why = LeftOut(payout_id, draft.partner_id, reason, canceled=bool(changes))
        return _Decided(payout_id, state, version, list(changes), left_out=why)

    if state.status != "approved":
        return left_out(f"it is {state.status}")
    try:
        if partner is None or partner.status != "approved":
            raise PartnerNotApproved(f"the partner is {partner.status if partner else 'unknown'}")
        if state.approved_hash != payout.content_hash({payout_id: draft}):
            raise ContentChanged("the draft is not what was approved")
        # The account that was approved is paid, whichever is linked by now: its holder's name may be newer.
        holder = partner.bank_accounts[draft.destination]
        found = obstacles(partner, PROVIDER, now=around.now, us_source=around.us_source)
        if found:
            return left_out("; ".join(each.detail for each in found))
        payout_lines.check_lines(money.history, payout_id, draft)
        reserved = account.reserve(
            money.state,
            payout.holder(draft),
            payout_id=payout_id,
            attempt=state.attempt + 1,
            net_minor=draft.net_minor,
            withheld_minor=draft.withheld_minor,
            effective_at=around.now,
        )
    except (PartnerNotApproved, ContentChanged, InsufficientBalance) as refusal:
        reason = f"{type(refusal).__name__}: {refusal}"
        return left_out(reason, Change(payout_id, version, payout.cancel(state, reason=reason)))
    end_to_end_id = bank_file.end_to_end_id(payout_id)
    room = TEXT_LENGTH_MAX - len(end_to_end_id) - 1
    transfer = BankTransfer(
        message_id=around.message_id,
        end_to_end_id=end_to_end_id,
        amount_minor=draft.net_minor,
        currency=draft.currency,
        creditor_name=latin(holder.holder_name) or "",
        creditor_iban=draft.destination,
        creditor_bic=holder.bic,
        text=f"{around.program_name[:room]} {end_to_end_id}",
        debtor_iban=around.debtor.iban,
    )
    changes = [Change(draft.account_id, money.version, reserved)]
    return _Decided(payout_id, state, version, changes, transfer=transfer)


def _file(wish: Wish, debtor: Debtor, decided: Sequence[_Decided], now: datetime) -> BankFileExported:
    """The file's fact, with its whole text."""
    transfers = _transfers(decided)
    message_id = bank_file.message_id(wish.batch_id, wish.number)
    day = bank_file.execution_date(wish.execution_date, now, has_left=wish.has_left is not None)
    content = pain001.text_of(message_id, debtor, transfers, created_at=now, execution_date=day)
    return BankFileExported(
        batch_id=wish.batch_id,
        number=wish.number,
        message_id=message_id,
        message_schema=pain001.SCHEMA,
        debtor_name=debtor.name,
        debtor_iban=debtor.iban,
        debtor_bic=debtor.bic,
        execution_date=day,
        payout_ids=tuple(one.payout_id for one in decided if one.transfer is not None),
        total_minor=sum(transfer.amount_minor for transfer in transfers),
        currency=transfers[0].currency,
        content=content,
        content_sha256=bank_file.digest(content),
        exported_by_person=wish.person,
        effective_at=now,
    )


def _intents(decided: Sequence[_Decided], exported: BankFileExported) -> list[Change]:
    """The intent of each transfer: what it says in the file, and the hash of the whole."""
    changes = []
    for one in decided:
        if one.transfer is None:
            continue
        body = msgspec.structs.replace(one.transfer, content_sha256=exported.content_sha256)
        intent = payout.record_intent(
            one.payout_id,
            one.state,
            body=msgspec.json.encode(body, order="sorted").decode(),
            api_version=exported.message_schema,
            now=exported.effective_at,
        )
        changes.append(Change(one.payout_id, one.version, intent))
    return changes
