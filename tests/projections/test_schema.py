"""The migrated schema and the tables of the code are the same."""

import sqlalchemy as sa

from ledger.store.database import Database
from projections import tables
from projections.position import positions
from projections.views import VIEWS


def test_the_migrated_tables_are_those_of_the_code(database_url):
    """Columns in their order, types, what may be null, keys and indexes by name."""
    database = Database(database_url)
    with database.read() as connection:
        dialect = connection.dialect
        found = sa.inspect(connection)
        for table in tables.METADATA.tables.values():
            columns = {column["name"]: column for column in found.get_columns(table.name)}
            assert list(columns) == [column.name for column in table.columns]
            for column in table.columns:
                wanted = column.type.compile(dialect=dialect).lower()
                have = columns[column.name]["type"].compile(dialect=dialect).lower()
                assert (column.name, have) == (column.name, wanted)
                assert columns[column.name]["nullable"] == column.nullable
            key = found.get_pk_constraint(table.name)
            assert key["constrained_columns"] == [column.name for column in table.primary_key]
            assert key["name"] == f"pk_{table.name}"
            indexes = {index["name"]: index["column_names"] for index in found.get_indexes(table.name)}
            assert indexes == {index.name: [c.name for c in index.columns] for index in table.indexes}
    database.close()


def test_every_table_belongs_to_one_view_which_begins_at_the_start(database_url):
    """No table is left out of rebuilds, and each view has a position to lock."""
    owned = [table.name for view in VIEWS for table in view.tables]
    database = Database(database_url)
    with database.read() as connection:
        found = dict(connection.execute(sa.select(positions.c.name, positions.c.position)).all())
    database.close()

    assert sorted(owned) == sorted(tables.METADATA.tables)
    assert found == {f"view:{view.name}": 0 for view in VIEWS}
