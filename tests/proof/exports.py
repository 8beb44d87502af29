"""Statements with their proofs, of the log that was written once: everything that moves money."""

import json
from pathlib import Path
from typing import Any

from ledger.audit.revshare_verify import Fact, parse_key, parse_line
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.statements.proof import statement_proof
from tests.proof.stage import SIGNER
from tests.support.closing import rows_of
from tests.support.databases import sqlite_copy
from tests.support.frozen_statements import FOLDER, LOG, put

KEY = parse_key(str(SIGNER.verifier))


class Export:
    """A statement's export: its lines as they are in the file, what it says, its facts."""

    def __init__(self, ledger: Ledger, row: Any) -> None:
        self.lines = b"".join(statement_proof(ledger, row.statement_id)).splitlines(keepends=True)
        self.told: dict[str, Any] = json.loads(self.lines[1])
        self.facts = [parse_line(number, line) for number, line in enumerate(self.lines[2:], start=3)]
        self.count: int = row.count

    def as_version_1(self) -> list[Fact]:
        """The facts that a file of version 1 has: none of the partner, of payouts, of earlier months."""
        positions = {line["position"] for line in self.told["lines"]}
        period = next(fact for fact in self.facts if self._closes(fact) == self.told["period"]["period"])
        return [
            fact
            for fact in self.facts
            if fact.position in positions
            or fact.topic == "StatementIssued@1"
            or (self._closes(fact) and fact.version in (period.version, period.version - 2))
        ]

    def file_of_version_1(self) -> list[bytes]:
        """The file that an earlier release wrote."""
        kept = {fact.position for fact in self.as_version_1()}
        lines = [line for line, fact in zip(self.lines[2:], self.facts, strict=True) if fact.position in kept]
        return [self.lines[0].replace(b'"version":2', b'"version":1'), self.lines[1], *lines]

    def _closes(self, fact: Fact) -> str | None:
        told = json.loads(fact.state or b"null")
        return told["fact"]["period"] if fact.topic == "PeriodClosed@1" else None


def statements_of_everything(migrated_sqlite: Path, folder: Path) -> list[Export]:
    """Each statement of that log, in pounds and in yen."""
    ledger = Ledger(Database(sqlite_copy(migrated_sqlite, folder)))
    put(ledger, json.loads((FOLDER / LOG).read_text(encoding="utf-8")))
    Sequencer(ledger).catch_up()
    assert CheckpointMaker(ledger, SIGNER).step(now_wanted=True) is not None
    made = [Export(ledger, row) for row in rows_of(ledger)]
    ledger.close()
    return made
