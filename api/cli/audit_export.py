"""`revshare audit export` and `revshare audit verifier`: what an auditor is given, and what checks it."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.keys import partner_id_of
from api.cli.parts import open_ledger, settings
from api.cli.terminal import EXIT_FAILED, fail, say
from api.cli.writing import new_file
from ledger.audit import revshare_verify
from projections.export import NoCheckpoint, NotSealed, export_log, export_part, positions_of_partner


def export(
    file: Annotated[Path, typer.Argument(help="Where to write it; there must be no such file yet.")],
    partner: Annotated[
        str | None,
        typer.Option(
            help="Only what moved this partner's money (id or reference), each fact with its proof."
        ),
    ] = None,
) -> None:
    """Write the log up to the newest checkpoint, for `revshare_verify.py` or a verifier of your own."""
    with open_ledger(settings()) as ledger, new_file(file, "facts") as (write, tell):
        try:
            if partner is None:
                count = export_log(ledger, write, tell)
            else:
                places = positions_of_partner(ledger, partner_id_of(partner))
                count = export_part(ledger, places, write, tell)
        except NoCheckpoint as error:
            fail(str(error), code=EXIT_FAILED, hint="`revshare audit checkpoint` signs one now")
        except NotSealed as error:
            fail(str(error), code=EXIT_FAILED, hint="`revshare audit checkpoint` seals what there is")
    say(f"{count:,} facts in {file}")


def verifier() -> None:
    """Print the verifier, a Python file of its own: `revshare audit verifier > revshare_verify.py`."""
    typer.echo(Path(revshare_verify.__file__).read_text(encoding="utf-8"), nl=False)
