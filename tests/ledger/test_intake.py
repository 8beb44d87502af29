"""The door for conversions on both databases: each item answered for itself, nothing lost, nothing twice."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import RFC_4122, uuid4, uuid5

import msgspec
import pytest

from ledger import ids
from ledger.events.base import Recorded
from ledger.events.conversion import ConversionRecorded, ConversionRefunded
from ledger.intake import (
    Intake,
    ItemProblem,
    Problem,
)
from ledger.store.application import ATTEMPTS_MAX, Ledger
from ledger.store.database import Database
from tests.support.world import World, day


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
