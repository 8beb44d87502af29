"""Some of the tamperings of `make prove`: the verifier names each by its kind and its place.

Few tests with many tamperings each: the ledgers that they need take longer to make than to tamper with.
"""

from uuid import UUID

import pytest
import sqlalchemy as sa

from ledger.store.application import Ledger
from projections.verification import verify_ledger
from tests.proof.catching import caught
from tests.proof.edits import accepts, exported, missed_edits
from tests.proof.hand import Hand
from tests.proof.tamperings import (
    all_tamperings,
    of_checkpoints,
    of_facts,
    of_legs,
    of_months,
    of_the_tree,
    of_views,
)

COLUMNS = ("notification_id", "originator_id", "originator_version", "topic", "state")
LOG = [*of_facts(), *of_the_tree(), *of_checkpoints(), *of_legs()]
MONTHS = list(of_months())
VIEWS = {
    "view: api_keys.scopes",
    "view: rewards.matures_at",
    "view: journal.effective_at",
    "view: balances.available_minor",
    "view: payouts.destination",
    "view: payout_holds emptied",
    "view: statements.position",
}
"""One for each view, and two more."""


def missed(stage, kind, tamperings, *, views):
    """Those that the verifier does not name as it must, with what it says instead."""
    found = {}
    for tampering in tamperings:
        named, findings = caught(stage, kind, tampering, views=views)
        if not named:
            found[tampering.name] = [str(finding) for finding in findings]
    return found


@pytest.mark.parametrize(("kind", "step"), [("sqlite", 1), ("postgresql", 5)])
def test_what_was_done_to_the_log_is_named(stage, kind, step):
    """Facts, legs, tree and checkpoints; no view is needed for that."""
    assert missed(stage, kind, LOG[::step], views=False) == {}


@pytest.mark.parametrize(("kind", "step"), [("sqlite", 1), ("postgresql", 3)])
def test_what_was_done_to_closed_months_and_statements_is_named(stage, kind, step):
    """Facts and rows, also where all was sealed anew."""
    assert missed(stage, kind, MONTHS[::step], views=True) == {}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_edit_of_a_view_alone_is_named(stage, kind):
    """Table, key, column and both values."""
    edits = [tampering for tampering in of_views() if tampering.name in VIEWS]
    assert len(edits) == len(VIEWS)

    assert missed(stage, kind, edits, views=True) == {}


def other(edit, row):
    """Another value for a column of a fact's row; of its words also who told it, and when."""
    place, stream, version, topic, state = row
    stream_id = UUID(int=UUID(str(stream)).int ^ 1)
    return {
        "notification_id": place + 10**9,
        "originator_id": stream_id if isinstance(stream, UUID) else stream_id.hex,
        "originator_version": version + 10**6,
        "topic": f"{topic}0",
        "state": state[:-1] + b" }",
        "state: by": state.replace(b'"by":"', b'"by":"x', 1),
        "state: recorded_at": state.replace(b'"recorded_at":"20', b'"recorded_at":"19', 1),
    }[edit]


@pytest.mark.parametrize("edit", [*COLUMNS, "state: by", "state: recorded_at"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_edit_of_any_column_of_any_fact_is_counted(stage, kind, edit):
    """Of every fact at once: as many are told as there are facts, so none is passed over."""
    column = edit.partition(":")[0]
    with stage.copy(kind) as database:
        with database.write() as connection:
            Hand(connection, database).disarm()
            there = sa.inspect(connection).get_columns("stored_events")
            read = sa.text(f"SELECT {', '.join(COLUMNS)} FROM stored_events ORDER BY 1 DESC")
            rows = [(*row[:-1], bytes(row[-1])) for row in connection.execute(read)]
            edits = [{"place": row[0], "to": other(edit, row)} for row in rows]
            change = f"UPDATE stored_events SET {column} = :to WHERE notification_id = :place"
            connection.execute(sa.text(change), edits)
        counts = verify_ledger(Ledger(database), views=False, processes=1).counts

    assert {each["name"] for each in there} == {*COLUMNS}, "a column that this test does not edit"
    assert counts["fact_missing" if column == "notification_id" else "fact_changed"] == len(rows) > 700


def test_no_two_tamperings_have_one_name():
    """What was missed is told by its name."""
    names = [tampering.name for tampering in all_tamperings()]

    assert len(set(names)) == len(names) > 250


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_edit_of_a_byte_of_an_export_passes(stage, kind):
    """Whole, in part, and of a statement; `make prove` makes ten thousand."""
    assert missed_edits(*exported(stage, kind), count=150) == []


def test_every_byte_around_the_facts_counts(stage):
    """The header with its signature, and the first and last facts: each byte, with one bit turned."""
    whole, part, _ = exported(stage)
    lines = part.splitlines(keepends=True)
    short = b"".join(lines[:2])
    assert accepts(short)

    for place in range(len(short)):
        edited = bytearray(short)
        edited[place] ^= 1
        assert not accepts(bytes(edited)), f"byte {place}"
    for other in (whole[:-1], whole + b"\n", whole + lines[-1], short[:-1], short + short, b""):
        assert not accepts(other)
