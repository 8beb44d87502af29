"""Programs that all lived the same, whose months processes close: what came of it, told alike for each."""

import time
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import sqlalchemy as sa

from ledger import ids
from ledger.events.base import Recorded
from ledger.events.period import PeriodClosed, PeriodTotalsFrozen, StatementIssued
from ledger.period import ClosePeriod
from projections import tables
from projections.runner import Runner
from projections.statement import Statement
from projections.statements.closing import close_period
from projections.statements.deriving import content_sha256
from projections.statements.issuing import issue, restate
from projections.verification.findings import Findings
from projections.verification.months import check_months
from tests.faults.forks import Forks
from tests.support.closing import FEBRUARY, JANUARY, MARCH
from tests.support.world import World, day, terms

PARTNERS = 5
BATCH = 2
"""Statements in one append: a month of these programs takes several."""


class Told(NamedTuple):
    """The facts of a program's months and of its statements, as they stand in the log."""

    periods: list[Recorded]
    statements: list[Recorded]

    def begins_with(self, earlier: "Told") -> bool:
        """Whether nothing of an earlier time is gone, or is another one now."""
        pairs = zip(self, earlier, strict=True)
        return all(now[: len(before)] == before for now, before in pairs)


class Closings:
    """A world with partners who are in each of its programs, and the processes that close months there."""

    def __init__(self, database_url: str, forks: Forks, folder: Path) -> None:
        self.world = World(database_url)
        self.runner = Runner(self.world.ledger)
        self._forks, self._folder = forks, folder
        self.partners = [self.world.applicant(f"partner-{number}") for number in range(PARTNERS)]

    def settle(self) -> None:
        """Let the engine and the views catch up."""
        self.world.engine.drain()
        self.runner.catch_up()

    def new_program(self) -> str:
        """A program with partners, each of whom brought one customer: its reference."""
        name = uuid4().hex[:8]
        self.world.now = day(40)
        self.world.program(terms(holding_days=0), reference=name)
        for number, partner_id in enumerate(self.partners):
            self.world.agree(partner_id, day(-1000), 1)
            self.world.touch(f"customer-{number}", partner_id, day(-1))
        return name

    def lived(self) -> str:
        """A program with a closed January, of which something came late, and two open months."""
        name, world = self.new_program(), self.world
        world.send(*(world.sale(f"j-{n}", f"customer-{n}", (n + 1) * 10_00, day(3)) for n in range(PARTNERS)))
        self.settle()
        close_period(
            world.ledger, ClosePeriod(program_id=world.program_id, period=JANUARY), by="cli", wait_s=0
        )
        issue(world.ledger, world.program_id, by="cli", wait_s=0)
        world.now = day(100)
        world.send(world.refund("j-0", "late", 5_00, day(30)), world.sale("f", "customer-1", 70_00, day(35)))
        world.send(world.sale("m", "customer-2", 90_00, day(65)))
        self.settle()
        return name

    def start(self, *months: str, kill_at: str | None = None, by: str = "cli") -> tuple[int, Path]:
        """A process that closes months of the program: its id, and where it writes the edges that it met."""
        seen = self._folder / uuid4().hex
        told = {"program_id": str(self.world.program_id), "batch": str(BATCH), "by": by}
        pid = self._forks.start(
            url=self.world.database.url,
            address="http://127.0.0.1:9",  # nothing is asked of a provider
            seen=str(seen),
            kill_at=kill_at,
            epoch=time.time(),
            job="close",
            told={**told, "months": " ".join(months or (FEBRUARY, MARCH))},
            commits=True,
        )
        return pid, seen

    def run(self, kill_at: str | None = None) -> tuple[int, list[str]]:
        """Such a process, and how it ended."""
        pid, seen = self.start(kill_at=kill_at)
        return self.wait(pid), seen.read_text().splitlines()

    def wait(self, pid: int) -> int:
        """How a process ended."""
        return self._forks.wait(pid)

    def told(self) -> Told:
        """What stands in the log of the program."""
        ledger, program_id = self.world.ledger, self.world.program_id
        streams = (ids.periods_id(program_id), ids.statements_id(program_id))
        return Told(*(ledger.history(stream) for stream in streams))

    def check(self, name: str) -> None:
        """No month is closed twice, no statement issued twice; the numbers have no gap; each says what its
        fact froze."""
        told = self.told()
        months = [each.fact.period for each in told.periods if isinstance(each.fact, PeriodClosed)]
        assert months == sorted(set(months))
        issued = [each.fact for each in told.statements if isinstance(each.fact, StatementIssued)]
        assert [fact.number for fact in issued] == [f"{name}-{n:06}" for n in range(1, len(issued) + 1)]
        assert len({(fact.period, fact.partner_id, fact.currency) for fact in issued}) == len(issued)
        said = [content_sha256(each) for each in self.stated()]
        assert said == [fact.content_sha256 for fact in issued]

    def stated(self) -> list[Statement]:
        """The program's statements as they are derived now, by number."""
        self.runner.catch_up()
        of = tables.statements.c
        query = sa.select(tables.statements).where(of.program_id == self.world.program_id).order_by(of.count)
        with self.world.database.read() as connection:
            return [restate(self.world.ledger, connection, row) for row in connection.execute(query).all()]

    def outcome(self) -> list[Any]:
        """What was frozen and issued, without what is of one program or of one moment."""
        found: list[Any] = []
        for each in (*self.told().periods, *self.told().statements):
            match each.fact:
                case PeriodTotalsFrozen() as fact:
                    found.append((fact.period, fact.totals))
                case StatementIssued() as fact:
                    of = (fact.count, fact.period, fact.partner_id, fact.lines, fact.opening, fact.closing)
                    found.append(of)
        return found

    def verify(self) -> tuple[int, int]:
        """Each closing and statement of all programs worked out of the facts anew: how many there are."""
        findings = Findings()
        checked = check_months(self.world.ledger, findings, lambda _at, _of: None)
        assert findings.firsts == {}
        return checked

    def moved(self, program_id: UUID) -> dict[UUID, dict[str, int]]:
        """Per partner the balance of each account, straight from the facts; each of them sums to zero."""
        return self.world.balances_of(program_id)
