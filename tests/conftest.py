"""Fixtures for all tests: one PostgreSQL a process; for each test a fresh, migrated, empty database."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import (
    postgresql_database,
    postgresql_template,
    restricted_role,
    sqlite_copy,
    sqlite_template,
)
from tests.support.postgres import NoPostgres, running_postgres
from tests.support.scratch import write_to_memory
from tests.support.stripe_watch import every_call_fits_stripes_types, stripe_is_watched

__all__ = ["every_call_fits_stripes_types", "stripe_is_watched"]


def pytest_configure() -> None:
    """Before anything asks for a temporary folder."""
    write_to_memory()


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` is: most tests wait half of their time, for a database or a process."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return 2 * (ours or 1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server in which databases can be made; stopped at the end of the session."""
    server = running_postgres()
    try:
        url = server.__enter__()
    except NoPostgres as error:
        pytest.exit(f"The tests need a real PostgreSQL, and there is none. {error}", returncode=3)
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def migrated_postgresql(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database on the server, to copy from."""
    with postgresql_template(postgres_url) as name:
        yield name


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to copy from."""
    return sqlite_template(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def sqlite_database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The URL of a fresh SQLite database."""
    return sqlite_copy(migrated_sqlite, tmp_path)


@pytest.fixture
def postgresql_database_url(postgres_url: str, migrated_postgresql: str) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database; dropped at the end of the test."""
    with postgresql_database(postgres_url, template=migrated_postgresql) as url:
        yield url


@pytest.fixture
def restricted_url(postgresql_database_url: str) -> Iterator[str]:
    """The same database, as the application's documented role sees it."""
    with restricted_role(postgresql_database_url) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh, migrated, empty database: each test that asks for it runs on both kinds."""
    fixture = "sqlite_database_url" if request.param == "sqlite" else "postgresql_database_url"
    return str(request.getfixturevalue(fixture))
