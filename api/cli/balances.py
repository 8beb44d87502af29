"""`revshare balances`: what each partner of a program has earned, holds and got, now or as it was."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
import typer
from rich.table import Table

from api.cli.importer import program_id_of
from api.cli.parts import open_ledger, settings
from api.cli.terminal import EXIT_USAGE, fail, out
from ledger.money import Money
from projections import tables
from projections.queries.money import Balance, balances_as_of
from projections.queries.money import balances as current_balances
from projections.spreadsheet import csv_text

COLUMNS: Final = ("partner", "currency", "earned", "pending", "available", "in_transit", "paid", "clawback")
"""The columns of every format; amounts are minor units, `earned` is net of reversals and clawbacks."""


class Times(NamedTuple):
    """What was true by one time, as far as it was known by another; None: by now."""

    effective: datetime | None = None
    recorded: datetime | None = None


NOW: Final = Times()


class Format(StrEnum):
    """How to write the balances."""

    csv = "csv"
    json = "json"
    table = "table"


def balances(
    program: Annotated[str, typer.Option(help="The program's id, or its reference.")],
    effective_as_of: Annotated[
        str | None, typer.Option(help="Only what was true by this time: RFC 3339, as 2026-01-31T12:00:00Z.")
    ] = None,
    recorded_as_of: Annotated[
        str | None,
        typer.Option("--recorded-as-of", "--as-of", help="As it was known at this time: RFC 3339."),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.table,
) -> None:
    """Show every partner's balance, in minor units, sorted by partner."""
    times = Times(time_of("--effective-as-of", effective_as_of), time_of("--recorded-as-of", recorded_as_of))
    program_id = program_id_of(program)
    with open_ledger(settings()) as ledger, ledger.database.read() as connection:
        if not _exists(connection, program_id):
            fail(f"there is no program {program}")
        rows = rows_of(connection, program_id, times)
        withheld = withheld_of(connection, program_id, times)
    if format_ is Format.table:
        out.print(as_table(rows))
        for partner, tax in withheld:
            out.print(f"withheld from {partner} as tax: {tax}")
    else:
        out.print(as_csv(rows) if format_ is Format.csv else as_json(rows), end="", markup=False)


def rows_of(connection: sa.Connection, program_id: UUID, times: Times = NOW) -> list[dict[str, Any]]:
    """One row for each currency of each partner; who agreed and earned nothing yet is there, with zeros."""
    found = _balances(connection, program_id, times)
    names = _names(connection, program_id, {balance.partner_id for balance in found})
    currency = connection.execute(
        sa.select(tables.programs.c.currency).where(tables.programs.c.program_id == program_id)
    ).scalar_one()
    rows = [_row(names[balance.partner_id], balance) for balance in found]
    silent = names.keys() - {balance.partner_id for balance in found}
    rows += [
        {"partner": names[partner], "currency": currency, **dict.fromkeys(COLUMNS[2:], 0)}
        for partner in silent
    ]
    return sorted(rows, key=lambda row: (row["partner"], row["currency"]))


def withheld_of(connection: sa.Connection, program_id: UUID, times: Times = NOW) -> list[tuple[str, Money]]:
    """The partners from whose payouts tax was withheld, with how much: it left their accounts with these."""
    found = [each for each in _balances(connection, program_id, times) if each.withheld_minor]
    names = _names(connection, program_id, {each.partner_id for each in found})
    return sorted(
        ((names[each.partner_id], Money(each.withheld_minor, each.currency)) for each in found),
        key=lambda row: (row[0], row[1].currency),
    )


def _balances(connection: sa.Connection, program_id: UUID, times: Times) -> list[Balance]:
    if times == NOW:
        return current_balances(connection, program_id)
    return balances_as_of(
        connection, program_id, effective_as_of=times.effective, recorded_as_of=times.recorded
    )


def _names(connection: sa.Connection, program_id: UUID, others: set[UUID]) -> dict[UUID, str]:
    c, agreements = tables.partners.c, tables.agreements.c
    agreed = sa.select(agreements.partner_id).where(agreements.program_id == program_id)
    found = connection.execute(sa.select(c.partner_id, c.reference).where(c.partner_id.in_(agreed))).all()
    names: dict[UUID, str] = {row.partner_id: row.reference for row in found}
    for partner_id in others - names.keys():
        query = sa.select(c.reference).where(c.partner_id == partner_id)
        names[partner_id] = connection.execute(query).scalar() or str(partner_id)
    return names


def _row(partner: str, balance: Balance) -> dict[str, Any]:
    amounts = {name: getattr(balance, f"{name}_minor") for name in COLUMNS[2:]}
    return {"partner": partner, "currency": balance.currency, **amounts}


def _exists(connection: sa.Connection, program_id: UUID) -> bool:
    query = sa.select(tables.programs.c.program_id).where(tables.programs.c.program_id == program_id)
    return connection.execute(query).first() is not None


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV with a header line."""
    return csv_text([COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])


def as_json(rows: list[dict[str, Any]]) -> str:
    """The rows as a JSON array, a row a line."""
    return "[" + ",\n ".join(json.dumps(row) for row in rows) + "]\n"


def as_table(rows: list[dict[str, Any]], title: str | None = None) -> Table:
    """The rows for people."""
    table = Table(title=title)
    for name in COLUMNS:
        table.add_column(name.replace("_", " "), justify="left" if name in COLUMNS[:2] else "right")
    for row in rows:
        table.add_row(*(f"{row[name]:,}" if isinstance(row[name], int) else row[name] for name in COLUMNS))
    return table


def time_of(option: str, text: str | None) -> datetime | None:
    """The time that an option gives, in UTC; a wrong one ends the command and is named."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text}: no time of RFC 3339, as 2026-01-31T12:00:00Z", code=EXIT_USAGE)
    if time.tzinfo is None:
        fail(f"{option} {text}: a zone is missing, as in 2026-01-31T12:00:00Z", code=EXIT_USAGE)
    return time.astimezone(UTC)
