"""What else a process does, from its beginning to its end: looks, takes in, exports, closes months."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from ledger.period import ClosePeriod
from ledger.store.application import Ledger
from payouts import taking_in
from payouts.bank import exporting
from payouts.gate import Gate
from payouts.gateway import StripeGateway
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.runner import Runner
from projections.statements import issuing
from projections.statements.closing import close_period
from tests.proof.stage import SIGNER
from tests.support.bank import DEBTOR

PATIENCE_S: Final = 240
"""How long a closing waits, among others' facts on a slow machine."""
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


def close(ledger: Ledger, _gateway: StripeGateway, told: Mapping[str, str]) -> object:
    """Months are closed, their statements issued, few at a time, and the log's head is signed."""
    issuing.BATCH = int(told["batch"])  # type: ignore[misc]  # of this process alone
    program_id, runner = UUID(told["program_id"]), Runner(ledger)

    def catch_up(_pause_s: float) -> None:
        runner.catch_up()

    for month in told["months"].split():
        wish = ClosePeriod(program_id=program_id, period=month)
        close_period(ledger, wish, by=told["by"], wait_s=PATIENCE_S, pause=catch_up)
        issuing.issue(ledger, program_id, by=told["by"], wait_s=PATIENCE_S, pause=catch_up)
    Sequencer(ledger).catch_up()
    return CheckpointMaker(ledger, SIGNER).step()


PAYOUT_JOBS: Final[dict[str, Job]] = {"look": look, "take in": take_in, "export": export}
JOBS: Final[dict[str, Job]] = {**PAYOUT_JOBS, "close": close}
