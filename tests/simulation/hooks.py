"""Our side of webhooks: the door that stores what is signed, and people who look at what was left to them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from payouts import reconciling
from payouts.gateway_events import SignatureRefused
from payouts.simulator.webhooks import Delivery
from payouts.webhooks.inbox import Inbox
from tests.simulation.provider import SECRETS

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

DEAF_RATE: Final = 0.1
"""How often the door is closed in the storm, so that a webhook comes again."""
FORGED: Final = ("forged", "future")


class Hooks:
    """Where webhooks come in: a process of its own, which nothing ends that happens to a worker."""

    def __init__(self, at: "Schedule") -> None:
        self._at = at
        self._inbox = Inbox(at.stage.database, at.clock)
        self._looked_in: int | None = None
        if at.plan.webhooks:
            at.stage.provider.send_to(self.receive)

    def receive(self, delivery: Delivery) -> int | None:
        """What the door answers; None: nothing."""
        at = self._at
        if at.storm and at.rng.random() < DEAF_RATE:
            return at.rng.choice((None, 500, 503))
        lane, at.lane = at.lane, None
        try:
            signature = delivery.headers["Stripe-Signature"]
            event = at.stage.gateway.read_event(delivery.body, signature, SECRETS, at.clock())
            new = self._inbox.store(event, delivery.body, signature)
            at.say(f"webhook {event.kind} {event.object_id} {'' if new else 'again'}")
        except SignatureRefused as refused:
            at.say(f"webhook refused: {refused.reason}")
            return 400
        finally:
            at.lane = lane
        return 200

    def come(self) -> None:
        """All that are due by now are delivered."""
        if self._at.plan.webhooks:
            self._at.stage.provider.deliver_due()

    # What people do in the end

    def reconcile(self) -> None:
        """Finance compares both sides: what the ledger lacks of what came back is looked at for that."""
        run = reconciling.reconcile(self._at.stage.ledger, self._at.stage.gateway, by="key:finance")
        self._at.say(f"reconciled: {dict(run.counts)}")

    def try_again(self) -> None:
        """Somebody lets all that was left to humans be worked on once more."""
        for event_id in self.left():
            self._inbox.put_back(event_id)

    # What is to be seen

    def left(self) -> list[str]:
        """The webhooks that were left to humans."""
        return self._in("held")

    def looks(self) -> None:
        """A turn of the worker begins."""
        self._looked_in = self._hour()

    def has_work(self) -> bool:
        """Whether it would find anything: a webhook, or an hour in which it reminds itself of more."""
        return self._looked_in != self._hour() or self.is_waiting()

    def _hour(self) -> int:
        return self._at.clock.seconds() // 3600

    def is_waiting(self) -> bool:
        """Whether any webhook waits for its worker."""
        return bool(self._in("waiting"))

    def _in(self, status: str) -> list[str]:
        rows = self._at.stage.database.raw.execute(
            "SELECT event_id FROM webhook_events WHERE status = ? ORDER BY event_id", (status,)
        )
        return [event_id for (event_id,) in rows]


def forged_ones(deliveries: Sequence[dict[str, Any]]) -> list[int]:
    """Webhooks that the door took although nobody of the provider's signed them just now."""
    return [one["seq"] for one in deliveries if one["trick"] in FORGED and one["status"] == "delivered"]
