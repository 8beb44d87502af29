"""What all schedules of a process share: a migrated ledger with partners, the stand-in, lanes to run on."""

import sys
from collections.abc import MutableMapping
from typing import Any, Final
from uuid import UUID

import structlog

from ledger.desk import Desk
from ledger.store.application import Ledger
from payouts.accounts import ensure_destinations
from projections.runner import Runner
from projections.views import views_named
from tests.simulation.clock import Clock
from tests.simulation.faults import PATIENCE
from tests.simulation.memory import MemoryDatabase, image, migrated
from tests.simulation.plan import PARTNERS_MAX
from tests.simulation.provider import Provider
from tests.simulation.turns import Lane
from tests.support.world import World, terms

WORKERS_MAX: Final = 3
CURRENCY: Final = "GBP"
MINIMUM_MINOR: Final = 10_00
WATCHED: Final = ("balances", "directory", "payouts")
"""The views that drafting and the worker look at; the others would only cost time here."""


class SimulatedWorld(World):
    """The tests' small world over the ledger in memory."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.now, self.currency = clock.now, CURRENCY
        self.database, self.ledger, self.desk = ledger.database, ledger, Desk(ledger)


class Stage:
    """Made once in a process; `reset` puts everything back to how it was then."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.database = MemoryDatabase()
        self.database.restore(migrated())
        self.ledger = Ledger(self.database, clock=self.clock)
        self.provider = Provider(self.clock.seconds, PATIENCE.total_seconds())
        self.gateway = self.provider.gateway()
        self.lanes = [Lane(f"worker {number}") for number in range(1, WORKERS_MAX + 1)]
        self.hooks_lane = Lane("webhooks")
        self.stumbles: list[BaseException] = []
        """What was logged with an exception: the worker goes on, but a schedule is not content with it."""
        self.world = SimulatedWorld(self.ledger, self.clock)
        self.desk = self.world.desk
        self.partners = self._set_up()
        self.views = views_named(WATCHED)
        self._image = image(self.database.raw)
        self.provider.keep()
        structlog.configure(processors=[self._listen], cache_logger_on_first_use=False)

    def _set_up(self) -> dict[UUID, str]:
        """A program and its partners, with the account that each is paid to."""
        self.world.program(terms(minimum_payout_minor=MINIMUM_MINOR, holding_days=0))
        partners = [self.world.partner(f"partner-{number}") for number in range(PARTNERS_MAX)]
        ensure_destinations(self.ledger, self.gateway, self.desk, partners, by="cli")
        Runner(self.ledger, views_named(WATCHED)).catch_up()
        found = {partner_id: self.desk.partner(partner_id) for partner_id in partners}
        return {partner_id: at.payout_accounts["stripe"] for partner_id, at in found.items() if at}

    @property
    def program_id(self) -> UUID:
        """The one program."""
        return self.world.program_id

    def reset(self) -> None:
        """As at the start."""
        self.clock.reset()
        self.database.restore(self._image)
        self.provider.restore()
        self.stumbles.clear()

    def _listen(self, _logger: Any, _name: str, event: MutableMapping[str, Any]) -> Any:
        error = event.get("exc_info")
        if error:
            found = error if isinstance(error, BaseException) else sys.exception()
            if found is not None:
                self.stumbles.append(found)
        raise structlog.DropEvent
