"""`revshare audit`: the part that seals the log, and what an auditor asks of it."""

import typer

from api.cli.parts import open_ledger, seal, settings, signer
from api.cli.terminal import EXIT_FAILED, fail, out
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker, LogBroken, latest
from projections.deliveries import Deliverer

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
