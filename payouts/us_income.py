"""Which programs of a partner pay out income from the US: for those it needs a tax form, wherever it is."""

from uuid import UUID

import sqlalchemy as sa

from ledger.desk import PROGRAM
from ledger.store.application import Ledger
from projections.tables import agreements


def programs_with_us_income(ledger: Ledger, partner_id: UUID) -> list[str]:
    """The references of the programs that the partner has an agreement with, also an ended one, in order.

    The view names the agreements, the programs' own streams say what they pay out.
    """
    of = agreements.c
    statement = sa.select(of.program_id).where(of.partner_id == partner_id).distinct()
    with ledger.database.read() as connection:
        programs = connection.execute(statement).scalars().all()
    states = (at.state for at in ledger.load_many(programs, PROGRAM).values())
    return sorted(state.reference for state in states if state is not None and state.payouts.us_source)
