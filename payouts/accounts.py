"""Where partners' money goes: connected accounts at the provider, made and linked where none are."""

from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from ledger.commands import LinkPayoutAccount
from ledger.desk import PARTNER, Desk
from ledger.partner import known
from ledger.store.application import Ledger
from payouts.batches import PROVIDER

COUNTRY_DEFAULT: Final = "GB"


class AccountMaker(Protocol):
    """What is asked of the provider."""

    def create_account(self, reference: str, country: str, email: str, idempotency_key: str) -> str:
        """The id of a connected account; the same key gives the same account."""
        ...


def ensure_destinations(
    ledger: Ledger,
    gateway: AccountMaker,
    desk: Desk,
    partners: Sequence[UUID],
    *,
    by: str,
    country: str = COUNTRY_DEFAULT,
) -> int:
    """Give each of these partners a payout account that has none; how many were linked.

    Made for the demo and for tests: the accounts that it makes are not onboarded by their owners. Its key is
    derived from the partner, so after a crash between the two steps the same account is linked. A partner
    without country or email gets `country` and an address in a domain that nobody can own. Refuses with
    UnknownPartner; the gateway's GatewayError passes through.
    """
    linked = 0
    for partner_id in partners:
        state = known(ledger.load(partner_id, PARTNER).state)
        if PROVIDER in state.payout_accounts:
            continue
        destination = gateway.create_account(
            str(partner_id),
            state.country or country,
            state.email or f"partner-{partner_id}@example.com",
            f"account-{partner_id}",
        )
        wish = LinkPayoutAccount(partner_id=partner_id, destination=destination, provider=PROVIDER)
        linked += desk.execute(wish, by=by).new
    return linked
