"""bean-check and hledger accept the exports, of all or of some months, and object when a leg is wrong."""

import csv
import re
from collections import Counter
from datetime import date, timedelta
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from ledger.money import CURRENCY_DIGITS
from ledger.month import Month
from projections import queries
from projections.journal_export import selection, tables, texts
from projections.journal_export.formats import FORMATS
from projections.journal_export.names import CHART
from projections.months import Zones
from projections.reports.scope import ACCOUNTS, Scope
from projections.runner import Runner
from tests.projections.world import BEGIN
from tests.properties.test_as_of import NAMES, Story, everything
from tests.support import ledger_tools

CHECKS = {
    "beancount": ledger_tools.bean_check,
    "hledger": ledger_tools.hledger_check,
}
TOOLS = [
    pytest.param("beancount"),
    pytest.param("hledger", marks=pytest.mark.hledger),
]


@pytest.fixture
def story(ledger):
    """Every kind of fact a few times, over some months."""
    told = Story(ledger)
    for number in range(60):
        name = "accrued" if number < 4 else NAMES[number % len(NAMES)]
        told.tell(name, 1 + number % 2, 100 + number * 37, back=number % 50, later=30)
    Runner(ledger).catch_up()
    return told


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_accepts_all_of_it_and_some_months(story, export, tool):
    """Months with what came before as an opening entry; of one partner; as it was known."""
    march = Month(2024, 3)

    for asked in (
        {},
        {"first": Month(2024, 2), "last": march},
        {"last": march},
        {"first": march},
        {"partner_id": story.partner(2)},
        {"recorded_as_of": BEGIN + timedelta(days=30), "effective_as_of": BEGIN + timedelta(days=20)},
        {"first": Month(2031, 1), "last": Month(2031, 2)},
        {"first": Month(2001, 1), "last": Month(2001, 2)},
    ):
        file = export(tool, **asked)
        assert CHECKS[tool](file) == "", asked
    assert "Opening balances" in export(tool, first=march).read_text()


@pytest.mark.parametrize("tool", TOOLS)
def test_programs_of_several_time_zones_are_in_one_file(story, ledger, export, tool, monkeypatch):
    """Days and month ends are those of each program; a partner can be in both."""
    other = Story(ledger)
    monkeypatch.setattr(other, "partner", story.partner)
    other.now = story.now
    for number in range(30):
        other.tell("accrued", 1, 100 + number, back=number * 20, later=0)
    Runner(ledger).catch_up()
    zones = Zones({story.program: "Pacific/Auckland", other.program: "America/New_York"})
    monkeypatch.setattr(selection, "zones_of", lambda _ledger, _program: zones)

    days = set()
    for asked in ({}, {"first": Month(2024, 2), "last": Month(2024, 3)}):
        file = export(tool, **asked)
        assert CHECKS[tool](file) == "", asked
        days |= set(re.findall(r"^(\d{4}-\d\d-\d\d) \*", file.read_text(), re.MULTILINE))
    assert {each.day for each in selection.Selection(ledger, Scope()).entries()} <= {
        date.fromisoformat(day) for day in days
    }


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_objects_to_a_leg_that_was_changed(story, ledger, export, tool):
    """By one unit: alone, the transaction does not balance; two of them together, an assertion fails."""
    lines = export(tool).read_text().splitlines(keepends=True)
    legs = [number for number, line in enumerate(lines) if re.match(r"    \w+:.*\d\.\d\d GBP$", line)]
    one, other = legs[0], legs[1]

    def changed(**at: int) -> str:
        def by(line: str, more: int) -> str:
            found = re.fullmatch(r"(.*  )(-?)(\d+)\.(\d\d) GBP\n", line)
            assert found is not None
            minor = int(f"{found[2]}{found[3]}{found[4]}") + more
            return f"{found[1]}{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02d} GBP\n"

        file = export(tool)
        now = list(lines)
        now[one], now[other] = by(lines[one], at["one"]), by(lines[other], at["other"])
        file.write_text("".join(now))
        return CHECKS[tool](file)

    assert re.search("balance", changed(one=1, other=0))
    assert re.search("Balance failed|balance assertion", changed(one=1, other=-1))
    assert changed(one=0, other=0) == ""


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_objects_when_the_journal_s_own_row_is_changed_between_its_readings(
    story, ledger, export, tool, monkeypatch
):
    """Assertions are summed by the database, transactions read row by row: each is held to the other."""
    entry = selection.Selection._entry

    def wrong(self: Any, legs: Any) -> Any:
        made = entry(self, legs)
        (a, x, c), (b, y, d), *rest = made.legs
        return msgspec.structs.replace(made, legs=[(a, x + 1, c), (b, y - 1, d), *rest])

    monkeypatch.setattr(selection.Selection, "_entry", wrong)

    assert CHECKS[tool](export(tool)) != ""


@pytest.mark.parametrize("legs_at_once", [7, 5_000])
def test_every_table_has_every_leg_once(story, ledger, export, monkeypatch, legs_at_once):
    """CSV and Parquet hold what the journal does, however few legs are read at once."""
    monkeypatch.setattr(selection, "LEGS_AT_ONCE", legs_at_once)
    monkeypatch.setattr(tables, "ROW_GROUP_LEGS", 20)
    with ledger.database.read() as connection:
        legs = everything(connection, queries.list_journal, 1_000)
    wanted = [
        (
            leg["position"],
            leg["leg"],
            leg["account"],
            leg["amount_minor"],
            leg["currency"],
            str(leg["partner_id"]),
        )
        for leg in legs
    ]
    columns = ("position", "leg", "account", "amount_minor", "currency", "partner_id")

    with export("csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parquet = pq.ParquetFile(export("parquet"))
    read = parquet.read().to_pylist()

    assert [tuple(str(each) for each in leg) for leg in wanted] == [
        tuple(row[name] for name in columns) for row in rows
    ]
    assert [tuple(row[name] for name in columns) for row in read] == wanted
    assert [row["effective_at"] for row in read] == [leg["effective_at"] for leg in legs]
    assert [row["event_id"] for row in read] == [row["event_id"] for row in rows]
    assert parquet.num_row_groups > 5
    schema = parquet.schema_arrow
    assert str(schema.field("effective_at").type) == "timestamp[us, tz=UTC]"
    assert str(schema.field("amount_minor").type) == "int64"
    assert str(schema.field("account").type).startswith("dictionary<")


def test_an_export_of_the_past_has_the_legs_that_were_true_and_known(story, ledger, export):
    """The same as the list of the journal by these times, which is held to a replay."""
    early, then = BEGIN + timedelta(hours=600), BEGIN + timedelta(hours=1_180)
    sizes = []
    for times in (
        {"effective_as_of": then},
        {"recorded_as_of": then},
        {"effective_as_of": early, "recorded_as_of": then},
        {"effective_as_of": then, "recorded_as_of": early},
    ):
        with ledger.database.read() as connection:
            legs = everything(connection, queries.list_journal, 1_000, **times)
        with export("csv", **times).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["position"], row["leg"]) for row in rows] == [
            (str(leg["position"]), str(leg["leg"])) for leg in legs
        ], times
        sizes.append(len(rows))
    assert sizes[0] > sizes[1] > sizes[2] > 0


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_tells_how_far_it_is(story, ledger, monkeypatch, name):
    """Position by position up to where the journal was when it began."""
    monkeypatch.setattr(selection, "LEGS_AT_ONCE", 7)
    chosen, told = selection.Selection(ledger, Scope()), []

    for _ in FORMATS[name].write(chosen, lambda done, total: told.append((done, total))):
        pass

    assert told == sorted(told)
    assert len(set(told)) > 5
    assert told[-1] == (chosen.upto, chosen.upto)


def test_an_event_is_named_as_the_log_names_it(story, ledger, export):
    """Stream, version and topic of the row's position."""
    with export("csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    query = sa.text("SELECT notification_id, originator_id, originator_version, topic FROM stored_events")
    with ledger.database.read() as connection:
        log = {
            row[0]: (str(row[1]).replace("-", ""), str(row[2]), row[3]) for row in connection.execute(query)
        }

    assert rows
    for row in rows:
        found = (row["event_id"].replace("-", ""), row["event_version"], row["topic"])
        assert log[int(row["position"])] == found


def test_nothing_that_comes_meanwhile_is_in_it(story, ledger, export):
    """A selection ends where the journal was when it was made."""
    chosen = selection.Selection(ledger, Scope())
    before = Counter(entry.position for entry in chosen.entries())
    story.tell("accrued", 1, 500, 0, 1)
    Runner(ledger).catch_up()

    assert Counter(entry.position for entry in chosen.entries()) == before
    assert sum(1 for _ in selection.Selection(ledger, Scope()).entries()) == len(before) + 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_slow_taker_holds_no_connection(story, ledger, monkeypatch, name):
    """Whatever piece was taken last, the database is left alone until the next is asked for."""
    monkeypatch.setattr(selection, "LEGS_AT_ONCE", 7)
    monkeypatch.setattr(texts, "PIECES_AT_ONCE", 1)
    pool = ledger.database.engine.pool
    chosen = selection.Selection(ledger, Scope(), Month(2024, 2))
    held = [pool.checkedout() for _ in FORMATS[name].write(chosen, lambda _done, _total: None)]

    assert len(held) > 1
    assert set(held) == {0}


def test_every_account_and_every_currency_has_its_form():
    """The chart is whole; and decimals are those of ISO 4217."""
    assert CHART.keys() == set(ACCOUNTS)
    assert {"GBP": 2, "JPY": 0, "BHD": 3}.items() <= CURRENCY_DIGITS.items()
