"""Facts to bytes and back: one JSON document per event, its type and version in the topic."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar, cast
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, Notification, StoredEvent

from ledger.events import (
    access,
    account,
    audit,
    bank,
    conversion,
    partner,
    payout,
    period,
    program,
    reconciliation,
    referral,
    reward,
)
from ledger.events.base import Fact, Recorded
from ledger.store.event_recorder import NewEvent

F = TypeVar("F")
Upcast = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the JSON of a fact of one version into that of the next."""

NESTED: Final = (
    bank.StatementLine,
    period.PeriodTotal,
    period.StatementAmounts,
    program.CountryWithholding,
    program.PayoutSchedule,
    referral.AttributionShare,
    reward.CapApplied,
)
"""Facts that only stand inside others, never in a stream of their own."""


class UnknownTopic(LookupError):
    """A stored event's topic is none of ours: written by a newer version, or not by us."""


class _State(msgspec.Struct, Generic[F], frozen=True, forbid_unknown_fields=True, gc=False):
    recorded_at: datetime
    by: str
    fact: F


def fact_types() -> list[type[Fact]]:
    """Every fact that can stand in a stream, by name."""
    modules = (
        access,
        account,
        audit,
        bank,
        conversion,
        partner,
        payout,
        period,
        program,
        reconciliation,
        referral,
        reward,
    )
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Fact) and value is not Fact
    }
    return sorted(found - set(NESTED), key=lambda cls: cls.__name__)


def topic_of(cls: type[Fact], version: int | None = None) -> str:
    """The stored topic: the fact's name and version, free of the module that it stands in today."""
    return f"{cls.__name__}@{cls.version if version is None else version}"


def topics_of(kinds: Iterable[type[Fact]]) -> tuple[str, ...]:
    """The stored topics of facts, with those of their older versions."""
    return tuple(topic_of(kind, version) for kind in kinds for version in range(1, kind.version + 1))


class FactMapper(Mapper[UUID]):
    """The library's mapper for our envelopes. `upcasts` maps a topic of an old version to its upcast."""

    def __init__(self, upcasts: Mapping[str, Upcast], types: list[type[Fact]] | None = None) -> None:
        super().__init__(transcoder=JSONTranscoder())
        self._types = {cls.__name__: cls for cls in (types or fact_types())}
        self._topics = {cls: topic_of(cls) for cls in self._types.values()}
        self._decode = {
            topic_of(cls): msgspec.json.Decoder(_State[cls]).decode  # type: ignore[valid-type]
            for cls in self._types.values()
        }
        self._encode = msgspec.json.Encoder().encode
        self._upcasts = upcasts

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """The row of an envelope."""
        row = self.to_row(cast(Recorded, domain_event))
        return StoredEvent(row.originator_id, row.originator_version, row.topic, row.state)

    def to_row(self, recorded: Recorded) -> NewEvent:
        """As `to_stored_event`, for our own recorder."""
        fact = recorded.fact
        state = self._encode(_State(recorded.recorded_at, recorded.by, fact))
        return NewEvent(recorded.originator_id, recorded.originator_version, self._topics[type(fact)], state)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """The envelope of a row, its fact upcast to today's shape. Raises UnknownTopic."""
        position = stored_event.id if isinstance(stored_event, Notification) else 0
        recorded = self.decode(
            cast(UUID, stored_event.originator_id),
            stored_event.originator_version,
            stored_event.topic,
            stored_event.state,
            position,
        )
        return cast(DomainEventProtocol[UUID], recorded)

    def decode(self, stream_id: UUID, version: int, topic: str, state: bytes, position: int) -> Recorded:
        """The envelope of a row's columns. Raises UnknownTopic."""
        decode = self._decode.get(topic)
        body = decode(state) if decode else self._decode_older(topic, state)
        return Recorded(stream_id, version, body.recorded_at, body.by, body.fact, position)

    def _decode_older(self, topic: str, state: bytes) -> _State[Any]:
        name, _, stored_version = topic.partition("@")
        cls = self._types.get(name)
        if cls is None or not stored_version.isdigit() or int(stored_version) >= cls.version:
            raise UnknownTopic(topic)
        body = msgspec.json.decode(state)
        for version in range(int(stored_version), cls.version):
            body["fact"] = self._upcasts[topic_of(cls, version)](body["fact"])
        return cast("_State[Any]", msgspec.convert(body, _State[cls], strict=False))  # type: ignore[valid-type]
