"""How many bytes of disk each table takes with its indexes: what a conversion costs in log and views."""

from typing import NamedTuple

import sqlalchemy as sa

from ledger.store.database import Database


class Size(NamedTuple):
    """Bytes of one table, and of its indexes."""

    table: int
    indexes: int

    @property
    def whole(self) -> int:
        """Both."""
        return self.table + self.indexes


POSTGRESQL = """
    SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
"""
SQLITE = """
    SELECT schema.tbl_name,
        sum(CASE WHEN schema.type = 'table' THEN pgsize ELSE 0 END),
        sum(CASE WHEN schema.type = 'index' THEN pgsize ELSE 0 END)
    FROM dbstat JOIN sqlite_schema AS schema ON schema.name = dbstat.name GROUP BY schema.tbl_name
"""


def sizes(database: Database) -> dict[str, Size]:
    """Of every table."""
    with database.read() as connection:
        rows = connection.execute(sa.text(POSTGRESQL if database.is_postgresql else SQLITE)).all()
    return {str(name): Size(int(table), int(indexes)) for name, table, indexes in rows}


def per_conversion(before: dict[str, Size], after: dict[str, Size], conversions: int) -> dict[str, int]:
    """Bytes that each conversion added, by table where it is at least one: table and indexes together."""
    grown = {
        name: (size.whole - before.get(name, Size(0, 0)).whole) / conversions for name, size in after.items()
    }
    return {name: round(value) for name, value in sorted(grown.items(), key=lambda x: -x[1]) if value >= 1}
