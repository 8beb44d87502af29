"""`revshare reports`: trial balance, ageing and roll-forward, as a table, CSV or JSON."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.text import Text

from api.cli.balances import Format, time_of
from api.cli.importer import program_id_of
from api.cli.keys import partner_id_of
from api.cli.parts import open_ledger, settings
from api.cli.terminal import EXIT_USAGE, fail, out, table
from api.reports import as_csv, as_json
from ledger.money import CURRENCY_DIGITS, decimal
from ledger.month import Month, months
from projections.months import zones_of
from projections.reports import ageing as ages
from projections.reports import roll_forward as rolling
from projections.reports import trial_balance as balances
from projections.reports import voucher as vouchers
from projections.reports.calendars import BASES, calendars_of
from projections.reports.scope import Scope

reports = typer.Typer(help="What finance reports from the journal.", no_args_is_help=True)

Program = Annotated[str | None, typer.Option(help="Only this program: its id, or its reference.")]
Partner = Annotated[str | None, typer.Option(help="Only this partner: its id, or its reference.")]
Currency = Annotated[str | None, typer.Option(help="Only this currency: a code of ISO 4217.")]
EffectiveAsOf = Annotated[
    str | None, typer.Option(help="Only what was true by this time: RFC 3339, as 2026-01-31T12:00:00Z.")
]
RecordedAsOf = Annotated[str | None, typer.Option(help="As it was known at this time: RFC 3339.")]
OnBasis = Annotated[
    str,
    typer.Option(
        "--basis",
        help="What a month holds. books: a closed one what its closing froze, what is learned later stands "
        "in the first month that was open then. effective: what was true in it.",
    ),
]
HowWritten = Annotated[Format, typer.Option("--format", help="How to write it.")]
IDS: Final = ("program_id", "partner_id")
"""Columns that people don't read: a table shows references."""


@reports.command("trial-balance")
def trial_balance(
    by: Annotated[
        str, typer.Option(help="How finely: account, or also of each program, or of each partner.")
    ] = "account",
    program: Program = None,
    partner: Partner = None,
    currency: Currency = None,
    effective_as_of: EffectiveAsOf = None,
    recorded_as_of: RecordedAsOf = None,
    format_: HowWritten = Format.table,
) -> None:
    """Debits, credits and balance of every account, now or as it was: the balances sum to zero."""
    [finely] = one_of("--by", by, balances.BY)
    scope = scope_of(program, partner, currency, effective_as_of, recorded_as_of)
    with open_ledger(settings()) as ledger, ledger.database.read() as connection:
        write(balances.trial_balance(connection, scope, finely), balances.COLUMNS, format_)


@reports.command("roll-forward")
def roll_forward(
    first: Annotated[str, typer.Option("--from", help="The first month, as 2026-01.")],
    last: Annotated[str, typer.Option("--to", help="The last month; included.")],
    balance: Annotated[str | None, typer.Option(help=f"Only one of {', '.join(rolling.BALANCES)}.")] = None,
    basis: OnBasis = "books",
    program: Program = None,
    partner: Partner = None,
    currency: Currency = None,
    effective_as_of: EffectiveAsOf = None,
    recorded_as_of: RecordedAsOf = None,
    format_: HowWritten = Format.table,
) -> None:
    """What was owed when each month began, every kind of movement in it, what was owed at its end.

    Months are those of each program's time zone; a closed one is what was closed.
    """
    [on_basis] = one_of("--basis", basis, BASES)
    wanted = one_of("--balance", balance, list(rolling.BALANCES)) or list(rolling.BALANCES)
    months_ = span(first, last)
    scope = scope_of(program, partner, currency, effective_as_of, recorded_as_of)
    with open_ledger(settings()) as ledger, ledger.database.read() as connection:
        calendars = calendars_of(ledger, connection, scope, on_basis)
        rows = rolling.roll_forward(connection, scope, *months_, calendars, balances=wanted)
        write(rows, rolling.COLUMNS, format_)


@reports.command()
def ageing(
    balance: Annotated[
        str | None,
        typer.Option(help=f"Only one of {', '.join(ages.AGED)}. Default: payable and clawback."),
    ] = None,
    program: Program = None,
    partner: Partner = None,
    currency: Currency = None,
    effective_as_of: EffectiveAsOf = None,
    recorded_as_of: RecordedAsOf = None,
    format_: HowWritten = Format.table,
) -> None:
    """What is payable to each partner, and what each owes us, by its age in days: as of now, or of a time."""
    wanted = one_of("--balance", balance, ages.AGED) or ages.USUAL
    scope = scope_of(program, partner, currency, effective_as_of, recorded_as_of)
    with open_ledger(settings()) as ledger, ledger.database.read() as connection:
        zones = zones_of(ledger, scope.program_id)
        write(ages.ageing(connection, scope, zones, ledger.clock(), wanted), ages.COLUMNS, format_)


@reports.command()
def voucher(
    mapping: Annotated[
        Path, typer.Option(help="A TOML file of account numbers (docs/accounting.md has one).")
    ],
    first: Annotated[str, typer.Option("--from", help="The first month, as 2026-01.")],
    last: Annotated[str, typer.Option("--to", help="The last month; included.")],
    program: Program = None,
    currency: Currency = None,
    recorded_as_of: RecordedAsOf = None,
    basis: OnBasis = "books",
) -> None:
    """Months as vouchers of your general ledger: CSV, one balanced entry for each month and currency.

    The voucher of a closed month is the same for ever.
    """
    [on_basis] = one_of("--basis", basis, BASES)
    months_ = span(first, last)
    scope = scope_of(program, None, currency, None, recorded_as_of)
    try:
        numbers = vouchers.parse(mapping.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{mapping}: can't be read: {error}", code=EXIT_USAGE)
    except vouchers.InvalidMapping as error:
        fail("\n".join(f"{mapping}: {mistake}" for mistake in error.mistakes), code=EXIT_USAGE)
    with open_ledger(settings()) as ledger, ledger.database.read() as connection:
        calendars = calendars_of(ledger, connection, scope, on_basis)
        rows = vouchers.voucher(connection, scope, *months_, calendars, numbers)
        write(rows, vouchers.COLUMNS, Format.csv)


def span(first: str, last: str) -> tuple[Month, Month]:
    """The months that the options give; none, or too many, end the command."""
    found = (month_of("--from", first), month_of("--to", last))
    if not 1 <= len(months(*found)) <= rolling.MONTHS_MAX:
        fail(f"--from {first} --to {last}: must be 1 to {rolling.MONTHS_MAX} months", code=EXIT_USAGE)
    return found


Word = TypeVar("Word", bound=str)


def one_of(option: str, text: str | None, words: Sequence[Word]) -> list[Word]:
    """The word that an option gives, alone; none where it is not given. Another ends the command."""
    found = [word for word in words if word == text]
    if text is not None and not found:
        fail(f"{option} {text}: must be one of {', '.join(words)}", code=EXIT_USAGE)
    return found


def month_of(option: str, text: str) -> Month:
    """The month that an option gives; a wrong one ends the command."""
    try:
        return Month.parse(text)
    except ValueError as error:
        fail(f"{option} {text}: {error}", code=EXIT_USAGE)


def scope_of(
    program: str | None,
    partner: str | None,
    currency: str | None,
    effective_as_of: str | None,
    recorded_as_of: str | None,
) -> Scope:
    """What the options ask for; a wrong one ends the command and is named."""
    if currency is not None and currency not in CURRENCY_DIGITS:
        fail(f"--currency {currency}: no currency of ISO 4217, as EUR", code=EXIT_USAGE)
    return Scope(
        program_id=None if program is None else program_id_of(program),
        partner_id=None if partner is None else partner_id_of(partner),
        currency=currency,
        effective_as_of=time_of("--effective-as-of", effective_as_of),
        recorded_as_of=time_of("--recorded-as-of", recorded_as_of),
    )


def write(rows: Iterable[dict[str, Any]], columns: Sequence[str], format_: Format) -> None:
    """Write a report to standard output."""
    if format_ is Format.table:
        _show(rows, [name for name in columns if name not in IDS])
        return
    for chunk in as_csv(rows, columns) if format_ is Format.csv else as_json(rows):
        typer.echo(chunk.decode(), nl=False)


def _show(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    """The rows for people: columns that say nothing are left out, amounts have their decimals."""
    found = list(rows)
    told = [name for name in columns if any(row[name] is not None for row in found)] if found else columns
    made = table(*(name.removesuffix("_minor").replace("_", " ") for name in told))
    for column, name in zip(made.columns, told, strict=True):
        column.justify = "right" if name.endswith("_minor") else "left"
    for row in found:
        made.add_row(*(_cell(name, row) for name in told))
    out.print(made)


def _cell(name: str, row: dict[str, Any]) -> Text:
    value = row[name]
    if name.endswith("_minor"):
        return Text(decimal(value, row["currency"]))
    return Text("" if value is None else str(value))  # as text: a reference may look like markup
