"""What a superuser does to a sealed ledger: each act, when it is done, says what place must be named."""

import re
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.notes import Signer
from ledger.store.application import Ledger
from projections import tables
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.rebuild import rebuild
from tests.proof.hand import OTHER_ID, Hand
from tests.proof.stage import ORIGIN

TREE = ("audit_checkpoints", "audit_bundles", "audit_tiles")
OTHER_KEY = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x09" * 32))
WITNESS_LINE = "— witness AAAAAAAA"
AFTER = 400
"""A position in the middle of the log."""


class Tampering(NamedTuple):
    """`act` does it and says how the place must be named; one of `kinds` must be found there."""

    name: str
    act: Callable[[Hand], str]
    kinds: frozenset[str]
    afterwards: Callable[[Ledger], None] | None = None
    """What the tamperer does with our own code then, to make it look consistent."""


# Facts


def words_changed(topic: str, change: Callable[[str], str], number: int = 3) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        position = hand.place(topic, number)
        before = hand.words(position)
        after = change(before)
        assert after != before
        hand.rewrite(position, after)
        return f"position {position}"

    return act


def column_changed(assigned: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        statement = f"UPDATE stored_events SET {assigned} WHERE notification_id = :position"
        given = {"other": hand.id(OTHER_ID)} if ":other" in assigned else {}
        assert hand.run(statement, position=AFTER, **given) == 1
        return f"position {AFTER}"

    return act


def deleted(hand: Hand) -> str:
    assert hand.run("DELETE FROM stored_events WHERE notification_id = :position", position=AFTER) == 1
    return f"position {AFTER}"


def cut_facts(hand: Hand) -> str:
    assert hand.run("DELETE FROM stored_events WHERE notification_id > :position", position=AFTER) > 1
    hand.run("DELETE FROM journal WHERE position > :position", position=AFTER)
    return f"position {AFTER + 1}, index {AFTER}"


def cut_all(hand: Hand) -> str:
    """The tail with all that was ever said of it: what is left was true once."""
    size = int(hand.ask("SELECT min(size) FROM audit_checkpoints"))
    position = int(hand.ask("SELECT position FROM audit_checkpoints WHERE size = :size", size=size))
    hand.run("DELETE FROM stored_events WHERE notification_id > :position", position=position)
    forget_tree(hand)
    return f"first_index {size}"


def swap_words(hand: Hand) -> str:
    one, two = hand.words(AFTER), hand.words(AFTER + 2)
    hand.rewrite(AFTER, two)
    hand.rewrite(AFTER + 2, one)
    return f"position {AFTER}"


def swap_places(hand: Hand) -> str:
    statement = "UPDATE stored_events SET notification_id = :to WHERE notification_id = :position"
    for position, to in ((AFTER, 10**9), (AFTER + 1, AFTER), (10**9, AFTER + 1)):
        assert hand.run(statement, position=position, to=to) == 1
    return f"position {AFTER}"


def put_in(position: int, like: int = AFTER) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        hand.run(
            "INSERT INTO stored_events (notification_id, originator_id, originator_version, topic, state)"
            " SELECT :position, :other, 1, topic, state FROM stored_events WHERE notification_id = :like",
            position=position,
            other=hand.id(OTHER_ID),
            like=like,
        )
        return f"position {position}"

    return act


def insert_and_shift(hand: Hand) -> str:
    """Room is made in the middle: all facts behind go one place on."""
    for by in (10**9, 1 - 10**9):
        hand.run(
            "UPDATE stored_events SET notification_id = notification_id + :by"
            " WHERE notification_id >= :position",
            by=by,
            position=AFTER,
        )
    put_in(AFTER, AFTER + 1)(hand)
    hand.run("UPDATE positions SET position = position + 1 WHERE name = 'audit'")
    return f"position {AFTER}"


# The tree and what was signed


def forget_tree(hand: Hand) -> None:
    for table in TREE:
        hand.run(f"DELETE FROM {table}")
    hand.run("UPDATE positions SET position = 0 WHERE name = 'audit'")


def rewrite_all(hand: Hand) -> str:
    """One amount of long ago; then the whole chain anew, with every view."""
    position = hand.place("ConversionRecorded", 120)
    hand.rewrite(position, hand.words(position).replace('"amount_minor":1', '"amount_minor":9'))
    before = hand.ask("SELECT max(size) FROM audit_checkpoints WHERE position < :position", position=position)
    after = hand.ask("SELECT min(size) FROM audit_checkpoints WHERE position >= :position", position=position)
    forget_tree(hand)
    return f"first_index {before}, last_index {after - 1}"


def resealed(signer: Signer) -> Callable[[Ledger], None]:
    def act(ledger: Ledger) -> None:
        sequencer = Sequencer(ledger, batch_events=100)
        while sequencer.step():
            CheckpointMaker(ledger, signer).step(now_wanted=True)
        rebuild(ledger, accept_differences=True)

    return act


def put_in_unseen(hand: Hand) -> str:
    """A fact before the first leaf, and a tile of positions before the first that says it was looked at."""
    hand.run(
        "INSERT INTO audit_bundles (tile, first_position, positions) VALUES (-1, -1, :zero)", zero=bytes(8)
    )
    return put_in(0)(hand)


def leg_behind(hand: Hand) -> str:
    """An edited leg, and the journal's view set back before it."""
    where = leg_changed("amount_minor = amount_minor + 1")(hand)
    position = int(where.removeprefix("position ")) - 1
    names = "name IN ('view:journal', 'view:balances')"
    assert hand.run(f"UPDATE positions SET position = :to WHERE {names}", to=position) == 2
    return "view view:journal, table journal"


def hashes_changed(level: int, change: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        query = "SELECT hashes FROM audit_tiles WHERE level = :level AND tile = 0"
        before = bytes(hand.ask(query, level=level))
        at = len(before) // 64 * 32
        after = {
            "edit": before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :],
            "cut": before[:-32],
            "lengthen": before + bytes(32),
        }[change]
        statement = "UPDATE audit_tiles SET hashes = :hashes WHERE level = :level AND tile = 0"
        hand.run(statement, hashes=after, level=level)
        return f"table audit_tiles, level {level}, tile 0"

    return act


def sql(statement: str, where: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        assert hand.run(statement) >= 1
        return where

    return act


def note_changed(change: Callable[[str], str]) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        size = int(hand.ask("SELECT min(size) FROM audit_checkpoints"))
        note = change(str(hand.ask("SELECT note FROM audit_checkpoints WHERE size = :size", size=size)))
        hand.run("UPDATE audit_checkpoints SET note = :note WHERE size = :size", note=note, size=size)
        return f"table audit_checkpoints, size {size}"

    return act


def cosigned(name: str, line: str) -> Callable[[Hand], str]:
    """A row of what a witness signed below the first checkpoint."""

    def act(hand: Hand) -> str:
        hand.run(
            "INSERT INTO audit_cosignatures (size, name, line, recorded_at)"
            " SELECT size, :name, :line, made_at FROM audit_checkpoints ORDER BY size LIMIT 1",
            name=name,
            line=f"{line}\n",
        )
        return f"table audit_cosignatures, size {hand.ask('SELECT min(size) FROM audit_checkpoints')}"

    return act


# Closed months and statements


def one_more(name: str) -> Callable[[str], str]:
    """One more where this amount first stands in a fact's words."""
    return lambda words: re.sub(rf'"{name}":(-?\d+)', lambda m: f'"{name}":{int(m[1]) + 1}', words, count=1)


def statement_gone(number: int) -> Callable[[Hand], str]:
    """With its row in the view: nothing is left of it but its number in the count."""

    def act(hand: Hand) -> str:
        position = hand.place("StatementIssued", number)
        for table, at in (("stored_events", "notification_id"), ("statements", "position")):
            assert hand.run(f"DELETE FROM {table} WHERE {at} = :position", position=position) == 1
        return f"position {position}"

    return act


def row_and_fact(hand: Hand) -> str:
    """A statement's closing balance, in its fact and in its row."""
    position = hand.place("StatementIssued", 0)
    change = one_more("pending_minor")
    hand.rewrite(position, change(hand.words(position)))
    closing = change(str(hand.ask("SELECT closing FROM statements WHERE position = :at", at=position)))
    assert hand.run("UPDATE statements SET closing = :to WHERE position = :at", to=closing, at=position) == 1
    return f"position {position}"


def months_rewritten(topic: str, name: str) -> Callable[[Hand], str]:
    """A figure of a month, to be sealed and signed anew as if it had always been so."""

    def act(hand: Hand) -> str:
        where = words_changed(topic, one_more(name), 0)(hand)
        forget_tree(hand)
        return where

    return act


# Legs and views


def leg_changed(assigned: str, topic: str = "RewardAccrued", number: int = 50) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        position = hand.place(topic, number)
        statement = f"UPDATE journal SET {assigned} WHERE position = :position AND leg = 1"
        given = {"other": hand.id(OTHER_ID)} if ":other" in assigned else {}
        assert hand.run(statement, position=position, **given) == 1
        return f"position {position}"

    return act


def legs_changed(statement: str, topic: str = "RewardAccrued", number: int = 50) -> Callable[[Hand], str]:
    """Something done to all legs of an entry."""

    def act(hand: Hand) -> str:
        position = hand.place(topic, number)
        assert hand.run(f"{statement} WHERE position = :position", position=position) >= 2
        return f"position {position}"

    return act


TWICE = "UPDATE journal SET amount_minor = amount_minor * 2"
"""In both legs of an entry: they still sum to zero."""


def new_legs(to: int) -> Callable[[Hand], str]:
    """The legs of another entry once more, at a position."""

    def act(hand: Hand) -> str:
        rest = ", ".join(column.name for column in tables.journal.columns if column.name != "position")
        hand.run(
            f"INSERT INTO journal (position, {rest}) SELECT :to, {rest} FROM journal WHERE position = :like",
            to=to,
            like=hand.place("RewardAccrued", 50),
        )
        return f"position {to}"

    return act


def view_edited(table: str, column: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        hand.edit(table, column)
        return f"table {table}, "

    return act


def view_row_gone(table: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        assert hand.run(f"DELETE FROM {table}") >= 1
        return f"table {table}, "

    return act
