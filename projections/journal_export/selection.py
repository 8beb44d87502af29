"""Which part of the journal is exported, and how it is read: a page at a time, up to one place in the log."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from ledger.month import Month, months
from ledger.store.application import Ledger
from projections import position
from projections.forms import Memo
from projections.months import EARLIEST, LATEST, Zones, bucket_of, zones_of
from projections.reports.scope import Row, Scope, named, places
from projections.tables import journal, partners, programs

LEGS_AT_ONCE = 5_000
IN_MEMORY_BYTES: Final = 1 << 20
Progress = Callable[[int, int], None]
"""Is told how far in the log the export is, and where it ends."""
_FACTS: Final = sa.table(
    "stored_events",
    sa.column("notification_id", sa.BigInteger),
    sa.column("originator_id", sa.Uuid),
    sa.column("originator_version", sa.BigInteger),
    sa.column("topic", sa.Text),
)


class Party(msgspec.Struct, frozen=True):
    """A program or a partner: its id, reference and name."""

    id: UUID
    reference: str
    name: str


class Entry(msgspec.Struct, frozen=True):
    """One fact with its legs: an account of the chart, an amount (a debit is positive), a currency."""

    position: int
    event_id: UUID
    event_version: int
    topic: str
    posting_version: int
    effective_at: datetime
    recorded_at: datetime
    day: date
    program: Party
    partner: Party
    reward_id: UUID | None
    payout_id: UUID | None
    conversion_id: UUID | None
    legs: Sequence[tuple[str, int, str]]

    @property
    def event(self) -> str:
        """The fact's place in its stream: the stream's id and the version."""
        return f"{self.event_id}@{self.event_version}"


class Sum(msgspec.Struct, frozen=True):
    """What an account came to: moved in a month, or (`month` is None) in all the time before the first.

    `day` is that of the first leg counted, `total` what the account holds at the end of the month.
    """

    account: str
    program: Party
    partner: Party
    currency: str
    month: Month | None
    day: date
    moved: int
    total: int


class Selection:
    """The journal up to where it was when the export began; of some months by effective date, or of all.

    What is asked twice is answered alike: nothing that comes meanwhile is in it.
    """

    def __init__(
        self, ledger: Ledger, scope: Scope, first: Month | None = None, last: Month | None = None
    ) -> None:
        self._database = ledger.database
        self._scope = scope
        self.first = first
        self._last = last
        self._kept: IO[bytes] | None = None
        self._zones: Zones = zones_of(ledger, scope.program_id)
        self._parties = {"program_id": Memo(self._program), "partner_id": Memo(self._partner)}
        with self._database.read() as connection:
            self.upto = position.read(connection, ["view:journal"])["view:journal"]

    def entries(self, progress: Progress = lambda _done, _total: None) -> Iterator[Entry]:
        """Every fact of the selection with its legs, in the order of the log."""
        after = 0
        while after < self.upto:
            rows = self._page(after)
            whole = len(rows) < LEGS_AT_ONCE
            if not whole:
                last = rows[-1]["position"]
                rows = [row for row in rows if row["position"] < last]
                assert rows, "no fact has so many legs"
            for _, legs in groupby(rows, itemgetter("position")):
                yield self._entry(list(legs))
            after = self.upto if whole else rows[-1]["position"]
            progress(after, self.upto)
        progress(self.upto, self.upto)

    def sums(self) -> Iterator[Sum]:
        """What each account moved by in each month, and before the first, in the order of accounts.

        They are asked for once and kept in a file: whoever takes the export slowly holds no transaction open.
        """
        if self._kept is None:
            self._kept = self._summed_up()
        self._kept.seek(0)
        for line in self._kept:
            yield msgspec.json.decode(line, type=Sum)

    def close(self) -> None:
        """Give up what was kept."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _summed_up(self) -> IO[bytes]:
        kept = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - `close` closes it
        keys = itemgetter("program_id", "partner_id", "account", "currency")
        order = ("place", "currency", "bucket")
        for zone in self._zones.all:
            periods = self._months(zone)
            if not periods:
                continue
            with self._database.read() as connection:
                rows = named(connection, self._summed(periods, zone), *order, by_currency=False)
                for _, group in groupby(rows, keys):
                    kept.writelines(
                        msgspec.json.encode(each) + b"\n" for each in self._sums(list(group), periods, zone)
                    )
        return kept

    def begins_on(self) -> date | None:
        """The first day of the first month; None: the export has no beginning of its own."""
        return None if self.first is None else self.first.first_day

    def day_of(self, moment: datetime, program_id: UUID) -> date:
        """The day that a moment is in a program's time zone."""
        return _day(moment, self._zones.of(program_id))

    def _sums(self, rows: Sequence[Row], periods: Sequence[Month], zone: str) -> Iterator[Sum]:
        total = 0
        for row in rows:
            moved = int(row["moved"])
            total += moved
            yield Sum(
                account=row["account"],
                program=self._party("program", row),
                partner=self._party("partner", row),
                currency=row["currency"],
                month=periods[row["bucket"] - 1] if row["bucket"] else None,
                day=_day(row["since"], zone),
                moved=moved,
                total=total,
            )

    def _party(self, kind: str, row: Row) -> Party:
        party: Party = self._parties[f"{kind}_id"][row[f"{kind}_id"]]
        return party

    def _months(self, zone: str) -> list[Month]:
        """The months in which something of the selection is, or those that were asked for."""
        c = journal.c
        query = sa.select(sa.func.min(c.effective_at), sa.func.max(c.effective_at)).where(*self._of(zone))
        with self._database.read() as connection:
            earliest, latest = connection.execute(query).one()
        if earliest is None:
            return []
        first = self.first or Month.of(max(earliest, EARLIEST), zone)
        last = self._last or max(first, Month.of(min(latest, LATEST), zone))
        return months(first, last)

    def _of(self, zone: str) -> list[sa.ColumnElement[bool]]:
        """What is counted of a zone's programs: everything up to the end, also before the first month."""
        c = journal.c
        found = [
            *self._scope.conditions(c),
            c.position <= self.upto,
            self._zones.condition(c.program_id, zone),
        ]
        if self._last is not None:
            found.append(c.effective_at < self._last.following.begins_at(zone))
        return found

    def _summed(self, periods: Sequence[Month], zone: str) -> sa.Select[Any]:
        c = journal.c
        bucket = bucket_of(c.effective_at, [period.begins_at(zone) for period in periods])
        key = (c.program_id, c.partner_id, c.account, c.currency)
        legs = (
            sa.select(*key, c.amount_minor, c.effective_at, bucket.label("bucket"))
            .where(*self._of(zone))
            .subquery()
        )
        k = legs.c
        inner = (k.program_id, k.partner_id, k.account, k.currency, k.bucket)
        return sa.select(
            *inner,
            places(k.account).label("place"),
            sa.func.sum(k.amount_minor).label("moved"),
            sa.func.min(k.effective_at).label("since"),
        ).group_by(*inner)

    def _page(self, after: int) -> list[Row]:
        c, f = journal.c, _FACTS.c
        within = [
            sa.and_(
                self._zones.condition(c.program_id, zone),
                *([c.effective_at >= self.first.begins_at(zone)] if self.first else []),
                *([c.effective_at < self._last.following.begins_at(zone)] if self._last else []),
            )
            for zone in self._zones.all
        ]
        query = (
            sa.select(journal, f.originator_id, f.originator_version, f.topic)
            .join_from(journal, _FACTS, f.notification_id == c.position)
            .where(c.position > after, c.position <= self.upto, *self._scope.conditions(c))
            .order_by(c.position, c.leg)
            .limit(LEGS_AT_ONCE)
        )
        if self.first or self._last:
            query = query.where(sa.or_(*within))
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _entry(self, legs: Sequence[Row]) -> Entry:
        row = legs[0]
        return Entry(
            position=row["position"],
            event_id=row["originator_id"],
            event_version=row["originator_version"],
            topic=row["topic"],
            posting_version=row["posting_version"],
            effective_at=row["effective_at"],
            recorded_at=row["recorded_at"],
            day=self.day_of(row["effective_at"], row["program_id"]),
            program=self._party("program", row),
            partner=self._party("partner", row),
            reward_id=row["reward_id"],
            payout_id=row["payout_id"],
            conversion_id=row["conversion_id"],
            legs=[(leg["account"], leg["amount_minor"], leg["currency"]) for leg in legs],
        )

    def _program(self, program_id: UUID) -> Party:
        return self._found(programs, programs.c.program_id, program_id)

    def _partner(self, partner_id: UUID) -> Party:
        return self._found(partners, partners.c.partner_id, partner_id)

    def _found(self, table: sa.Table, key: sa.ColumnElement[UUID], wanted: UUID) -> Party:
        with self._database.read() as connection:
            row = connection.execute(sa.select(table.c.reference, table.c.name).where(key == wanted)).first()
        return Party(wanted, *row) if row is not None else Party(wanted, str(wanted), str(wanted))


def _day(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()
