"""The socket: sends recorded attempts, one after the other or some at once, at the provider's pace."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Final, NamedTuple, Protocol, assert_never

import structlog

from ledger import payout_search
from ledger.store.application import Ledger
from payouts.outcomes import Confirmed, NotSent, Outcome, Rejected, RetryLater, TransferIntent, Unknown
from payouts.pacing import Buckets, Concurrency, Waits
from payouts.recording import Heard
from payouts.steps import Reached
from payouts.turn import At

_log = structlog.get_logger(__name__)

_NOBODY_IS_ANSWERED: Final = ("connection", "server_error")
"""Reasons of an unknown outcome that another payout would meet, too."""
_EVERYBODY: Final = "everybody"
"""The key under which all sending is waited for."""
_LOOK_EVERY_S: Final = 5
"""How often a lease is looked after while answers are waited for."""
_TOGETHER: Final = 32
"""How many transfers that were made are recorded in one commit."""


class Transfers(Protocol):
    """What is asked of the provider."""

    def create_transfer(self, intent: TransferIntent) -> Outcome:
        """Send a transfer, and say what is known of it then."""
        ...


class _Failed(NamedTuple):
    """Something that nobody thought of, in the place of an outcome."""

    at: At
    error: Exception


class Sending:
    """Sends attempts and paces them: what settles nothing is waited upon, each time longer."""

    def __init__(
        self,
        ledger: Ledger,
        gateway: Transfers,
        waits: Waits,
        buckets: Buckets,
        counts: Counter[str],
        reached: Reached,
        *,
        concurrency: int,
    ) -> None:
        self._ledger, self._gateway, self._waits, self._buckets = ledger, gateway, waits, buckets
        self._counts, self._reached = counts, reached
        self.concurrency = Concurrency(concurrency)
        self._pool = ThreadPoolExecutor(concurrency, "transfer") if concurrency > 1 else None
        self._everybody = Waits(ledger.clock)

    def close(self) -> None:
        """End the threads, once what they sent was answered."""
        if self._pool is not None:
            self._pool.shutdown()

    def is_held_off(self) -> bool:
        """Whether the provider answers nobody, or asked for a pause."""
        return self._everybody.is_waiting(_EVERYBODY)

    def hold_off(self, least: timedelta = timedelta(0)) -> None:
        """Ask nothing for a while, each time longer until somebody is answered."""
        if self.is_held_off():  # by another of those that were sent together
            self._everybody.extend(_EVERYBODY, least)
        else:
            self._everybody.wait(_EVERYBODY, least=least)

    def send(
        self, found: Sequence[At], may_send: Callable[[At], bool], between: Callable[[], None]
    ) -> Iterator[list[Heard]]:
        """Send attempts, as many as the pace allows: what was heard, as it comes, in groups.

        Those that are not sent stand as they were recorded. `may_send` is asked before each; `between` is
        called from time to time.
        """
        if self._pool is None:
            groups = self._alone(found, may_send, between)
        else:
            groups = self._at_once(self._pool, found, may_send, between)
        for group in groups:
            heard = []
            for each in group:
                if isinstance(each, _Failed):
                    self._fail(each)
                else:
                    self._counts[type(each.outcome).__name__] += 1
                    self._pace(each)
                    heard.append(each)
            if heard:
                self._reached("answered")
                yield heard

    def _alone(
        self, found: Sequence[At], may_send: Callable[[At], bool], between: Callable[[], None]
    ) -> Iterator[list[Heard | _Failed]]:
        for at in found:
            if not may_send(at):
                continue
            if self.is_held_off() or not self._buckets.take("create"):
                return
            sent = self._send(at)
            if sent is not None:
                yield [sent]
            between()

    def _at_once(
        self,
        pool: ThreadPoolExecutor,
        found: Sequence[At],
        may_send: Callable[[At], bool],
        between: Callable[[], None],
    ) -> Iterator[list[Heard | _Failed]]:
        left, on_their_way = deque(found), dict[Future[Heard | _Failed | None], int]()
        answers: list[Heard | _Failed] = []
        while True:
            while left and len(on_their_way) < self.concurrency.limit:
                if not may_send(left[0]):
                    left.popleft()
                elif self.is_held_off() or not self._buckets.take("create"):
                    left.clear()
                else:
                    on_their_way[pool.submit(self._send, left.popleft())] = self.concurrency.cuts
            if not on_their_way:
                break
            done, _ = wait(on_their_way, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
            between()
            for future in done:
                sent_under, answer = on_their_way.pop(future), future.result()
                if answer is not None:
                    self._adapt(answer, sent_under)
                    answers.append(answer)
            # While others are on their way good news waits for company: a crash meanwhile only asks again.
            if not done or len(answers) >= _TOGETHER or not all(map(_is_made, answers)):
                yield answers
                answers = []
        yield answers

    def _adapt(self, answer: "Heard | _Failed", sent_under: int) -> None:
        if isinstance(answer, Heard) and isinstance(answer.outcome, RetryLater):
            self.concurrency.too_many(sent_under)
        else:
            self.concurrency.answered()

    def _send(self, at: At) -> "Heard | _Failed | None":
        """Send one attempt now. None where its key is no longer trusted: looked at last of all."""
        intent, sent_at = at.state.intent, self._ledger.clock()
        assert intent is not None
        if not payout_search.key_is_trusted(at.state, sent_at):
            return None
        transfer = TransferIntent(
            idempotency_key=intent.idempotency_key, body=intent.body, api_version=intent.api_version
        )
        try:
            self._reached("before the socket")
            return Heard(at, self._gateway.create_transfer(transfer), sent_at)
        except Exception as error:  # its intent stands, so that nothing is lost
            return _Failed(at, error)

    def _fail(self, failed: _Failed) -> None:
        _log.error("payout failed", payout_id=str(failed.at.payout_id), exc_info=failed.error)
        self._counts["failed"] += 1
        self._waits.wait(failed.at.payout_id)

    def _pace(self, heard: Heard) -> None:
        """A provider that answers nobody, or is too busy, holds up every payout."""
        payout_id = heard.at.payout_id
        match heard.outcome:
            case Confirmed() | Rejected():
                self._waits.forget(payout_id)
                if not self.is_held_off():
                    self._everybody.forget(_EVERYBODY)
            case RetryLater(after_s=after_s):
                self._waits.wait(payout_id)
                self.hold_off(timedelta(seconds=after_s))
            case Unknown(reason=reason):
                self._waits.wait(payout_id)
                if reason in _NOBODY_IS_ANSWERED:
                    self.hold_off()
            case NotSent():
                self._waits.wait(payout_id)
                self.hold_off()
            case _:
                assert_never(heard.outcome)


def _is_made(answer: Heard | _Failed) -> bool:
    return isinstance(answer, Heard) and isinstance(answer.outcome, Confirmed)
