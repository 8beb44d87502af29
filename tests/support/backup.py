"""A copy of a database as of one moment, to be put back: what was written since is lost."""

import sqlite3
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from ledger.store.database import Database


class Backup:
    """Made when it is asked for, put back once. The database may have no other users meanwhile."""

    def __init__(self, database: Database, folder: Path) -> None:
        url = make_url(database.url)
        assert url.database is not None
        self._database, self._server = database, url.set(database="postgres")
        self._live, self._copy = url.database, str(folder / "backup.db")
        if not database.is_postgresql:
            with sqlite3.connect(self._live) as connection:
                connection.execute("VACUUM INTO ?", (self._copy,))
            connection.close()
            return
        self._copy = f"{self._live}_{uuid4().hex[:8]}"
        database.close()
        self._run("CREATE DATABASE {copy} TEMPLATE {live}")

    def put_back(self) -> None:
        """From here on the database is what it was then."""
        self._database.close()
        if self._database.is_postgresql:
            self._run("DROP DATABASE {live} WITH (FORCE)")
            self._run("ALTER DATABASE {copy} RENAME TO {live}")
            return
        for ending in ("", "-wal", "-shm"):
            Path(self._live + ending).unlink(missing_ok=True)
        Path(self._copy).rename(self._live)

    def _run(self, statement: str) -> None:
        names = {"live": sql.Identifier(self._live), "copy": sql.Identifier(self._copy)}
        with psycopg.connect(self._server.render_as_string(hide_password=False), autocommit=True) as server:
            server.execute(sql.SQL(statement).format(**names))
