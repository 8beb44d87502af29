"""Every list touches a bounded number of rows, by whatever it is filtered, however many rows there are."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from ledger.store.database import Database
from payouts import reconciliations
from payouts import tables as own
from payouts.bank import importing
from payouts.webhooks import inbox
from payouts.webhooks.tables import webhook_events
from projections import checkpoints, queries, tables
from projections.audit_log import checkpoints as checkpoint_table
from projections.columns import UtcTime
from projections.queries import paging
from tests.projections.world import BEGIN
from tests.support.touched import Touched

ROWS = 1_500
"""Of each table; then eight times as many."""
PAGE = 10
LOOKED_AT = 100
FEW = 7
"""So many programs, partners, kinds, states there are: each has many rows."""
ROWS_MAX = 3 * FEW * LOOKED_AT
"""Of a page on PostgreSQL: where every seventh row fits, it may find them along an index of the order."""
STEPS_MAX = 10 * ROWS_MAX
"""Of a page on SQLite."""
INDEXES_ONLY = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
"""Tables of this size PostgreSQL would rather read whole and sort, whatever index there is."""
PROGRAM, PARTNER, ONE = UUID(int=1), UUID(int=2), UUID(int=1_003)
SOME = {"reference": "text-1003", "customer": "text-1003", "source": "text-3", "external_id": "text-1003"}
FILLED = (
    *(tables.conversions, tables.rewards, tables.journal, tables.balances),
    *(tables.programs, tables.terms_versions, tables.partner_groups, tables.partners),
    *(tables.partner_group_members, tables.agreements, tables.referral_codes, tables.referrals),
    *(tables.customers, tables.api_keys, tables.payout_batches, tables.payouts),
    *(webhook_events, own.reconciliations, own.reconciliation_items, own.bank_statements),
    *(checkpoint_table,),
)
Asked = list[dict[str, Any]]
SHARED = {
    *("program_id", "partner_id", "last_partner_id", "batch_id", "reconciliation_id", "partner_group"),
    *("kind", "type", "status", "state", "stage", "source", "via", "code", "reason", "verdict", "account"),
}
"""Columns of which many rows have the same value."""


def value(column: sa.Column[Any], number: int, table: sa.Table) -> Any:
    """What stands in a column of the `number`th row."""
    alone = column.primary_key and len(table.primary_key) == 1
    if column.name in SHARED and not alone:
        number %= FEW
    if isinstance(column.type, sa.Uuid):
        return UUID(int=number)
    if isinstance(column.type, UtcTime):
        return BEGIN + timedelta(seconds=number // 3)  # several rows share a time
    if isinstance(column.type, sa.BigInteger):
        return number
    if isinstance(column.type, sa.Boolean):
        return False
    if isinstance(column.type, sa.LargeBinary):
        return b"."
    return "[]" if column.info.get("json") else "GBP" if column.name == "currency" else f"text-{number}"


def row(table: sa.Table, number: int) -> dict[str, Any]:
    """The `number`th row. Its keys are such as the facts would give it where a list knows them by that."""
    found = {column.name: value(column, number, table) for column in table.columns}
    if table in (tables.balances, tables.partner_group_members, tables.agreements):  # one of each program
        found["partner_id"] = UUID(int=number)
    if table is tables.partner_groups:
        found["partner_group"] = f"text-{number}"
    if table is tables.journal:
        found["amount_minor"] = 0
        found["payout_id"] = UUID(int=number // 100)
        found["reward_id"] = UUID(int=number // 3)
    if "revoked_at" in found and number % 2:
        found["revoked_at"] = None
    return found


def fill(connection: sa.Connection, first: int, end: int) -> None:
    """Rows of every table that a list reads."""
    for table in FILLED:
        connection.execute(sa.insert(table), [row(table, number) for number in range(first, end)])


def lists() -> dict[str, Callable[..., Any]]:
    """Each list as its door asks it: alone, by each filter, by two together."""
    named: dict[str, tuple[Any, Asked]] = {
        "conversions": (queries.list_conversions, _CONVERSIONS),
        "rewards": (queries.list_rewards, _REWARDS),
        "journal": (queries.list_journal, _JOURNAL),
        "balances": (queries.list_balances, [{"program_id": PROGRAM}, {"partner_id": ONE}]),
        "programs": (queries.list_programs, [{}, {"type": "text-1"}, {"type": "none"}]),
        "terms": (queries.list_terms_versions, [{"program_id": PROGRAM}]),
        "groups": (queries.list_partner_groups, [{"program_id": PROGRAM}]),
        "partners": (queries.list_partners, _PARTNERS),
        "agreements": (queries.list_agreements, _OWNED),
        "codes": (queries.list_referral_codes, _OWNED[:4]),
        "referrals": (queries.list_referrals, _REFERRALS),
        "customers": (queries.list_customers, _CUSTOMERS),
        "keys": (queries.list_api_keys, [{}, {"revoked": True}, {"partner_id": PARTNER}]),
        "batches": (queries.list_payout_batches, [{}, {"program_id": PROGRAM}, {"state": "none"}]),
        "payouts": (queries.list_payouts, _PAYOUTS),
        "webhooks": (inbox.listed, [{"status": None}, {"status": "text-1"}, {"status": "none"}]),
        "reconciliations": (reconciliations.list_runs, [{}]),
        "statements": (importing.list_statements, [{}]),
        "items": (
            reconciliations.list_items,
            [{"reconciliation_id": PROGRAM}, {"reconciliation_id": PROGRAM, "verdict": "none"}],
        ),
        "checkpoints": (checkpoints.list_checkpoints, [{}]),
    }
    return {f"{name} {asked}": _read(fetch, asked) for name, (fetch, all_) in named.items() for asked in all_}


_OWNED: Asked = [
    *({}, {"program_id": PROGRAM}, {"partner_id": PARTNER}),
    {"program_id": PROGRAM, "partner_id": PARTNER},
    *({"status": "text-1"}, {"status": "none", "program_id": PROGRAM}),
]
_CONVERSIONS: Asked = [
    *({}, {"program_id": PROGRAM}, {"partner_id": PARTNER}, {"customer": SOME["customer"]}),
    {"program_id": PROGRAM, "customer": SOME["customer"]},
    *({"customer_id": ONE}, {"kind": "text-1"}, {"kind": "none"}, {"status": "none"}),
    *({"source": SOME["source"]}, {"external_id": SOME["external_id"]}),
    {"program_id": PROGRAM, "source": SOME["source"], "external_id": SOME["external_id"]},
    {"program_id": PROGRAM, "partner_id": PARTNER, "kind": "none"},
    {"effective_from": BEGIN, "effective_to": BEGIN + timedelta(days=1)},
]
_PAST: dict[str, Any] = {
    "effective_as_of": BEGIN + timedelta(seconds=500),
    "recorded_as_of": BEGIN + timedelta(seconds=400),
}
_REWARDS: Asked = [
    *({}, {"program_id": PROGRAM}, {"partner_id": PARTNER}, {"conversion_id": ONE}, {"customer_id": ONE}),
    *({"stage": "text-1"}, {"stage": "none"}, _PAST, {"program_id": PROGRAM, "partner_id": PARTNER}),
    *({"partner_id": PARTNER, "conversion_id": ONE}, {"program_id": PROGRAM, "stage": "none"}),
]
_JOURNAL: Asked = [
    *({}, {"program_id": PROGRAM}, {"partner_id": PARTNER}, {"account": "none"}, {"conversion_id": ONE}),
    *({"reward_id": UUID(int=100)}, {"payout_id": UUID(int=3)}, _PAST, {"partner_id": PARTNER, **_PAST}),
    *({"partner_id": PARTNER, "payout_id": UUID(int=3)}, {"program_id": PROGRAM, "partner_id": PARTNER}),
]
_PARTNERS: Asked = [
    *({}, {"reference": SOME["reference"]}, {"status": "text-1"}, {"status": "none"}),
    *({"program_id": PROGRAM}, {"partner_group": "text-1"}, {"partner_group": "none"}),
    {"program_id": PROGRAM, "partner_group": "text-1"},
]
_REFERRALS: Asked = [
    *({}, {"program_id": PROGRAM}, {"partner_id": PARTNER}, {"customer_id": ONE}),
    *({"customer": SOME["customer"]}, {"program_id": PROGRAM, "customer": SOME["customer"]}),
    *({"via": "none"}, {"code": "text-1"}, {"program_id": PROGRAM, "partner_id": PARTNER}),
]
_CUSTOMERS: Asked = [
    *({}, {"program_id": PROGRAM}, {"partner_id": PARTNER}, {"program_id": PROGRAM, "partner_id": PARTNER}),
    *({"customer": SOME["customer"]}, {"program_id": PROGRAM, "customer": SOME["customer"]}),
]
_PAYOUTS: Asked = [
    *({}, {"batch_id": PROGRAM}, {"program_id": PROGRAM}, {"partner_id": PARTNER}, {"state": "text-1"}),
    *({"state": "none"}, {"batch_id": PROGRAM, "state": "none"}, {"program_id": PROGRAM, "state": "none"}),
    *({"partner_id": PARTNER, "state": "none"}, {"recorded_from": BEGIN, "recorded_to": BEGIN}),
]


def _read(fetch: Any, asked: dict[str, Any]) -> Callable[[sa.Connection], None]:
    """The first page and the one after it, as a door asks for them."""

    def read(connection: sa.Connection) -> None:
        first = fetch(connection, limit=PAGE, after=None, **asked)
        if first.next is not None:
            fetch(connection, limit=PAGE, after=first.next, **asked)

    return read


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


def test_a_page_of_every_list_touches_few_rows_whatever_the_history(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "LOOKED_AT_MAX", LOOKED_AT)
    counted: dict[int, dict[str, int]] = {}
    for first, end in ((0, ROWS), (ROWS, 8 * ROWS)):
        with database.write() as connection:
            fill(connection, first, end)
        with database.write() as connection:
            connection.execute(sa.text("ANALYZE"))
        with database.read() as connection:
            if database.is_postgresql:
                connection.execute(sa.text(INDEXES_ONLY))
            touched = Touched(connection)
            counted[end] = {name: touched.count(read) for name, read in lists().items()}
    few = 2 * (ROWS_MAX if database.is_postgresql else STEPS_MAX)

    assert {name: count for name, count in counted[8 * ROWS].items() if count > few} == {}
    assert {
        name: (counted[ROWS][name], count)
        for name, count in counted[8 * ROWS].items()
        if count > counted[ROWS][name] * 3 // 2 + few // 20
    } == {}
