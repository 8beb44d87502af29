"""Four writer processes and one tailing reader: nothing is skipped; and the check can fail."""

import psycopg
import pytest

from tests.support.writers import WRITERS, tail_while_writing


@pytest.mark.parametrize("how", ["direct", "grouped"])
def test_a_tailing_reader_of_postgresql_skips_nothing(postgresql_database_url, how):
    """Singles and batches, with group commit and without: each event once and in order."""
    events = 1_500

    tailed = tail_while_writing(postgresql_database_url, how, events)

    assert len(tailed.acknowledged) >= WRITERS * events
    assert not tailed.skipped()
    assert set(tailed.seen) == tailed.acknowledged
    assert tailed.in_order_once()


@pytest.mark.parametrize("how", ["direct", "grouped"])
def test_a_tailing_reader_of_sqlite_skips_nothing(sqlite_database_url, how):
    """As on PostgreSQL, where BEGIN IMMEDIATE is the lock."""
    events = 400

    tailed = tail_while_writing(sqlite_database_url, how, events)

    assert len(tailed.acknowledged) >= WRITERS * events
    assert set(tailed.seen) == tailed.acknowledged
    assert tailed.in_order_once()


def test_writers_that_dawdle_before_their_commit_change_nothing(postgresql_database_url):
    """The control of the next test: the same delay, with the lock."""
    tailed = tail_while_writing(postgresql_database_url, "slow", 200)

    assert set(tailed.seen) == tailed.acknowledged
    assert tailed.in_order_once()


def test_a_writer_that_leaves_the_lock_out_takes_it_by_its_insert(postgresql_database_url):
    """The trigger's part: nobody's positions are drawn out of turn."""
    tailed = tail_while_writing(postgresql_database_url, "unlocked", 200)

    assert set(tailed.seen) == tailed.acknowledged
    assert tailed.in_order_once()


def test_without_lock_and_trigger_the_check_finds_what_was_skipped(postgresql_database_url):
    """The proof that these tests can fail: positions are drawn in one order and committed in another."""
    with psycopg.connect(postgresql_database_url) as owner:
        owner.execute("ALTER TABLE stored_events DISABLE TRIGGER stored_events_in_turn")

    tailed = tail_while_writing(postgresql_database_url, "unlocked", 200)

    assert tailed.skipped()
