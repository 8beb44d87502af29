"""`revshare audit`: the part that seals the log, and what an auditor asks of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from api.cli.parts import open_ledger, seal, settings, signer
from api.cli.terminal import EXIT_FAILED, fail, out
from api.cli.terminal import table as new_table
from api.cli.verify import read_kept, verifier_of
from projections.audit_log import Sequencer
from projections.audit_state import audit_state
from projections.checkpoints import CheckpointMaker, LogBroken, latest
from projections.deliveries import Deliverer
from projections.verification.findings import printable
from projections.verification.repair import NotRepairable, Repair, find_repairs
from projections.verification.repair import repair as put_right

audit = typer.Typer(help="The tamper-evident log: seal it, sign its head.", no_args_is_help=True)
audit.command("run")(seal)


@audit.command()
def key() -> None:
    """Print the verifier key: whoever keeps it can check every checkpoint (c2sp.org/signed-note)."""
    out.print(str(signer(settings()).verifier), soft_wrap=True)


@audit.command()
def checkpoint() -> None:
    """Seal all there is, sign the head now, deliver it and print it."""
    of = settings()
    with open_ledger(of) as ledger:
        Sequencer(ledger).catch_up()
        try:
            CheckpointMaker(ledger, signer(of)).step(now_wanted=True)
        except LogBroken as error:
            fail(f"the log was tampered with, and is not signed: {error}", code=EXIT_FAILED)
        Deliverer(ledger, of.checkpoint_targets).step()
        with ledger.database.read() as connection:
            row = latest(connection)
    if row is None:
        fail("there is nothing to sign: the log is empty", code=EXIT_FAILED)
    typer.echo(row.note, nl=False)


@audit.command()
def deliver() -> None:
    """Try every target now, also what failed or was refused before, and show what each has. Ends with 1 if
    one lacks a checkpoint."""
    of = settings()
    with open_ledger(of) as ledger:
        deliverer = Deliverer(ledger, of.checkpoint_targets)
        while deliverer.step(now_wanted=True):
            pass  # so many at once, until none is taken any more
        with ledger.database.read() as connection:
            names = [target.name for target in of.checkpoint_targets]
            states = audit_state(ledger, connection, names).targets
    table = new_table("target", "has", "waiting", "refused", "")
    for one in states:
        said = "; ".join(filter(None, (one.error, one.first_refusal)))
        table.add_row(
            one.name, f"{one.size or 0:,}", f"{one.waiting:,}", f"{one.refused:,}", escape(said or "ok")
        )
    out.print(table)
    if any(one.waiting or one.refused for one in states):
        raise typer.Exit(EXIT_FAILED)


@audit.command()
def repair(
    kept: Annotated[
        list[Path],
        typer.Option(help="A folder of checkpoints kept elsewhere, or one of them. May be repeated."),
    ],
    reason: Annotated[str, typer.Option(help="Why: it stands in the log for ever.")],
    key: Annotated[
        str | None, typer.Option(help="The verifier key that you kept. Default: this installation's own.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be put right.")] = False,
) -> None:
    """Put stored checkpoints right that somebody changed or took away, by what is signed. Signs nothing, and
    changes no fact and no leaf."""
    of = settings()
    verifier = signer(of).verifier if key is None else verifier_of(key)
    found = [each for path in kept for each in read_kept(path)]
    with open_ledger(of) as ledger:
        try:
            repairs = find_repairs(ledger, key=verifier, kept=found)
            _show_repairs(repairs)
            if repairs and not dry_run:
                put_right(ledger, repairs, reason=reason, by="cli")
        except NotRepairable as error:
            fail(f"nothing was changed: {error}", hint="docs/audit-log.md, When something is found")
    if not repairs:
        out.print("every stored checkpoint is as it was signed")
    elif not dry_run:
        out.print(f"{len(repairs)} checkpoints were put right; `revshare verify --kept` now says the rest")


def _show_repairs(repairs: Sequence[Repair]) -> None:
    table = new_table("size", "column", "stands there", "must be", "told by")
    for each in repairs:
        for name, (stands, must_be) in each.differing.items():
            told = (escape(printable(text)) for text in (stands, must_be, each.trusted))
            table.add_row(f"{each.size:,}", name, *told)
    if repairs:
        out.print(table)
