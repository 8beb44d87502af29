"""The door for conversions on both databases: each item answered for itself, nothing lost, nothing twice."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import RFC_4122, UUID, uuid4, uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import ids
from ledger.commands import ConversionCommand, RecordSale
from ledger.events.base import Recorded
from ledger.events.conversion import ConversionRecorded, ConversionRefunded
from ledger.intake import (
    BATCH_ITEMS_MAX,
    Intake,
    ItemProblem,
    Problem,
    TooManyItems,
    Unreadable,
    convert_item,
    decode_array,
    decode_item,
    decode_ndjson,
)
from ledger.store.application import ATTEMPTS_MAX, Ledger
from ledger.store.database import Database
from tests.support.world import World, day

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
        assert all(isinstance(item, ItemProblem) for item in decode_ndjson(body))

    @given(st.sampled_from(sorted(SALE)), st.binary(max_size=20))
    def test_any_bytes_in_place_of_a_value_are_read_or_refused(self, name, junk):
        body = text(**{name: "JUNK"}).encode().replace(b'"JUNK"', junk)

        assert isinstance(decode_item(body), ConversionCommand | ItemProblem)

    def test_an_array_is_read_item_by_item(self):
        items = decode_array(f'[{text()}, 7, {text(amount_minor=0)}, "\udcff"]'.encode("utf-8", "replace"))

        assert isinstance(items[0], RecordSale)
        assert [problem(item).pointer for item in items[1:]] == ["", "/amount_minor", ""]
        assert decode_array(b" [ ] ") == []

    @pytest.mark.parametrize("body", [b"", b"{}", b"[1,", b"[NaN]", b"\xff", b"1", b"[" * 100_000, b"[1] 2"])
    def test_what_is_no_array_is_refused_as_a_whole(self, body):
        with pytest.raises(Unreadable):
            decode_array(body)

    def test_lines_are_read_one_by_one_and_empty_ones_passed_over(self):
        body = f"{text()}\r\n\n   \n{{\n{text(kind='gift')}\n".encode()

        items = decode_ndjson(body)

        assert isinstance(items[0], RecordSale)
        assert [problem(item).type for item in items[1:]] == ["Unreadable", "InvalidField"]
        assert decode_ndjson(b"\n\n") == []

    def test_a_batch_has_a_limit_on_its_items(self):
        assert len(decode_array(b"[" + b",".join([b"1"] * BATCH_ITEMS_MAX) + b"]")) == BATCH_ITEMS_MAX
        for decode, body in (
            (decode_array, b"[" + b",".join([b"1"] * (BATCH_ITEMS_MAX + 1)) + b"]"),
            (decode_ndjson, b"1\n" * (BATCH_ITEMS_MAX + 1)),
        ):
            with pytest.raises(TooManyItems) as refused:
                decode(body)
            assert refused.value.details == {"limit": BATCH_ITEMS_MAX}


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """A world with a program in GBP, at day 100."""
    made = World(database_url)
    made.program()
    made.now = day(100)
    yield made
    made.close()


def statuses(results: Any) -> list[str]:
    """How each item fared."""
    return [result.status for result in results]


class TestRecording:
    """Facts before, items, answers and the facts after."""

    def test_new_items_are_stored_and_answered_with_their_ids_and_positions(self, world):
        results = world.send(*(world.sale(f"order-{n}", "customer", 100 + n, day(n)) for n in range(3)))

        log = [event for event in world.log() if isinstance(event.fact, ConversionRecorded)]
        assert statuses(results) == ["new"] * 3
        assert [r.conversion_id for r in results] == [world.conversion_id(f"order-{n}") for n in range(3)]
        assert [(r.conversion_id, r.position) for r in results] == [
            (event.originator_id, event.position) for event in log
        ]
        assert {event.by for event in log} == {"test"}
        assert {event.recorded_at for event in log} == {day(100)}

    def test_everything_a_second_time_shuffled_changes_nothing(self, world):
        items = [world.sale(f"order-{n}", "customer", 100, day(n)) for n in range(20)]
        items += [world.refund(f"order-{n}", "refund", 50, day(n)) for n in range(10)]
        first = world.send(*items)
        log = world.log()

        second = world.send(*reversed(items))

        assert set(statuses(first)) == {"new"}
        assert set(statuses(second)) == {"duplicate"}
        assert [r.conversion_id for r in reversed(second)] == [r.conversion_id for r in first]
        assert world.log() == log

    def test_a_mixed_batch_answers_each_item_for_itself(self, world):
        world.send(world.sale("known", "customer", 100, day(1)))
        unknown = msgspec.structs.replace(world.sale("x", "customer", 1, day(1)), program_id=uuid4())
        euros = msgspec.structs.replace(world.sale("euros", "customer", 1, day(1)), currency="EUR")

        results = world.intake.record(
            [
                world.sale("new", "customer", 100, day(1)),
                world.sale("known", "customer", 100, day(1)),
                world.sale("known", "customer", 101, day(1)),
                ItemProblem(Problem("Unreadable", "no valid JSON")),
                unknown,
                euros,
                world.sale("future", "customer", 1, day(101)),
                world.refund("known", "refund", 101, day(2)),
                world.lose_dispute("known", day(2)),
                world.refund("known", "refund", 100, day(2)),
            ],
            by="test",
        )

        assert statuses(results) == [
            "new",
            "duplicate",
            "conflict",
            *["invalid"] * 6,
            "new",
        ]
        assert [(r.problem.type, r.problem.pointer) for r in results if r.problem] == [
            ("ContentConflict", "/amount_minor"),
            ("Unreadable", ""),
            ("UnknownProgram", "/program_id"),
            ("WrongCurrency", "/currency"),
            ("EffectiveTimeInFuture", "/effective_at"),
            ("RefundExceedsConversion", "/amount_minor"),
            ("DisputeNotOpen", "/dispute_id"),
        ]
        assert [fact.external_id for fact in world.facts(ConversionRecorded)] == ["known", "new"]
        assert [fact.amount_minor for fact in world.facts(ConversionRefunded)] == [100]

    def test_one_id_more_than_once_inside_a_batch_is_settled_in_its_order(self, world):
        results = world.send(
            world.sale("order", "customer", 100, day(1)),
            world.sale("order", "customer", 100, day(1)),
            world.sale("order", "customer", 200, day(1)),
        )

        assert statuses(results) == ["new", "duplicate", "conflict"]
        assert [fact.amount_minor for fact in world.facts(ConversionRecorded)] == [100]

    @pytest.mark.parametrize("refund_first", [False, True])
    def test_a_sale_and_its_refund_in_one_batch(self, world, refund_first):
        items = [world.sale("order", "customer", 100, day(1)), world.refund("order", "a", 60, day(2))]
        items += [world.refund("order", "b", 60, day(2))]
        if refund_first:
            items = [items[1], items[0], items[2]]

        results = world.send(*items)

        history = world.ledger.history(world.conversion_id("order"))
        assert statuses(results) == ["new", "new", "invalid"]
        assert results[2].problem.type == "RefundExceedsConversion"
        assert [event.position for event in history] == [results[0].position, results[1].position]
        assert [event.originator_version for event in history] == [1, 2]

    def test_a_refused_item_does_not_hold_the_others_of_its_conversion_up(self, world):
        results = world.send(
            world.refund("order", "a", 60, day(101)),
            world.sale("order", "customer", 100, day(1)),
            world.refund("order", "b", 60, day(2)),
        )

        assert statuses(results) == ["invalid", "new", "new"]

    def test_a_refund_is_kept_until_its_conversion_comes(self, world):
        assert statuses(world.send(world.refund("order", "a", 60, day(2)))) == ["new"]
        assert statuses(world.send(world.sale("order", "customer", 100, day(1)))) == ["new"]
        assert statuses(world.send(world.refund("order", "b", 41, day(3)))) == ["invalid"]
        assert statuses(world.send(world.refund("order", "b", 40, day(3)))) == ["new"]

    def test_a_whole_dispute_in_one_batch(self, world):
        results = world.send(
            world.sale("order", "customer", 100, day(1)),
            world.open_dispute("order", day(2)),
            world.lose_dispute("order", day(3)),
            world.win_dispute("order", day(3)),
            world.cancellation("order", day(4)),
        )

        assert statuses(results) == ["new", "new", "new", "invalid", "new"]

    def test_the_same_reference_of_another_source_or_program_is_another_conversion(self, world):
        sale = world.sale("order", "customer", 100, day(1))
        other = msgspec.structs.replace(sale, source="app", amount_minor=5)
        first = world.program_id
        world.program(reference="second")
        third = msgspec.structs.replace(sale, program_id=world.program_id, amount_minor=7)

        results = world.send(sale, other, third)

        assert statuses(results) == ["new"] * 3
        assert len({r.conversion_id for r in results}) == 3
        assert results[0].conversion_id == ids.conversion_id(first, "shop", "order")

    def test_nothing_sent_is_nothing_answered(self, world):
        assert world.send() == []

    def test_a_program_made_later_is_known_then(self, world):
        early = msgspec.structs.replace(
            world.sale("order", "customer", 100, day(1)), program_id=ids.program_id("later")
        )

        assert statuses(world.send(early)) == ["invalid"]
        world.program(reference="later")
        assert statuses(world.send(early)) == ["new"]

    def test_what_is_about_one_conversion_keeps_its_order_across_the_parts_of_a_batch(
        self, world, monkeypatch
    ):
        monkeypatch.setattr("ledger.intake.PART_ITEMS", 2)

        results = world.send(
            world.sale("a", "customer", 100, day(1)),
            world.refund("b", "early", 60, day(1)),
            world.refund("a", "part", 60, day(2)),
            world.sale("b", "customer", 100, day(1)),
            world.sale("a", "customer", 100, day(1)),
            world.refund("a", "more", 60, day(2)),
            world.sale("c", "customer", 100, day(101)),
            world.refund("b", "late", 41, day(3)),
            world.sale("c", "customer", 100, day(1)),
        )

        assert statuses(results) == [
            *["new", "new", "new", "new"],
            *["duplicate", "invalid", "invalid", "invalid", "new"],
        ]
        assert [event.originator_version for event in world.ledger.history(world.conversion_id("b"))] == [
            1,
            2,
        ]

    def test_ten_thousand_items_with_their_duplicates(self, world):
        items = [world.sale(f"order-{n % 9_000}", "customer", 100, day(1)) for n in range(10_000)]

        results = world.send(*items)

        assert statuses(results).count("new") == 9_000
        assert statuses(results).count("duplicate") == 1_000
        assert len({r.position for r in results if r.status == "new"}) == 9_000


class Interrupted(Ledger):
    """A ledger in which somebody else appends between our look and our insert, so often as told."""

    def __init__(self, database: Database, clock: Any, interrupt: Any) -> None:
        super().__init__(database, clock=clock)
        self._interrupt = interrupt

    def send_units(self, units: Any) -> Any:
        """Let the other one in first; every append without something beside it comes through here."""
        self._interrupt(units)
        return super().send_units(units)


class TestRaces:
    """Others send the same at the same time."""

    def interrupted(self, world: World, times: int, wish: Any) -> tuple[Intake, list[int]]:
        """An intake before which another one slips in `times` times with wish(number)."""
        calls: list[int] = []

        def interrupt(_units: list[list[Recorded]]) -> None:
            if len(calls) < times:
                calls.append(1)
                assert statuses(world.send(wish(len(calls)))) == ["new"]

        return Intake(Interrupted(world.database, lambda: world.now, interrupt)), calls

    def test_who_loses_to_the_same_sale_answers_duplicate(self, world):
        sale = world.sale("order", "customer", 100, day(1))
        intake, _ = self.interrupted(world, 1, lambda _: sale)

        assert statuses(intake.record([sale], by="late")) == ["duplicate"]
        assert len(world.facts(ConversionRecorded)) == 1

    def test_who_loses_to_another_sale_answers_conflict(self, world):
        sale = world.sale("order", "customer", 100, day(1))
        intake, _ = self.interrupted(world, 1, lambda _: msgspec.structs.replace(sale, amount_minor=99))

        assert statuses(intake.record([sale], by="late")) == ["conflict"]

    def test_a_refund_that_loses_is_decided_again_upon_what_the_other_left(self, world):
        world.send(world.sale("order", "customer", 100, day(1)))
        intake, _ = self.interrupted(world, 1, lambda n: world.refund("order", f"r{n}", 60, day(2)))

        [refused] = intake.record([world.refund("order", "late", 41, day(2))], by="late")

        assert refused.status == "invalid"
        assert refused.problem is not None
        assert refused.problem.type == "RefundExceedsConversion"

    def test_a_refund_that_loses_twice_gets_in_at_last(self, world):
        world.send(world.sale("order", "customer", 100, day(1)))
        intake, calls = self.interrupted(world, 2, lambda n: world.refund("order", f"r{n}", 10, day(2)))

        assert statuses(intake.record([world.refund("order", "late", 10, day(2))], by="late")) == ["new"]
        assert len(calls) == 2
        assert len(world.facts(ConversionRefunded)) == 3

    def test_who_always_loses_is_told_so_and_the_rest_of_the_batch_is_stored(self, world):
        world.send(world.sale("order", "customer", 10_000, day(1)))
        intake, _ = self.interrupted(world, 100, lambda n: world.refund("order", f"r{n}", 1, day(2)))

        results = intake.record(
            [world.refund("order", "late", 10, day(2)), world.refund("other", "late", 10, day(2))], by="late"
        )

        assert statuses(results) == ["conflict", "new"]
        assert results[0].problem is not None
        assert results[0].problem.type == "LostRace"
        assert len(world.facts(ConversionRefunded)) == ATTEMPTS_MAX + 1

    @pytest.mark.parametrize("grouped", [False, True])
    def test_two_intakes_at_once_store_each_conversion_once(self, world, grouped):
        """Overlapping batches of two threads: of each item exactly one answers new."""
        items = [world.sale(f"order-{n}", "customer", 100, day(1)) for n in range(300)]
        items += [world.refund(f"order-{n}", "refund", 30, day(2)) for n in range(100)]
        start = threading.Barrier(2)
        ledgers = [
            Ledger(Database(world.database.url), group_commit=grouped, clock=lambda: world.now)
            for _ in range(2)
        ]

        def send(number: int) -> list[str]:
            order = items if number else list(reversed(items))
            start.wait(20)
            found = []
            for begin in range(0, len(order), 50):
                found += Intake(ledgers[number]).record(order[begin : begin + 50], by="test")
            return statuses(found if number else list(reversed(found)))

        with ThreadPoolExecutor(2) as pool:
            a, b = pool.map(send, range(2))

        assert all({x, y} == {"new", "duplicate"} for x, y in zip(a, b, strict=True))
        assert len(world.facts(ConversionRecorded)) == 300
        assert len(world.facts(ConversionRefunded)) == 100
        for ledger in ledgers:
            ledger.close()

    def test_the_clock_is_the_ledgers(self, world):
        sale = world.sale("order", "customer", 100, day(100) + timedelta(minutes=6))

        assert statuses(world.send(sale)) == ["invalid"]
        world.now += timedelta(minutes=1)
        assert statuses(world.send(sale)) == ["new"]


def test_ids_are_those_of_the_standard():
    """Derived faster than the library's uuid5, and the same."""
    for name in ("", "conversion\x1fshop\x1forder-1", "Größe", "x" * 500):
        made = ids.fast_uuid5(ids.ROOT, name)
        assert made == uuid5(ids.ROOT, name)
        assert (made.version, made.variant, str(made)) == (5, RFC_4122, str(uuid5(ids.ROOT, name)))
        assert hash(made) == hash(uuid5(ids.ROOT, name))
