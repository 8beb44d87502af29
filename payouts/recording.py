"""After the socket: what an outcome says is recorded, with the money that it moves and what it holds up."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, assert_never
from uuid import UUID

import structlog

from ledger import account, partner, payout, payout_batch, payout_search
from ledger.commands import PausePartnerPayouts
from ledger.desk import PARTNER
from ledger.engine.snapshots import ONLY_NOW, accounts_now
from ledger.events.base import Fact
from ledger.money import Money
from ledger.refusals import IllegalTransition, LostRace
from ledger.store.application import ATTEMPTS_MAX, Change, Ledger
from payouts.batches import BATCH
from payouts.causes import ACCOUNT_CAUSES, BALANCE_INSUFFICIENT
from payouts.outcomes import Confirmed, NotSent, Outcome, Rejected, RetryLater, Unknown
from payouts.steps import Reached
from payouts.turn import At, Turn, load

_log = structlog.get_logger(__name__)


class Heard(NamedTuple):
    """What was heard of an attempt that went out."""

    at: At
    outcome: Outcome
    sent_at: datetime


class Recording:
    """Records outcomes, many in one append."""

    def __init__(self, ledger: Ledger, counts: Counter[str], reached: Reached) -> None:
        self._ledger, self._counts, self._reached = ledger, counts, reached
        self.paused: set[UUID] = set()
        """Batches that were paused for an outcome; whoever reads it empties it."""

    def record(self, heard: Sequence[Heard], turn: Turn) -> int:
        """Record what was heard, as far as it is new: of how many payouts something was."""
        plain, done = [], 0
        for each in heard:
            if isinstance(each.outcome, NotSent):
                _log.error(
                    "transfer not sent",
                    payout_id=str(each.at.payout_id),
                    reason=each.outcome.reason,
                    detail=each.outcome.detail,
                )
            elif isinstance(each.outcome, Rejected):
                done += self._record_alone(each, turn)
            elif facts := self._facts(each.at, each):
                plain.append((each, Change(each.at.payout_id, each.at.version, facts)))
        if plain and turn.append([change for _, change in plain]):
            done += len(plain)
        else:
            done += sum(self._record_alone(each, turn) for each, _ in plain)
        if done:
            self._reached("outcome recorded")
        return done

    def _record_alone(self, heard: Heard, turn: Turn) -> int:
        at = heard.at
        for _ in range(ATTEMPTS_MAX):
            [at] = load(self._ledger, [at.payout_id])
            facts = self._facts(at, heard)
            if not facts:
                return 0
            changes = [Change(at.payout_id, at.version, facts)]
            if isinstance(heard.outcome, Rejected):
                changes += self._of_rejection(at, heard.outcome)
            if turn.append(changes):
                return 1
        raise LostRace(f"payout {at.payout_id} was changed by others {ATTEMPTS_MAX} times in a row")

    def _facts(self, at: At, heard: Heard) -> list[Fact]:
        """What is to be said of the attempt; nothing where it was said before."""
        assert heard.at.state.intent is not None
        attempt = heard.at.state.intent.attempt
        match heard.outcome:
            case Confirmed():
                return self._confirmed(at, attempt, heard.outcome, heard.sent_at)
            case Rejected() | Unknown() | RetryLater() | NotSent():
                return self._other_than_made(at, attempt, heard)
            case _:
                assert_never(heard.outcome)

    def _confirmed(self, at: At, attempt: int, outcome: Confirmed, sent_at: datetime) -> list[Fact]:
        now = self._ledger.clock()
        try:
            return payout.confirm(
                at.state, attempt=attempt, transfer_id=outcome.transfer_id, sent_at=sent_at, now=now
            )
        except IllegalTransition:
            self._counts["late_transfer"] += 1
            _log.error(
                "a transfer that was thought not to exist",
                payout_id=str(at.payout_id),
                attempt=attempt,
                transfer_id=outcome.transfer_id,
                status=at.state.status,
            )
            if at.state.status not in payout.ASKED | {"absent"}:
                raise
            # Before another attempt goes out, somebody has to look.
            return payout_search.leave_to_human(
                at.state,
                attempt=at.state.attempt,
                reason=f"attempt {attempt} made a transfer after all",
                transfer_ids=[outcome.transfer_id],
                now=now,
            )

    def _other_than_made(self, at: At, attempt: int, heard: Heard) -> list[Fact]:
        """Of an attempt that made no transfer, or none that is known; nothing where others learned more."""
        outcome, now = heard.outcome, self._ledger.clock()
        try:
            if isinstance(outcome, Rejected):
                return payout.reject(
                    at.state,
                    attempt=attempt,
                    code=outcome.code,
                    message=outcome.message,
                    sent_at=heard.sent_at,
                    now=now,
                )
            if isinstance(outcome, Unknown):
                reason = f"{outcome.reason}: {outcome.detail}" if outcome.detail else outcome.reason
                return payout.leave_unknown(
                    at.state, attempt=attempt, reason=reason, sent_at=heard.sent_at, now=now
                )
            if isinstance(outcome, RetryLater):
                return payout.sent(at.state, attempt=attempt, sent_at=heard.sent_at)
        except IllegalTransition:
            pass
        return []

    # A definite no

    def _of_rejection(self, at: At, rejected: Rejected) -> list[Change]:
        """The reservation is released; the batch or the partner waits until the cause has cleared."""
        reason = f"{rejected.code}: {rejected.message}"
        changes = [self.release(at, reason=reason)]
        if rejected.code == BALANCE_INSUFFICIENT:
            changes.append(self._pause_batch(at))
        elif rejected.code in ACCOUNT_CAUSES:
            changes.append(self._hold_partner(at, rejected, reason))
        return [change for change in changes if change.facts]

    def release(self, at: At, *, reason: str) -> Change:
        """What the attempt had reserved is payable again."""
        assert at.state.intent is not None
        account_id = at.draft.account_id
        with self._ledger.database.read() as connection:
            now = accounts_now(self._ledger, connection, {account_id: ONLY_NOW})[account_id]
        released = account.release(
            now.state,
            payout.holder(at.draft),
            payout_id=at.payout_id,
            attempt=at.state.intent.attempt,
            reason=reason,
            effective_at=self._ledger.clock(),
        )
        return Change(account_id, now.version, released)

    def _pause_batch(self, at: At) -> Change:
        batch_id = at.draft.batch_id
        self.paused.add(batch_id)
        state, version = self._ledger.load(batch_id, BATCH)
        amount = Money(at.draft.net_minor, at.draft.currency)
        reason = f"the platform's balance at {at.draft.provider} did not cover a payout of {amount}"
        return Change(batch_id, version, payout_batch.pause(state, reason=reason, now=self._ledger.clock()))

    def _hold_partner(self, at: At, rejected: Rejected, reason: str) -> Change:
        """Unless the partner's money goes to another account by now: then only this payout is stuck."""
        partner_id: UUID = at.draft.partner_id
        state, version = self._ledger.load(partner_id, PARTNER)
        of = partner.known(state)
        if of.payout_accounts.get(at.draft.provider) != at.draft.destination:
            return Change(partner_id, version, [])
        wish = PausePartnerPayouts(
            partner_id=partner_id,
            cause=ACCOUNT_CAUSES[rejected.code],
            reason=f"{at.draft.provider} refused a payout: {reason}",
        )
        return Change(partner_id, version, partner.decide(wish, of, now=self._ledger.clock()))
