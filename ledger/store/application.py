"""The ledger: the library's application over our mapper and recorder. Loads, decides, appends."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast
from uuid import UUID

import sqlalchemy as sa
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    InfrastructureFactoryError,
    Mapper,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType

from ledger.events.base import Fact, Recorded
from ledger.refusals import LostRace
from ledger.store.commit import GroupCommitter
from ledger.store.database import Database
from ledger.store.mapper import FactMapper
from ledger.store.recorder import EventRecorder, NewEvent, Row, make_recorder
from ledger.store.upcasts import UPCASTS

S = TypeVar("S")
ATTEMPTS_MAX: Final = 5
NEWEST_CHUNK: Final = 20


def utc_now() -> datetime:
    """The time now, aware, in UTC: what `recorded_at` is stamped with."""
    return datetime.now(UTC)


class Decider(NamedTuple, Generic[S]):
    """A rule's memory: what it starts from and how a fact changes it. `evolve` never refuses."""

    initial: S
    evolve: Callable[[S, Fact], S]

    def after(self, facts: Iterable[Fact]) -> S:
        """The state that a stream of these facts leaves."""
        return functools.reduce(self.evolve, facts, self.initial)


class Loaded(NamedTuple, Generic[S]):
    """A stream's state and the version of its last event (0: nothing is stored yet)."""

    state: S
    version: int


class Change(NamedTuple):
    """New facts for one stream, decided upon its `expected_version`."""

    stream_id: UUID
    expected_version: int
    facts: Sequence[Fact]


class _Factory(InfrastructureFactory[TrackingRecorder]):
    """Hands the library our one recorder; positions of readers are kept beside their views."""

    def __init__(self, env: Environment, recorder: EventRecorder) -> None:
        super().__init__(env)
        self._recorder = recorder

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        return self._recorder

    def application_recorder(self) -> ApplicationRecorder:
        return self._recorder

    def tracking_recorder(
        self, tracking_recorder_class: type[TrackingRecorder] | None = None
    ) -> TrackingRecorder:
        raise InfrastructureFactoryError("readers keep their positions in the table `positions`")

    def process_recorder(self) -> ProcessRecorder:
        raise InfrastructureFactoryError("readers keep their positions in the table `positions`")

    def close(self) -> None:
        self._recorder.database.close()


class Ledger(Application[UUID]):
    """All streams of an installation. With `group_commit`, concurrent appends share transactions."""

    name = "revshare"

    def __init__(
        self,
        database: Database,
        *,
        group_commit: bool = False,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.database = database
        self.clock = clock
        self._recorder = make_recorder(database)
        super().__init__()
        self.facts = cast(FactMapper, self.mapper)
        self.committer = GroupCommitter(self._recorder) if group_commit else None

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """The library's environment, from nothing but our own settings."""
        return Environment(name, {})

    def construct_factory(self, env: Environment) -> InfrastructureFactory[TrackingRecorder]:
        """The factory around our recorder."""
        return _Factory(env, self._recorder)

    def construct_mapper(self) -> Mapper[UUID]:
        """Our msgspec mapper, with every upcast."""
        return FactMapper(UPCASTS)

    @property
    def log(self) -> EventRecorder:  # type: ignore[override]
        """The recorder, for raw reads of the log and of many streams at once."""
        return self._recorder

    def close(self) -> None:
        """Commit what waits and give the connections back."""
        if getattr(self, "committer", None) is not None:
            cast(GroupCommitter, self.committer).close()
        super().close()

    # Reading

    def load(self, stream_id: UUID, decider: Decider[S]) -> Loaded[S]:
        """The state of one stream, from its facts."""

        def project(_initial: Any, events: Iterable[Any]) -> Any:
            return self._fold(decider, cast("Iterable[Recorded]", events))

        try:
            return cast("Loaded[S]", self.repository.get(stream_id, projector_func=project))
        except AggregateNotFoundError:
            return Loaded(decider.initial, 0)

    def load_many(self, stream_ids: Sequence[UUID], decider: Decider[S]) -> dict[UUID, Loaded[S]]:
        """The states of many streams in one read; streams without facts are there too."""
        with self.database.read() as connection:
            streams = self.streams(connection, stream_ids)
        empty = Loaded(decider.initial, 0)
        return {stream: self._fold(decider, streams.get(stream, [])) or empty for stream in stream_ids}

    def streams(
        self, connection: sa.Connection, stream_ids: Sequence[UUID], *, until: int | None = None
    ) -> dict[UUID, list[Recorded]]:
        """The recorded facts of many streams up to a position of the log, by stream, in order."""
        found: dict[UUID, list[Recorded]] = {}
        for row in self._recorder.read_streams(connection, stream_ids, until=until):
            recorded = self.decode(row)
            found.setdefault(recorded.originator_id, []).append(recorded)
        return found

    def history(
        self, stream_id: UUID, *, after: int | None = None, until: int | None = None
    ) -> list[Recorded]:
        """The recorded facts of one stream, in order: those after a version, up to another one."""
        return [cast(Recorded, event) for event in self.events.get(stream_id, gt=after, lte=until)]

    def first(self, stream_id: UUID) -> Recorded | None:
        """The first recorded fact of a stream; the rest is not read."""
        return next((cast(Recorded, event) for event in self.events.get(stream_id, limit=1)), None)

    def newest_first(self, stream_id: UUID) -> Iterator[Recorded]:
        """The recorded facts of one stream from its end on, read as far as they are asked for."""
        before: int | None = None
        while found := list(self.events.get(stream_id, lte=before, desc=True, limit=NEWEST_CHUNK)):
            yield from (cast(Recorded, event) for event in found)
            before = cast(Recorded, found[-1]).originator_version - 1

    def decode(self, row: Row) -> Recorded:
        """The recorded fact of a raw row of the log."""
        return self.facts.decode(*row)

    @staticmethod
    def _fold(decider: Decider[S], events: Iterable[Recorded]) -> Loaded[S] | None:
        state, version = decider.initial, 0
        for event in events:
            state, version = decider.evolve(state, event.fact), event.originator_version
        return Loaded(state, version) if version else None

    # Writing

    def execute(
        self, stream_id: UUID, decider: Decider[S], decide: Callable[[S], Sequence[Fact]], *, by: str
    ) -> tuple[Loaded[S], list[Recorded]]:
        """Load, decide, append: the state after, and what is new (nothing where the wish was met before).

        `decide` is pure and may refuse. It runs again when somebody else appended first; LostRace after
        five times.
        """
        for _ in range(ATTEMPTS_MAX):
            state, version = self.load(stream_id, decider)
            facts = decide(state)
            if not facts:
                return Loaded(state, version), []
            recorded = self.append([Change(stream_id, version, facts)], by=by)
            if recorded is not None:
                for fact in facts:
                    state = decider.evolve(state, fact)
                return Loaded(state, version + len(facts)), recorded
        raise LostRace(f"stream {stream_id} was changed by others {ATTEMPTS_MAX} times in a row")

    def append(
        self,
        changes: Sequence[Change],
        *,
        by: str,
        within: Callable[[sa.Connection], None] | None = None,
        at: datetime | None = None,
    ) -> list[Recorded] | None:
        """Store changes to several streams, all or none; None when one of them lost a race."""
        recorded = self.stamp(changes, by=by, at=at)
        positions = self.append_units([recorded], within=within)[0]
        if positions is None:
            return None
        return [
            Recorded(r.originator_id, r.originator_version, r.recorded_at, r.by, r.fact, position)
            for r, position in zip(recorded, positions, strict=True)
        ]

    def stamp(self, changes: Sequence[Change], *, by: str, at: datetime | None = None) -> list[Recorded]:
        """Envelopes for changes: consecutive versions, one time, one author."""
        now = at or self.clock()
        return [
            Recorded(change.stream_id, version, now, by, fact)
            for change in changes
            for version, fact in enumerate(change.facts, start=change.expected_version + 1)
        ]

    def append_units(
        self,
        units: Sequence[Sequence[Recorded]],
        *,
        within: Callable[[sa.Connection], None] | None = None,
        before: Callable[[sa.Connection], None] | None = None,
    ) -> list[list[int] | None]:
        """Store units of envelopes, each all or none; per unit its positions, None where it lost a race.

        `within` and `before` run in the same transaction, as the recorder says.
        """
        if within is None and before is None:
            return self.send_units(units)()
        return self._recorder.append(self._rows(units), within, before=before)

    def send_units(self, units: Sequence[Sequence[Recorded]]) -> Callable[[], list[list[int] | None]]:
        """As `append_units`; the answer is a call that waits for it, so that the next units can be made
        ready while these are written. Without group commit they are written before this returns."""
        if self.committer is not None:
            return self.committer.submit(self._rows(units)).result
        outcome = self._recorder.append(self._rows(units))
        return lambda: outcome

    def _rows(self, units: Sequence[Sequence[Recorded]]) -> list[list[NewEvent]]:
        to_row = self.facts.to_row
        # Most units are of one event: a loop inside the loop would cost more than it.
        return [[to_row(unit[0])] if len(unit) == 1 else [to_row(each) for each in unit] for unit in units]
