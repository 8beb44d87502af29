"""Tax that goes back with a transfer's money: what was kept of it, unless the tax office has it by now."""

from ledger import payout, program
from ledger.desk import PROGRAM
from ledger.payout import PayoutState
from ledger.store.application import Ledger


def withheld_back(ledger: Ledger, state: PayoutState, amount_minor: int) -> int:
    """How much tax goes back with the next part of a payout's transfer."""
    draft = payout.drafted(state)
    if not draft.withheld_minor:
        return 0
    of = program.known(ledger.load(draft.program_id, PROGRAM).state)
    return payout.withheld_back(state, amount_minor, remitted_through=of.withholding_remitted_through)
