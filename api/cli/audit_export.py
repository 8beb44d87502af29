"""`revshare audit export` and `revshare audit verifier`: what an auditor is given, and what checks it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from api.cli.keys import partner_id_of
from api.cli.parts import open_ledger, settings
from api.cli.terminal import EXIT_FAILED, EXIT_USAGE, fail, progress, say
from ledger.audit import revshare_verify
from projections.export import NoCheckpoint, NotSealed, export_log, export_part, positions_of_partner

BUFFER_BYTES = 1 << 20


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
    if file.exists():
        fail(f"{file} is there already", code=EXIT_USAGE)
    beside = file.with_name(f"{file.name}.part")
    with open_ledger(settings()) as ledger:
        try:
            with progress() as bars, beside.open("wb", buffering=BUFFER_BYTES) as target:
                bar = bars.add_task("facts", total=None)

                def tell(done: int, total: int) -> None:
                    bars.update(bar, completed=done, total=total)

                if partner is None:
                    count = export_log(ledger, target.write, tell)
                else:
                    places = positions_of_partner(ledger, partner_id_of(partner))
                    count = export_part(ledger, places, target.write, tell)
                target.flush()
                os.fsync(target.fileno())
            beside.rename(file)
        except NoCheckpoint as error:
            fail(str(error), code=EXIT_FAILED, hint="`revshare audit checkpoint` signs one now")
        except NotSealed as error:
            fail(str(error), code=EXIT_FAILED, hint="`revshare audit checkpoint` seals what there is")
        except OSError as error:
            fail(f"{error.filename or file}: {error.strerror}", code=EXIT_USAGE)
        finally:
            beside.unlink(missing_ok=True)
    say(f"{count:,} facts in {file}")


def verifier() -> None:
    """Print the verifier, a Python file of its own: `revshare audit verifier > revshare_verify.py`."""
    typer.echo(Path(revshare_verify.__file__).read_text(encoding="utf-8"), nl=False)
