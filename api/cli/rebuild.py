"""`revshare rebuild`: views replayed from the log beside the live ones, compared, swapped."""

from typing import Annotated

import typer

from api.cli.parts import open_ledger, settings
from api.cli.terminal import EXIT_USAGE, fail, out, progress
from api.cli.terminal import table as new_table
from projections.rebuild import RebuildDiffers, RebuildNotAllowed, RebuildOvertaken, RebuildReport
from projections.rebuild import rebuild as rebuild_views
from projections.views import VIEWS, UnknownView


def rebuild(
    views: Annotated[
        list[str] | None, typer.Argument(help=f"Some of: {', '.join(v.name for v in VIEWS)}. Default: all.")
    ] = None,
    accept_differences: Annotated[
        bool, typer.Option(help="Swap even where the result differs: how a corrected view takes effect.")
    ] = False,
) -> None:
    """Replay views from the log beside the live ones, compare them, swap. A difference fails loudly."""
    with open_ledger(settings()) as ledger:
        try:
            with progress() as bars:
                bar = bars.add_task("rebuilding", total=None)
                report = rebuild_views(
                    ledger,
                    views or (),
                    lambda done, total: bars.update(bar, completed=done, total=total),
                    accept_differences=accept_differences,
                )
        except UnknownView as error:
            fail(str(error), code=EXIT_USAGE)
        except RebuildDiffers as error:
            hint = "nothing was swapped; if the view was corrected, run again with --accept-differences"
            fail(f"the log gives something else than the live view: {error}", hint=hint)
        except (RebuildOvertaken, RebuildNotAllowed) as error:
            fail(str(error))
    _show(report)


def _show(report: RebuildReport) -> None:
    table = new_table("table", "rows")
    for name, rows in report.rows.items():
        table.add_row(name, f"{rows:,}")
    out.print(table)
    verdict = "swapped with differences" if report.differences else "identical, swapped"
    out.print(f"{', '.join(report.views)}: {report.events:,} facts in {report.seconds:.1f} s; {verdict}")
