"""The language of agreements: what loads, and how each mistake is named with its path."""

import copy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import terms
from ledger.refusals import InvalidTerms
from ledger.terms import Attribution, Duration, PeriodCap, Rule, Terms, load, load_stored

WHOLE: dict[str, Any] = {
    "language": 1,
    "rules": [
        {"kinds": ["sale"], "products": ["pro"], "reward": {"rate_bps": 2000}, "duration": {"months": 12}},
        {"kinds": ["sale", "renewal"], "reward": {"rate_bps": 1000}, "duration": {"payments": 6}},
        {"kinds": ["signup"], "reward": {"flat_minor": 5000}, "duration": {"lifetime": True}},
    ],
    "caps": {"per_customer_minor": 100_000, "per_period": {"period": "quarter", "amount_minor": 500_000}},
    "holding_days": 30,
    "attribution": {"model": "last_touch", "window_days": 90},
    "minimum_payout_minor": 1000,
}
LEAST: dict[str, Any] = {
    "language": 1,
    "rules": [{"kinds": ["sale"], "reward": {"rate_bps": 1}}],
    "holding_days": 0,
    "attribution": {"model": "first_touch", "window_days": None},
    "minimum_payout_minor": 0,
}


def changed(path: str, value: Any = ...) -> dict[str, Any]:
    """The whole document with one place changed, or removed."""
    document = copy.deepcopy(WHOLE)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")[1:]]
    place: Any = document
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def pointers(document: Any) -> list[str]:
    """Where the mistakes of a document are."""
    with pytest.raises(InvalidTerms) as refused:
        load(document)
    assert all(error["detail"] for error in refused.value.errors)
    return sorted(error["pointer"] for error in refused.value.errors)


def test_a_document_with_everything_loads_as_it_reads():
    assert load(WHOLE) == Terms(
        rules=(
            Rule(frozenset({"sale"}), frozenset({"pro"}), 2000, None, Duration(months=12)),
            Rule(frozenset({"sale", "renewal"}), None, 1000, None, Duration(payments=6)),
            Rule(frozenset({"signup"}), None, None, 5000, Duration()),
        ),
        cap_per_customer_minor=100_000,
        cap_per_period=PeriodCap("quarter", 500_000),
        holding_days=30,
        attribution=Attribution("last_touch", 90),
        minimum_payout_minor=1000,
    )


def test_what_is_left_out_means_all_products_for_life_without_caps():
    loaded = load(LEAST)

    assert loaded.rules == (Rule(frozenset({"sale"}), None, 1, None, Duration()),)
    assert (loaded.cap_per_customer_minor, loaded.cap_per_period) == (None, None)
    assert loaded.attribution.window is None


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        ("/language", 2, "/language"),
        ("/language", "1", "/language"),
        ("/language", ..., "/language"),
        ("/rules", ..., "/rules"),
        ("/rules", [], "/rules"),
        ("/rules", {}, "/rules"),
        ("/rules/1", "sale", "/rules/1"),
        ("/rules/0/kinds", ..., "/rules/0/kinds"),
        ("/rules/0/kinds", [], "/rules/0/kinds"),
        ("/rules/1/kinds/1", "gift", "/rules/1/kinds/1"),
        ("/rules/1/kinds/0", 7, "/rules/1/kinds/0"),
        ("/rules/0/products", [], "/rules/0/products"),
        ("/rules/0/products/0", "", "/rules/0/products/0"),
        ("/rules/0/products", None, "/rules/0/products"),
        ("/rules/0/reward", ..., "/rules/0/reward"),
        ("/rules/0/reward", {}, "/rules/0/reward"),
        ("/rules/0/reward", {"rate_bps": 1, "flat_minor": 1}, "/rules/0/reward"),
        ("/rules/0/reward/rate_bps", 0, "/rules/0/reward/rate_bps"),
        ("/rules/0/reward/rate_bps", 10_001, "/rules/0/reward/rate_bps"),
        ("/rules/0/reward/rate_bps", -1, "/rules/0/reward/rate_bps"),
        ("/rules/0/reward/rate_bps", 20.0, "/rules/0/reward/rate_bps"),
        ("/rules/0/reward/rate_bps", 20.5, "/rules/0/reward/rate_bps"),
        ("/rules/0/reward/rate_bps", "2000", "/rules/0/reward/rate_bps"),
        ("/rules/0/reward/rate_bps", True, "/rules/0/reward/rate_bps"),
        ("/rules/0/reward/rate_bps", float("nan"), "/rules/0/reward/rate_bps"),
        ("/rules/0/reward/rate_bps", float("inf"), "/rules/0/reward/rate_bps"),
        ("/rules/0/reward/rate_bps", 10**40, "/rules/0/reward/rate_bps"),
        ("/rules/2/reward/flat_minor", 0, "/rules/2/reward/flat_minor"),
        ("/rules/2/reward/flat_minor", 10**12 + 1, "/rules/2/reward/flat_minor"),
        ("/rules/0/duration", {}, "/rules/0/duration"),
        ("/rules/0/duration", {"months": 1, "payments": 1}, "/rules/0/duration"),
        ("/rules/0/duration", {"lifetime": False}, "/rules/0/duration/lifetime"),
        ("/rules/0/duration", {"lifetime": "true"}, "/rules/0/duration/lifetime"),
        ("/rules/0/duration/months", 0, "/rules/0/duration/months"),
        ("/rules/0/duration/months", 1201, "/rules/0/duration/months"),
        ("/caps", None, "/caps"),
        ("/caps/per_customer_minor", 0, "/caps/per_customer_minor"),
        ("/caps/per_period/period", "week", "/caps/per_period/period"),
        ("/caps/per_period/amount_minor", ..., "/caps/per_period/amount_minor"),
        ("/caps/per_month", 1, "/caps/per_month"),
        ("/holding_days", -1, "/holding_days"),
        ("/holding_days", 3_651, "/holding_days"),
        ("/attribution/model", "linear", "/attribution/model"),
        ("/attribution/window_days", 0, "/attribution/window_days"),
        ("/attribution/window_days", ..., "/attribution/window_days"),
        ("/minimum_payout_minor", -1, "/minimum_payout_minor"),
        ("/minimum_payout_minor", None, "/minimum_payout_minor"),
        ("/bonus", 1, "/bonus"),
        ("/rules/0/a~b", 1, "/rules/0/a~0b"),
    ],
)
def test_a_mistake_is_named_with_its_path(path, value, pointer):
    assert pointers(changed(path, value)) == [pointer]


def test_a_slash_in_a_name_is_escaped_in_the_pointer():
    assert pointers(WHOLE | {"a/b": 1}) == ["/a~1b"]


def test_every_mistake_is_named_at_once():
    document = changed("/rules/0/reward/rate_bps", 0)
    document["rules"][1]["kinds"] = ["sale", "gift"]
    document["caps"]["per_period"]["period"] = "week"
    document["extra"] = 1
    del document["holding_days"]

    assert pointers(document) == [
        "/caps/per_period/period",
        "/extra",
        "/holding_days",
        "/rules/0/reward/rate_bps",
        "/rules/1/kinds/1",
    ]


@pytest.mark.parametrize("document", [None, [], "terms", 1, True, 1.5])
def test_what_is_no_object_is_a_mistake_as_a_whole(document):
    assert pointers(document) == [""]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    "/language", "/rules", "/rules/0", "/rules/1/kinds", "/rules/1/kinds/0", "/rules/0/products",
    "/rules/0/reward", "/rules/0/reward/rate_bps", "/rules/0/duration", "/rules/0/duration/months", "/caps",
    "/caps/per_period", "/caps/per_period/amount_minor", "/holding_days", "/attribution",
    "/attribution/window_days", "/attribution/model", "/minimum_payout_minor",
]  # fmt: skip


def mistakes(document: Any) -> list[str] | None:
    """Where the mistakes of a document are; None: it loads."""
    try:
        load(document)
    except InvalidTerms as refused:
        return [error["pointer"] for error in refused.errors]
    return None


@given(document=json_values)
def test_any_document_loads_or_is_refused_by_name(document):
    assert mistakes(document) != []


@given(place=st.sampled_from(PLACES), value=json_values)
def test_any_value_at_any_place_loads_or_is_refused_at_that_place(place, value):
    found = mistakes(changed(place, value))

    assert found is None or (found and all(pointer.startswith(place) for pointer in found))


@given(
    rate=st.integers(1, 10_000),
    kinds=st.sets(st.sampled_from(terms.KINDS), min_size=1),
    holding=st.integers(0, 3_650),
    window=st.none() | st.integers(1, 36_500),
    minimum=st.integers(0, 10**12),
)
def test_documents_within_the_bounds_load(rate, kinds, holding, window, minimum):
    document = {
        "language": 1,
        "rules": [{"kinds": sorted(kinds), "reward": {"rate_bps": rate}}],
        "holding_days": holding,
        "attribution": {"model": "first_touch", "window_days": window},
        "minimum_payout_minor": minimum,
    }

    loaded = load(document)

    assert loaded.rules[0].rate_bps == rate
    assert loaded.holding_days == holding
    assert loaded.minimum_payout_minor == minimum
    assert load_stored(document) == loaded


def test_the_first_rule_that_matches_decides():
    loaded = load(WHOLE)

    assert loaded.rule_for("sale", "pro") == 0
    assert loaded.rule_for("sale", "basic") == 1
    assert loaded.rule_for("sale", None) == 1
    assert loaded.rule_for("signup", "anything") == 2
    assert loaded.rule_for("usage", None) is None


@pytest.mark.parametrize(
    ("period", "when", "name"),
    [
        ("month", datetime(2011, 3, 31, 23, 59, 59, tzinfo=UTC), "2011-03"),
        ("quarter", datetime(2011, 1, 1, tzinfo=UTC), "2011-Q1"),
        ("quarter", datetime(2011, 3, 31, tzinfo=UTC), "2011-Q1"),
        ("quarter", datetime(2011, 4, 1, tzinfo=UTC), "2011-Q2"),
        ("quarter", datetime(2011, 12, 31, tzinfo=UTC), "2011-Q4"),
        ("year", datetime(2011, 12, 31, tzinfo=UTC), "2011"),
        # Periods are those of UTC, whatever zone a time was written in.
        ("year", datetime(2012, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2011"),
        ("month", datetime(2011, 3, 31, 22, tzinfo=timezone(timedelta(hours=-3))), "2011-04"),
    ],
)
def test_a_period_has_a_name(period, when, name):
    assert PeriodCap(period, 1).period_of(when) == name


@pytest.mark.parametrize(
    ("months", "since", "last", "first_beyond"),
    [
        (1, "2024-01-31T00", "2024-02-28T23", "2024-02-29T00"),
        (12, "2024-02-29T00", "2025-02-27T00", "2025-02-28T00"),
        (3, "2024-11-30T08", "2025-02-28T07", "2025-02-28T08"),
    ],
)
def test_months_end_on_the_same_day_or_the_last_of_the_month(months, since, last, first_beyond):
    duration = Duration(months=months)
    since, last, first_beyond = (
        datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (since, last, first_beyond)
    )

    assert duration.covers(since, since)
    assert duration.covers(last, since)
    assert not duration.covers(first_beyond, since)


def test_a_lifetime_and_payments_have_no_end_in_time():
    since = datetime(2000, 1, 1, tzinfo=UTC)

    assert Duration().covers(since + timedelta(days=36_500), since)
    assert Duration(payments=1).covers(since + timedelta(days=36_500), since)


def test_rewards_mature_after_the_holding_days():
    when = datetime(2024, 2, 28, 12, tzinfo=UTC)

    assert load(WHOLE).matures_at(when) == datetime(2024, 3, 29, 12, tzinfo=UTC)
    assert load(LEAST).matures_at(when) == when
