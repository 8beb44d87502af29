"""`revshare verify`: is the log what it was when it was signed, and are the books what it says?"""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from api.cli.parts import open_ledger, settings, signer
from api.cli.terminal import EXIT_FAILED, EXIT_USAGE, fail, out, progress
from api.cli.terminal import table as new_table
from ledger.audit.notes import BadNote, Verifier, parse_verifier
from projections.rebuild import RebuildNotAllowed, RebuildOvertaken
from projections.verification import Kept, Report, verify_ledger


def verify(
    kept: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of checkpoints kept elsewhere, or one of them. May be repeated."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The verifier key that you kept. Default: this installation's own.")
    ] = None,
    views: Annotated[bool, typer.Option(help="Replay every view, too: takes the role that migrates.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Write the result as JSON.")] = False,
) -> None:
    """Check facts, legs, tree, checkpoints, balances and views. Ends with 1 if anything is wrong."""
    of = settings()
    verifier = signer(of).verifier if key is None else verifier_of(key)
    found = [each for path in kept or () for each in read_kept(path)]  # before the tree is looked at
    with open_ledger(of) as ledger:
        try:
            with progress() as bars:
                tasks = {stage: bars.add_task(stage, total=None) for stage in ("facts", "checkpoints")}

                def tell(stage: str, done: int, total: int) -> None:
                    if stage not in tasks:
                        tasks[stage] = bars.add_task(stage, total=None)
                    bars.update(tasks[stage], completed=done, total=total)

                report = verify_ledger(ledger, key=verifier, kept=found, views=views, progress=tell)
        except RebuildNotAllowed as error:
            fail(str(error), hint="or leave the views out: --no-views")
        except RebuildOvertaken as error:
            fail(str(error))
    if as_json:
        out.print(_document(report, verifier), markup=False, soft_wrap=True)
    else:
        _show(report, verifier)
    if not report.is_sound:
        raise typer.Exit(EXIT_FAILED)


def read_kept(path: Path) -> list[Kept]:
    """The checkpoint in a file, or those in a folder. Nothing there is no proof of anything, and refused."""
    try:
        files = [path] if path.is_file() else [each for each in sorted(path.iterdir()) if _is_kept(each)]
        found = [Kept(str(each), each.read_bytes().decode(errors="replace")) for each in files]
    except OSError as error:
        fail(f"{path}: {error.strerror}", code=EXIT_USAGE)
    if not found:
        fail(f"{path}: no checkpoint is kept there", code=EXIT_USAGE)
    return found


def _is_kept(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix != ".part"


def verifier_of(text: str) -> Verifier:
    """The key of the option `--key`; the command ends where it is none."""
    try:
        return parse_verifier(text)
    except BadNote as error:
        fail(f"--key: {error}", code=EXIT_USAGE, hint="`revshare audit key` prints one")


def _document(report: Report, verifier: Verifier) -> str:
    document = msgspec.to_builtins(report, enc_hook=str, str_keys=True)
    document["findings"] = [
        {**msgspec.to_builtins(each, enc_hook=str), "message": str(each)} for each in report.findings
    ]
    return msgspec.json.encode({"sound": report.is_sound, "key": str(verifier), **document}).decode()


def _show(report: Report, verifier: Verifier) -> None:
    table = new_table("checked", "how many")
    for what, count in (
        ("facts with their legs", report.leaves),
        ("checkpoints of ours", report.checkpoints),
        ("checkpoints kept elsewhere", report.kept),
        ("balances", report.balances),
        ("closed months", report.closings),
        ("statements", report.statements),
    ):
        table.add_row(what, f"{count:,}")
    out.print(table)
    out.print(f"signatures: by {verifier}", soft_wrap=True, markup=False)
    if not report.views_checked:
        out.print("views: left out")
    if report.waiting:
        out.print(f"{report.waiting:,} facts are no leaves yet: nothing vouches for them so far")
    if not report.kept:
        out.print(
            "no checkpoint kept elsewhere was given (--kept): a log rewritten as a whole would not be seen"
        )
    for finding in report.findings:
        more = report.counts[finding.kind]
        out.print(f"WRONG {finding}" + (f" ({more:,} of this kind)" if more > 1 else ""), markup=False)
    verdict = "sound" if report.is_sound else "NOT SOUND"
    out.print(f"{verdict}, in {report.seconds:.1f} s")
