"""What stands in a column is of its type: SQLite takes any, and nothing could be read of such a tree."""

from typing import Any, Final

import sqlalchemy as sa

from ledger.store.application import Ledger
from projections.audit_log import bundles, tiles
from projections.position import positions
from projections.verification.findings import Findings

KINDS: Final = {tiles: "tile_changed", bundles: "bundle_changed", positions: "tree_behind"}
TYPES: Final[dict[type[Any], str]] = {sa.BigInteger: "integer", sa.LargeBinary: "blob", sa.Text: "text"}


def check_types(ledger: Ledger, findings: Findings) -> None:
    """Name each column of the tree's tables, and of the readers' positions, that holds something else."""
    if ledger.database.is_postgresql:
        return
    with ledger.database.read() as connection:
        for table, kind in KINDS.items():
            for column in table.columns:
                wanted, found = TYPES.get(type(column.type)), sa.func.typeof(column)
                other = connection.execute(sa.select(found).where(found != wanted).limit(1)).scalar()
                if wanted is not None and other is not None:
                    place = {"table": table.name, "column": column.name}
                    findings.add(kind, place, f"{wanted} alone", other)


def octets(value: Any) -> bytes:
    """The bytes in a column; none where something else stands there."""
    return bytes(value) if isinstance(value, bytes | memoryview) else b""
