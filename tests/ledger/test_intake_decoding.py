"""Conversions out of bytes: one typed decode says what is wrong and where; nothing else comes out of it."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.commands import ConversionCommand, RecordSale
from ledger.intake import (
    BATCH_ITEMS_MAX,
    ItemProblem,
    Problem,
    TooManyItems,
    Unreadable,
    convert_item,
    decode_item,
    split_array,
    split_ndjson,
)
from tests.support.world import day

SALE: dict[str, Any] = {
    "kind": "sale",
    "program_id": "6f3c0f3c-0b1e-4a55-9d32-8f5a1d2b3c4d",
    "source": "shop",
    "external_id": "order-1",
    "customer": "customer",
    "amount_minor": 26_500,
    "currency": "GBP",
    "effective_at": "2024-01-01T00:00:00Z",
}


def text(**changes: Any) -> str:
    """A sale as JSON, with fields changed, or left out where `...` stands."""
    return json.dumps({name: value for name, value in {**SALE, **changes}.items() if value is not ...})


def problem(item: Any) -> Problem:
    """Why an item could not be read."""
    assert isinstance(item, ItemProblem), item
    return item.problem


WRONG_FIELDS = [
    ({"amount_minor": ...}, "/amount_minor"),
    ({"program_id": ...}, "/program_id"),
    ({"kind": ...}, "/kind"),
    ({"kind": "gift"}, "/kind"),
    ({"kind": 1}, "/kind"),
    ({"kind": None}, "/kind"),
    ({"colour": 1}, "/colour"),
    ({"a/b~c": 1}, "/a~1b~0c"),
    ({"odd` name": 1}, "/odd` name"),
    ({"": 1}, "/"),
    ({"amount_minor": "26500"}, "/amount_minor"),
    ({"amount_minor": True}, "/amount_minor"),
    ({"amount_minor": 265.0}, "/amount_minor"),
    ({"amount_minor": 265.5}, "/amount_minor"),
    ({"amount_minor": None}, "/amount_minor"),
    ({"amount_minor": [1]}, "/amount_minor"),
    ({"amount_minor": {"minor": 1}}, "/amount_minor"),
    ({"amount_minor": 0}, "/amount_minor"),
    ({"amount_minor": -1}, "/amount_minor"),
    ({"amount_minor": 10**12 + 1}, "/amount_minor"),
    ({"amount_minor": 2**63}, "/amount_minor"),
    ({"amount_minor": 10**400}, "/amount_minor"),
    ({"currency": "gbp"}, "/currency"),
    ({"currency": "GBPX"}, "/currency"),
    ({"currency": "GBP\n"}, "/currency"),
    ({"effective_at": "2024-01-01T00:00:00"}, "/effective_at"),
    ({"effective_at": "2024-01-01"}, "/effective_at"),
    ({"effective_at": "yesterday"}, "/effective_at"),
    ({"effective_at": 1_704_067_200}, "/effective_at"),
    ({"program_id": "1"}, "/program_id"),
    ({"customer": ""}, "/customer"),
    ({"customer": "c" * 201}, "/customer"),
    ({"customer": {"id": [1, {"a": 2}]}}, "/customer"),
    ({"source": "a\x1fb"}, "/source"),
    ({"customer": "a\x7fb"}, "/customer"),
    ({"product": "a\nb"}, "/product"),
    ({"currency": "GB£"}, "/currency"),
    ({"currency": "GB"}, "/currency"),
    ({"currency": "ÄÖÜ"}, "/currency"),
    ({"external_id": "a\x00b"}, "/external_id"),
    ({"product": 7}, "/product"),
]


class TestDecoding:
    """One typed decode says what is wrong, and where."""

    def test_a_sale_is_read(self):
        item = decode_item(text().encode())

        assert isinstance(item, RecordSale)
        assert (item.amount_minor, item.effective_at) == (26_500, day(0))
        assert convert_item(SALE) == item

    @pytest.mark.parametrize(("change", "pointer"), WRONG_FIELDS)
    def test_a_field_at_fault_is_named_by_its_pointer(self, change, pointer):
        for item in (decode_item(text(**change).encode()), convert_item(json.loads(text(**change)))):
            assert problem(item).type == "InvalidField"
            assert problem(item).pointer == pointer
            assert problem(item).detail
            assert "- at" not in problem(item).detail

    @pytest.mark.parametrize("number", ["1e400", "265.0", "2.65e4", "1" + "0" * 5_000])
    def test_numbers_that_are_no_integers_of_ours_are_named(self, number):
        item = decode_item(text().replace("26500", number).encode())

        assert problem(item).pointer == "/amount_minor"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"not json",
            text().encode() + b"x",
            text().replace("26500", "NaN").encode(),
            text().replace("26500", "Infinity").encode(),
            text().replace("customer", "c\udcff").encode("utf-8", "surrogateescape"),
            text(customer="CUSTOMER").replace("CUSTOMER", "\udcff").encode("utf-8", "surrogateescape"),
            text(customer="CUSTOMER").replace("CUSTOMER", "\\ud800").encode(),
            b"\xff\xfe",
            b'{"colour":' + b"[" * 100_000,
            b'{"kind":' + b'{"a":' * 100_000,
        ],
    )
    def test_what_is_no_json_is_unreadable(self, body):
        found = problem(decode_item(body))

        assert (found.type, found.pointer) == ("Unreadable", "")

    @pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"sale"', b"true"])
    def test_what_is_no_object_is_wrong_as_a_whole(self, body):
        assert problem(decode_item(body)) == Problem("InvalidField", problem(decode_item(body)).detail, "")

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.0, 2**70, "\ud800", UUID(int=1), b"x"])
    def test_values_that_another_decoder_let_through_are_refused_all_the_same(self, value):
        """The data of a CloudEvent comes decoded already."""
        assert isinstance(convert_item({**SALE, "amount_minor": value}), ItemProblem)
        assert isinstance(convert_item({**SALE, "customer": value}), ItemProblem)

    @pytest.mark.parametrize("data", [None, [], "x", 1, {1: 2}, {}])
    def test_data_that_is_no_sale_is_refused(self, data):
        assert problem(convert_item(data)).type == "InvalidField"

    @given(st.binary(max_size=60))
    def test_any_bytes_are_read_or_refused(self, body):
        assert isinstance(decode_item(body), ItemProblem)
        assert all(isinstance(decode_item(item), ItemProblem) for item in split_ndjson(body))

    @given(st.sampled_from(sorted(SALE)), st.binary(max_size=20))
    def test_any_bytes_in_place_of_a_value_are_read_or_refused(self, name, junk):
        body = text(**{name: "JUNK"}).encode().replace(b'"JUNK"', junk)

        assert isinstance(decode_item(body), ConversionCommand | ItemProblem)

    def test_an_array_is_read_item_by_item(self):
        body = f'[{text()}, 7, {text(amount_minor=0)}, "\udcff"]'.encode("utf-8", "replace")

        items = [decode_item(item) for item in split_array(body)]

        assert isinstance(items[0], RecordSale)
        assert [problem(item).pointer for item in items[1:]] == ["", "/amount_minor", ""]
        assert split_array(b" [ ] ") == []

    @pytest.mark.parametrize("body", [b"", b"{}", b"[1,", b"[NaN]", b"\xff", b"1", b"[" * 100_000, b"[1] 2"])
    def test_what_is_no_array_is_refused_as_a_whole(self, body):
        with pytest.raises(Unreadable):
            split_array(body)

    def test_lines_are_read_one_by_one_and_empty_ones_passed_over(self):
        body = f"{text()}\r\n\n   \n{{\n{text(kind='gift')}\n".encode()

        items = [decode_item(line) for line in split_ndjson(body)]

        assert isinstance(items[0], RecordSale)
        assert [problem(item).type for item in items[1:]] == ["Unreadable", "InvalidField"]
        assert split_ndjson(b"\n\n") == []

    def test_a_batch_has_a_limit_on_its_items(self):
        assert len(split_array(b"[" + b",".join([b"1"] * BATCH_ITEMS_MAX) + b"]")) == BATCH_ITEMS_MAX
        for split, body in (
            (split_array, b"[" + b",".join([b"1"] * (BATCH_ITEMS_MAX + 1)) + b"]"),
            (split_ndjson, b"1\n" * (BATCH_ITEMS_MAX + 1)),
        ):
            with pytest.raises(TooManyItems) as refused:
                split(body)
            assert refused.value.details == {"limit": BATCH_ITEMS_MAX}
