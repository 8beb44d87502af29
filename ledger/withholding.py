"""Tax that is withheld from payouts: which rate holds for a partner, and what it takes of an amount. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ledger import checks
from ledger.events.base import Fact
from ledger.events.partner import WithholdingSet
from ledger.events.program import WithholdingRemitted
from ledger.money import share_minor
from ledger.payout_commands import RecordWithholdingRemitted, SetWithholding
from ledger.payout_settings import PayoutSettings, withholding_rate


class Withheld(msgspec.Struct, frozen=True):
    """What a rate takes of an amount: the two parts sum to it."""

    rate_bps: int
    withheld_minor: int
    net_minor: int


def withhold(amount_minor: int, rate_bps: int) -> Withheld:
    """The tax, rounded half-up once to the smallest unit, and what is left."""
    withheld_minor = share_minor(amount_minor, rate_bps)
    return Withheld(rate_bps, withheld_minor, amount_minor - withheld_minor)


def given_back(withheld: Withheld, *, before_minor: int, amount_minor: int) -> int:
    """How much of the tax goes back when `amount_minor` of the net comes back, after `before_minor` of it.

    In proportion, by what came back so far: the parts sum to all of it once all of the net is back.
    """

    def by(back_minor: int) -> int:
        return (2 * withheld.withheld_minor * back_minor + withheld.net_minor) // (2 * withheld.net_minor)

    return by(before_minor + amount_minor) - by(before_minor)


def in_force(said: Sequence[WithholdingSet], now: datetime) -> WithholdingSet | None:
    """What was said of a partner and holds now: of the latest time that has come, the last word."""
    past = [each for each in said if each.effective_at <= now]
    latest = max((each.effective_at for each in past), default=None)
    return next((each for each in reversed(past) if each.effective_at == latest), None)


def rate_bps(
    said: Sequence[WithholdingSet], country: str | None, settings: PayoutSettings, now: datetime
) -> int:
    """The rate in basis points: what was said of the partner; else what its program says of its country."""
    own = in_force(said, now)
    if own is not None and own.rate_bps is not None:
        return own.rate_bps
    return settings.withholding_bps(country)


def set_rate(command: SetWithholding, said: Sequence[WithholdingSet], now: datetime) -> list[Fact]:
    """What is withheld from a partner from a time on; nothing new where that is so already."""
    wanted = WithholdingSet(
        rate_bps=None if command.rate_bps is None else withholding_rate(command.rate_bps, "/rate_bps"),
        reason=checks.note(command.reason, "/reason"),
        effective_at=checks.holds_from(command.effective_at or now, now),
    )
    before = in_force(said, wanted.effective_at)
    if before is not None and (before.rate_bps, before.reason) == (wanted.rate_bps, wanted.reason):
        return []
    return [wanted]


def remit(command: RecordWithholdingRemitted, before: datetime | None, now: datetime) -> list[Fact]:
    """The tax withheld up to a time is remitted; nothing new where it was already, up to then or longer."""
    through = checks.effective_at(command.through, now, "/through")
    reference = checks.reference(command.reference, "/reference")
    if before is not None and through <= before:
        return []
    return [WithholdingRemitted(through=through, reference=reference, effective_at=now)]
