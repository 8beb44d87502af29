"""Pages that promise to be whole are held to it: states, verdicts, behaviours and where they come from."""

import re
from pathlib import Path
from typing import get_args

from ledger.payout import PayoutStatus
from payouts.reconciliation import VERDICTS
from projections.verification.findings import KINDS

ROOT = Path(__file__).resolve().parents[1]
BEHAVIOURS = ROOT / "payouts" / "simulator" / "BEHAVIOURS.md"
SOURCES = re.compile(r"\b(docs|SDK|fixture|spec|assumed|not Stripe's|ours)\b")


def tables(page: Path) -> list[list[list[str]]]:
    """The tables of a page: rows of cells, the header first."""
    found: list[list[list[str]]] = []
    within = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            within = False
            continue
        if not within:
            found.append([])
        within = True
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not set("".join(cells)) <= set("- |"):
            found[-1].append(cells)
    return found


def table(page: Path, *header: str) -> list[list[str]]:
    """The rows of the one table that has this header."""
    [rows] = [rows for rows in tables(page) if rows[0] == list(header)]
    return rows[1:]


def test_finance_is_told_each_state_of_a_payout_once_with_what_to_do():
    """A state that is added needs its line."""
    rows = table(ROOT / "docs" / "payout-states.md", "state", "what is so", "what to do")

    assert sorted(state for state, *_ in rows) == sorted(set(get_args(PayoutStatus)) - {"none"})
    assert all(what and do for _, what, do in rows)


def test_each_verdict_of_a_reconciliation_is_told_with_what_to_do():
    """By the names that the report has."""
    rows = table(ROOT / "docs" / "operations.md", "verdict", "is", "do")

    assert {verdict for verdict, *_ in rows} == {f"`{verdict}`" for verdict in VERDICTS}


def test_each_kind_of_finding_of_verify_is_told_with_what_to_do():
    """By the names that `--json` has."""
    rows = table(ROOT / "docs" / "audit-log.md", "found", "do")

    assert sorted(kind for row in rows for kind in re.findall(r"`(\w+)`", row[0])) == sorted(KINDS)
    assert all(do for _, do in rows)


def test_each_behaviour_of_the_stand_in_has_its_source_or_is_assumed():
    """Or is said to be none of Stripe's."""
    behaviours = [
        row for rows in tables(BEHAVIOURS) if rows[0] == ["behaviour", "source"] for row in rows[1:]
    ]

    assert len(behaviours) > 80
    assert [row for row in behaviours if len(row) != 2 or not SOURCES.search(row[1])] == []
