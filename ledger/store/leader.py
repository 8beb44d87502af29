"""Leadership of one process among several on a database: a lock that goes when its holder does."""

import fcntl
import os
from typing import IO

import sqlalchemy as sa

from ledger.store.database import Database, DatabaseUnavailable


class LeaderLock:
    """Held by one process at a time. It keeps others idle; what fences them is the data itself.

    On PostgreSQL an advisory lock of a session, on SQLite a lock on a file beside the database.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._session: sa.Connection | None = None
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Whether this process leads now; asked again while it does, whether it still does."""
        return self._acquire_session() if self._database.is_postgresql else self._acquire_file()

    def release(self) -> None:
        """Let another process lead."""
        if self._session is not None:
            self._session.invalidate()  # back in the pool the session would go on holding the lock
            self._session.close()
            self._session = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _acquire_session(self) -> bool:
        try:
            if self._session is not None:
                self._session.execute(sa.text("SELECT 1"))
                return True
            session = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            query = sa.text("SELECT pg_try_advisory_lock(hashtext(:name))")
            if session.execute(query, {"name": f"revshare:{self._name}"}).scalar():
                self._session = session
                return True
            session.close()
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            self._session = None
            raise DatabaseUnavailable(str(error)) from error
        return False

    def _acquire_file(self) -> bool:
        if self._file is not None:
            return True
        path = f"{self._database.engine.url.database}.{self._name}.lock"
        file = open(path, "ab")  # noqa: SIM115 - held open for as long as the process leads
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        os.set_inheritable(file.fileno(), False)
        self._file = file
        return True
