"""Makes tests/fixtures/events: stored examples of each fact type, written once and never again.

`python -m tests.support.stored_events` adds the examples that are missing. It changes none that is there.
"""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid5

import msgspec

from ledger.events.base import Fact, Recorded
from ledger.ids import ROOT
from ledger.store.mapper import FactMapper, fact_types, topic_of
from ledger.store.upcasts import UPCASTS

FOLDER = Path(__file__).parents[1] / "fixtures" / "events"
RECORDED_AT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
STREAM = uuid5(ROOT, "fixture")
SAMPLES: dict[str, Any] = {
    "amount_minor": 10_050,
    "attempt": 1,
    "body": "amount=10050&currency=gbp",
    "begins_at": datetime(2026, 2, 1, tzinfo=UTC),
    "bic": "COBADEFFXXX",
    "by": "key:5f1c",
    "code": "ACME-1",
    "content_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "country": "GB",
    "currency": "GBP",
    "destination": "acct_1ABCdef",
    "effective_at": datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC),
    "due_on": date(2026, 2, 28),
    "ends_at": datetime(2026, 3, 1, tzinfo=UTC),
    "email": "partners@example.com",
    "locale": "de-AT",
    "execution_date": date(2026, 3, 2),
    "expires_at": datetime(2030, 1, 1, tzinfo=UTC),
    "found": {"position": "1207"},
    "iban": "DE89370400440532013000",
    "idempotency_key": "payout-1-1",
    "landing_url": "https://shop.example/welcome",
    "looked_from": datetime(2026, 2, 27, 12, tzinfo=UTC),
    "matures_at": datetime(2026, 3, 30, 23, 59, 59, tzinfo=UTC),
    "name": "Café Zürich & Söhne",
    "period": "2026-02",
    "period_from": datetime(2026, 2, 1, tzinfo=UTC),
    "period_to": datetime(2026, 3, 1, tzinfo=UTC),
    "person": "Ada",
    "place": "database 16384, timeline 1",
    "provider": "stripe",
    "searched_from": datetime(2026, 3, 1, 8, tzinfo=UTC),
    "searched_to": datetime(2026, 3, 1, 9, tzinfo=UTC),
    "seen_position": 4_711,
    "secret_sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "share_bps": 10_000,
    "terms": {"language": 1, "rules": [{"kinds": ["sale"], "reward": {"rate_bps": 2_000}}]},
    "terms_version": 2,
    "through": datetime(2026, 2, 1, tzinfo=UTC),
    "time_zone": "Europe/London",
}
"""What the fields of these names hold; others get something of their type."""


def sample(cls: type[Any], *, bare: bool = False) -> Any:
    """A fact with every field filled; or bare, with none that has a default."""
    fields = {
        field.name: SAMPLES[field.name] if field.name in SAMPLES else _value(field.name, field.type)
        for field in _struct(cls).fields
        if field.required or not bare
    }
    return cls(**fields)


def _struct(cls: type[Any]) -> msgspec.inspect.StructType:
    found = msgspec.inspect.type_info(cls)
    assert isinstance(found, msgspec.inspect.StructType)
    return found


def _value(name: str, kind: msgspec.inspect.Type) -> Any:
    match kind:
        case msgspec.inspect.StrType():
            return f"some {name.replace('_', ' ')}"
        case msgspec.inspect.IntType():
            return 1_234
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.UUIDType():
            return uuid5(ROOT, name)
        case msgspec.inspect.LiteralType(values=values):
            return values[-1]
        case msgspec.inspect.VarTupleType(item_type=item):
            return (_value(name, item),)
        case msgspec.inspect.StructType(cls=cls):
            return sample(cls)
        case msgspec.inspect.UnionType(types=types):
            return _value(name, next(t for t in types if not isinstance(t, msgspec.inspect.NoneType)))
        case msgspec.inspect.Metadata(type=inner):
            return _value(name, inner)
        case _:
            raise TypeError(f"say in SAMPLES what {name} holds: {kind}")


def fields_of(fact: Fact) -> dict[str, Any]:
    """All fields of a fact as JSON holds them, those with default values too."""
    values = {name: getattr(fact, name) for name in fact.__struct_fields__}
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(values))
    return fields


def write_missing(folder: Path = FOLDER) -> list[str]:
    """Write the examples of each type and version that has none; answer their topics."""
    mapper = FactMapper(UPCASTS)
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for cls in fact_types():
        topic = topic_of(cls)
        path = folder / f"{topic}.json"
        if path.exists():
            continue
        examples = []
        full, bare = sample(cls), sample(cls, bare=True)
        # The bare one holds the defaults fast: they are not stored, so that changing one would change facts.
        for fact in (full,) if full == bare else (full, bare):
            recorded: Any = Recorded(STREAM, 1, RECORDED_AT, "key:5f1c", fact)
            state = mapper.to_stored_event(recorded).state.decode()
            examples.append({"state": state, "fields": fields_of(fact)})
        fixture = {"topic": topic, "examples": examples}
        path.write_text(json.dumps(fixture, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(topic)
    return written


if __name__ == "__main__":
    write_missing()
