"""Programs, partners, agreements, codes, referrals, customers and keys, as last told."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from ledger import ids
from projections import tables
from projections.queries.paging import (
    LIMIT,
    Conditions,
    Cursor,
    Page,
    Row,
    besides,
    by_key,
    during,
    filtered,
    one,
    page,
    rows,
)


def program(connection: sa.Connection, program_id: UUID) -> Row | None:
    """A program."""
    return by_key(connection, tables.programs, program_id)


def program_by_reference(connection: sa.Connection, reference: str) -> Row | None:
    """A program by the name that its owner gave it."""
    return one(connection, filtered(tables.programs, reference=reference))


def list_programs(
    connection: sa.Connection, *, type: str | None = None, after: Cursor | None = None, limit: int = LIMIT
) -> Page:
    """Programs, by reference."""
    c = tables.programs.c
    order = [c.reference, c.program_id]
    also = besides(type=type)
    return page(connection, sa.select(tables.programs), order, after=after, limit=limit, also=also)


def terms_version(connection: sa.Connection, program_id: UUID, number: int) -> Row | None:
    """One version of a program's terms."""
    return by_key(connection, tables.terms_versions, program_id, number)


def list_terms_versions(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_group: str | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Versions of terms, by program and number."""
    statement = filtered(tables.terms_versions, program_id=program_id)
    order = list(tables.terms_versions.primary_key)
    also = besides(partner_group=partner_group)
    return page(connection, statement, order, after=after, limit=limit, also=also)


def list_partner_groups(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Groups, by program and name."""
    statement = filtered(tables.partner_groups, program_id=program_id)
    order = list(tables.partner_groups.primary_key)
    return page(connection, statement, order, after=after, limit=limit)


def partner(connection: sa.Connection, partner_id: UUID) -> Row | None:
    """A partner with its `groups`, by program, its `agreements` and its `payout_holds`."""
    found = by_key(connection, tables.partners, partner_id)
    if found is None:
        return None
    members = tables.partner_group_members
    joined = sa.select(members.c.program_id, members.c.partner_group).where(
        members.c.partner_id == partner_id, members.c.partner_group.is_not(None)
    )
    accepted = filtered(tables.agreements, partner_id=partner_id).order_by(tables.agreements.c.program_id)
    return {
        **found,
        "groups": rows(connection, joined.order_by(members.c.program_id)),
        "agreements": rows(connection, accepted),
        "payout_holds": payout_holds(connection, [partner_id]).get(partner_id, []),
    }


def payout_holds(connection: sa.Connection, partners: Collection[UUID]) -> dict[UUID, list[Row]]:
    """Why nothing is paid to these partners: `cause` and `reason`; who is not held is not there."""
    c = tables.payout_holds.c
    statement = sa.select(c.partner_id, c.cause, c.reason).where(
        c.partner_id.in_(partners), c.reason.is_not(None)
    )
    found: dict[UUID, list[Row]] = {}
    for row in rows(connection, statement.order_by(c.partner_id, c.cause)):
        found.setdefault(row["partner_id"], []).append({"cause": row["cause"], "reason": row["reason"]})
    return found


def list_partners(
    connection: sa.Connection,
    *,
    status: str | None = None,
    program_id: UUID | None = None,
    partner_group: str | None = None,
    reference: str | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Partners, by reference, each with its `payout_holds`.

    `program_id`: those with an agreement; with `partner_group`: its members.
    """
    partners, members, agreements = tables.partners, tables.partner_group_members, tables.agreements
    statement = filtered(partners, reference=reference)

    def also(c: Any) -> list[sa.ColumnElement[bool]]:
        asked = [] if status is None else [c.status == status]
        if partner_group is not None:
            ours = [members.c.partner_id == c.partner_id, members.c.partner_group == partner_group]
            if program_id is not None:
                ours.append(members.c.program_id == program_id)
            asked.append(_is_there(members.c.program_id, ours))
        elif program_id is not None:
            agreed = [agreements.c.program_id == program_id, agreements.c.partner_id == c.partner_id]
            asked.append(_is_there(agreements.c.program_id, agreed))
        return asked

    order = [partners.c.reference, partners.c.partner_id]
    asked = also if also(partners.c) else None
    found = page(connection, statement, order, after=after, limit=limit, also=asked)
    holds = payout_holds(connection, [row["partner_id"] for row in found.rows])
    for row in found.rows:
        row["payout_holds"] = holds.get(row["partner_id"], [])
    return found


def _is_there(column: sa.Column[Any], ours: list[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    """Whether there is such a row, looked up each time: EXISTS may be made a join that reads them all."""
    return sa.select(column).where(*ours).limit(1).scalar_subquery().is_not(None)


def agreement(connection: sa.Connection, agreement_id: UUID) -> Row | None:
    """An agreement."""
    return by_key(connection, tables.agreements, agreement_id)


def list_agreements(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    status: str | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Agreements, the latest first."""
    statement = filtered(tables.agreements, partner_id=partner_id)
    also = besides(program_id=program_id, status=status)
    return _latest(connection, tables.agreements, statement, after, limit, also)


def referral_code(connection: sa.Connection, referral_code_id: UUID) -> Row | None:
    """A code, with how often its link was followed."""
    return by_key(connection, tables.referral_codes, referral_code_id)


def list_referral_codes(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Codes, the latest first."""
    statement = filtered(tables.referral_codes, partner_id=partner_id)
    return _latest(connection, tables.referral_codes, statement, after, limit, besides(program_id=program_id))


def referral(connection: sa.Connection, referral_id: UUID) -> Row | None:
    """A referral."""
    return by_key(connection, tables.referrals, referral_id)


def list_referrals(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    customer: str | None = None,
    customer_id: UUID | None = None,
    via: str | None = None,
    code: str | None = None,
    effective_from: datetime | None = None,
    effective_to: datetime | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Referrals, the latest first. One index knows the customer's, else the partner's or the program's;
    what is asked for besides is looked for among these."""
    if program_id is not None and customer is not None and customer_id is None:
        customer_id = ids.customer_id(program_id, customer)
    asked = {"customer_id": customer_id, "partner_id": partner_id, "program_id": program_id}
    known = next((name for name, value in asked.items() if value is not None), None)
    statement = filtered(tables.referrals, **({known: asked.pop(known)} if known else {}))
    c = tables.referrals.c
    statement = during(statement, c.effective_at, effective_from, effective_to)
    order = [c.effective_at, c.referral_id]
    also = besides(**asked, customer=customer, via=via, code=code)
    return page(connection, statement, order, after=after, limit=limit, descending=True, also=also)


def customer(connection: sa.Connection, customer_id: UUID) -> Row | None:
    """A customer with its `referrals`, in the order of their time (`referral_count` says how many)."""
    found = by_key(connection, tables.customers, customer_id)
    if found is None:
        return None
    told = filtered(tables.referrals, customer_id=customer_id)
    order = (tables.referrals.c.effective_at, tables.referrals.c.referral_id)
    count = found.pop("referrals")
    return {**found, "referral_count": count, "referrals": rows(connection, told.order_by(*order))}


def list_customers(
    connection: sa.Connection,
    *,
    program_id: UUID | None = None,
    partner_id: UUID | None = None,
    customer: str | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Customers, by program and name. `partner_id`: those that the partner referred last."""
    c = tables.customers.c
    in_program = customer if program_id is not None else None
    statement = filtered(
        tables.customers, program_id=program_id, customer=in_program, last_partner_id=partner_id
    )
    order = [c.program_id, c.customer, c.customer_id]
    also = besides(customer=customer if in_program is None else None)
    return page(connection, statement, order, after=after, limit=limit, also=also)


def api_key(connection: sa.Connection, key_id: UUID) -> Row | None:
    """A key, without anything that opens."""
    return by_key(connection, tables.api_keys, key_id)


def list_api_keys(
    connection: sa.Connection,
    *,
    partner_id: UUID | None = None,
    revoked: bool | None = None,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Keys, the latest first."""

    def also(c: Any) -> list[sa.ColumnElement[bool]]:
        asked = [] if partner_id is None else [c.partner_id == partner_id]
        if revoked is not None:
            asked.append(c.revoked_at.is_not(None) if revoked else c.revoked_at.is_(None))
        return asked

    asked = also if also(tables.api_keys.c) else None
    return _latest(connection, tables.api_keys, sa.select(tables.api_keys), after, limit, asked)


def _latest(
    connection: sa.Connection,
    table: sa.Table,
    statement: sa.Select[Any],
    after: Cursor | None,
    limit: int,
    also: Conditions | None,
) -> Page:
    order = [table.c.recorded_at, *table.primary_key]
    return page(connection, statement, order, after=after, limit=limit, descending=True, also=also)
