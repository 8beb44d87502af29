"""CSV that spreadsheets may open: no text in it is taken for a formula."""

import csv
from collections.abc import Iterable
from typing import Final

_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")
"""How a formula may begin (OWASP, "CSV Injection")."""
_CRLF: Final = "\r\n"
"""What the writer is told that rows end with: of `\\r` and `\\n` it puts only such into quotes."""


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """The rows as CSV, each ended by a line feed; None is empty.

    What others call their things is only text: where it could begin a formula an apostrophe stands before it.
    Numbers stay as they are.
    """
    lines = _Lines()
    csv.writer(lines, lineterminator=_CRLF).writerows(map(_cell, row) for row in rows)
    return "".join(lines)


class _Lines(list[str]):
    """The rows as the writer gives them, one at a time."""

    def write(self, row: str) -> None:
        """Keep one."""
        self.append(row.removesuffix(_CRLF) + "\n")


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in _STARTS else value
