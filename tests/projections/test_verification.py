"""The verifier where nothing is wrong, or not all is there yet; tests/proof has what it must name."""

from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.notes import Checkpoint, Signer
from ledger.events.payout import TransferConfirmed
from ledger.store.application import Change, Ledger
from ledger.store.database import Database
from projections import position
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker, latest
from projections.rebuild import RebuildNotAllowed
from projections.runner import Runner
from projections.shadow import SUFFIX
from projections.verification import Finding, Kept, run, verify_ledger
from tests.support.world import World, day

SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))


@pytest.fixture
def world(database_url):
    made = World(database_url)
    yield made
    made.close()


@pytest.fixture
def sealed(world):
    """More than one tile of facts, seen by all views, sealed and signed."""
    world.program()
    world.touch("customer", world.partner("partner"), day(-1))
    sell(world, 0, 150)
    settle(world)
    return world


def sell(world, first, count):
    world.send(
        *(world.sale(f"order-{n}", "customer", 1_000 + n, day(0)) for n in range(first, first + count))
    )
    world.engine.drain()


def settle(world):
    Runner(world.ledger).catch_up()
    Sequencer(world.ledger).catch_up()
    CheckpointMaker(world.ledger, SIGNER).step(now_wanted=True)


def note(world):
    with world.database.read() as connection:
        return latest(connection).note


def found(report):
    return [str(finding) for finding in report.findings]


@pytest.mark.parametrize("span_tiles", [1, 32])
def test_what_nobody_touched_is_sound(sealed, span_tiles, monkeypatch):
    monkeypatch.setattr(run, "SPAN_TILES", span_tiles)
    told = []

    report = verify_ledger(
        sealed.ledger,
        key=SIGNER.verifier,
        kept=[Kept("kept.txt", note(sealed))],
        progress=lambda *done: told.append(done),
    )

    assert found(report) == []
    assert (report.leaves, report.waiting, report.checkpoints, report.kept) == (306, 0, 1, 1)
    assert report.balances == 1
    assert ("facts", 306, 306) in told
    assert any(stage == "views" for stage, _, _ in told)
    with sealed.database.read() as connection:
        shadows = connection.exec_driver_sql(
            "SELECT tablename FROM pg_tables"
            if sealed.database.is_postgresql
            else "SELECT name FROM sqlite_master"
        ).scalars()
        assert not [name for name in shadows if name.endswith(SUFFIX)], "the replayed views are gone again"


def test_an_empty_ledger_is_sound(world):
    assert found(verify_ledger(world.ledger, key=SIGNER.verifier)) == []


def test_several_processes_find_the_same(sealed, monkeypatch):
    """A span each; their findings come in the order of the log."""
    monkeypatch.setattr(run, "SPAN_TILES", 1)
    with sealed.database.write() as connection:
        if sealed.database.is_postgresql:
            connection.exec_driver_sql("ALTER TABLE journal DISABLE TRIGGER ALL")
        else:
            connection.exec_driver_sql("DROP TRIGGER journal_no_update")
        connection.exec_driver_sql("UPDATE journal SET amount_minor = amount_minor * 2")

    alone, together = (
        verify_ledger(sealed.ledger, key=SIGNER.verifier, views=False, processes=number) for number in (1, 2)
    )

    assert found(together) == found(alone)
    assert together.counts == alone.counts
    assert together.counts["leg_differs"] == 150


def test_no_fact_can_be_changed_unseen(sealed):
    """A space behind the words of each: as many findings as there are facts."""
    with sealed.database.write() as connection:
        if sealed.database.is_postgresql:
            connection.exec_driver_sql("ALTER TABLE stored_events DISABLE TRIGGER ALL")
            connection.exec_driver_sql(r"UPDATE stored_events SET state = state || '\x20'::bytea")
        else:
            connection.exec_driver_sql("DROP TRIGGER stored_events_no_update")
            connection.exec_driver_sql("UPDATE stored_events SET state = CAST(state || ' ' AS BLOB)")

    report = verify_ledger(sealed.ledger, key=SIGNER.verifier, views=False)

    assert report.counts == {"fact_changed": 306}


def test_facts_that_are_not_sealed_yet_are_counted(sealed):
    """The sequencer comes after the commit: what it has not seen is told, and no mistake."""
    sell(sealed, 150, 3)

    report = verify_ledger(sealed.ledger, key=SIGNER.verifier)

    assert found(report) == []
    assert report.waiting == 6


def test_legs_of_another_posting_rule_are_leaves_as_they_stand_in_the_journal(sealed):
    """What our own bank sent goes by a rule of its own, and its legs say so."""
    fact = TransferConfirmed(
        attempt=1,
        transfer_id="end-to-end-1",
        account_id=uuid4(),
        program_id=sealed.program_id,
        partner_id=uuid4(),
        net_minor=500,
        currency="GBP",
        effective_at=day(0),
        provider="bank",
    )
    sealed.ledger.append([Change(uuid4(), 0, [fact])], by="test")
    settle(sealed)

    report = verify_ledger(sealed.ledger, key=SIGNER.verifier)

    assert found(report) == []
    assert (report.leaves, report.waiting) == (307, 0)


def test_a_journal_that_lags_behind_the_tree_is_no_mistake(sealed):
    """Legs that the journal has not got yet are worked out from the facts."""
    sell(sealed, 150, 150)
    Sequencer(sealed.ledger).catch_up()

    report = verify_ledger(sealed.ledger, key=SIGNER.verifier)

    assert found(report) == []
    assert (report.leaves, report.waiting) == (606, 0)


@pytest.mark.parametrize(
    ("sealed_last", "seen_last"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_a_wrong_balance_is_named_however_far_the_tree_and_the_views_have_come(
    sealed, sealed_last, seen_last
):
    """Legs that were hashed are summed as they were read, those behind them by the database."""
    sell(sealed, 150, 20)
    if seen_last:
        Runner(sealed.ledger).catch_up()
    if sealed_last:
        Sequencer(sealed.ledger).catch_up()
    assert found(verify_ledger(sealed.ledger, key=SIGNER.verifier, views=False)) == []
    with sealed.database.write() as connection:
        held = connection.exec_driver_sql("SELECT pending_minor FROM balances").scalar_one()
        connection.exec_driver_sql("UPDATE balances SET pending_minor = pending_minor + 1")

    report = verify_ledger(sealed.ledger, key=SIGNER.verifier, views=False)

    [finding] = report.findings
    assert (finding.kind, finding.place["column"]) == ("balance_differs", "pending_minor")
    assert (finding.expected, finding.found) == (held, held + 1)


def test_a_balance_that_is_gone_is_named(sealed):
    with sealed.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM balances")

    [finding] = verify_ledger(sealed.ledger, key=SIGNER.verifier, views=False).findings

    assert (finding.kind, finding.found) == ("balance_differs", "no row")


@pytest.mark.parametrize("column", ["account", "currency", "program_id", "partner_id"])
def test_on_sqlite_a_text_that_became_a_blob_is_named(sqlite_database_url, column):
    """Its bytes are the same, but no query finds the leg any more."""
    world = World(sqlite_database_url)
    world.program()
    world.touch("customer", world.partner("partner"), day(-1))
    sell(world, 0, 3)
    settle(world)
    with world.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER journal_no_update")
        connection.exec_driver_sql(f"UPDATE journal SET {column} = CAST({column} AS BLOB) WHERE leg = 2")

    report = verify_ledger(world.ledger, key=SIGNER.verifier, views=False)
    world.close()

    assert report.counts["leg_differs"] == 3


def test_a_kept_checkpoint_of_a_longer_log_says_that_the_tail_was_cut(sealed):
    longer = SIGNER.sign(Checkpoint("ledger.example/log", 400, b"\1" * 32).text)

    report = verify_ledger(sealed.ledger, key=SIGNER.verifier, kept=[Kept("400.txt", longer)])

    [finding] = report.findings
    assert finding.kind == "tail_cut"
    assert str(finding).endswith("expected 400 leaves, found 306: the last 94 are gone")


def test_a_kept_file_that_is_no_checkpoint_of_the_key_is_named(sealed):
    other = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x08" * 32))
    kept = [Kept("a.txt", "hello"), Kept("b.txt", other.sign(note(sealed).partition("\n\n")[0] + "\n"))]

    report = verify_ledger(sealed.ledger, key=SIGNER.verifier, kept=kept)

    assert report.counts == {"kept_unreadable": 2}
    assert report.findings[0].place == {"file": "a.txt"}


def test_a_sequencer_that_was_put_back_is_named(sealed):
    """It would make the same leaves twice."""
    with sealed.database.write() as connection:
        position.move(connection, ["audit"], 1, sealed.now)

    assert found(verify_ledger(sealed.ledger, key=SIGNER.verifier)) == [
        "the sequencer's position is not that of the last leaf: table positions, name audit:"
        " expected position 306, found position 1"
    ]


def test_a_role_that_may_only_read_checks_all_but_the_views(restricted_url, postgresql_database_url):
    """Making views anew takes tables; everything else is read."""
    world = World(postgresql_database_url)
    world.program()
    settle(world)
    world.close()
    ledger = Ledger(Database(restricted_url))

    assert found(verify_ledger(ledger, key=SIGNER.verifier, views=False)) == []
    with pytest.raises(RebuildNotAllowed):
        verify_ledger(ledger, key=SIGNER.verifier)
    ledger.close()


@pytest.mark.parametrize(
    ("assigned", "named"),
    [
        ("audit_checkpoints SET note = CAST(note AS BLOB)", "checkpoint_changed"),
        ("audit_checkpoints SET root = 'x'", "checkpoint_changed"),
        ("audit_tiles SET hashes = CAST(hashes AS TEXT)", "tile_changed"),
        ("audit_tiles SET level = 'x' WHERE level = 1", "tile_changed"),
        ("audit_bundles SET positions = 'x'", "bundle_changed"),
        ("audit_bundles SET tile = 'x' WHERE tile = 0", "bundle_changed"),
        ("positions SET position = 'x' WHERE name = 'audit'", "tree_behind"),
        ("positions SET position = 'x' WHERE name = 'view:journal'", "tree_behind"),
    ],
)
def test_on_sqlite_what_is_of_no_type_of_its_column_is_named(sqlite_database_url, assigned, named):
    """SQLite stores anything anywhere: it was told as a traceback."""
    world = World(sqlite_database_url)
    world.program()
    world.touch("customer", world.partner("partner"), day(-1))
    sell(world, 0, 150)
    settle(world)
    with world.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE {assigned}")

    report = verify_ledger(world.ledger, key=SIGNER.verifier, views=False)

    assert [each.kind for each in report.findings] == [named]
    world.close()


def test_when_a_checkpoint_was_made_is_looked_at_by_nobody(sqlite_database_url):
    """It is not signed: whatever stands there keeps nothing from being verified."""
    world = World(sqlite_database_url)
    world.program()
    settle(world)
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE audit_checkpoints SET made_at = 'x'")

    assert verify_ledger(world.ledger, key=SIGNER.verifier, views=False).is_sound
    world.close()


def test_no_text_in_the_database_hides_what_is_found():
    """Behind some characters a screen shows nothing, or goes back to write over the line."""
    finding = Finding("fact_changed", {"position": 4, "topic": "A\x1b[8m\x9b"}, "a\r\n", "sound\u202e\u2028")

    assert str(finding) == (
        "the fact is not what its leaf says: position 4, topic A\\x1b[8m\\x9b: expected a\\r\\n, found"
        " sound\\u202e\\u2028"
    )
