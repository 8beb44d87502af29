"""The sealed ledgers that are tampered with, and statements to be lied in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proof.exports import Export, statements_of_everything
from tests.proof.stage import Stage


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_url: str,
    migrated_postgresql: str,
    migrated_sqlite: Path,
) -> Iterator[Stage]:
    """Each is made when a test first asks for it."""
    made = Stage(tmp_path_factory.mktemp("proof"), postgres_url, migrated_postgresql, migrated_sqlite)
    yield made
    made.close()


@pytest.fixture(scope="module")
def exports(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Export]:
    """Statements with everything that they can say."""
    return statements_of_everything(migrated_sqlite, tmp_path_factory.mktemp("lies"))
