"""Where no key helps any more: the provider's list is searched for a payout's transfer, to the end."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

import structlog

from ledger import payout, payout_search
from ledger.events.base import Fact
from ledger.store.application import Change, Ledger
from payouts.outcomes import Transfer
from payouts.pacing import Waits
from payouts.recording import Recording
from payouts.steps import Reached
from payouts.turn import At, Turn

_log = structlog.get_logger(__name__)

LIST_LAG: Final = timedelta(hours=1)
"""How much later than it was made a transfer may come into a list."""
STANDSTILL: Final = timedelta(hours=3)
"""How long a process may stand still between its last look at the clock and the socket, and send then."""
MARGIN: Final = STANDSTILL + LIST_LAG
"""How much later than the search's beginning a look must be, to prove that there is no transfer."""


class Lists(Protocol):
    """What is asked of the provider. Raises GatewayError where it does not answer."""

    def find_transfers(self, transfer_group: str, destination: str) -> list[Transfer]:
        """All transfers of a group to an account."""
        ...


class Searching:
    """Searches for the transfers of attempts whose key is no longer trusted.

    The first look is made at once, since what is found is found. That nothing is there is believed only of a
    look after the margin: somebody who looked at the clock in time may send later than that, lists may lag,
    and rows may come in while pages are read. Whoever looks at the clock now does not send any more.
    """

    def __init__(
        self,
        ledger: Ledger,
        lists: Lists,
        recording: Recording,
        waits: Waits,
        counts: Counter[str],
        reached: Reached,
        *,
        margin: timedelta = MARGIN,
    ) -> None:
        self._ledger, self._lists, self._recording = ledger, lists, recording
        self._waits, self._counts, self._reached = waits, counts, reached
        self._margin = margin

    def search(self, at: At, turn: Turn) -> int:
        """One look: 1 where it got on. A race that is lost is run again at the next look."""
        attempt, began = at.state.attempt, 0
        if at.state.search is None:
            facts = payout_search.begin_search(at.state, attempt=attempt, now=self._ledger.clock())
            if not turn.append([Change(at.payout_id, at.version, facts)]):
                return 0
            at, began = at.after(facts), 1
            self._reached("search begun")
        assert at.state.search is not None
        looked_at = self._ledger.clock()
        listed = self._lists.find_transfers(at.state.search.transfer_group, at.state.search.destination)
        self._reached("listed")
        ours = list({t.id: t for t in listed if t.metadata.get("payout_id") == str(at.payout_id)}.values())
        if ours:
            return began + self._found(at, ours, turn)
        sure_at = at.state.search.effective_at + self._margin
        if looked_at < sure_at:
            self._waits.wait_until(at.payout_id, sure_at)
            return began
        facts = payout_search.find_absent(
            at.state,
            attempt=attempt,
            looked_at=looked_at,
            margin=self._margin,
            listed=len({t.id for t in listed}),
            now=self._ledger.clock(),
        )
        released = self._recording.release(at, reason="the provider's list has no transfer of it")
        return began + self._append(at, facts, turn, [released] if released.facts else [])

    def _found(self, at: At, ours: Sequence[Transfer], turn: Turn) -> int:
        """One transfer, of this attempt and as it was sent: confirmed. Anything else is for a human."""
        wrong = _differences(at, ours)
        now, attempt = self._ledger.clock(), at.state.attempt
        facts: list[Fact]
        if wrong is None:
            facts = payout.confirm(at.state, attempt=attempt, transfer_id=ours[0].id, sent_at=now, now=now)
        else:
            ids = [transfer.id for transfer in ours]
            _log.error("payout left to a human", payout_id=str(at.payout_id), reason=wrong, found=ids)
            facts = payout_search.leave_to_human(
                at.state, attempt=attempt, reason=wrong, transfer_ids=ids, now=now
            )
        return self._append(at, facts, turn, [])

    def _append(self, at: At, facts: Sequence[Fact], turn: Turn, more: list[Change]) -> int:
        if not turn.append([Change(at.payout_id, at.version, facts), *more]):
            return 0
        for fact in facts:
            self._counts[type(fact).__name__] += 1
        self._reached("search recorded")
        return 1


def _differences(at: At, ours: Sequence[Transfer]) -> str | None:
    """Why what was found is not simply the attempt's transfer; None: it is."""
    if len(ours) > 1:
        return f"{len(ours)} transfers are of this payout"
    [found], draft = ours, at.draft
    attempt = found.metadata.get("attempt")
    if attempt != str(at.state.attempt):
        return f"its transfer is of attempt {attempt}, not of {at.state.attempt}"
    sent = (draft.net_minor, draft.currency.lower(), draft.destination)
    if (found.amount, found.currency, found.destination) != sent:
        return f"transfer {found.id} differs from what was approved"
    return None
