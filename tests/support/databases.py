"""Fresh, migrated, empty databases: copied from a template that is migrated once."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from ledger.store.migrations import migrate

ROLE_SQL: Final = Path(__file__).parents[2] / "docs" / "database-roles.sql"


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


@contextmanager
def restricted_role(url: str) -> Iterator[str]:
    """The database as the documented role sees it; roles are the server's, so this one's name is its own."""
    role, password = f"revshare_app_{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    script = ROLE_SQL.read_text().replace("revshare_app", role)
    with psycopg.connect(url, autocommit=True) as owner:
        for _ in range(2):  # the documentation says that it can be run again
            owner.execute(script.encode())
        owner.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
        )
        yield make_url(url).set(username=role, password=password).render_as_string(hide_password=False)
        owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
        owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def conninfo(url: str, **changes: str) -> str:
    """What psycopg connects by, with some parts changed (user=..., password=...)."""
    return make_conninfo(url, **changes)
