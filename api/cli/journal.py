"""`revshare journal export`: the journal as a file for hledger, beancount, spreadsheets, analysts."""

from pathlib import Path
from typing import Annotated, Final

import typer

from api.cli.parts import open_ledger, settings
from api.cli.reports import (
    Currency,
    EffectiveAsOf,
    Partner,
    Program,
    RecordedAsOf,
    month_of,
    one_of,
    scope_of,
)
from api.cli.terminal import EXIT_FAILED, EXIT_USAGE, fail, say
from api.cli.writing import new_file
from ledger.month import Month
from projections.journal_export.formats import FORMATS, NAMES
from projections.journal_export.selection import Selection
from projections.journal_export.tables import ParquetMissing

journal = typer.Typer(help="The journal as files for other tools.", no_args_is_help=True)
FIRST: Final = "Only from this month on, as 2026-01; what came before is one opening entry for each partner."


@journal.callback()
def _journal() -> None:
    """The journal as files for other tools."""


@journal.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write it; there must be no such file yet.")],
    format_: Annotated[str, typer.Option("--format", help=f"One of {', '.join(NAMES)}.")],
    first: Annotated[str | None, typer.Option("--from", help=FIRST)] = None,
    last: Annotated[str | None, typer.Option("--to", help="Only up to the end of this month.")] = None,
    program: Program = None,
    partner: Partner = None,
    currency: Currency = None,
    effective_as_of: EffectiveAsOf = None,
    recorded_as_of: RecordedAsOf = None,
) -> None:
    """Write the journal, one transaction for each fact, with declarations and balance assertions.

    Months are those of each program's time zone.
    """
    [name] = one_of("--format", format_, NAMES)
    months = span_of(first, last)
    scope = scope_of(program, partner, currency, effective_as_of, recorded_as_of)
    with open_ledger(settings()) as ledger, new_file(file, "journal") as (write, tell):
        try:
            for piece in FORMATS[name].write(Selection(ledger, scope, *months), tell):
                write(piece)
        except ParquetMissing as error:
            fail(str(error), code=EXIT_FAILED)
    say(f"the journal is in {file}")


def span_of(first: str | None, last: str | None) -> tuple[Month | None, Month | None]:
    """The months that the options give, in their order; None where one has none."""
    begin = None if first is None else month_of("--from", first)
    end = None if last is None else month_of("--to", last)
    if begin is not None and end is not None and end < begin:
        fail(f"--from {first} --to {last}: the last month is before the first", code=EXIT_USAGE)
    return begin, end
