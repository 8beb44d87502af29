"""The edges of a worker's process, at which the outside could notice that it ended: named, counted, deadly.

They are the steps that the worker names by itself and, whatever it names, each append before it is made and
each request before and after. Between two of them nothing outside the process changes but by the append or
request that the first one names, so that an end between them is an end at one of the two.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import sqlalchemy as sa

from ledger.store.application import Ledger
from ledger.store.database import Database

ANY_NUMBER: Final = ("lease taken", "lease released")
"""How often these are met depends on how far the views are behind: the first time stands for the others."""


class Edges:
    """Writes the edges that it meets into a file, and ends the process at one of them."""

    def __init__(self, seen: str, kill_at: str | None) -> None:
        self._seen, self._kill_at = Path(seen), kill_at
        self._counts: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        """An edge: the nth time its name is followed by the number."""
        self._counts[name] += 1
        if name in ANY_NUMBER and self._counts[name] > 1:
            return
        label = name if self._counts[name] == 1 else f"{name} ({self._counts[name]})"
        with self._seen.open("a") as file:
            file.write(f"{label}\n")
        if label == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Around every append and every request of this process."""
        self._around(Ledger, "append_units", _facts_of, after=False)
        self._around(requests.Session, "request", _request, after=True)

    def at_commits(self, database: Database) -> None:
        """Also in each transaction of a database, when all is written and nothing is committed."""
        sa.event.listen(database.engine, "commit", lambda _connection: self("before commit"))

    def _around(self, owner: type, name: str, label: Callable[..., str], *, after: bool) -> None:
        real = getattr(owner, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            what = label(*arguments[1:], **options)
            self(f"before {what}")
            answer = real(*arguments, **options)
            if after:
                self(f"after {what}")
            return answer

        setattr(owner, name, wrapped)


def _facts_of(units: Any, **_: Any) -> str:
    names = dict.fromkeys(type(recorded.fact).__name__ for unit in units for recorded in unit)
    return f"append {'+'.join(names)}"


def _request(method: str, url: str, **_: Any) -> str:
    path = urlsplit(url).path
    return (
        f"{method.upper()} {'/'.join(part for part in path.split('/') if '_' not in part or part == '_sim')}"
    )
