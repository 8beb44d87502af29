"""Statements of a log that was written once: what they say is what they said, on both databases."""

import json

import msgspec
import pytest
import sqlalchemy as sa

from ledger.postings import MONEY_FACTS
from ledger.refusals import UnknownContentVersion
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections import tables
from projections.statements import deriving
from projections.statements.deriving import KINDS, content, content_sha256
from projections.statements.issuing import restate
from projections.statements.reading import load
from tests.support.frozen_statements import FOLDER, HASHES, LOG, put

FROZEN = json.loads((FOLDER / HASHES).read_text(encoding="utf-8"))


@pytest.fixture
def ledger(database_url):
    """A ledger with the log of the fixture."""
    made = Ledger(Database(database_url))
    put(made, json.loads((FOLDER / LOG).read_text(encoding="utf-8")))
    yield made
    made.close()


def rows(connection):
    """The issued statements."""
    return connection.execute(sa.select(tables.statements).order_by(tables.statements.c.position)).all()


def test_what_was_stated_once_is_stated_for_ever(ledger):
    """Whoever changes a byte of a form that statements were issued in fails here: that is a new form."""
    with ledger.database.read() as connection:
        made = [restate(ledger, connection, row) for row in rows(connection)]
        issued = {row.number: row.content_sha256 for row in rows(connection)}

    assert {each.number: content_sha256(each) for each in made} == FROZEN == issued
    assert {each.content_version for each in made} == {1}
    assert {each.currency for each in made} == {"GBP", "JPY"}
    assert {each.version for each in made} == {1, 2}
    told = {line.kind for each in made for line in each.lines}
    assert set(KINDS) == set(MONEY_FACTS)
    assert told == set(KINDS.values())


def test_a_field_more_is_no_field_of_an_old_form(ledger, monkeypatch):
    """A later form has one more; the statements that were issued before are the same bytes."""
    monkeypatch.setitem(deriving.FORMS, 2, (*deriving.FORMS[1], "issued_by"))
    with ledger.database.read() as connection:
        made = restate(ledger, connection, rows(connection)[0])
    later = msgspec.structs.replace(made, content_version=2)

    assert content_sha256(made) == FROZEN[made.number]
    assert (b"issued_by" in content(made), b"issued_by" in content(later)) == (False, True)


def test_a_form_that_is_not_known_is_refused_by_name(ledger):
    """A newer release issued it."""
    with ledger.database.write() as connection:
        connection.execute(sa.update(tables.statements).values(content_version=7))
    with ledger.database.read() as connection, pytest.raises(UnknownContentVersion, match="form 7"):
        load(ledger, connection, rows(connection)[0])
