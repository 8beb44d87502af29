"""Stored checkpoints that somebody changed are put right by what is signed; what was published never is."""

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import ids
from ledger.audit.notes import Checkpoint, Signer, cosign
from projections import position
from projections.audit_log import NAME, Sequencer, bundles, checkpoints, tiles
from projections.checkpoints import CheckpointMaker, latest
from projections.verification import Kept, verify_ledger
from projections.verification.repair import OWN, NotRepairable, find_repairs, repair
from tests.support.world import World

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
SIGNER = Signer("log", KEY)
OTHER = Signer("log", Ed25519PrivateKey.from_private_bytes(b"o" * 32))


@pytest.fixture
def world(database_url):
    made = World(database_url)
    yield made
    made.close()


@pytest.fixture
def kept(world, sign):
    """Copies of three checkpoints, as they were published."""
    copies = []
    for _ in range(3):
        size = sign()
        with world.database.read() as connection:
            copies.append(Kept(f"{size:012}.txt", latest(connection).note))
    return copies


def stored(world):
    with world.database.read() as connection:
        return [row._asdict() for row in connection.execute(sa.select(checkpoints).order_by("size"))]


def change(world, *statements):
    with world.database.write() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def mended(world, kept):
    found = find_repairs(world.ledger, key=SIGNER.verifier, kept=kept)
    repair(world.ledger, found, reason="somebody changed it", by="cli")
    return found


def is_sound(world, kept):
    return verify_ledger(world.ledger, key=SIGNER.verifier, kept=kept, views=False).is_sound


SECOND = (
    "size = (SELECT max(size) FROM audit_checkpoints WHERE size < (SELECT max(size) FROM audit_checkpoints))"
)


@pytest.mark.parametrize(
    ("assigned", "column", "told"),
    [
        ("position = position + 1", "position", OWN),
        ("root = (SELECT hashes FROM audit_tiles WHERE level = 0)", "root", OWN),
        ("size = size - 1", "size", OWN),
        ("size = size + 1000000", "size", OWN),
        ("note = 'nothing'", "note", "a copy"),
    ],
)
def test_a_changed_column_is_put_right_and_told_of(world, kept, assigned, column, told):
    before = stored(world)
    change(world, f"UPDATE audit_checkpoints SET {assigned} WHERE {SECOND}")
    changed = stored(world)
    assert not is_sound(world, kept)

    [found] = mended(world, kept)

    assert list(found.differing) == [column]
    assert found.trusted == (OWN if told == OWN else kept[1].name)
    assert stored(world) == before
    assert is_sound(world, kept)
    [recorded] = world.ledger.history(ids.audit_log_id())
    [row] = [row for row in changed if row not in before]
    stood = row[column].hex() if column == "root" else str(row[column])
    assert (recorded.by, recorded.fact.size, recorded.fact.reason) == (
        "cli",
        before[1]["size"],
        "somebody changed it",
    )
    assert recorded.fact.found == {column: stood}


def swap_notes(world):
    """Each of the last two rows has the other's note."""
    [*_, one, other] = stored(world)
    for row, note in ((one, other["note"]), (other, one["note"])):
        change(world, f"UPDATE audit_checkpoints SET note = '{note}' WHERE size = {row['size']}")


def test_where_two_rows_have_each_other_s_note_their_copies_tell(world, kept):
    before = stored(world)
    swap_notes(world)

    with pytest.raises(NotRepairable, match="as another row is, and no copy was given"):
        mended(world, kept[:2])
    assert [found.trusted for found in mended(world, kept)] == [kept[1].name, kept[2].name]

    assert stored(world) == before
    assert is_sound(world, kept)


def test_of_two_rows_with_one_note_nobody_says_which_it_is_of(world, kept):
    gone = stored(world)[0]
    change(
        world,
        f"DELETE FROM audit_checkpoints WHERE size = {gone['size']}",
        f"UPDATE audit_checkpoints SET note = '{gone['note']}'",
    )

    with pytest.raises(NotRepairable, match="the notes of two rows are of size"):
        mended(world, kept)


def test_what_was_taken_away_is_put_back_from_its_copy(world, kept):
    before = stored(world)
    line = cosign(Checkpoint("log", 1, b"\x00" * 32).text, "witness", KEY, 1)
    change(world, f"DELETE FROM audit_checkpoints WHERE {SECOND}")

    with_a_witness = [kept[0], Kept(kept[1].name, kept[1].note + line), kept[2]]
    [found] = mended(world, with_a_witness)

    what = ("size", "position", "root", "note")
    assert [[row[name] for name in what] for row in stored(world)] == [
        [row[name] for name in what] for row in before
    ]
    assert (found.stands, stored(world)[1]["cause"]) == (None, "restored")
    assert is_sound(world, kept)


def test_on_sqlite_a_note_that_became_a_blob_is_put_right_from_its_copy(sqlite_database_url):
    """No reader of ours takes it for a text."""
    world = World(sqlite_database_url)
    world.program()
    Sequencer(world.ledger).catch_up()
    assert CheckpointMaker(world.ledger, SIGNER).step(now_wanted=True) is not None
    with world.database.read() as connection:
        copy = Kept("copy", latest(connection).note)
    before = stored(world)
    change(world, "UPDATE audit_checkpoints SET note = CAST(note AS BLOB)")

    [found] = mended(world, [copy])

    assert list(found.differing) == ["note"]
    assert stored(world) == before
    world.close()


def test_where_nothing_is_wrong_nothing_is_done(world, kept):
    assert find_repairs(world.ledger, key=SIGNER.verifier, kept=kept) == []


def test_where_nothing_that_is_signed_tells_it_nothing_is_changed(world, kept):
    change(world, f"UPDATE audit_checkpoints SET note = 'nothing', position = 1 WHERE {SECOND}")
    before = stored(world)

    with pytest.raises(NotRepairable, match="no copy was given"):
        mended(world, [kept[0], kept[2]])

    assert stored(world) == before


def test_a_copy_that_another_key_signed_tells_nothing(world, kept):
    change(world, f"UPDATE audit_checkpoints SET note = 'nothing' WHERE {SECOND}")
    forged = Kept("forged.txt", OTHER.sign(kept[1].note.partition("\n\n")[0] + "\n"))

    with pytest.raises(NotRepairable, match="a kept file is no checkpoint signed by the key"):
        mended(world, [kept[0], forged])


def test_a_note_that_our_key_signed_over_another_tree_is_evidence_and_stays(world, kept):
    size = stored(world)[1]["size"]
    other = SIGNER.sign(Checkpoint("log", size, b"\x01" * 32).text)
    change(world, f"UPDATE audit_checkpoints SET note = '{other}' WHERE {SECOND}")
    before = stored(world)

    with pytest.raises(NotRepairable, match="evidence"):
        mended(world, kept)

    assert stored(world) == before


def test_while_facts_are_not_as_they_were_sealed_nothing_is_repaired(world, kept):
    """A wrong tree must get no sound checkpoints."""
    change(
        world,
        f"UPDATE audit_checkpoints SET position = position + 1 WHERE {SECOND}",
        "UPDATE audit_bundles SET first_position = first_position + 1",
    )
    before = stored(world)

    with pytest.raises(NotRepairable, match="the table of positions"):
        mended(world, kept)

    assert stored(world) == before


def test_the_tables_of_the_tree_are_made_again_and_are_proven_by_the_copies(world, kept):
    """As docs/audit-log.md says: the same facts give the same tree."""
    change(world, "UPDATE audit_tiles SET hashes = substr(hashes, 33) WHERE level = 0")
    assert not is_sound(world, kept)
    with world.database.write() as connection:
        for table in (tiles, bundles):
            connection.execute(sa.delete(table))
        position.move(connection, [NAME], 0, world.now)

    Sequencer(world.ledger).catch_up()

    assert is_sound(world, kept)
    world.program(reference="later")
    Sequencer(world.ledger).catch_up()
    assert CheckpointMaker(world.ledger, SIGNER).step(now_wanted=True) is not None
    assert is_sound(world, kept)
