"""What else a process does with payouts, from its beginning to its end: looks, takes in, exports."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from ledger.store.application import Ledger
from payouts import taking_in
from payouts.bank import exporting
from payouts.gate import Gate
from payouts.gateway import StripeGateway
from tests.support.bank import DEBTOR

Job = Callable[[Ledger, StripeGateway, Mapping[str, str]], object]


class _Nobody:
    """A worker that a gate lets through to nothing."""

    def turn(self, _stop: object = None, *, idle_s: float) -> float:
        """Nothing is done."""
        return idle_s


def look(ledger: Ledger, gateway: StripeGateway, _told: Mapping[str, str]) -> object:
    """The look of a start."""
    return Gate(ledger, gateway, _Nobody()).closed()


def take_in(ledger: Ledger, gateway: StripeGateway, told: Mapping[str, str]) -> object:
    """A lost transfer is taken in."""
    return taking_in.take_in(ledger, gateway, told["transfer_id"], "Restored.", by="cli")


def export(ledger: Ledger, gateway: StripeGateway, told: Mapping[str, str]) -> object:
    """A batch's file for our bank is made."""
    wish = exporting.Wish(batch_id=UUID(told["batch_id"]), has_left=told.get("has_left"))
    return exporting.export(ledger, DEBTOR, wish, by="cli", provider=gateway)


JOBS: Final[dict[str, Job]] = {"look": look, "take in": take_in, "export": export}
