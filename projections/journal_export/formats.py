"""The formats in which the journal is exported, by name."""

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple, get_args

from projections.journal_export.selection import Progress, Selection
from projections.journal_export.tables import csv_lines, parquet
from projections.journal_export.texts import Beancount, Hledger, export

Name = Literal["hledger", "beancount", "csv", "parquet"]
NAMES: Final[tuple[Name, ...]] = get_args(Name)


class Format(NamedTuple):
    """How the journal is written, what that is as a media type, and how a file of it is called."""

    write: Callable[[Selection, Progress], Iterator[bytes]]
    media_type: str
    ending: str


TEXT: Final = "text/plain"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
FORMATS: Final[dict[Name, Format]] = {
    "hledger": Format(lambda selection, tell: export(selection, Hledger(), tell), TEXT, "journal"),
    "beancount": Format(lambda selection, tell: export(selection, Beancount(), tell), TEXT, "beancount"),
    "csv": Format(csv_lines, CSV, "csv"),
    "parquet": Format(parquet, PARQUET, "parquet"),
}
