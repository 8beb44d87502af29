"""Onboarding of partners: their account is made, linked and looked at, and its owner gets a link."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar
from uuid import UUID

from ledger import checks, partner
from ledger.desk import PARTNER
from ledger.partner import PartnerState, known
from ledger.payout_search import KEY_TRUSTED_FOR
from ledger.refusals import InvalidField, PayoutDestinationMissing, ProviderRefused, ProviderUnavailable
from ledger.store.application import Ledger
from payouts import accounts
from payouts.connected import AccountLink, NewAccount
from payouts.eligibility import STRIPE
from payouts.outcomes import Account, GatewayError, Rejected, RetryLater
from payouts.webhooks.events import Subject
from payouts.webhooks.inbox import Inbox

Answer = TypeVar("Answer")
LINKED: Final = "linked"
CLOCKS: Final = timedelta(hours=1)
"""How far the provider's clock may be behind ours."""


class Provider(Protocol):
    """What is asked of the provider."""

    def open_account(self, new: NewAccount) -> Account: ...
    def find_account(self, reference: str, created_from: datetime) -> Account | None: ...
    def account(self, account_id: str) -> Account: ...
    def account_link(self, account_id: str, *, return_url: str, refresh_url: str) -> AccountLink: ...


class Onboarding:
    """Refuses with UnknownPartner, ProviderUnavailable (again later) and ProviderRefused (a definite no)."""

    def __init__(self, ledger: Ledger, provider: Provider, inbox: Inbox) -> None:
        self._ledger = ledger
        self._provider = provider
        self._inbox = inbox

    def begin(self, partner_id: UUID, *, by: str) -> PartnerState:
        """Make and link the partner's account, if it has none, and look at it.

        That it is about to be made is recorded before. Its key is derived from the partner, so for a day the
        same account is answered; after that the provider's accounts are searched for it.
        """
        state = self._partner(partner_id)
        destination = state.payout_accounts.get(STRIPE)
        seen_at = self._ledger.clock()
        if destination is None:
            found = self._made(partner_id, by)
        else:
            found = _asked(lambda: self._provider.account(destination))
        accounts.link(self._ledger, partner_id, found, seen_at=seen_at, by=by)
        return self._partner(partner_id)

    def _made(self, partner_id: UUID, by: str) -> Account:
        """The partner's new account; or the one that was made before, when nobody heard the answer."""
        now = self._ledger.clock()
        (state, _), _ = self._ledger.execute(
            partner_id, PARTNER, lambda at: partner.ask_for_account(known(at), STRIPE, now), by=by
        )
        at = known(state)
        asked_at = at.accounts_asked[STRIPE]
        if now - asked_at >= KEY_TRUSTED_FOR:
            found = _asked(lambda: self._provider.find_account(str(partner_id), asked_at - CLOCKS))
            if found is not None:
                return found
        new = NewAccount(str(partner_id), at.name, at.email, at.country)
        return _asked(lambda: self._provider.open_account(new))

    def link_known(self, partner_id: UUID, destination: str, *, by: str) -> PartnerState:
        """Link an account that is there, and look at it. Where that can't be done now, it is done later."""
        self._partner(partner_id)
        checks.destination(STRIPE, destination)
        seen_at = self._ledger.clock()
        try:
            found = _asked(lambda: self._provider.account(destination))
        except ProviderUnavailable:
            accounts.link_unseen(self._ledger, partner_id, destination, by=by)
            self._inbox.remind([(Subject("account", destination), f"{LINKED}.{int(seen_at.timestamp())}")])
        else:
            accounts.link(self._ledger, partner_id, found, seen_at=seen_at, by=by)
        return self._partner(partner_id)

    def fresh_link(self, partner_id: UUID, *, return_url: str | None, refresh_url: str | None) -> AccountLink:
        """A link by which the partner tells the provider what it wants to know. It ends within minutes."""
        back = checks.landing_url(return_url, "/return_url")
        if back is None:
            raise InvalidField("must be given: where the partner comes back to", pointer="/return_url")
        again = checks.landing_url(refresh_url, "/refresh_url") or back
        destination = self._partner(partner_id).payout_accounts.get(STRIPE)
        if destination is None:
            raise PayoutDestinationMissing("the partner has no account to onboard yet")
        return _asked(lambda: self._provider.account_link(destination, return_url=back, refresh_url=again))

    def _partner(self, partner_id: UUID) -> PartnerState:
        return known(self._ledger.load(partner_id, PARTNER).state)


def _asked(ask: Callable[[], Answer]) -> Answer:
    """What the provider answers; its no and its silence are refusals of two kinds."""
    try:
        return ask()
    except GatewayError as error:
        if isinstance(error.outcome, Rejected):
            raise ProviderRefused(f"{error.outcome.code}: {error.outcome.message}") from error
        if isinstance(error.outcome, RetryLater):
            raise ProviderUnavailable("the provider is too busy now") from error
        raise ProviderUnavailable(f"the provider gave no answer ({error.outcome.reason})") from error
