"""`revshare reconcile`: Stripe's books against ours, for people, for files and for cron."""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

import typer

from api.cli.parts import open_ledger, settings
from api.cli.stripe_words import fail_unasked
from api.cli.terminal import EXIT_REJECTED, EXIT_USAGE, fail, out, say
from api.cli.terminal import table as new_table
from ledger.money import Money
from ledger.refusals import Refusal
from ledger.store.application import Ledger
from payouts.reconciliation import IN_TIME
from payouts.reconciliations import Run, all_items, as_csv, plain, resolve, total_row
from projections.queries.paging import Row

BY: Final = "cli"

reconcile = typer.Typer(help="Compare Stripe's books with ours.", invoke_without_command=True)


class Format(StrEnum):
    """How to write what was found."""

    table = "table"
    csv = "csv"
    json = "json"


@reconcile.callback()
def run(
    context: typer.Context,
    start: Annotated[
        str | None, typer.Option("--from", help="RFC 3339; default: where the last clean run ended.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="RFC 3339, not in it; default: now.")] = None,
    in_time_s: Annotated[
        int, typer.Option(help="Seconds for which the other side need not have an entry yet.", min=0)
    ] = int(IN_TIME.total_seconds()),
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
) -> None:
    """Compare, store and show. Ends with 0 when clean, 3 with differences, 4 when Stripe can't be asked."""
    if context.invoked_subcommand is not None:
        return
    of = settings()
    from payouts.gateway import GatewayError, StripeGateway
    from payouts.pacing import Turnstile
    from payouts.reconciling import reconcile as compare

    # It only reads, so a live key is fine here.
    turns = Turnstile(of.stripe_per_s)
    gateway = StripeGateway(of.stripe_api_key, of.stripe_base, live=True, wait_turn=turns.wait)
    with open_ledger(of) as ledger:
        try:
            found = compare(
                ledger,
                gateway,
                start=_time("--from", start),
                end=_time("--to", end),
                in_time=timedelta(seconds=in_time_s),
                by=BY,
            )
        except GatewayError as error:
            fail_unasked(error)
        except Refusal as refusal:
            fail(refusal.message, code=EXIT_USAGE)
        show(ledger, found, format_)
    if not found.is_clean:
        raise typer.Exit(EXIT_REJECTED)


@reconcile.command("resolve")
def resolve_difference(
    reference: Annotated[str, typer.Argument(help="The difference's reference (tr_…, or a payout's id).")],
    reason: Annotated[str, typer.Option(help="Why it is one, and what was done about it.")],
) -> None:
    """End a difference with a reason: later runs show it and count it no more. It moves no money."""
    with open_ledger(settings()) as ledger:
        try:
            new = resolve(ledger, reference, reason, by=BY)
        except Refusal as refusal:
            fail(refusal.message)
    say(f"{reference} is resolved" if new else f"{reference} was resolved before, with the same reason")


def show(ledger: Ledger, found: Run, format_: Format) -> None:
    """Write a run to standard output."""
    if format_ is Format.table:
        _show_table(found)
        return
    with ledger.database.read() as connection:
        items = all_items(connection, found.reconciliation_id)
    text = as_csv(items) if format_ is Format.csv else as_json(found, items)
    out.print(text, end="", markup=False, soft_wrap=True)


def as_json(found: Run, items: list[Row]) -> str:
    """The run as one JSON document."""
    document = {
        "reconciliation_id": str(found.reconciliation_id),
        "period_from": found.period_from.isoformat(),
        "period_to": found.period_to.isoformat(),
        "differences": found.differences,
        "counts": found.counts,
        "totals": [total_row(total) for total in found.totals],
        "items_hash": found.items_hash,
        "items": [plain(item) for item in items],
    }
    return json.dumps(document, indent=1) + "\n"


def _show_table(found: Run) -> None:
    table = new_table("currency", "kind", "verdict", "items", "theirs", "ours", "difference")
    for total in found.totals:
        amounts = (total.theirs_minor, total.ours_minor, total.difference_minor)
        money = (str(Money(amount, total.currency)) for amount in amounts)
        table.add_row(total.currency, total.kind, total.verdict, str(total.items), *money)
    out.print(table)
    for item in found.items:
        if item.is_difference:
            differs = f" in {', '.join(item.differs)}" if item.differs else ""
            out.print(f"[bold red]{item.verdict}[/]{differs}: {item.kind} {item.reference}")
    when = f"{found.period_from.isoformat()} to {found.period_to.isoformat()}"
    verdict = "clean" if found.is_clean else f"{found.differences} differences"
    out.print(f"{when}: {len(found.items)} items, {verdict} (reconciliation {found.reconciliation_id})")


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text}: no time of RFC 3339, as 2026-01-31T12:00:00Z", code=EXIT_USAGE)
    if time.tzinfo is None:
        fail(f"{option} {text}: a zone is missing, as in 2026-01-31T12:00:00Z", code=EXIT_USAGE)
    return time.astimezone(UTC)
