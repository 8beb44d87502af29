"""What a statement is: one partner's month in one program and currency. Plain data; it holds no rule.

Amounts are whole numbers of `currency`'s smallest unit (`_minor`), times are aware, in UTC. A tuple of lines
may be long: who writes a statement out goes through it once.
"""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

LineKind = Literal[
    "reward_accrued",
    "reward_reversed",
    "reward_matured",
    "matured_reward_reversed",
    "clawback_offset",
    "clawback_written_off",
    "payout_reserved",
    "payout_released",
    "transfer_confirmed",
    "transfer_reversed",
]
"""What a line tells: each kind of fact that moves money has its word."""

PREVIEW: Final = "preview"
"""What stands in the place of a number while the month is open: it can change until it is closed."""


class Amounts(msgspec.Struct, frozen=True):
    """A balance, or by how much it moved: the columns of GET …/balances.

    `paid` and `withheld` are sums of all time; `earned` is what came of all rewards, paid or not.
    """

    pending_minor: int = 0
    available_minor: int = 0
    in_transit_minor: int = 0
    paid_minor: int = 0
    clawback_minor: int = 0
    withheld_minor: int = 0
    earned_minor: int = 0


class StatementProgram(msgspec.Struct, frozen=True):
    """The program, and the time zone in which its months begin."""

    program_id: UUID
    reference: str
    name: str
    time_zone: str


class StatementPartner(msgspec.Struct, frozen=True):
    """The partner, as far as we know it. `country` is ISO 3166-1, `locale` as in BCP 47."""

    partner_id: UUID
    reference: str
    name: str
    email: str | None = None
    country: str | None = None
    locale: str | None = None


class StatementPeriod(msgspec.Struct, frozen=True):
    """A month (`2026-10`): from `begins_at` on, before `ends_at`. None: it is still open."""

    period: str
    begins_at: datetime
    ends_at: datetime
    closed_at: datetime | None


class StatementLine(msgspec.Struct, frozen=True):
    """One fact that moved the partner's money.

    `position` is its place in the log. `source` and `external_id` are what the sender calls the conversion.
    `reason` is a sentence, where the fact has one. `belongs_to`: the earlier month in which it was true; that
    was closed when we learned it.
    """

    position: int
    effective_at: datetime
    recorded_at: datetime
    kind: LineKind
    moved: Amounts
    conversion_id: UUID | None = None
    source: str | None = None
    external_id: str | None = None
    reward_id: UUID | None = None
    payout_id: UUID | None = None
    reason: str | None = None
    belongs_to: str | None = None


class StatementPayout(msgspec.Struct, frozen=True):
    """A payout of which a line tells, as it stood when the statement was made.

    `amount_minor` left the account: `withheld_minor` of it as tax, `net_minor` was sent. `reference` is the
    provider's transfer or the bank's reference.
    """

    payout_id: UUID
    state: str
    provider: str
    amount_minor: int
    withheld_minor: int
    net_minor: int
    reference: str | None = None
    intent_at: datetime | None = None
    confirmed_at: datetime | None = None
    paid_at: datetime | None = None


class Difference(msgspec.Struct, frozen=True):
    """What a correction says otherwise: where (a JSON pointer into it), what stood and what stands there."""

    pointer: str
    was: str | None
    now: str | None


class Statement(msgspec.Struct, frozen=True):
    """One partner's month: opening + lines = closing, in every column.

    `number` counts without a gap in the program (`shop-000042`); it is `preview` and `version` 0 while the
    month is open. A correction is a version from 2 on, with a number of its own: `corrects` names the number
    that it takes the place of, `differs` and `reason` say what and why. `issued_position` is the log position
    of the fact that issued it, `content_sha256` what that fact froze (docs/statements.md).
    `checkpoint` is the oldest signed note that covers it; None until one does. `content_version` is the form
    that the hash is of: what an older form has no field for, a statement in that form does not say.
    """

    content_version: int
    number: str
    version: int
    program: StatementProgram
    partner: StatementPartner
    period: StatementPeriod
    currency: str
    opening: Amounts
    closing: Amounts
    lines: tuple[StatementLine, ...]
    payouts: tuple[StatementPayout, ...]
    tax_withheld_minor: int
    issued_at: datetime | None = None
    issued_by: str | None = None
    issued_position: int | None = None
    content_sha256: str | None = None
    checkpoint: str | None = None
    corrects: str | None = None
    reason: str | None = None
    differs: tuple[Difference, ...] = ()

    @property
    def is_preview(self) -> bool:
        """Whether the month is still open, so that this is no statement yet."""
        return self.number == PREVIEW
