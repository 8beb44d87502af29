"""Bringing a database to the newest schema: the one way in which tables are made or changed."""

import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from ledger.store.database import Database

# Any number will do as long as it never changes: it is the name of the lock on PostgreSQL.
_LOCK_KEY: Final = 7_261_950_114_273


def migrate(url: str) -> None:
    """Bring the database to the newest revision. Processes that do so at once wait for each other."""
    with locked_connection(url) as connection:
        command.upgrade(_configuration(connection), "head")


def pending_revisions(url: str) -> list[str]:
    """The revisions that the database still lacks, oldest first; empty when it is up to date."""
    script = ScriptDirectory.from_config(_configuration(None))
    database = Database(url, pool_size=1)
    try:
        with database.read() as connection:
            applied = MigrationContext.configure(connection).get_current_heads()
    finally:
        database.close()
    known = [revision.revision for revision in script.iterate_revisions(applied or "base", "base")]
    everything = [revision.revision for revision in script.walk_revisions()]
    return [revision for revision in reversed(everything) if revision not in known]


@contextmanager
def locked_connection(url: str) -> Iterator[sa.Connection]:
    """One transaction that no other migration runs beside; committed at its end."""
    database = Database(url, pool_size=1)
    try:
        with database.write() as connection:
            if database.is_postgresql:  # SQLite has one writer at a time anyway
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
            yield connection
    finally:
        database.close()


def _configuration(connection: sa.Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _folder() -> Path:
    """The migrations stand beside the packages in a checkout, and below share/ once a wheel is installed."""
    checkout = Path(__file__).resolve().parents[2] / "alembic"
    installed = Path(sysconfig.get_path("data")) / "share" / "revshare" / "alembic"
    for folder in (checkout, installed):
        if (folder / "env.py").is_file():
            return folder
    raise FileNotFoundError(f"no migrations in {checkout} or {installed}")
