"""Fresh, migrated, empty databases: copied from a template that is migrated once."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from ledger.store.migrations import migrate


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite:///{path}"


def sqlite_template(folder: Path) -> Path:
    """A migrated SQLite file, whole by itself: its log was folded in when the last connection closed."""
    path = folder / "template.db"
    migrate(sqlite_url(path))
    return path


def sqlite_copy(template: Path, folder: Path) -> str:
    """The URL of a fresh copy of the template."""
    path = folder / "revshare.db"
    shutil.copyfile(template, path)
    return sqlite_url(path)


@contextmanager
def postgresql_database(server_url: str, template: str | None = None) -> Iterator[str]:
    """The URL of a new database on the server, a copy of the template if one is named; dropped at the end."""
    name = f"revshare_test_{uuid.uuid4().hex}"
    copied = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
        sql.Identifier(name), sql.Identifier(template or "template0")
    )
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(copied)
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            # FORCE: a test that failed may have left connections behind.
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def postgresql_template(server_url: str) -> Iterator[str]:
    """The name of a migrated database that others are copied from."""
    with postgresql_database(server_url) as url:
        migrate(url)
        name = make_url(url).database
        assert name is not None
        yield name


def conninfo(url: str, **changes: str) -> str:
    """What psycopg connects by, with some parts changed (user=..., password=...)."""
    return make_conninfo(url, **changes)
