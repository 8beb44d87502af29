"""Why a partner can't be paid: its account, its tax form, a hold; and from which amount on it is reported."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from ledger import partner
from ledger.events.base import Fact
from ledger.events.partner import (
    PartnerApplied,
    PartnerApproved,
    PartnerPayoutsPaused,
    PayoutAccountChanged,
    PayoutAccountLinked,
    TaxFormFiled,
)
from ledger.partner import PartnerState
from ledger.tax_forms import expires_at
from payouts import accounts
from payouts.eligibility import account_holds, obstacles
from payouts.outcomes import Account
from payouts.tax_thresholds import THRESHOLDS, NoThreshold, threshold

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ID = uuid4()
ACTIVE = Account(
    account_id="acct_1",
    country="GB",
    default_currency="gbp",
    transfers_active=True,
    payouts_enabled=True,
    disabled_reason=None,
    currently_due=(),
)
DUE = msgspec.structs.replace(
    ACTIVE, transfers_active=False, disabled_reason="requirements.past_due", currently_due=("company.tax_id",)
)
CLOSED = msgspec.structs.replace(ACTIVE, transfers_active=False, disabled_reason="rejected.fraud")


def given(*facts: Fact, country: str | None = "GB") -> PartnerState:
    """An approved partner after facts."""
    before = (PartnerApplied(reference="acme", name="Acme", country=country), PartnerApproved(note=None))
    return replay(None, *before, *facts)


def replay(state: Any, *facts: Fact) -> Any:
    """A partner after facts."""
    for fact in facts:
        state = partner.evolve(state, fact)
    return state


def linked(destination: str = "acct_1") -> PayoutAccountLinked:
    """The fact that money goes to an account."""
    return PayoutAccountLinked(provider="stripe", destination=destination)


def seen(account: Account, at: datetime = NOW) -> PayoutAccountChanged:
    """The fact of a look at an account."""
    fields = {
        name: value
        for name, value in msgspec.structs.asdict(account).items()
        if name not in ("account_id", "reference")
    }
    return PayoutAccountChanged(provider="stripe", destination=account.account_id, effective_at=at, **fields)


def filed(form: Any, signed_at: datetime = NOW) -> TaxFormFiled:
    """The fact that a form is on file."""
    return TaxFormFiled(
        form=form, reference="vault/7", effective_at=signed_at, expires_at=expires_at(form, signed_at)
    )


def codes(state: PartnerState, now: datetime = NOW, **asked: Any) -> list[str]:
    """The words of what stands in the way."""
    return [found.code for found in obstacles(state, "stripe", now=now, **asked)]


def test_transfers_must_have_been_seen_active():
    """No account, one that nobody looked at, one that is not ready; the state of another does not count."""
    assert codes(given()) == ["no_account"]
    assert codes(given(linked())) == ["account_not_seen"]
    assert codes(given(linked(), seen(DUE))) == ["transfers_inactive"]
    assert codes(given(linked(), seen(DUE), seen(ACTIVE))) == []
    assert codes(given(linked(), seen(ACTIVE), linked("acct_2"))) == ["account_not_seen"]


def test_what_is_missing_is_said_in_words():
    [found] = obstacles(given(linked(), seen(DUE)), "stripe", now=NOW)

    assert found.detail == "transfers are not active: requirements.past_due; still due: company.tax_id"


def test_a_bank_account_has_no_state():
    """Who is paid through a bank is not asked after at Stripe."""
    bank = PayoutAccountLinked(provider="bank", destination="GB33BUKB20201555555555")

    assert obstacles(given(bank), "bank", now=NOW) == ()
    assert [found.code for found in obstacles(given(), "bank", now=NOW)] == ["no_account"]


def test_holds_and_suspensions_stand_in_the_way():
    held = PartnerPayoutsPaused(cause="finance", reason="audit", effective_at=NOW)

    assert codes(given(linked(), seen(ACTIVE), held)) == ["payouts_held"]
    applied = replay(None, PartnerApplied(reference="acme", name="Acme"), linked(), seen(ACTIVE))
    assert codes(applied) == ["partner_not_approved"]


@pytest.mark.parametrize(
    ("country", "us_source", "forms", "missing"),
    [
        ("GB", False, [], False),
        ("GB", True, [], True),
        ("GB", True, ["w-8ben-e"], False),
        ("GB", True, ["w-9"], True),
        ("US", False, [], True),
        ("US", False, ["w-9"], False),
        ("US", True, ["w-8ben"], True),
        (None, False, [], False),
    ],
)
def test_a_form_is_wanted_of_us_partners_and_of_all_in_us_source_programs(country, us_source, forms, missing):
    """W-9 of persons of the US, a W-8 of others, and only where the program's money is from the US."""
    state = given(linked(), seen(ACTIVE), *map(filed, forms), country=country)

    assert codes(state, us_source=us_source) == (["tax_form_missing"] if missing else [])


def test_the_account_s_country_counts_too():
    """A partner that named no country, but whose account is of the US, needs a W-9."""
    american = msgspec.structs.replace(ACTIVE, country="US")

    assert codes(given(linked(), seen(american), country=None)) == ["tax_form_missing"]


def test_a_w8_ends_with_the_third_year_after():
    """Signed in March 2023 it counts until the end of 2026."""
    state = given(linked(), seen(ACTIVE), filed("w-8ben", datetime(2023, 3, 1, tzinfo=UTC)))
    last = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)

    assert codes(state, last, us_source=True) == []
    assert codes(state, last + timedelta(seconds=1), us_source=True) == ["tax_form_missing"]
    [found] = obstacles(state, "stripe", now=last + timedelta(days=1), us_source=True)
    assert found.detail == "its W-8 has expired"
    assert expires_at("w-9", NOW) is None


# The holds


@pytest.mark.parametrize(
    ("account", "causes"), [(ACTIVE, []), (DUE, ["account_restricted"]), (CLOSED, ["account_closed"])]
)
def test_a_state_asks_for_its_holds(account, causes):
    assert list(account_holds(seen(account))) == causes


def test_a_look_pauses_and_resumes_by_itself():
    """Restricted, closed, active again: each cause is set and lifted; a human's hold stays."""
    state = given(linked(), PartnerPayoutsPaused(cause="finance", reason="audit", effective_at=NOW))
    told = []
    for hour, account in enumerate([ACTIVE, DUE, DUE, CLOSED, ACTIVE]):
        at = NOW + timedelta(hours=hour)
        facts = accounts.seen_facts(state, ID, account, seen_at=at, now=at)
        state = replay(state, *facts)
        told.append((len(facts), sorted(state.payout_holds)))

    assert told == [
        (1, ["finance"]),
        (2, ["account_restricted", "finance"]),
        (0, ["account_restricted", "finance"]),
        (3, ["account_closed", "finance"]),
        (2, ["finance"]),
    ]


def test_a_look_at_another_account_changes_nothing():
    other = msgspec.structs.replace(DUE, account_id="acct_2")

    assert accounts.seen_facts(given(linked()), ID, other, seen_at=NOW, now=NOW) == []


# What is reported


@pytest.mark.parametrize(
    ("year", "currency", "least_minor"),
    [(2020, "USD", 600_00), (2025, "USD", 600_00), (2026, "USD", 2_000_00), (2025, "GBP", None)],
)
def test_the_threshold_is_that_of_the_year(year, currency, least_minor):
    line = threshold(year, currency)

    assert (line and line.amount_minor) == least_minor


@pytest.mark.parametrize("year", [2019, 2027])
def test_for_a_year_without_a_threshold_nothing_is_guessed(year):
    """From 2027 on it is indexed each year. And each line says where it is from."""
    with pytest.raises(NoThreshold, match="2020 to 2026"):
        threshold(year, "USD")
    assert all(line.source for line in THRESHOLDS)
