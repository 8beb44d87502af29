"""Before the socket opens: an attempt's intent and the money that it reserves, in one append; or its end."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
import structlog

from ledger import account, payout, payout_lines, payout_search
from ledger.engine.snapshots import AccountNow, accounts_now
from ledger.events.payout import PayoutDrafted
from ledger.refusals import (
    ContentChanged,
    IllegalTransition,
    InsufficientBalance,
    LostRace,
    PartnerNotApproved,
)
from ledger.store.application import ATTEMPTS_MAX, Change, Ledger
from payouts.causes import ACCOUNT_CAUSES, PASSING_CODES
from payouts.currencies import to_stripe_minor
from payouts.eligibility import ObstacleCode, obstacles
from payouts.outcomes import API_VERSION, TransferIntent, UnsendableIntent, checked_body
from payouts.pacing import Waits
from payouts.steps import Reached
from payouts.turn import Around, At, Turn, load, load_around

_log = structlog.get_logger(__name__)

OPENABLE: Final[frozenset[payout.PayoutStatus]] = payout.REOPENABLE | {"approved"}
_OF_ACCOUNT: Final[frozenset[ObstacleCode]] = frozenset({"account_not_seen", "transfers_inactive"})
_WAITED_FOR: Final = _OF_ACCOUNT | {"tax_form_missing"}
"""Obstacles that pass."""


class _Decided(NamedTuple):
    """What to append for a payout."""

    at: At
    unit: list[Change]

    @property
    def after(self) -> At:
        """The payout once that is done."""
        return self.at.after(self.unit[0].facts)


class Opening:
    """Opens the attempts of approved payouts, many in one append. What can't be sent any more is canceled."""

    def __init__(self, ledger: Ledger, waits: Waits, counts: Counter[str], reached: Reached) -> None:
        self._ledger, self._waits, self._counts, self._reached = ledger, waits, counts, reached

    def open(self, found: Sequence[At], around: Around, turn: Turn) -> list[At]:
        """Of these payouts those that are opened, or canceled, with what is stored of them now.

        Two payouts of one account are not opened together: the other one comes next time.
        """
        accounts: set[UUID] = set()
        first = [at for at in found if at.state.status in OPENABLE and _is_new(at.draft.account_id, accounts)]
        decided = self._decide(first, around)
        if not decided:
            return []
        self._reached("before the intent")
        if _append(decided, around, turn):
            opened = [each.after for each in decided]
        else:
            opened = [at for each in decided if (at := self._open_alone(each.at.payout_id, turn))]
        self._counts.update(["canceled"] * sum(at.state.status == "canceled" for at in opened))
        self._reached("intent recorded")
        return opened

    def _open_alone(self, payout_id: UUID, turn: Turn) -> At | None:
        """A payout that was not stored with the others, since one of them lost a race: looked at anew."""
        for _ in range(ATTEMPTS_MAX):
            [at] = load(self._ledger, [payout_id])
            if at.state.status not in OPENABLE:
                return None
            around = load_around(self._ledger, [at.draft])
            decided = self._decide([at], around)
            if not decided:
                return None
            if _append(decided, around, turn):
                return decided[0].after
        raise LostRace(f"payout {payout_id} lost {ATTEMPTS_MAX} races for what it depends on")

    def _decide(self, found: Sequence[At], around: Around) -> list[_Decided]:
        since = {at.draft.account_id: at.draft.account_from_version for at in found}
        with self._ledger.database.read() as connection:
            accounts = accounts_now(self._ledger, connection, since)
        decided = []
        for at in found:
            try:
                unit = self._unit(at, around, accounts[at.draft.account_id])
            except Exception:  # one payout's trouble does not stop the others
                _log.exception("payout failed", payout_id=str(at.payout_id))
                self._counts["failed"] += 1
                self._waits.wait(at.payout_id)
                continue
            if unit:
                decided.append(_Decided(at, unit))
        return decided

    def _unit(self, at: At, around: Around, money: AccountNow) -> list[Change]:
        """What opens the payout's next attempt, or ends it; nothing while it has to wait."""
        try:
            if not self._is_due(at, around):
                return []
            body = transfer_body(at.payout_id, at.state.attempt + 1, at.draft)
            checked_body(TransferIntent(payout.idempotency_key(at.payout_id, at.state.attempt + 1), body))
            payout_lines.check_lines(money.history, at.payout_id, at.draft)
            reserved = account.reserve(
                money.state,
                payout.holder(at.draft),
                payout_id=at.payout_id,
                attempt=at.state.attempt + 1,
                net_minor=at.draft.net_minor,
                withheld_minor=at.draft.withheld_minor,
                effective_at=self._ledger.clock(),
            )
        except IllegalTransition:
            return []  # the account knows of a later attempt: another worker opened it since we looked
        except (PartnerNotApproved, ContentChanged, InsufficientBalance, UnsendableIntent) as refusal:
            reason = f"{type(refusal).__name__}: {refusal}"
            _log.warning("payout canceled", payout_id=str(at.payout_id), reason=reason)
            return [Change(at.payout_id, at.version, payout.cancel(at.state, reason=reason))]
        intent = payout.record_intent(
            at.payout_id, at.state, body=body, api_version=API_VERSION, now=self._ledger.clock()
        )
        return [
            Change(at.payout_id, at.version, intent),
            Change(at.draft.account_id, money.version, reserved),
        ]

    def _is_due(self, at: At, around: Around) -> bool:
        """Whether nothing holds the payout up. Refuses where it can't be sent as it was approved."""
        draft, partner = at.draft, around.partners[at.draft.partner_id]
        code = at.state.rejection.code if at.state.rejection else None
        if (code is not None and code not in PASSING_CODES) or around.holds(draft):
            return False
        if at.payout_id in around.set_aside:
            self._waits.wait(at.payout_id)
            return False
        if partner is None or partner.status != "approved":
            raise PartnerNotApproved(f"the partner is {partner.status if partner else 'unknown'}")
        is_linked = partner.payout_accounts.get(draft.provider) == draft.destination
        if code in ACCOUNT_CAUSES and not is_linked:
            raise ContentChanged(f"{code}, and the partner's account is another one by now")
        _check_hash(at)
        us_source = around.us_source(draft)
        found = obstacles(partner, draft.provider, now=self._ledger.clock(), us_source=us_source)
        codes = {obstacle.code for obstacle in found} & _WAITED_FOR
        if not is_linked:  # how the account stands that is linked now says nothing about this one
            codes -= _OF_ACCOUNT
        if codes:
            self._waits.wait(at.payout_id)
        return not codes


def _append(decided: Sequence[_Decided], around: Around, turn: Turn) -> bool:
    """Store all of it or none. A hold or a suspension that came since the look is a race lost."""
    changes = [change for each in decided for change in each.unit]
    return turn.append(changes, seen=around.seen(each.at.draft for each in decided))


def _is_new(account_id: UUID, seen: set[UUID]) -> bool:
    is_new = account_id not in seen
    seen.add(account_id)
    return is_new


def _check_hash(at: At) -> None:
    """What is sent is what was approved, at the first attempt and at every other."""
    if at.state.approved_hash != payout.content_hash({at.payout_id: at.draft}):
        raise ContentChanged("the draft is not what was approved")


def transfer_body(payout_id: UUID, attempt: int, draft: PayoutDrafted) -> str:
    """The exact text of a transfer's request: JSON in UTF-8, keys in order, no white space.

    All of it comes from the frozen draft. Group and metadata let a human find the transfer at the provider.
    Raises UnsendableIntent where Stripe's units can't hold the amount.
    """
    content = {
        "amount": to_stripe_minor(draft.net_minor, draft.currency),
        "currency": draft.currency.lower(),
        "destination": draft.destination,
        "metadata": {
            "attempt": str(attempt),
            "content_hash": payout.content_hash({payout_id: draft}),
            "payout_id": str(payout_id),
        },
        "transfer_group": payout_search.transfer_group(draft),
    }
    return msgspec.json.encode(content, order="sorted").decode()
