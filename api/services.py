"""What the doors need of the rooms behind them, made once in each process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.audit_key import audit_signer
from api.auth import Gate
from api.idempotency import IdempotencyKeys
from api.settings import Settings
from api.waiting import Places
from ledger.audit.notes import Verifier
from ledger.bank_file import Debtor
from ledger.desk import Desk
from ledger.intake import Intake
from ledger.store.application import Ledger
from ledger.store.database import Database
from payouts.gateway import StripeGateway
from payouts.onboarding import Onboarding
from payouts.pacing import Turnstile
from payouts.webhooks.inbox import Inbox


@dataclass(frozen=True)
class Services:
    """The collaborators of every resource."""

    ledger: Ledger
    desk: Desk
    intake: Intake
    gate: Gate
    idempotency_keys: IdempotencyKeys
    provider: StripeGateway
    inbox: Inbox
    webhook_secrets: tuple[str, ...]
    onboarding: Onboarding
    return_url: str | None
    debtor: Debtor | None
    audit_verifier: Callable[[], Verifier]
    witnesses: tuple[Verifier, ...]
    waiting: Places
    checkpoint_targets: tuple[str, ...]
    """The names of the targets that every checkpoint goes to."""

    def pages(self, asked: Mapping[str, Any]) -> dict[str, str | None]:
        """Where a partner is led after its visit to the provider: as asked, else as the settings say."""
        return {"return_url": asked["return_url"] or self.return_url, "refresh_url": asked["refresh_url"]}

    @property
    def database(self) -> Database:
        """The database that the views are read from."""
        return self.ledger.database


def make_services(
    ledger: Ledger, settings: Settings | None = None, provider: StripeGateway | None = None
) -> Services:
    """Services over a ledger; the provider is the one of the settings, unless another is given."""
    of = settings or Settings()
    desk = Desk(ledger)
    # Live or not: no door sends a transfer, and what they ask for moves no money.
    asked = provider or StripeGateway(
        of.stripe_api_key,
        of.stripe_base,
        live=True,
        accounts_api=of.stripe_accounts_api,
        wait_turn=Turnstile(of.stripe_per_s).wait,
    )
    inbox = Inbox(ledger.database, ledger.clock, livemode=asked.livemode)
    return Services(
        ledger=ledger,
        desk=desk,
        intake=Intake(ledger),
        gate=Gate(desk.authenticate),
        idempotency_keys=IdempotencyKeys(ledger.database),
        provider=asked,
        inbox=inbox,
        webhook_secrets=of.webhook_secrets,
        onboarding=Onboarding(ledger, asked, inbox),
        return_url=of.onboarding_return_url,
        debtor=of.debtor,
        audit_verifier=lambda: audit_signer(of.audit_key, of.audit_origin).verifier,
        witnesses=of.witnesses,
        waiting=Places(of.threads),
        checkpoint_targets=tuple(target.name for target in of.checkpoint_targets),
    )


class Resource:
    """A noun with a door. Its class name is unique, so that the documentation can name it."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.ledger = services.ledger
        self.desk = services.desk
        self.database = services.database
