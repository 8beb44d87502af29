"""A statement from the ledger: lines from the journal and its facts, names and payouts as they were.

What is closed never changes, and neither does what is derived of it: the same bytes on any machine, after any
rebuild. What is told of a partner and of payouts is read from their streams up to a position of the log.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger import ids
from ledger.events import account, reward
from ledger.events.base import Fact, Recorded
from ledger.events.payout import TransferConfirmed
from ledger.events.period import PeriodClosed
from ledger.month import Month
from ledger.period import Span
from ledger.refusals import UnknownContentVersion
from ledger.store.application import Ledger
from projections.balances import ACCOUNT_COLUMNS, EARNED
from projections.folios import Account
from projections.statement import (
    Amounts,
    Difference,
    LineKind,
    Statement,
    StatementLine,
    StatementPeriod,
)
from projections.statements.closing import legs_of
from projections.statements.details import partner_told, payout_told, program_told
from projections.statements.facts import hold_legs
from projections.statements.then import NOW, Then
from projections.tables import balances, conversions, journal, statements

KINDS: Final[dict[type[Fact], LineKind]] = {
    reward.RewardAccrued: "reward_accrued",
    reward.RewardReversed: "reward_reversed",
    account.RewardMatured: "reward_matured",
    account.MaturedRewardReversed: "matured_reward_reversed",
    account.ClawbackOffset: "clawback_offset",
    account.ClawbackWrittenOff: "clawback_written_off",
    account.PayoutReserved: "payout_reserved",
    account.PayoutReleased: "payout_released",
    TransferConfirmed: "transfer_confirmed",
    account.TransferReversalCredited: "transfer_reversed",
}
READ_CHUNK: Final = 500
"""Legs that are read at once."""
PIECE_LINES: Final = 500
CONTENT_VERSION: Final = 1
"""The form in which statements are issued now."""
_FORM_1: Final = (
    "content_version",
    "number",
    "version",
    "program",
    "partner",
    "period",
    "currency",
    "opening",
    "closing",
    "lines",
    "payouts",
    "tax_withheld_minor",
    "corrects",
    "reason",
    "differs",
)
FORMS: Final = {1: _FORM_1}
"""Each form's fields, in order: all but those that say how a statement was issued. A form never changes."""


_Names = dict[UUID, tuple[str, str]]
"""What the sender calls each conversion: source and external_id."""


class Part(NamedTuple):
    """Which legs of an account are a statement's: of a month, from a part of the log."""

    account: Any
    """An Account, or the columns of one."""
    span: Span
    after_position: int
    through_position: int
    closed_through: int
    """The position that the closing before looked at: what was true earlier is late from there on."""
    then: Then = NOW


class Identity(NamedTuple):
    """What a statement is called, and what is not told by its legs."""

    number: str
    version: int
    details_position: int
    corrects: str | None = None
    reason: str | None = None
    content_version: int = CONTENT_VERSION


def closings(ledger: Ledger, program_id: UUID) -> list[Recorded]:
    """The closings of a program's months, in order."""
    history = ledger.history(ids.periods_id(program_id))
    return [each for each in history if isinstance(each.fact, PeriodClosed)]


def part_of(of: Account, fact: PeriodClosed, before: PeriodClosed | None) -> Part:
    """An account's part of a closed month; `before` is the closing of the month before it."""
    closed_through = 0 if before is None else before.through_position
    span = Span(fact.period, fact.begins_at, fact.ends_at, fact.time_zone)
    return Part(of, span, fact.after_position, fact.through_position, closed_through)


def derive(
    ledger: Ledger,
    connection: sa.Connection,
    part: Part,
    identity: Identity,
    opening: Amounts,
    *,
    closed: Sequence[Recorded],
) -> Statement:
    """The statement of a part. `closed`: the closings of the program, its own among them if it is closed.

    Refuses with UnknownContentVersion and JournalDiffers.
    """
    _form(identity.content_version)
    program_id, partner_id, currency = part.account
    lines = tuple(_lines(ledger, connection, part, closed))
    payouts = list(dict.fromkeys(line.payout_id for line in lines if line.payout_id is not None))
    of = (program_id, partner_id, *payouts)
    streams = ledger.streams(connection, of, until=identity.details_position)
    details = {stream_id: part.then.told(history) for stream_id, history in streams.items()}
    closing = total([opening, *(line.moved for line in lines)])
    closed_at = next((each.recorded_at for each in closed if _period(each) == part.span.period), None)
    return Statement(
        content_version=identity.content_version,
        number=identity.number,
        version=identity.version,
        program=program_told(details[program_id], program_id, part.span.time_zone),
        partner=partner_told(details[partner_id], partner_id),
        period=StatementPeriod(part.span.period, part.span.begins_at, part.span.ends_at, closed_at),
        currency=currency,
        opening=opening,
        closing=closing,
        lines=lines,
        payouts=tuple(payout_told(details[each], each) for each in payouts),
        tax_withheld_minor=closing.withheld_minor - opening.withheld_minor,
        corrects=identity.corrects,
        reason=identity.reason,
    )


def total(amounts: Iterable[Amounts]) -> Amounts:
    """The sum, in each column."""
    columns = zip(*(msgspec.structs.astuple(each) for each in amounts), strict=True)
    return Amounts(*map(sum, columns))


def content(statement: Statement) -> bytes:
    """The bytes that `content_sha256` covers: all but how it was issued (docs/statements.md).

    Refuses with UnknownContentVersion.
    """
    return b"".join(content_pieces(statement))


def content_pieces(statement: Statement) -> Iterator[bytes]:
    """As `content`, some hundred lines at a time."""
    return pieces(statement, _form(statement.content_version))


def pieces(statement: Statement, fields: Sequence[str]) -> Iterator[bytes]:
    """Some fields of a statement as one JSON document, its lines some hundred at a time."""
    told = {name: () if name == "lines" else getattr(statement, name) for name in fields}
    head, _, tail = msgspec.json.encode(told).partition(b'"lines":[]')
    yield head + b'"lines":['
    for start in range(0, len(statement.lines), PIECE_LINES):
        piece = msgspec.json.encode(statement.lines[start : start + PIECE_LINES])[1:-1]
        yield b"," + piece if start else piece
    yield b"]" + tail


def _form(content_version: int) -> Sequence[str]:
    form = FORMS.get(content_version)
    if form is None:
        raise UnknownContentVersion(
            f"no form {content_version} of statements is known here: a newer release's"
        )
    return form


def content_sha256(statement: Statement) -> str:
    """The hash of its content."""
    digest = sha256()
    for piece in content_pieces(statement):
        digest.update(piece)
    return digest.hexdigest()


def last_closing(connection: sa.Connection, of: Account, before: str) -> tuple[str | None, Amounts]:
    """What an account held at the end of the last month before this one that it has a statement of, and which
    month that is; None: there is none, and it held nothing."""
    c = statements.c
    program_id, partner_id, currency = of
    query = sa.select(c.period, c.closing).where(
        c.program_id == program_id,
        c.partner_id == partner_id,
        c.currency == currency,
        c.period < before,
        c.version == 1,
    )
    found = connection.execute(query.order_by(c.period.desc()).limit(1)).first()
    return (None, Amounts()) if found is None else (found[0], msgspec.json.decode(found[1], type=Amounts))


def differences(was: Statement, was_lines: int, now: Statement) -> tuple[Difference, ...]:
    """What two versions say otherwise of program, partner, payouts and balances, and how many lines the one
    before was frozen with: lines and balances are the same, unless that was frozen wrongly."""
    before, after = _flat(was, was_lines), _flat(now, len(now.lines))
    return tuple(
        Difference(pointer, before.get(pointer), after.get(pointer))
        for pointer in sorted({*before, *after})
        if before.get(pointer) != after.get(pointer)
    )


def _flat(statement: Statement, lines: int) -> dict[str, str | None]:
    told = msgspec.to_builtins(msgspec.structs.replace(statement, lines=()))
    found: dict[str, str | None] = {"/lines": str(lines)}

    def walk(pointer: str, value: Any) -> None:
        if isinstance(value, dict | list | tuple):
            named = value.items() if isinstance(value, dict) else enumerate(value)
            for name, inner in named:
                walk(f"{pointer}/{name}", inner)
        else:
            found[pointer] = None if value is None else str(value)

    for name in ("program", "partner", "payouts", "opening", "closing"):
        walk(f"/{name}", told[name])
    return found


# Lines


def moved_accounts(connection: sa.Connection, part: Part) -> list[tuple[UUID, str]]:
    """The accounts of the program (partner, currency) that a month moved; the part's own is not looked at."""
    of = balances.c
    moves = sa.exists().where(
        *_conditions(part._replace(account=(of.program_id, of.partner_id, of.currency)))
    )
    query = sa.select(of.partner_id, of.currency).where(of.program_id == part.account[0], moves)
    return [(partner_id, currency) for partner_id, currency in connection.execute(query)]


def _conditions(part: Part) -> list[sa.ColumnElement[bool]]:
    c = journal.c
    program_id, partner_id, currency = part.account
    return [
        c.program_id == program_id,
        c.partner_id == partner_id,
        c.currency == currency,
        c.position > part.after_position,
        c.position <= part.through_position,
        *legs_of(c, part.closed_through, part.span.begins_at, part.span.ends_at),
        *part.then.legs(c),
    ]


def _lines(
    ledger: Ledger, connection: sa.Connection, part: Part, closed: Sequence[Recorded]
) -> Iterator[StatementLine]:
    """Some hundred at a time: of those before, nothing but the lines is held."""
    for entries in _entries(connection, part):
        rows = ledger.log.read_at(connection, list(entries))
        facts = {each.position: each for each in map(ledger.decode, rows)}
        names = _names(connection, {legs[0].conversion_id for legs in entries.values()} - {None})
        for place, entry in entries.items():
            recorded = hold_legs(part.account, place, facts.get(place), entry)
            yield _line(recorded, entry, part, names, closed)


def _entries(connection: sa.Connection, part: Part) -> Iterator[dict[int, list[Any]]]:
    """The part's legs by their position, in order."""
    c = journal.c
    query = sa.select(
        c.position,
        c.account,
        c.amount_minor,
        c.effective_at,
        c.recorded_at,
        c.reward_id,
        c.payout_id,
        c.conversion_id,
    )
    more = True
    while more:
        some = query.where(*_conditions(part)).order_by(c.position, c.leg).limit(READ_CHUNK)
        entries: dict[int, list[Any]] = {}
        for leg in connection.execute(some):
            entries.setdefault(leg.position, []).append(leg)
        more = sum(map(len, entries.values())) == READ_CHUNK
        if more:
            entries.popitem()  # perhaps not all of it: a fact has a handful of legs at the most
        part = part._replace(after_position=max(entries, default=part.after_position))
        yield entries


def _line(
    recorded: Recorded, entry: Sequence[Any], part: Part, names: _Names, closed: Sequence[Recorded]
) -> StatementLine:
    first = entry[0]
    source, external_id = names.get(first.conversion_id, (None, None))
    late = first.effective_at < part.span.begins_at
    return StatementLine(
        position=recorded.position,
        effective_at=first.effective_at,
        recorded_at=first.recorded_at,
        kind=KINDS[type(recorded.fact)],
        moved=moved(entry),
        conversion_id=first.conversion_id,
        source=source,
        external_id=external_id,
        reward_id=first.reward_id,
        payout_id=first.payout_id,
        reason=getattr(recorded.fact, "reason", None),
        belongs_to=_month_of(first.effective_at, part, closed) if late else None,
    )


def _names(connection: sa.Connection, wanted: set[UUID]) -> _Names:
    c = conversions.c
    query = sa.select(c.conversion_id, c.source, c.external_id).where(c.conversion_id.in_(sorted(wanted)))
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}


def moved(entry: Iterable[Any]) -> Amounts:
    """What legs move in the columns of a balance."""
    sums = [0] * (EARNED + 1)
    for leg in entry:
        found = ACCOUNT_COLUMNS.get(leg.account)
        if found is not None:
            column, sign, earned = found
            sums[column] += sign * leg.amount_minor
            sums[EARNED] += earned * leg.amount_minor
    return Amounts(*sums)


def _month_of(effective_at: Any, part: Part, closed: Sequence[Recorded]) -> str:
    """The earlier month in which something was true, as it was closed; before the first: there, as now."""
    for each in closed:
        fact = each.fact
        if isinstance(fact, PeriodClosed) and fact.begins_at <= effective_at < fact.ends_at:
            return fact.period
    return str(Month.of(effective_at, part.span.time_zone))


def _period(recorded: Recorded) -> str | None:
    return recorded.fact.period if isinstance(recorded.fact, PeriodClosed) else None
