"""A ledger of random facts, and its journal exported to files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.journal_export.formats import FORMATS, Name
from projections.journal_export.selection import Selection
from projections.reports.scope import Scope

Export = Callable[..., Path]


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger on a fresh database."""
    made = Ledger(Database(database_url))
    yield made
    made.close()


@pytest.fixture
def export(ledger: Ledger, tmp_path: Path) -> Export:
    """Exports the journal: the file."""

    def exported(name: Name, first: Any = None, last: Any = None, **scope: Any) -> Path:
        file = tmp_path / f"journal.{FORMATS[name].ending}"
        selection = Selection(ledger, Scope(**scope), first, last)
        file.write_bytes(b"".join(FORMATS[name].write(selection, lambda _done, _total: None)))
        return file

    return exported
