"""`revshare periods` and `revshare statements`: close months; list, show and write out statements."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import sqlalchemy as sa
import typer

from api.cli.asking import Key, Url, asked, client_of
from api.cli.balances import time_of
from api.cli.importer import program_id_of
from api.cli.keys import partner_id_of
from api.cli.parts import open_ledger, settings
from api.cli.reports import EffectiveAsOf, RecordedAsOf, month_of
from api.cli.terminal import EXIT_FAILED, fail, out, say
from api.cli.terminal import table as new_table
from api.cli.writing import new_file
from api.statement_files.locales import chosen
from api.statement_formats import FORMATS
from ledger.money import Money
from ledger.refusals import NotFound, Refusal
from ledger.store.application import Ledger
from projections.export import NotSealed
from projections.queries.paging import Page, Row
from projections.statements import reading
from projections.statements.proof import statement_proof
from projections.tables import statements as table

LIMIT: Final = 200
PROOF: Final = "proof"
FormatName = StrEnum("FormatName", [*FORMATS, PROOF])  # type: ignore[misc]

periods = typer.Typer(help="The months of a program: close them, list what is closed.", no_args_is_help=True)
statements = typer.Typer(help="What partners are told of each closed month.", no_args_is_help=True)

Program = Annotated[str, typer.Option(help="The program's id, or its reference.")]
Locale = Annotated[
    str | None, typer.Option(help="The language of a PDF or workbook, as de-AT. Default: the partner's.")
]
Which = Annotated[str, typer.Argument(help="The statement's number (shop-000042), or its id.")]


@periods.command()
def close(
    period: Annotated[str, typer.Argument(help="The month, as 2026-10.")],
    program: Program,
    reason: Annotated[str | None, typer.Option(help="A remark that stays with the closing.")] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Close a month and issue its statements. It can't be opened again; sent again, it goes on."""
    client = client_of(url, key)
    path = f"/v1/programs/{program_id_of(program)}/periods"
    while True:
        done = asked(lambda: client.want("POST", path, {"period": period, "reason": reason}))
        say(f"{done['statements_issued']} statements issued")
        if done["statements_complete"]:
            break
    out.print(f"{done['period']} is closed, from {done['begins_at']} to before {done['ends_at']}")


@periods.command("list")
def list_periods(program: Program) -> None:
    """List the closed months of a program, the latest first."""
    shown = new_table("period", "until", "closed at", "by", "statements")
    for row in _all(reading.list_periods, program_id=program_id_of(program)):
        cells = (row["ends_at"].isoformat(), row["recorded_at"].isoformat(), row["closed_by"])
        shown.add_row(row["period"], *cells, str(row["statements"]))
    out.print(shown)


def _all(list_: Callable[..., Page], **where: Any) -> Iterator[Row]:
    """Every row of a list, page by page."""
    with open_ledger(settings()) as ledger, ledger.database.read() as connection:
        after, more = None, True
        while more:
            found = list_(connection, **where, after=after, limit=LIMIT)
            yield from found.rows
            after, more = found.next, found.next is not None


@statements.command("list")
def list_statements(
    program: Annotated[str | None, typer.Option(help="The program's id, or its reference.")] = None,
    partner: Annotated[str | None, typer.Option(help="The partner's id, or its reference.")] = None,
    period: Annotated[str | None, typer.Option(help="The month, as 2026-10.")] = None,
    effective_as_of: EffectiveAsOf = None,
    recorded_as_of: RecordedAsOf = None,
) -> None:
    """List statements, the latest first; by either time those that were issued by then."""
    where: dict[str, Any] = {
        "program_id": None if program is None else program_id_of(program),
        "partner_id": None if partner is None else partner_id_of(partner),
        "period": None if period is None else str(month_of("--period", period)),
        "effective_as_of": time_of("--effective-as-of", effective_as_of),
        "recorded_as_of": time_of("--recorded-as-of", recorded_as_of),
    }
    shown = new_table("number", "version", "period", "partner", "lines", "available", "id")
    for row in _all(reading.list_statements, **where):
        _add(shown, row)
    out.print(shown)


def _add(shown: Any, row: dict[str, Any]) -> None:
    available = Money(row["closing"]["available_minor"], row["currency"])
    of = (row["number"], row["version"], row["period"], row["partner_id"], row["lines"], available)
    shown.add_row(*map(str, of), str(row["statement_id"]))


@statements.command()
def show(
    which: Which,
    format_: Annotated[FormatName, typer.Option("--format", help="How to write it.")] = FormatName.csv,  # type: ignore[attr-defined]
    locale: Locale = None,
) -> None:
    """Print a statement."""
    with open_ledger(settings()) as ledger:
        for piece in _pieces(ledger, which, str(format_), locale):
            typer.echo(piece, nl=False)


@statements.command()
def export(
    which: Which,
    file: Annotated[Path, typer.Argument(help="Where to write it; there must be no such file yet.")],
    format_: Annotated[
        FormatName | None,
        typer.Option("--format", help="Default: by the file's ending, else `proof`, for revshare_verify.py."),
    ] = None,
    locale: Locale = None,
) -> None:
    """Write a statement to a file."""
    ending = file.suffix.removeprefix(".")
    written = str(format_ or (ending if ending in FORMATS else PROOF))
    with open_ledger(settings()) as ledger, new_file(file, "statement") as (write, _):
        for piece in _pieces(ledger, which, written, locale):
            write(piece)
    say(f"{file}: written")


def _pieces(ledger: Ledger, which: str, format_: str, locale: str | None) -> Any:
    with ledger.database.read() as connection:
        try:
            statement_id = _id_of(connection, which)
            if format_ != PROOF:
                found = reading.load_by_id(ledger, connection, statement_id)
                return FORMATS[format_].write(found, chosen(locale, found.partner.locale, None))
            return statement_proof(ledger, statement_id)
        except (Refusal, NotSealed, reading.StatementDiffers) as error:
            fail(str(error), code=EXIT_FAILED)


def _id_of(connection: sa.Connection, which: str) -> UUID:
    try:
        return UUID(which)
    except ValueError:
        query = sa.select(table.c.statement_id).where(table.c.number == which)
        found = connection.execute(query).scalar()
        if found is None:
            raise NotFound(f"no statement has the number {which}") from None
        return found  # type: ignore[no-any-return]
