"""How a program pays out: set as a whole, each mistake named."""

from datetime import timedelta

import msgspec
import pytest

from ledger import program
from ledger.events.program import CountryWithholding, PayoutSchedule, PayoutSettingsChanged
from ledger.payout_commands import ChangePayoutSettings
from ledger.refusals import InvalidField, UnknownProgram
from tests.ledger.test_program import CREATED, ID, NOW, decide, replay

MONTHLY = PayoutSchedule(every="month", day=31, time_zone="Europe/London", hour=6)
GERMANY = CountryWithholding(country="DE", rate_bps=1_500)
WISH = ChangePayoutSettings(
    program_id=ID,
    schedule=MONTHLY,
    minimum_minor=50_00,
    second_approval_over_minor=10_000_00,
    withholding=(GERMANY,),
)
CHANGED = PayoutSettingsChanged(
    effective_at=NOW,
    schedule=MONTHLY,
    minimum_minor=50_00,
    second_approval_over_minor=10_000_00,
    withholding=(GERMANY,),
)


def test_settings_are_changed_as_a_whole():
    """The same again is nothing new; what is left out is none."""
    assert decide([CREATED], WISH) == [CHANGED]
    assert decide([CREATED, CHANGED], WISH, now=NOW + timedelta(days=1)) == []
    assert decide([CREATED, CHANGED], ChangePayoutSettings(program_id=ID)) == [
        PayoutSettingsChanged(effective_at=NOW)
    ]
    assert decide([CREATED], ChangePayoutSettings(program_id=ID)) == []
    with pytest.raises(UnknownProgram):
        decide([], WISH)


def test_a_schedule_holds_since_it_became_what_it_is():
    """Another change of the settings leaves it; another hour is another schedule."""
    later = msgspec.structs.replace(CHANGED, effective_at=NOW + timedelta(days=1), minimum_minor=None)
    moved = msgspec.structs.replace(
        CHANGED, effective_at=NOW + timedelta(days=2), schedule=msgspec.structs.replace(MONTHLY, hour=7)
    )

    assert replay([CREATED]).payouts.scheduled_since is None
    assert replay([CREATED, CHANGED, later]).payouts.scheduled_since == NOW
    assert replay([CREATED, CHANGED, later, moved]).payouts.scheduled_since == NOW + timedelta(days=2)


def test_tax_is_withheld_by_country():
    """None where nothing was said of the country, or the partner has none."""
    of = replay([CREATED, CHANGED]).payouts

    assert [of.withholding_bps(country) for country in ("DE", "GB", None)] == [1_500, 0, 0]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"schedule": msgspec.structs.replace(MONTHLY, day=0)}, "/schedule/day"),
        ({"schedule": msgspec.structs.replace(MONTHLY, day=32)}, "/schedule/day"),
        ({"schedule": msgspec.structs.replace(MONTHLY, every="week", day=8)}, "/schedule/day"),
        ({"schedule": msgspec.structs.replace(MONTHLY, hour=24)}, "/schedule/hour"),
        ({"schedule": msgspec.structs.replace(MONTHLY, time_zone="Europe/Atlantis")}, "/schedule/time_zone"),
        ({"schedule": msgspec.structs.replace(MONTHLY, time_zone="../../etc/passwd")}, "/schedule/time_zone"),
        ({"schedule": msgspec.structs.replace(MONTHLY, time_zone="Europe")}, "/schedule/time_zone"),
        ({"minimum_minor": -1}, "/minimum_minor"),
        ({"second_approval_over_minor": 10**13}, "/second_approval_over_minor"),
        ({"withholding": (GERMANY, GERMANY)}, "/withholding/1/country"),
        ({"withholding": (CountryWithholding(country="de", rate_bps=1),)}, "/withholding/0/country"),
        ({"withholding": (CountryWithholding(country="DE", rate_bps=10_000),)}, "/withholding/0/rate_bps"),
        ({"withholding": (CountryWithholding(country="DE", rate_bps=-1),)}, "/withholding/0/rate_bps"),
    ],
)
def test_each_mistake_is_named(change, pointer):
    """With a pointer to its field."""
    with pytest.raises(InvalidField) as refused:
        program.decide(msgspec.structs.replace(WISH, **change), replay([CREATED]), now=NOW)

    assert refused.value.pointer == pointer
