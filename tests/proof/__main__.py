"""`python -m tests.proof [--edits N] [--only TEXT]`: everything, on fresh databases; last one line of JSON.

Exits with 1 when a tampering was missed.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.proof.acts import Tampering
from tests.proof.catching import caught
from tests.proof.edits import exported, missed_edits
from tests.proof.stage import Stage
from tests.proof.tamperings import all_tamperings
from tests.support.databases import postgresql_template, sqlite_template
from tests.support.postgres import running_postgres
from tests.support.scratch import write_to_memory

KINDS = ("sqlite", "postgresql")


def main() -> int:
    """Tamper and count."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--only", default="", help="tamperings with this in their name")
    parser.add_argument(
        "--edits", type=int, default=10_000, help="of single bytes, of exports, parts and statements"
    )
    options = parser.parse_args()
    write_to_memory()
    tamperings = [each for each in all_tamperings() if options.only in each.name]
    with staged() as stage, ThreadPoolExecutor(len(KINDS)) as pool:
        # The databases do most of the work: one need not wait for the other.
        missed = [
            name for found in pool.map(lambda kind: run(stage, kind, tamperings), KINDS) for name in found
        ]
        if options.edits:
            began = time.monotonic()
            exports = [export for kind in KINDS for export in exported(stage, kind)]
            unseen = missed_edits(*exports, count=options.edits)
            missed += [f"export: {edit}" for edit in unseen]
            say(f"exports: {options.edits} edits of single bytes in {time.monotonic() - began:.0f} s")
    done = len(KINDS) * len(tamperings) + options.edits
    print(json.dumps({"tamperings": done, "caught": done - len(missed), "missed": missed}), flush=True)
    return 1 if missed else 0


def run(stage: Stage, kind: str, tamperings: Sequence[Tampering]) -> list[str]:
    """Do all of them on one kind of database: those that were missed."""
    began = time.monotonic()
    missed = [f"{kind}: {each.name}" for each in tamperings if not tried(stage, kind, each)]
    say(f"{kind}: {len(tamperings)} tamperings in {time.monotonic() - began:.0f} s")
    return missed


def tried(stage: Stage, kind: str, tampering: Tampering) -> bool:
    """Whether it was caught; if not, what was said instead."""
    try:
        named, findings = caught(stage, kind, tampering)
    except Exception:
        say(f"{kind}: {tampering.name}: ended with an error\n{traceback.format_exc()}")
        return False
    if not named:
        say(f"{kind}: {tampering.name}: missed; found: {'; '.join(map(str, findings)) or 'nothing'}")
    return named


@contextmanager
def staged() -> Iterator[Stage]:
    """A stage on a PostgreSQL of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="revshare-proof-") as name,
        running_postgres() as server,
        postgresql_template(server) as template,
    ):
        folder = Path(name)
        stage = Stage(folder, server, template, sqlite_template(folder))
        try:
            yield stage
        finally:
            stage.close()


def say(text: str) -> None:
    """Tell what happens now."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
