"""Where partners' money goes: connected accounts at the provider, made, linked and looked at."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from ledger import partner
from ledger.commands import (
    LinkPayoutAccount,
    PausePartnerPayouts,
    ResumePartnerPayouts,
    SeePayoutAccount,
)
from ledger.desk import PARTNER, Desk
from ledger.events.base import Fact
from ledger.partner import PartnerState, known
from ledger.store.application import Ledger
from payouts import candidates
from payouts.eligibility import ACCOUNT_HOLDS, account_holds
from payouts.eligibility import STRIPE as PROVIDER
from payouts.outcomes import Account

COUNTRY_DEFAULT: Final = "GB"
_LOADED_AT_ONCE: Final = 500


class AccountMaker(Protocol):
    """What is asked of the provider."""

    def create_account(self, reference: str, country: str, email: str, idempotency_key: str) -> str:
        """The id of a connected account; the same key gives the same account."""
        ...

    def account(self, account_id: str) -> Account:
        """How an account stands."""
        ...


def linked_facts(
    state: PartnerState, partner_id: UUID, account: Account, *, seen_at: datetime, now: datetime
) -> list[Fact]:
    """The partner's money goes to this account from now on, which stood like that when it was looked at."""
    link = LinkPayoutAccount(partner_id=partner_id, destination=account.account_id, provider=PROVIDER)
    linked = partner.decide(link, state, now=now)
    after = after_facts(state, linked)
    return [*linked, *seen_facts(after, partner_id, account, seen_at=seen_at, now=now)]


def seen_facts(
    state: PartnerState, partner_id: UUID, account: Account, *, seen_at: datetime, now: datetime
) -> list[Fact]:
    """The partner's account was looked at: how it stands, and the holds that this sets and lifts.

    Nothing for an account to which the partner's money does not go any more.
    """
    if state.payout_accounts.get(PROVIDER) != account.account_id:
        return []
    see = SeePayoutAccount(
        partner_id=partner_id,
        provider=PROVIDER,
        destination=account.account_id,
        transfers_active=account.transfers_active,
        payouts_enabled=account.payouts_enabled,
        disabled_reason=account.disabled_reason,
        currently_due=account.currently_due,
        country=account.country,
        default_currency=account.default_currency,
        effective_at=seen_at,
    )
    facts = partner.decide(see, state, now=now)
    after = after_facts(state, facts)
    seen = after.account_seen(PROVIDER)
    wanted = {} if seen is None else account_holds(seen)
    for cause in ACCOUNT_HOLDS:
        wish: PausePartnerPayouts | ResumePartnerPayouts
        if cause in wanted:
            wish = PausePartnerPayouts(partner_id=partner_id, cause=cause, reason=wanted[cause])
        else:
            wish = ResumePartnerPayouts(partner_id=partner_id, cause=cause)
        facts += partner.decide(wish, after, now=now)
    return facts


def after_facts(state: PartnerState, facts: Sequence[Fact]) -> PartnerState:
    """The partner after facts that were added to it."""
    after: PartnerState | None = state
    for fact in facts:
        after = partner.evolve(after, fact)
    return known(after)


def link(ledger: Ledger, partner_id: UUID, account: Account, *, seen_at: datetime, by: str) -> bool:
    """Link an account to a partner, with what was seen of it; whether anything of that is new."""
    _, recorded = ledger.execute(
        partner_id,
        PARTNER,
        lambda state: linked_facts(known(state), partner_id, account, seen_at=seen_at, now=ledger.clock()),
        by=by,
    )
    return bool(recorded)


def link_unseen(ledger: Ledger, partner_id: UUID, destination: str, *, by: str) -> None:
    """Link an account that nobody could look at yet."""
    wish = LinkPayoutAccount(partner_id=partner_id, destination=destination, provider=PROVIDER)
    ledger.execute(partner_id, PARTNER, lambda state: partner.decide(wish, state, now=ledger.clock()), by=by)


def see(ledger: Ledger, partner_id: UUID, account: Account, *, seen_at: datetime, by: str) -> bool:
    """Record how a partner's account stands; whether anything of that is new."""
    _, recorded = ledger.execute(
        partner_id,
        PARTNER,
        lambda state: seen_facts(known(state), partner_id, account, seen_at=seen_at, now=ledger.clock()),
        by=by,
    )
    return bool(recorded)


def unseen(ledger: Ledger) -> list[str]:
    """The accounts of partners that nobody has looked at yet. Without one such partner is not paid."""
    with ledger.database.read() as connection:
        there = candidates.partners_with_account(connection, PROVIDER)
    found = []
    for start in range(0, len(there), _LOADED_AT_ONCE):
        for state, _ in ledger.load_many(there[start : start + _LOADED_AT_ONCE], PARTNER).values():
            if (
                state is not None
                and PROVIDER in state.payout_accounts
                and state.account_seen(PROVIDER) is None
            ):
                found.append(state.payout_accounts[PROVIDER])
    return sorted(set(found))


def account_key(partner_id: UUID) -> str:
    """The provider's key for making a partner's account: made again, it is the same account."""
    return f"account-{partner_id}"


def ensure_destinations(
    ledger: Ledger,
    gateway: AccountMaker,
    desk: Desk,
    partners: Sequence[UUID],
    *,
    by: str,
    country: str = COUNTRY_DEFAULT,
) -> int:
    """Give each of these partners a payout account that has none, and look at it; how many were linked.

    Made for the demo and for tests: the accounts that it makes are not onboarded by their owners. Its key is
    derived from the partner, so for a day after a crash between the steps the same is linked. A partner
    without country or email gets `country` and an address in a domain that nobody can own. Refuses with
    UnknownPartner; the gateway's GatewayError passes through.
    """
    linked = 0
    for partner_id in partners:
        state = known(ledger.load(partner_id, PARTNER).state)
        if state.account_seen(PROVIDER) is not None:
            continue
        destination = state.payout_accounts.get(PROVIDER)
        if destination is None:
            destination = gateway.create_account(
                str(partner_id),
                state.country or country,
                state.email or f"partner-{partner_id}@example.com",
                account_key(partner_id),
            )
            wish = LinkPayoutAccount(partner_id=partner_id, destination=destination, provider=PROVIDER)
            linked += desk.execute(wish, by=by).new
        seen_at = ledger.clock()
        see(ledger, partner_id, gateway.account(destination), seen_at=seen_at, by=by)
    return linked
