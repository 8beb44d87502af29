"""Importing a statement: each entry is judged and recorded by itself, the report of the whole is a fact.

It can be broken off anywhere and begun again: an entry that was recorded is known by the statement's id and
its own reference. So nothing is recorded twice, and what could not be matched is judged anew each time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger import bank_file, ids
from ledger.bank_payout import DIFFERENCES, Entry, Judged
from ledger.events.bank import BankFileExported, BankStatementImported, StatementLine
from ledger.events.base import Fact
from ledger.refusals import LostRace, NotFound
from ledger.store.application import ATTEMPTS_MAX, Change, Decider, Ledger
from payouts import restore_check, tables
from payouts.bank import camt053, statement_csv
from payouts.bank.exporting import FILE
from payouts.bank.settling import Settled, settle
from payouts.bank.statements import Movement, Statement
from payouts.batches import PAYOUT
from projections import bulk
from projections.queries.paging import LIMIT, Cursor, Page, page

Form = Literal["camt.053", "csv"]
_PARSERS: Final[Mapping[Form, Callable[[bytes], list[Statement]]]] = {
    "camt.053": camt053.parse,
    "csv": statement_csv.parse,
}


class StatementState(msgspec.Struct, frozen=True):
    """A statement as it was imported last."""

    imported: BankStatementImported | None = None


def _evolve(state: StatementState, fact: Fact) -> StatementState:
    return StatementState(fact) if isinstance(fact, BankStatementImported) else state


STATEMENT: Final = Decider(StatementState(), _evolve)


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A statement's report: what each of its entries is; `recorded` of them were new."""

    bank_statement_id: UUID
    statement_id: str
    account_iban: str | None
    file_sha256: str
    lines: tuple[StatementLine, ...]
    imported_by_person: str | None
    imported_at: datetime
    recorded: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many entries have each verdict."""
        return dict(sorted(Counter(line.verdict for line in self.lines).items()))

    @property
    def differences(self) -> int:
        """How many a human has to look at."""
        return sum(line.verdict in DIFFERENCES for line in self.lines)


def load(ledger: Ledger, bank_statement_id: UUID) -> Imported:
    """A statement as it was imported last. Refuses with NotFound."""
    imported = ledger.load(bank_statement_id, STATEMENT).state.imported
    if imported is None:
        raise NotFound("no such statement was imported")
    return _shown(bank_statement_id, imported)


def list_statements(connection: sa.Connection, *, after: Cursor | None = None, limit: int = LIMIT) -> Page:
    """The ids of imported statements, those that last said something new first."""
    of = tables.bank_statements
    order = [of.c.imported_at, of.c.bank_statement_id]
    return page(connection, sa.select(of), order, after=after, limit=limit, descending=True)


def load_all(ledger: Ledger, bank_statement_ids: Sequence[UUID]) -> list[Imported]:
    """Statements as they were imported last, in this order."""
    found = ledger.load_many(bank_statement_ids, STATEMENT)
    return [_shown(each, at.state.imported) for each, at in found.items() if at.state.imported is not None]


def import_statements(
    ledger: Ledger, content: bytes, form: Form, *, by: str, person: str | None = None
) -> list[Imported]:
    """Import every statement of a file; the same again changes nothing. Refuses with UnreadableStatement.

    Money that left is recorded before money that came back, wherever either stands in the file.
    """
    statements = _PARSERS[form](content)
    digest = sha256(content).hexdigest()
    read = [list(_read(ledger, each.movements)) for each in statements]
    settled: dict[tuple[int, int], Settled] = {}
    for direction in ("debit", "credit"):
        for number, of in enumerate(read):
            for place, one in enumerate(of):
                if one.entry.direction == direction:
                    settled[number, place] = _settled(ledger, one, by)
    reports = []
    for number, statement in enumerate(statements):
        found = [settled[number, place] for place in range(len(read[number]))]
        imported = BankStatementImported(
            statement_id=statement.statement_id,
            account_iban=statement.account_iban,
            form=form,
            file_sha256=digest,
            lines=tuple(_line(one.entry, each.judged) for one, each in zip(read[number], found, strict=True)),
            imported_by_person=person,
            effective_at=ledger.clock(),
        )
        reports.append(_recorded(ledger, imported, sum(each.new for each in found), by))
    _look_for_lost_files(ledger, reports, by)
    return reports


def _look_for_lost_files(ledger: Ledger, reports: Iterable[Imported], by: str) -> None:
    """The bank was told of a payout of ours by a file that the ledger has not: it was restored."""
    unknown = [
        line.payout_id
        for report in reports
        for line in report.lines
        if line.verdict == "unknown_reference" and line.direction == "debit" and line.payout_id is not None
    ]
    for payout_id, at in ledger.load_many(unknown, PAYOUT).items():
        if at.state.draft is not None:
            reason = f"the bank booked payout {payout_id}, which no file of this ledger holds"
            restore_check.doubt_bank_files(ledger, reason, by=by)
            return


class _Read(NamedTuple):
    """An entry; `judged` where it is plain already what it is."""

    entry: Entry
    judged: Judged | None = None


def _read(ledger: Ledger, movements: Iterable[Movement]) -> Iterator[_Read]:
    """The entries of a statement; a sum for a whole file of ours is the transfers of that file."""
    for movement in movements:
        entry, file = movement.entry, _file(ledger, movement)
        if file is None:
            yield _Read(entry)
            continue
        states = ledger.load_many(file.payout_ids, PAYOUT)
        amounts = {each: at.state.draft.net_minor for each, at in states.items() if at.state.draft}
        if entry.amount_minor != sum(amounts.values()) or movement.transfers not in (None, len(amounts)):
            said = f"it is for file {file.message_id}, whose sum or number of transfers is another"
            yield _Read(entry, Judged("different", said))
            continue
        for place, (payout_id, amount) in enumerate(amounts.items(), start=1):
            yield _Read(
                msgspec.structs.replace(
                    entry,
                    entry_reference=f"{entry.entry_reference}/{place}",
                    bank_reference=entry.bank_reference and f"{entry.bank_reference}/{place}",
                    end_to_end_id=bank_file.end_to_end_id(payout_id),
                    amount_minor=amount,
                )
            )


def _file(ledger: Ledger, movement: Movement) -> BankFileExported | None:
    """The file of ours that a movement pays as one sum: its message id is that of its stream."""
    named = bank_file.payout_of(movement.message_id)
    if named is None or movement.entry.direction != "debit":
        return None
    return ledger.load(named, FILE).state.exported


def _settled(ledger: Ledger, read: _Read, by: str) -> Settled:
    entry = read.entry
    payout_id = bank_file.payout_of(entry.end_to_end_id)
    if read.judged is not None:
        return Settled(read.judged, False)
    if payout_id is None:
        return Settled(Judged("not_ours"), False)
    if not entry.is_booked:
        return Settled(Judged("not_booked", "the bank has not booked it yet"), False)
    return settle(ledger, payout_id, entry, by=by)


def _line(entry: Entry, judged: Judged) -> StatementLine:
    """What is kept of an entry: nothing of who else pays or is paid over the account."""
    return StatementLine(
        entry_reference=entry.entry_reference,
        direction=entry.direction,
        amount_minor=entry.amount_minor,
        currency=entry.currency,
        verdict=judged.verdict,
        payout_id=None if judged.verdict == "not_ours" else bank_file.payout_of(entry.end_to_end_id),
        detail=judged.detail,
    )


def _recorded(ledger: Ledger, imported: BankStatementImported, new: int, by: str) -> Imported:
    """The report, kept where it says something else than the last one of the statement."""
    stream = ids.bank_statement_id(imported.account_iban or "", imported.statement_id)

    def note(connection: sa.Connection) -> None:
        row = (stream, imported.effective_at)
        bulk.upsert(connection, tables.bank_statements, tables.bank_statements.name, [row])

    for _ in range(ATTEMPTS_MAX):
        state, version = ledger.load(stream, STATEMENT)
        if state.imported is not None and state.imported.lines == imported.lines:
            return msgspec.structs.replace(_shown(stream, state.imported), recorded=new)
        if ledger.append([Change(stream, version, [imported])], by=by, within=note) is not None:
            return msgspec.structs.replace(_shown(stream, imported), recorded=new)
    raise LostRace(f"statement {imported.statement_id} was imported by others {ATTEMPTS_MAX} times in a row")


def _shown(bank_statement_id: UUID, imported: BankStatementImported) -> Imported:
    return Imported(
        bank_statement_id=bank_statement_id,
        statement_id=imported.statement_id,
        account_iban=imported.account_iban,
        file_sha256=imported.file_sha256,
        lines=imported.lines,
        imported_by_person=imported.imported_by_person,
        imported_at=imported.effective_at,
    )
