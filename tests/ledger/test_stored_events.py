"""What was once stored is read for ever: an example of every fact type and version, and the upcasts."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from ledger.events.base import Fact, Recorded
from ledger.store.mapper import FactMapper, UnknownTopic, fact_types, topic_of
from ledger.store.upcasts import UPCASTS
from tests.support.stored_events import FOLDER, RECORDED_AT, STREAM, fields_of, write_missing

CURRENT = {topic_of(cls) for cls in fact_types()}
WHAT_TO_DO = (
    "A stored shape never changes in place. Put it back; or raise the type's `version` by one, write the"
    " upcast from the old version into ledger/store/upcasts.py, and run"
    " `python -m tests.support.stored_events` for the new version's example. The old version's example stays,"
    " its `state` untouched; its `fields` say what the upcast makes of it."
)


def fixtures() -> list[Path]:
    """Every example that was ever stored."""
    return sorted(FOLDER.glob("*.json"))


def read(path: Path) -> tuple[str, list[tuple[bytes, dict[str, Any]]]]:
    """Topic, and stored bytes and expected fields of each example."""
    fixture = json.loads(path.read_text(encoding="utf-8"))
    return fixture["topic"], [(each["state"].encode(), each["fields"]) for each in fixture["examples"]]


def test_every_type_that_is_written_today_has_an_example():
    """A new type needs one before it ships."""
    there = {path.stem for path in fixtures()}

    missing = sorted(CURRENT - there)
    assert not missing, f"no stored example of {missing}: run `python -m tests.support.stored_events`"
    assert len(there) >= 49


@pytest.mark.parametrize("path", fixtures(), ids=lambda path: path.stem)
def test_a_stored_example_is_still_read_as_what_it_was(path):
    """Same fields, same values, same envelope; and today's topics are written to the very same bytes."""
    mapper = FactMapper(UPCASTS)
    topic, examples = read(path)
    assert topic == path.stem

    for state, fields in examples:
        try:
            recorded: Any = mapper.decode(STREAM, 1, topic, state, 9)
        except Exception as error:
            raise AssertionError(f"{topic} can't be read any more: {error}. {WHAT_TO_DO}") from error

        assert fields_of(recorded.fact) == fields, WHAT_TO_DO
        assert recorded == Recorded(STREAM, 1, RECORDED_AT, "key:5f1c", recorded.fact, 9)
        if topic in CURRENT:
            assert mapper.to_stored_event(recorded).state == state, WHAT_TO_DO


def test_examples_are_written_once(tmp_path):
    """The script adds what is missing and leaves alone what is there."""
    first = write_missing(tmp_path)
    kept = tmp_path / f"{first[0]}.json"
    kept.write_text("as it was", encoding="utf-8")

    assert set(first) == CURRENT
    assert write_missing(tmp_path) == []
    assert kept.read_text(encoding="utf-8") == "as it was"


class TeaBrewed(Fact, frozen=True, kw_only=True):
    """A made-up type in its third shape; the first had `minutes`, the second `seconds` without `leaf`."""

    version: ClassVar[int] = 3
    brewed_at: datetime
    seconds: int
    leaf: str


TEA_UPCASTS = {
    "TeaBrewed@1": lambda fact: {"brewed_at": fact["brewed_at"], "seconds": fact["minutes"] * 60},
    "TeaBrewed@2": lambda fact: fact | {"leaf": "unknown"},
}
TEA = FactMapper(TEA_UPCASTS, [TeaBrewed])


@pytest.mark.parametrize(
    ("topic", "fact", "leaf"),
    [
        ("TeaBrewed@1", {"minutes": 3}, "unknown"),
        ("TeaBrewed@2", {"seconds": 180}, "unknown"),
        ("TeaBrewed@3", {"seconds": 180, "leaf": "assam"}, "assam"),
    ],
)
def test_older_versions_climb_to_today_s_shape(topic, fact, leaf):
    """One upcast a version, each from the stored JSON of one to the next."""
    body = {
        "recorded_at": "2026-03-01T12:00:00Z",
        "by": "cli",
        "fact": fact | {"brewed_at": "2026-03-01T11:00:00Z"},
    }

    recorded = TEA.decode(STREAM, 4, topic, json.dumps(body).encode(), 0)

    brewed_at = datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert recorded.fact == TeaBrewed(brewed_at=brewed_at, seconds=180, leaf=leaf)
    assert (recorded.by, recorded.originator_version) == ("cli", 4)


def test_today_s_shape_is_written_under_today_s_version():
    """And comes back through the library's own interface."""
    fact = TeaBrewed(brewed_at=RECORDED_AT, seconds=5, leaf="assam")
    recorded: Any = Recorded(uuid4(), 1, RECORDED_AT, "cli", fact)

    stored = TEA.to_stored_event(recorded)

    assert stored.topic == "TeaBrewed@3"
    assert TEA.to_domain_event(stored) == recorded


@pytest.mark.parametrize("topic", ["TeaBrewed@4", "TeaBrewed", "TeaBrewed@", "TeaBrewed@x", "CoffeeBrewed@1"])
def test_a_topic_of_the_future_or_of_others_is_refused(topic):
    """Nothing is guessed: an older program stops before what a newer one wrote."""
    with pytest.raises(UnknownTopic):
        TEA.decode(STREAM, 1, topic, b"{}", 0)


def test_every_older_version_has_its_upcast():
    """From each version before today's, and none for topics that are still written."""
    older = {topic_of(cls, version) for cls in fact_types() for version in range(1, cls.version)}

    assert set(UPCASTS) == older
