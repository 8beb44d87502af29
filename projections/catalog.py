"""What PostgreSQL's catalog tells of live tables, as statements that make the same of their shadows."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from ledger.store.database import driver

SUFFIX: Final = "__rebuild"


def shadow_name(table: sa.Table) -> str:
    """The name under which a table is made anew."""
    return table.name + SUFFIX


class Index(NamedTuple):
    """An index, and its counterpart on the shadow."""

    name: str
    shadow_name: str
    """Short, since names end at 63 bytes."""
    shadow_definition: str


class Described(NamedTuple):
    """What stands on a table. Constraints: those with an index; others come with LIKE."""

    constraints: tuple[tuple[str, str], ...]
    indexes: tuple[Index, ...]
    triggers: tuple[tuple[str, str | None], ...]
    """Each with its statement for the shadow, and how it is enabled unless that is usual."""

    @property
    def constraint_indexes(self) -> tuple[Index, ...]:
        """The indexes that constraints stand on."""
        names = {name for name, _ in self.constraints}
        return tuple(index for index in self.indexes if index.name in names)

    @property
    def other_indexes(self) -> tuple[Index, ...]:
        """The indexes that stand alone."""
        names = {name for name, _ in self.constraints}
        return tuple(index for index in self.indexes if index.name not in names)


_CONSTRAINTS: Final = """
    SELECT conrelid, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = ANY(%s) AND contype IN ('p', 'u', 'x') ORDER BY conname
"""
_INDEXES: Final = """
    SELECT indrelid, quote_ident(relname), indexrelid::bigint, pg_get_indexdef(indexrelid) FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = ANY(%s) ORDER BY relname
"""
_TRIGGERS: Final = """
    SELECT tgrelid, pg_get_triggerdef(oid), tgenabled::text, quote_ident(tgname) FROM pg_trigger
    WHERE tgrelid = ANY(%s) AND NOT tgisinternal ORDER BY tgname
"""
_ENABLED: Final = {"A": "ENABLE ALWAYS TRIGGER", "R": "ENABLE REPLICA TRIGGER", "D": "DISABLE TRIGGER"}

Catalog = dict[str, Described]


def describe(connection: sa.Connection, tables: Sequence[sa.Table]) -> Catalog:
    """What stands on these tables now, by their names."""
    raw = driver(connection)
    regclass = ", ".join("to_regclass(%s)::oid" for _ in tables)
    oids = raw.execute(f"SELECT {regclass}", [table.name for table in tables]).fetchone()
    constraints: dict[int, list[tuple[str, str]]] = {oid: [] for oid in oids}
    indexes: dict[int, list[tuple[str, int, str]]] = {oid: [] for oid in oids}
    triggers: dict[int, list[tuple[str, str, str]]] = {oid: [] for oid in oids}
    found: list[tuple[str, dict[int, list[Any]]]] = [
        (_CONSTRAINTS, constraints),
        (_INDEXES, indexes),
        (_TRIGGERS, triggers),
    ]
    for statement, by_table in found:
        for oid, *row in raw.execute(statement, [list(oids)]):
            by_table[oid].append(tuple(row))
    return {
        table.name: Described(
            constraints=tuple(constraints[oid]),
            indexes=tuple(
                Index(name, f"rebuild_{index}", _built(definition, name, f"rebuild_{index}", table))
                for name, index, definition in indexes[oid]
            ),
            triggers=tuple(
                (_on_shadow(definition, table), f"{_ENABLED[how]} {name}" if how in _ENABLED else None)
                for definition, how, name in triggers[oid]
            ),
        )
        for table, oid in zip(tables, oids, strict=True)
    }


def _built(definition: str, name: str, shadow_index: str, table: sa.Table) -> str:
    return _on_shadow(definition, table).replace(f" {name} ON ", f" {shadow_index} ON ", 1)


def _on_shadow(definition: str, table: sa.Table) -> str:
    return re.sub(rf' ON (\S+\.)?"?{table.name}"? ', rf" ON \g<1>{shadow_name(table)} ", definition, count=1)


# Statements


def make(table: sa.Table, described: Described, *, keyed: bool) -> list[str]:
    """The empty shadow; with `keyed` it has its keys from the start."""
    shadow = shadow_name(table)
    like = f"LIKE {table.name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE"
    made = [f"DROP TABLE IF EXISTS {shadow}", f"CREATE TABLE {shadow} ({like})"]
    if keyed:
        definitions = dict(described.constraints)
        made += [
            f"ALTER TABLE {shadow} ADD CONSTRAINT {index.shadow_name} {definitions[index.name]}"
            for index in described.constraint_indexes
        ]
    return made


def build(table: sa.Table, described: Described, *, keyed: bool) -> list[str]:
    """The indexes of a loaded shadow: those of its keys, unless it has them, and the others."""
    indexes = described.other_indexes if keyed else described.indexes
    return [*(index.shadow_definition for index in indexes), f"ANALYZE {shadow_name(table)}"]


def complete(table: sa.Table, described: Described, *, keyed: bool) -> list[str]:
    """What else the live table has, once the indexes are built: keys and triggers."""
    shadow = shadow_name(table)
    made = []
    if not keyed:
        kinds = {name: definition.partition(" (")[0] for name, definition in described.constraints}
        made = [
            f"ALTER TABLE {shadow} ADD CONSTRAINT {index.shadow_name} {kinds[index.name]}"
            f" USING INDEX {index.shadow_name}"
            for index in described.constraint_indexes
        ]
    for definition, enabled in described.triggers:
        made.append(definition)
        if enabled is not None:
            made.append(f"ALTER TABLE {shadow} {enabled}")
    return made


def swap(table: sa.Table, described: Described) -> list[str]:
    """Put the shadow in the place of the live table."""
    return [
        f"DROP TABLE {table.name}",
        f"ALTER TABLE {shadow_name(table)} RENAME TO {table.name}",
        *(f"ALTER INDEX {index.shadow_name} RENAME TO {index.name}" for index in described.indexes),
    ]


def run(connection: sa.Connection, statements: Sequence[str]) -> None:
    """Run statements in one call of the database."""
    if statements:
        driver(connection).execute(";\n".join(statements))
