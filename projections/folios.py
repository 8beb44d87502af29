"""Folios: movements of one account, packed in the order of the log, with running totals by effective time.

A balance as it was sums what was true by one time and known by another: a sum over two orders at once. A
folio holds the next 32 movements of an account, sorted by effective time, each with the sum of all before it
in the folio: what was true by a time is one entry of it. Sixteen folios make one of the next level, and so
on, so that any number of movements is a few folios and less than 32 loose ones. Rows are only ever added.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, chain
from operator import sub
from typing import Any, Final, NamedTuple
from uuid import UUID

from ledger.engine.tables import from_us, to_us
from projections.balances import ACCOUNT_COLUMNS, EARNED

ENTRIES = 32
"""Movements in a folio of level 0, and on a sheet of any folio."""
FANOUT = 16
"""Folios of one level that make one of the next."""
LEVELS = 4
"""So the largest hold 131,072 movements."""

Account = tuple[UUID, UUID, str]
"""Program, partner, currency."""
SUMMED: Final = EARNED
"""How many numbers are summed: those of a balance before `earned`, which follows from them."""
_EARNED_SIGNS: Final = [0] * SUMMED
for _column, _sign, _earned in ACCOUNT_COLUMNS.values():
    _EARNED_SIGNS[_column] = _sign * _earned


class Movement(NamedTuple):
    """One fact that moved money of an account: its times, as datetime or as text of RFC 3339, and accounts of
    the chart with signed amounts."""

    effective_at: datetime | str
    recorded_at: datetime | str
    position: int
    entry: Sequence[tuple[str, int]]


class Totals(NamedTuple):
    """Movements sorted by effective time, and what has come together up to each: the position that moved it
    last, and each number of a balance that moved at all."""

    effective: Sequence[int]
    positions: Sequence[int]
    numbers: Mapping[int, Sequence[int]]


class Folio(NamedTuple):
    """A folio: the log's last position in it, the latest time at which anything of the account up to its end
    was recorded, and, if something in it was recorded before something of an earlier folio, when."""

    level: int
    number: int
    position: int
    known_us: int
    late_us: int | None
    totals: Totals


def first_folio(number: int, known_us: int, movements: Sequence[Movement]) -> Folio:
    """A folio of level 0, from movements in the order of the log; `known_us` is that of the one before."""
    columns: list[list[int]] = [[0] * len(movements) for _ in range(SUMMED)]
    effective = [_us(movement.effective_at) for movement in movements]
    # Where the times are the same: as they came.
    order = sorted(range(len(movements)), key=effective.__getitem__)
    for place, of in enumerate(order):
        for account, amount in movements[of].entry:
            found = ACCOUNT_COLUMNS.get(account)
            if found is not None:
                columns[found[0]][place] += found[1] * amount
    recorded = [_us(time) for time in {movement.recorded_at for movement in movements}]
    return Folio(
        level=0,
        number=number,
        position=movements[-1].position,
        known_us=max(known_us, *recorded),
        late_us=min(recorded) if min(recorded) < known_us else None,
        totals=Totals(
            [effective[of] for of in order],
            list(accumulate((movements[of].position for of in order), max)),
            {column: list(accumulate(moved)) for column, moved in enumerate(columns) if any(moved)},
        ),
    )


def _us(time: datetime | str) -> int:
    return to_us(datetime.fromisoformat(time) if isinstance(time, str) else time)


class Loose:
    """An account's movements that are in no folio yet, and where the next folio follows on."""

    def __init__(self, number: int = 0, known_us: int = 0) -> None:
        self._number = number
        self._known_us = known_us
        self._movements: list[Movement] = []

    def add(self, movement: Movement) -> Folio | None:
        """Add the account's next movement; the folio that it fills, if it does."""
        self._movements.append(movement)
        if len(self._movements) < ENTRIES:
            return None
        folio = first_folio(self._number, self._known_us, self._movements)
        self._number, self._known_us, self._movements = self._number + 1, folio.known_us, []
        return folio


def together(parts: Sequence[Totals]) -> Totals:
    """The totals of all parts, which follow each other in the log."""
    effective = list(chain.from_iterable(part.effective for part in parts))
    order = sorted(range(len(effective)), key=effective.__getitem__)
    positions = list(chain.from_iterable(part.positions for part in parts))
    numbers = {}
    for column in sorted({column for part in parts for column in part.numbers}):
        moved = list(
            chain.from_iterable(_moved(part.numbers.get(column), len(part.effective)) for part in parts)
        )
        numbers[column] = list(accumulate(map(moved.__getitem__, order)))
    return Totals(
        list(map(effective.__getitem__, order)),
        list(accumulate(map(positions.__getitem__, order), max)),
        numbers,
    )


def _moved(totals: Sequence[int] | None, length: int) -> Iterable[int]:
    """What each movement added, from what had come together up to each."""
    if totals is None:
        return [0] * length
    return chain(totals[:1], map(sub, totals[1:], totals))


# Sheets: the rows of a folio. Bytes: which numbers there are (a bit each), then effective times, positions
# and those numbers, each eight bytes for each movement, the lowest first


def sheets(folio: Folio) -> list[tuple[int, int, bytes]]:
    """The sheets of a folio: each its number, its first effective time and its bytes."""
    totals = folio.totals
    mask = bytes([sum(1 << column for column in totals.numbers)])
    columns = (totals.effective, totals.positions, *totals.numbers.values())
    found = []
    for number, start in enumerate(range(0, len(totals.effective), ENTRIES)):
        parts = [column[start : start + ENTRIES] for column in columns]
        values = list(chain.from_iterable(parts))
        found.append((number, parts[0][0], mask + struct.pack(f"<{len(values)}q", *values)))
    return found


def opened(packed: bytes) -> Totals:
    """What stands on a sheet."""
    columns = [column for column in range(SUMMED) if packed[0] >> column & 1]
    values = struct.unpack_from(f"<{(len(packed) - 1) // 8}q", packed, 1)
    height = len(values) // (len(columns) + 2)
    effective, positions, *numbers = (values[at : at + height] for at in range(0, len(values), height))
    return Totals(effective, positions, dict(zip(columns, numbers, strict=True)))


def joined(parts: Sequence[Totals]) -> Totals:
    """The sheets of one folio, in their order, as its totals."""
    return Totals(
        list(chain.from_iterable(part.effective for part in parts)),
        list(chain.from_iterable(part.positions for part in parts)),
        {
            column: list(chain.from_iterable(part.numbers[column] for part in parts))
            for column in parts[0].numbers
        },
    )


def balance(sums: Sequence[int], position: int) -> list[int]:
    """The columns of a balance from what is summed: `earned` follows from the others."""
    earned = sum(sign * amount for sign, amount in zip(_EARNED_SIGNS, sums, strict=True))
    return [*sums, earned, position]


def rows(account: Account, folio: Folio) -> list[tuple[Any, ...]]:
    """A folio as rows of its table."""
    late = None if folio.late_us is None else from_us(folio.late_us)
    return [
        (
            *account,
            folio.level,
            folio.number,
            from_us(first),
            sheet,
            folio.position,
            from_us(folio.known_us),
            late,
            packed,
        )
        for sheet, first, packed in sheets(folio)
    ]
