"""The mapping to the company's general ledger, and the voucher that is made by it."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.month import Month
from projections.months import Zones
from projections.reports import voucher
from projections.reports.calendars import of_zones
from projections.reports.scope import ACCOUNTS, Scope
from projections.reports.trial_balance import trial_balance
from projections.reports.voucher import InvalidMapping, entry, parse
from tests.projections.world import BEGIN
from tests.properties.test_as_of import NAMES, Story

WHOLE = "[accounts]\n" + "".join(f'{name} = "{place + 1000}"\n' for place, name in enumerate(ACCOUNTS))


def test_the_most_exact_number_counts():
    """Program and currency, then program, then currency, then the account's own, then the default."""
    mapping = parse(
        'default = "0"\n[accounts]\ncommission_expense = "1"\nclawback_loss = "2"\n'
        '[currencies.EUR]\ncommission_expense = "3"\n'
        '[programs.shop]\ncommission_expense = "4"\n'
        '[programs.shop.EUR]\ncommission_expense = "5"\n'
    )

    def number(account: str, program: str, currency: str) -> str | None:
        return mapping.number(account, program, currency)

    assert number("commission_expense", "shop", "EUR") == "5"
    assert number("commission_expense", "shop", "GBP") == "4"
    assert number("commission_expense", "other", "EUR") == "3"
    assert number("commission_expense", "other", "GBP") == "1"
    assert number("clawback_loss", "shop", "EUR") == "2"
    assert number("stripe_balance", "shop", "EUR") == "0"


@pytest.mark.parametrize("missing", ACCOUNTS)
def test_an_account_without_a_number_is_named(missing):
    """Unless there is a default."""
    text = "".join(line for line in WHOLE.splitlines(keepends=True) if not line.startswith(missing))
    with pytest.raises(InvalidMapping) as refused:
        parse(text)

    assert refused.value.mistakes == [f"accounts.{missing}: has no number, and there is no default"]
    assert parse(f'default = "1"\n{text}').number(missing, "shop", "EUR") == "1"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("surprise = 1", "surprise"),
        ("[programs.shop]\nshoes = '1'", "programs.shop.shoes"),
        ("[programs.shop.XXY]\nclawback_loss = '1'", "programs.shop.XXY"),
        ("[programs.shop.EUR]\nclawback_loss = 1", "programs.shop.EUR.clawback_loss"),
        ("[currencies.eur]\nclawback_loss = '1'", "currencies.eur"),
        ("[currencies.EUR]\nclawback_loss = ' 1'", "currencies.EUR.clawback_loss"),
        ("[currencies]\nEUR = '1'", "currencies.EUR"),
    ],
)
def test_a_mistake_is_named_by_its_place(more, named):
    """And nothing else is complained of."""
    top = more if "[" not in more else ""
    with pytest.raises(InvalidMapping) as refused:
        parse(f"{top}\n{WHOLE}\n{'' if top else more}")

    assert [mistake.partition(":")[0] for mistake in refused.value.mistakes] == [named]


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("ABC"), st.sampled_from(ACCOUNTS)), st.integers(-(10**9), 10**9)
    )
)
def test_an_entry_balances_and_has_no_empty_line(totals: dict[tuple[str, str], int]) -> None:
    """Whatever moved: debits are credits, each line is one of them."""
    rest = sum(totals.values())
    whole = {**totals, ("Z", "rest"): -rest}
    lines = list(entry(Month(2024, 2), "JPY", whole))

    sums = Counter({side: sum(int(line[side] or 0) for line in lines) for side in ("debit", "credit")})
    assert sums["debit"] == sums["credit"]
    assert all(bool(line["debit"]) != bool(line["credit"]) for line in lines)
    assert {line["date"] for line in lines} <= {"2024-02-29"}


def test_vouchers_add_up_to_the_trial_balance(ledger, runner):
    """All months together are what every account came to; each entry balances by itself."""
    story = Story(ledger)
    for number in range(60):
        name: Any = "accrued" if number < 4 else NAMES[number % len(NAMES)]
        story.tell(name, 1 + number % 2, 100 + number * 37, back=number % 50, later=30)
    runner.catch_up()
    mapping = parse(WHOLE)
    with ledger.database.read() as connection:
        lines = list(
            voucher.voucher(
                connection, Scope(), Month(2023, 12), Month(2024, 6), of_zones(Zones({})), mapping
            )
        )
        balances = {row["account"]: row["balance_minor"] for row in trial_balance(connection, Scope())}

    def minor(text: str) -> int:
        return int(text.replace(".", "") or 0)

    found: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    for line in lines:
        moved = minor(line["debit"]) - minor(line["credit"])
        found[line["account"]] += moved
        entries[line["reference"]] += moved
    assert story.now > BEGIN + timedelta(days=60)
    assert len(entries) >= 3
    assert set(entries.values()) == {0}
    assert {ACCOUNTS[int(number) - 1000]: total for number, total in found.items() if total} == {
        account: total for account, total in balances.items() if total
    }
