"""What fields may hold: examples from both sides of each line."""

import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import checks
from ledger.commands import REFERENCE_PATTERN, Reference
from ledger.money import AMOUNT_MINOR_MAX
from ledger.refusals import InvalidField


def taken(check: Any, *values: Any) -> bool:
    """Whether a check takes a value as it is; a refusal must point at the field."""
    try:
        return bool(check(*values) == values[0])
    except InvalidField as refused:
        if refused.pointer != "/field":
            raise
        return False


@pytest.mark.parametrize(
    ("check", "value", "good"),
    [
        (checks.reference, "crm-7 / Ä", True),
        (checks.reference, "x" * 200, True),
        (checks.reference, "x" * 201, False),
        (checks.reference, "", False),
        (checks.reference, "a\x1fb", False),
        (checks.reference, "\ud800", False),
        (checks.name, "Café Zürich & Söhne", True),
        (checks.name, "नमस्ते", True),
        (checks.name, " ", False),
        (checks.name, "\u00a0", False),
        (checks.name, "a\nb", False),
        (checks.name, "x" * 201, False),
        (checks.note, "two\nlines\tand a tab", True),
        (checks.note, "\n", False),
        (checks.note, "a\x00", False),
        (checks.note, "x" * 1_001, False),
        (checks.currency, "JPY", True),
        (checks.currency, "jpy", False),
        (checks.currency, "XXX", False),
        (checks.currency, "", False),
        (checks.amount_minor, 1, True),
        (checks.amount_minor, AMOUNT_MINOR_MAX, True),
        (checks.amount_minor, AMOUNT_MINOR_MAX + 1, False),
        (checks.amount_minor, 0, False),
        (checks.amount_minor, True, False),
        (checks.landing_url, "https://shop.example/a?b=c#d", True),
        (checks.landing_url, "http://[::1]:8080/", True),
        (checks.landing_url, None, True),
        (checks.landing_url, "//shop.example", False),
        (checks.landing_url, "/path", False),
        (checks.landing_url, "ftp://shop.example", False),
        (checks.landing_url, "https://", False),
        (checks.landing_url, "https://good.example\\@evil.example", False),
        (checks.landing_url, "https://good.example@evil.example", False),
        (checks.landing_url, "https://shop.example/\r\nSet-Cookie: a=b", False),
        (checks.landing_url, "https://[bad", False),
        (checks.landing_url, "https://shop.example:99999", False),
        (checks.landing_url, "https://shop.example/" + "x" * 2_000, False),
        (checks.email, "a.b+c@mail.example.com", True),
        (checks.email, None, True),
        (checks.email, "a@b", False),
        (checks.email, "a@b.", False),
        (checks.email, "a b@c.example", False),
        (checks.email, "a@b@c.example", False),
        (checks.email, "x" * 250 + "@c.example", False),
        (checks.country, "GB", True),
        (checks.country, None, True),
        (checks.country, "GBR", False),
        (checks.country, "gb", False),
    ],
)
def test_both_sides_of_the_line(check, value, good):
    """What is taken is taken unchanged."""
    assert taken(check, value, "/field") is good


@given(st.text(max_size=210))
def test_a_customer_that_a_conversion_can_name_a_referral_can_too(text):
    """The pattern of the conversions' fields and the check of the others say the same of any text."""
    meta = get_args(Reference)[1]
    in_conversions = (
        meta.min_length <= len(text) <= meta.max_length and re.search(REFERENCE_PATTERN, text) is not None
    )

    assert taken(checks.reference, text, "/field") == in_conversions
