"""Closed months and statements: what was frozen of them, worked out of the facts anew."""

from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from ledger import ids
from ledger import period as rules
from ledger.events.base import Recorded
from ledger.events.period import (
    PeriodClosed,
    PeriodTotal,
    PeriodTotalsFrozen,
    StatementAmounts,
    StatementIssued,
)
from ledger.period import ClosePeriod, PeriodsState, Span
from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from ledger.store.mapper import topics_of
from projections import position
from projections.statements.closing import JOURNAL
from projections.statements.deriving import content_sha256, last_closing
from projections.statements.facts import books, tallied
from projections.statements.issuing import CONVERSIONS, PERIODS, restate, statement_row
from projections.verification.findings import Findings

TOPICS: Final = topics_of((PeriodClosed, PeriodTotalsFrozen, StatementIssued))
VIEWS: Final = (JOURNAL, CONVERSIONS, PERIODS)
ROWS: Final = 500
NOTHING: Final = StatementAmounts(**dict.fromkeys(StatementAmounts.__struct_fields__, 0))


def check_months(ledger: Ledger, findings: Findings, progress: Callable[[int, int], None]) -> tuple[int, int]:
    """Hold each closing to the facts of its month, and each statement to what is derived of it now: how many
    closings and statements. Those that the views have not seen yet are left for later."""
    with ledger.database.read() as connection:
        reached = min(position.read(connection, VIEWS).values())
    months = _Months(ledger, findings)
    for recorded in _frozen(ledger, reached):
        months.check(recorded)
        progress(recorded.position, reached)
    progress(reached, reached)
    return months.closings, months.statements


def _frozen(ledger: Ledger, reached: int) -> Iterator[Recorded]:
    after = 0
    while True:
        with ledger.database.read() as connection:
            rows = ledger.log.read_log(connection, after=after, limit=ROWS, stop=reached, topics=TOPICS)
        if not rows:
            return
        after = rows[-1][4]
        for row in rows:
            try:
                yield ledger.decode(row)
            except (LookupError, ValueError, TypeError):
                continue  # words that are none: its leaf names it


class _Months:
    def __init__(self, ledger: Ledger, findings: Findings) -> None:
        self.closings = self.statements = 0
        self._ledger, self._findings = ledger, findings
        self._states: dict[UUID, PeriodsState] = {}
        self._totals: dict[UUID, tuple[PeriodTotal, ...]] = {}
        self._held: dict[tuple[UUID, UUID, str], StatementAmounts] = {}

    def check(self, recorded: Recorded) -> None:
        fact = recorded.fact
        match fact:
            case PeriodClosed():
                self.closings += 1
                place = {"position": recorded.position, "period": fact.period}
                self._try("closing_differs", place, lambda: self._closed(fact, place))
            case PeriodTotalsFrozen():
                self._hold_totals(recorded.position, fact)
            case StatementIssued():
                self.statements += 1
                place = {"position": recorded.position, "statement": fact.number}
                self._try("statement_differs", place, lambda: self._issued(fact, place))
            case _:
                return
        if not isinstance(fact, StatementIssued):
            state = self._states.get(fact.program_id, rules.INITIAL)
            self._states[fact.program_id] = rules.evolve(state, fact)

    def _try(self, kind: str, place: dict[str, Any], check: Callable[[], None]) -> None:
        try:
            check()
        except DatabaseUnavailable:
            raise
        except Exception as error:  # of tables that were tampered with nothing need be possible
            self._findings.add(kind, place, "what was frozen", f"{type(error).__name__}: {error}"[:200])

    def _closed(self, fact: PeriodClosed, place: dict[str, Any]) -> None:
        state = self._states.get(fact.program_id, rules.INITIAL)
        found = Span(fact.period, fact.begins_at, fact.ends_at, fact.time_zone)
        self._totals.pop(fact.program_id, None)
        with self._ledger.database.read() as connection:
            told = tallied(self._ledger, connection, fact.program_id, state, found, fact.through_position)
        wish = ClosePeriod(program_id=fact.program_id, period=fact.period)
        held = books(told, fact.through_position)
        closed, frozen = rules.close(wish, state, found, held, salt="", by=fact.closed_by)
        self._totals[fact.program_id] = frozen.totals
        self._hold("closing_differs", place, closed, fact)

    def _hold_totals(self, place: int, fact: PeriodTotalsFrozen) -> None:
        expected = self._totals.pop(fact.program_id, None)
        if expected is None:
            return  # of its closing something was found
        if not any(each.legs is not None for each in fact.totals):  # version 1 counted none
            expected = tuple(msgspec.structs.replace(each, legs=None) for each in expected)
        named = {(each.account, each.currency): each for each in expected}
        stands = {(each.account, each.currency): each for each in fact.totals}
        for key in sorted({*named, *stands}):
            if named.get(key) != stands.get(key):
                at = {"position": place, "period": fact.period, "account": key[0], "currency": key[1]}
                self._findings.add("closing_differs", at, _told(named.get(key)), _told(stands.get(key)))
                return

    def _issued(self, fact: StatementIssued, place: dict[str, Any]) -> None:
        key = (fact.program_id, fact.partner_id, fact.currency)
        opening = self._held.get(key, NOTHING)
        with self._ledger.database.read() as connection:
            if fact.corrects is None:
                self._held[key] = fact.closing
            else:
                _, before = last_closing(connection, key, fact.period)
                opening = StatementAmounts(**msgspec.structs.asdict(before))
            row = statement_row(connection, ids.statement_id(fact.program_id, fact.count))
            made = restate(self._ledger, connection, row)
        expected = msgspec.structs.replace(
            fact,
            opening=opening,
            closing=StatementAmounts(**msgspec.structs.asdict(made.closing)),
            lines=len(made.lines),
            content_sha256=content_sha256(made),
        )
        self._hold("statement_differs", place, expected, fact)

    def _hold(self, kind: str, place: dict[str, Any], expected: Any, found: Any) -> None:
        """Name the first field that differs."""
        for name in expected.__struct_fields__:
            one, other = getattr(expected, name), getattr(found, name)
            if one != other:
                self._findings.add(kind, {**place, "field": name}, _told(one), _told(other))
                return


def _told(value: Any) -> Any:
    return "nothing" if value is None else msgspec.to_builtins(value)
