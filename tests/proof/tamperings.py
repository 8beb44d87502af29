"""Everything that a superuser may do to a sealed ledger, and how the verifier must name it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.notes import Signer
from ledger.store.application import Ledger
from projections import tables
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.rebuild import rebuild
from tests.proof.hand import OTHER_ID, Hand
from tests.proof.stage import ORIGIN, SIGNER, TABLES

TREE = ("audit_checkpoints", "audit_bundles", "audit_tiles")
OTHER_KEY = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x09" * 32))
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


def _words(topic: str, change: Callable[[str], str], number: int = 3) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        position = hand.place(topic, number)
        before = hand.words(position)
        after = change(before)
        assert after != before
        hand.rewrite(position, after)
        return f"position {position}"

    return act


def _column(assigned: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        statement = f"UPDATE stored_events SET {assigned} WHERE notification_id = :position"
        given = {"other": hand.id(OTHER_ID)} if ":other" in assigned else {}
        assert hand.run(statement, position=AFTER, **given) == 1
        return f"position {AFTER}"

    return act


def _delete(hand: Hand) -> str:
    assert hand.run("DELETE FROM stored_events WHERE notification_id = :position", position=AFTER) == 1
    return f"position {AFTER}"


def _cut_facts(hand: Hand) -> str:
    assert hand.run("DELETE FROM stored_events WHERE notification_id > :position", position=AFTER) > 1
    hand.run("DELETE FROM journal WHERE position > :position", position=AFTER)
    return f"position {AFTER + 1}, index {AFTER}"


def _cut_all(hand: Hand) -> str:
    """The tail with all that was ever said of it: what is left was true once."""
    size = int(hand.ask("SELECT min(size) FROM audit_checkpoints"))
    position = int(hand.ask("SELECT position FROM audit_checkpoints WHERE size = :size", size=size))
    hand.run("DELETE FROM stored_events WHERE notification_id > :position", position=position)
    _forget_tree(hand)
    return f"first_index {size}"


def _swap_words(hand: Hand) -> str:
    one, two = hand.words(AFTER), hand.words(AFTER + 2)
    hand.rewrite(AFTER, two)
    hand.rewrite(AFTER + 2, one)
    return f"position {AFTER}"


def _swap_places(hand: Hand) -> str:
    statement = "UPDATE stored_events SET notification_id = :to WHERE notification_id = :position"
    for position, to in ((AFTER, 10**9), (AFTER + 1, AFTER), (10**9, AFTER + 1)):
        assert hand.run(statement, position=position, to=to) == 1
    return f"position {AFTER}"


def _insert(position: int, like: int = AFTER) -> Callable[[Hand], str]:
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


def _insert_and_shift(hand: Hand) -> str:
    """Room is made in the middle: all facts behind go one place on."""
    for by in (10**9, 1 - 10**9):
        hand.run(
            "UPDATE stored_events SET notification_id = notification_id + :by"
            " WHERE notification_id >= :position",
            by=by,
            position=AFTER,
        )
    _insert(AFTER, AFTER + 1)(hand)
    hand.run("UPDATE positions SET position = position + 1 WHERE name = 'audit'")
    return f"position {AFTER}"


# The tree and what was signed


def _forget_tree(hand: Hand) -> None:
    for table in TREE:
        hand.run(f"DELETE FROM {table}")
    hand.run("UPDATE positions SET position = 0 WHERE name = 'audit'")


def _rewrite_all(hand: Hand) -> str:
    """One amount of long ago; then the whole chain anew, with every view."""
    position = hand.place("ConversionRecorded", 120)
    hand.rewrite(position, hand.words(position).replace('"amount_minor":1', '"amount_minor":9'))
    before = hand.ask("SELECT max(size) FROM audit_checkpoints WHERE position < :position", position=position)
    after = hand.ask("SELECT min(size) FROM audit_checkpoints WHERE position >= :position", position=position)
    _forget_tree(hand)
    return f"first_index {before}, last_index {after - 1}"


def _resealed(signer: Signer) -> Callable[[Ledger], None]:
    def act(ledger: Ledger) -> None:
        sequencer = Sequencer(ledger, batch_events=100)
        while sequencer.step():
            CheckpointMaker(ledger, signer).step(now_wanted=True)
        rebuild(ledger, accept_differences=True)

    return act


def _hashes(level: int, change: str) -> Callable[[Hand], str]:
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


def _run(statement: str, where: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        assert hand.run(statement) >= 1
        return where

    return act


def _note(change: Callable[[str], str]) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        size = int(hand.ask("SELECT min(size) FROM audit_checkpoints"))
        note = change(str(hand.ask("SELECT note FROM audit_checkpoints WHERE size = :size", size=size)))
        hand.run("UPDATE audit_checkpoints SET note = :note WHERE size = :size", note=note, size=size)
        return f"table audit_checkpoints, size {size}"

    return act


# Legs and views


def _leg(assigned: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        position = hand.place("RewardAccrued", 50)
        statement = f"UPDATE journal SET {assigned} WHERE position = :position AND leg = 1"
        given = {"other": hand.id(OTHER_ID)} if ":other" in assigned else {}
        assert hand.run(statement, position=position, **given) == 1
        return f"position {position}"

    return act


def _both_legs(hand: Hand) -> str:
    """An amount in both legs of an entry: they still sum to zero, and so does the balance."""
    position = hand.place("RewardAccrued", 50)
    hand.run(
        "UPDATE journal SET amount_minor = amount_minor * 2 WHERE position = :position", position=position
    )
    return f"position {position}"


def _no_leg(hand: Hand) -> str:
    position = hand.place("RewardAccrued", 50)
    hand.run("DELETE FROM journal WHERE position = :position", position=position)
    return f"position {position}"


def _new_legs(to: int) -> Callable[[Hand], str]:
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


def _view(table: str, column: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        hand.edit(table, column)
        return f"table {table}, "

    return act


def _view_row_gone(table: str) -> Callable[[Hand], str]:
    def act(hand: Hand) -> str:
        assert hand.run(f"DELETE FROM {table}") >= 1
        return f"table {table}, "

    return act


FACT = frozenset({"fact_changed"})
LEG = frozenset({"leg_differs"})
KEPT = frozenset({"kept_differs", "kept_unreadable"})


def of_facts() -> Iterator[Tampering]:
    """Each column of a fact, its metadata, its time; one gone, swapped, put in; the tail."""
    amount = _words("ConversionRecorded", lambda words: words.replace('"amount_minor":1', '"amount_minor":2'))
    yield Tampering("an amount", amount, FACT)
    yield Tampering("who", _words("RewardAccrued", lambda w: w.replace('"by":"', '"by":"x')), FACT)
    time = _words("ConversionRecorded", lambda w: w.replace('"recorded_at":"2024', '"recorded_at":"2023'))
    yield Tampering("when it was recorded", time, FACT)
    effective = _words("RewardAccrued", lambda w: w.replace('"effective_at":"2024', '"effective_at":"2023'))
    yield Tampering("when it was true", effective, FACT)
    yield Tampering("a space", _words("PartnerApproved", lambda w: w.replace(":", ": ", 1), 0), FACT)
    yield Tampering(
        "the last fact", _words("TransferConfirmed", lambda w: w.replace("tr_1", "tr_2"), 0), FACT
    )
    yield Tampering(
        "a partner's account", _words("PayoutAccountLinked", lambda w: w.replace("acct_1", "acct_2"), 0), FACT
    )
    yield Tampering("stream", _column("originator_id = :other"), FACT)
    yield Tampering("version", _column("originator_version = originator_version + 1000"), FACT)
    yield Tampering("topic", _column("topic = 'ConversionCanceled@1'"), FACT)
    yield Tampering("no words", _column("state = ''"), FACT)
    yield Tampering("another place", _column("notification_id = 1000000000"), frozenset({"fact_missing"}))
    yield Tampering("deleted", _delete, frozenset({"fact_missing"}))
    yield Tampering(
        "all deleted", _run("DELETE FROM stored_events", "position 1,"), frozenset({"fact_missing"})
    )
    yield Tampering("tail cut", _cut_facts, frozenset({"fact_missing"}))
    cut = frozenset({"tail_cut"})
    yield Tampering("tail cut everywhere", _cut_all, cut, _resealed(SIGNER))
    yield Tampering("words swapped", _swap_words, FACT)
    yield Tampering("places swapped", _swap_places, FACT)
    yield Tampering("put in before the first", _insert(-5), frozenset({"fact_inserted"}))
    yield Tampering("put in at zero", _insert(0), frozenset({"fact_inserted"}))
    yield Tampering("put in the middle", _insert_and_shift, FACT | {"fact_inserted"})


def of_the_tree() -> Iterator[Tampering]:
    """Tiles, the table of positions, checkpoints; everything at once."""
    yield Tampering("rewritten with another key", _rewrite_all, KEPT, _resealed(OTHER_KEY))
    yield Tampering("rewritten with the stolen key", _rewrite_all, KEPT, _resealed(SIGNER))
    tile = frozenset({"tile_changed"})
    for level in (0, 1):
        for change in ("edit", "cut", "lengthen"):
            if (level, change) != (0, "lengthen"):  # a full tile of leaves is read no further
                yield Tampering(f"tile of level {level}: {change}", _hashes(level, change), tile)
    gone = _run("DELETE FROM audit_tiles WHERE level = 0 AND tile = 0", "table audit_tiles, level 0, tile 0")
    yield Tampering("a tile gone", gone, tile)
    gone = _run("DELETE FROM audit_tiles WHERE level = 1", "table audit_tiles, level 1, tile 0")
    yield Tampering("a level gone", gone, tile)
    more = "INSERT INTO audit_tiles SELECT 0, 99, hashes FROM audit_tiles WHERE level = 0 AND tile = 0"
    yield Tampering("a tile more", _run(more, "table audit_tiles, level 0, tile 99"), tile)
    bundle = frozenset({"bundle_changed"})
    edit = "UPDATE audit_bundles SET first_position = first_position + 1 WHERE tile = 1"
    yield Tampering("a bundle", _run(edit, "table audit_bundles, tile 1"), bundle)
    edit = (
        "UPDATE audit_bundles SET positions = (SELECT b.positions FROM audit_bundles AS b WHERE b.tile = 0)"
        " WHERE tile = 1"
    )
    yield Tampering("a bundle's positions", _run(edit, "table audit_bundles, tile 1"), bundle)
    gone = _run("DELETE FROM audit_bundles WHERE tile = 1", "table audit_bundles, tile 1")
    yield Tampering("a bundle gone", gone, bundle)
    gone = _run("DELETE FROM audit_bundles", "first_index 0")
    yield Tampering("all bundles gone", gone, frozenset({"tail_cut"}))
    more = (
        "INSERT INTO audit_bundles SELECT 1000000000, 1000000000, positions FROM audit_bundles WHERE tile = 0"
    )
    yield Tampering("a bundle far away", _run(more, "table audit_bundles, tile 1000000000"), bundle)
    ahead = _run("UPDATE positions SET position = position + 5 WHERE name = 'audit'", "table positions")
    yield Tampering("the sequencer moved", ahead, frozenset({"tree_behind"}))


def of_checkpoints() -> Iterator[Tampering]:
    """Each column of what was signed."""
    changed = frozenset({"checkpoint_changed"})
    where = "table audit_checkpoints, size"
    edits = {
        "root": "root = (SELECT substr(hashes, 1, 32) FROM audit_tiles WHERE level = 0 AND tile = 0)",
        "position": "position = position + 1",
        "size": "size = size - 1",
        "note": "note = 'nothing'",
    }
    for column, assigned in edits.items():
        statement = (
            f"UPDATE audit_checkpoints SET {assigned} WHERE size = (SELECT min(size) FROM audit_checkpoints)"
        )
        yield Tampering(f"checkpoint: {column}", _run(statement, where), changed)
    wrong = frozenset({"signature_wrong"})
    yield Tampering("no signature of ours", _note(lambda note: note.replace("— ledger", "— other")), wrong)
    yield Tampering(
        "a broken signature",
        _note(lambda note: note[:-10] + ("A" if note[-10] != "A" else "B") + note[-9:]),
        wrong,
    )
    resigned = _note(lambda note: OTHER_KEY.sign(note.partition("\n\n")[0] + "\n"))
    yield Tampering("signed with another key", resigned, wrong)
    gone = _run("DELETE FROM audit_checkpoints", "file ")
    yield Tampering("all checkpoints gone", gone, frozenset({"checkpoint_missing"}))


def of_legs() -> Iterator[Tampering]:
    """Each column of a leg that an entry holds; one gone; some put in."""
    for assigned in (
        "account = 'clawback_loss'",
        "amount_minor = amount_minor + 1",
        "currency = 'EUR'",
        "program_id = :other",
        "partner_id = :other",
        "posting_version = 2",
        "posting_version = 99999999999",
        "leg = 7",
        "account = 'é'",
    ):
        yield Tampering(f"leg: {assigned}", _leg(assigned), LEG)
    yield Tampering("both legs", _both_legs, LEG)
    yield Tampering("no legs", _no_leg, LEG)
    yield Tampering("legs at a fact that has none", _new_legs(1), LEG | {"leg_inserted"})
    yield Tampering("legs before all facts", _new_legs(-7), frozenset({"leg_inserted"}))
    yield Tampering("legs behind all facts", _new_legs(10**9), frozenset({"leg_inserted"}))


def of_views() -> Iterator[Tampering]:
    """Each column of each table of each view, and each table emptied."""
    for table in TABLES:
        for column in table.columns:
            kinds = {"view_differs", *(LEG if table.name == "journal" else ())}
            yield Tampering(
                f"view: {table.name}.{column.name}", _view(table.name, column.name), frozenset(kinds)
            )
        yield Tampering(
            f"view: {table.name} emptied", _view_row_gone(table.name), frozenset({"view_differs"})
        )


def all_tamperings() -> list[Tampering]:
    """All of them."""
    return [*of_facts(), *of_the_tree(), *of_checkpoints(), *of_legs(), *of_views()]
