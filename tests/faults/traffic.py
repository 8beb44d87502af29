"""Facts that are posted while a month is closed: of that month, and of another program without a pause."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from uuid import UUID

from ledger.commands import ConversionCommand, RecordRefund, RecordSale
from ledger.engine import RewardEngine
from ledger.intake import Intake
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.runner import Runner
from tests.faults.closings import PARTNERS
from tests.support.world import day

Run = Callable[[threading.Event], object]
OTHERS = 20
"""Sales of the other program in one batch."""
BREATH_S = 0.02
"""Between two of its batches, longer each time: so engine and views, which share the process, keep up
somehow, however slow the machine is."""


@contextmanager
def threads(*runs: Run) -> Iterator[None]:
    """Threads that run until the end of the block; what one of them raises is raised there."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def guarded(run: Run) -> None:
        try:
            run(stop)
        except BaseException as error:
            failed.append(error)

    started = [threading.Thread(target=guarded, args=[run]) for run in runs]
    for each in started:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in started:
            each.join()
    if failed:
        raise failed[0]


class Traffic:
    """Who posts, and the engine and the views that follow: each a thread, over a ledger of their own."""

    def __init__(self, database_url: str, seed: int, *, own: UUID, other: UUID) -> None:
        self._random = random.Random(seed)
        self._own, self._other = own, other
        self.ledger = Ledger(Database(database_url), clock=lambda: day(40))
        self._intake = Intake(self.ledger)
        self._numbers = count()

    def runs(self) -> list[Run]:
        """All that goes on at once."""
        return [self.own, self.of_others, RewardEngine(self.ledger).run, Runner(self.ledger).run]

    def post(self) -> None:
        """A sale of January, and often a refund of it that January has, too."""
        number, customer = next(self._numbers), self._random.randrange(PARTNERS)
        amount = self._random.randrange(1_00, 99_00)
        name = f"own-{number}"
        at = day(self._random.randrange(1, 30))
        wishes: list[ConversionCommand] = [_sale(self._own, name, f"customer-{customer}", amount, at)]
        if self._random.random() < 0.5:
            taken = self._random.randrange(1, amount + 1)
            wishes.append(_refund(self._own, name, taken))
        self._intake.record(wishes, by="shop")

    def own(self, stop: threading.Event) -> None:
        """Now at once, now after a while: at last the pauses are long enough for a closing between them."""
        for number in count():
            self.post()
            if stop.wait(self._random.random() * number / 20):
                return

    def of_others(self, stop: threading.Event) -> None:
        """The other program's January, all the while."""
        for number in count():
            names = [f"other-{number}-{each}" for each in range(OTHERS)]
            wishes = [_sale(self._other, name, "customer-0", 1_00, day(3)) for name in names]
            self._intake.record(wishes, by="shop")
            if stop.wait(BREATH_S * (1 + number / 50)):
                return


def _sale(program_id: UUID, name: str, customer: str, amount_minor: int, at: datetime) -> RecordSale:
    return RecordSale(
        program_id=program_id,
        source="shop",
        external_id=name,
        customer=customer,
        amount_minor=amount_minor,
        currency="GBP",
        effective_at=at,
    )


def _refund(program_id: UUID, name: str, amount_minor: int) -> RecordRefund:
    return RecordRefund(
        program_id=program_id,
        source="shop",
        external_id=name,
        refund_id="refund",
        amount_minor=amount_minor,
        currency="GBP",
        effective_at=day(30, hours=23),
    )
