"""What holds payouts up, and how they go on when it clears."""

from ledger.commands import PausePartnerPayouts, ResumePartnerPayouts
from tests.payouts.test_worker import CONFIRMED_FACTS


def test_an_approved_payout_of_a_held_partner_waits(finance):
    """It stays as it was approved, and goes out once the hold is lifted."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    finance.world.desk.execute(PausePartnerPayouts(partner_id=acme, reason="audit"), by="cli")

    finance.pay()
    waiting = finance.payout(batch).status
    finance.world.desk.execute(ResumePartnerPayouts(partner_id=acme), by="cli")
    finance.pay()

    assert waiting == "approved"
    assert finance.facts_of(finance.payout(batch)) == CONFIRMED_FACTS
