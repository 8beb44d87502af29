"""An installation and a stand-in for Stripe in one process: one clock, webhooks through the real door."""

from typing import Any
from uuid import UUID

from falcon.testing import TestClient

from payouts.simulator.settings import Endpoint
from payouts.simulator.webhooks import Delivery
from payouts.webhooks.worker import WebhookWorker
from payouts.worker import PayoutWorker
from tests.api.house import House
from tests.support.in_process_stripe import ADDRESS
from tests.support.webhooks import SECRET

RETURN = "https://partners.example.com/back"


class OnboardingHouse:
    """Doors, workers and the provider, with everything moved by hand."""

    def __init__(self, database_url: str, accounts_api: Any = "auto") -> None:
        self.house = House(database_url, accounts_api)
        self.stripe, self.gateway = self.house.stripe, self.house.gateway
        self.stripe.set(onboarding="manual")
        url = "https://ours.example.com/webhooks/stripe"
        self.stripe.listen(
            self._receive, v1=Endpoint(url, (SECRET,)), v2=Endpoint(url, (SECRET,), payload="thin")
        )
        self.webhooks = WebhookWorker(self.house.ledger, self.gateway)
        self.payouts = PayoutWorker(self.house.ledger, self.gateway)

    def close(self) -> None:
        """Give everything back."""
        self.house.close()

    def _receive(self, delivery: Delivery) -> int:
        answer = self.house.client.simulate_post(
            "/webhooks/stripe", body=delivery.body, headers=delivery.headers
        )
        return answer.status_code

    def partner(self, reference: str = "brightside", **more: Any) -> UUID:
        """An approved partner with all that the provider wants to know first."""
        told = {
            "reference": reference,
            "name": "Brightside",
            "email": "pay@brightside.example",
            "country": "GB",
        }
        made = self.house.post("/v1/partners", {**told, **more})
        partner_id = UUID(made.json["partner_id"])
        assert self.house.post(f"/v1/partners/{partner_id}/approve", {}).status_code == 200
        return partner_id

    def account(self, partner_id: UUID, key: str | None = None) -> Any:
        """How its account stands, by the door."""
        return self.house.get(f"/v1/partners/{partner_id}/payout-account", key).json

    def onboard(self, partner_id: UUID, **more: Any) -> Any:
        """Ask for an account and a link."""
        return self.house.post(f"/v1/partners/{partner_id}/payout-account", {"return_url": RETURN}, **more)

    def follow(self, url: str) -> Any:
        """The owner opens the link and tells what is wanted."""
        return TestClient(self.stripe.app).simulate_get(url.removeprefix(ADDRESS))

    def turn(self) -> None:
        """Webhooks come in and are worked on, payouts go on, readers read."""
        self.house.catch_up()
        for _ in range(3):
            self.stripe.deliver()
            self.webhooks.step()
            self.payouts.step()
            self.house.catch_up()

    def later(self, **by: int) -> None:
        """Let time pass for both sides."""
        self.house.clock.forward(**by)
        self.turn()
