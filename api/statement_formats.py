"""How a statement is written out: a table of formats, each a name, a media type and a writer."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from api.statement_files.content import file_name
from api.statement_files.locales import DEFAULT, Language
from api.statement_files.pdf import to_pdf
from api.statement_files.workbook import to_xlsx
from projections.spreadsheet import csv_text
from projections.statement import Amounts, Statement
from projections.statements.deriving import pieces

CHUNK_LINES: Final = 500
AMOUNTS: Final = Amounts.__struct_fields__
CSV_COLUMNS: Final = (
    "number",
    "version",
    "period",
    "partner",
    "currency",
    "row",
    "position",
    "effective_at",
    "recorded_at",
    "belongs_to",
    "source",
    "external_id",
    "conversion_id",
    "reward_id",
    "payout_id",
    "reason",
    *AMOUNTS,
    "lines",
)
"""A row for the opening balance, one for each line (`row` is its kind), one for the closing balance, whose
last cell counts the lines: a file that was cut off anywhere has none, or another number."""


class Format(NamedTuple):
    """A way to write a statement; `pieces` gives it in pieces, so that a long one is never in memory twice.

    `whole`: instead of pieces, for files for people, which have a language.
    """

    media_type: str
    extension: str
    pieces: Callable[[Statement], Iterator[bytes]] | None = None
    whole: Callable[[Statement, Language], bytes] | None = None

    def write(self, statement: Statement, language: Language = DEFAULT) -> Iterator[bytes]:
        """The statement's bytes. Refuses with StatementTooLong or TypesetterBusy before the first of them."""
        if self.whole is not None:
            return iter([self.whole(statement, language)])
        assert self.pieces is not None
        return self.pieces(statement)

    def file_name(self, statement: Statement) -> str:
        """What the file is called that somebody saves."""
        return file_name(statement, self.extension)


def as_json(statement: Statement) -> Iterator[bytes]:
    """The whole statement as one JSON document."""
    return pieces(statement, statement.__struct_fields__)


def as_csv(statement: Statement) -> Iterator[bytes]:
    """Opening balance, lines and closing balance, in whole minor units; the rows end with a line feed.

    The very last cell is the number of lines.
    """
    of = statement
    same = (of.number, str(of.version), of.period.period, of.partner.reference, of.currency)
    about = CSV_COLUMNS[len(same) + 1 : -len(AMOUNTS) - 1]
    nothing = ("",) * len(about)
    rows: list[tuple[object, ...]] = [CSV_COLUMNS]
    rows.append((*same, "opening", *nothing, *msgspec.structs.astuple(of.opening), ""))
    for line in of.lines:
        told = msgspec.to_builtins(line)
        rows.append(
            (*same, line.kind, *(told[name] for name in about), *msgspec.structs.astuple(line.moved), "")
        )
        if len(rows) >= CHUNK_LINES:
            yield csv_text(rows).encode()
            rows = []
    rows.append((*same, "closing", *nothing, *msgspec.structs.astuple(of.closing), len(of.lines)))
    yield csv_text(rows).encode()


FORMATS: Final[dict[str, Format]] = {
    "json": Format("application/json", "json", as_json),
    "csv": Format("text/csv", "csv", as_csv),
    "pdf": Format("application/pdf", "pdf", whole=to_pdf),
    "xlsx": Format(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", whole=to_xlsx
    ),
}
"""By the word that `?format=` and `--format` take."""
