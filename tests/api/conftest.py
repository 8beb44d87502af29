"""An installation on a fresh database of each kind."""

from collections.abc import Iterator

import pytest

from tests.api.house import House


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    """The API over an empty, migrated database."""
    made = House(database_url)
    yield made
    made.close()


@pytest.fixture
def sqlite_house(sqlite_database_url: str) -> Iterator[House]:
    """The same, where one database says it all."""
    made = House(sqlite_database_url)
    yield made
    made.close()
