"""A finance department whose Stripe is the stand-in within the test, on the same clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from payouts.gateway import StripeGateway
from tests.support.finance import Finance
from tests.support.in_process_stripe import ADDRESS, InProcessStripe


@contextmanager
def finance_and_stripe(
    database_url: str, kind: type[Finance] = Finance
) -> Iterator[tuple[Any, InProcessStripe]]:
    """Both, told the time by one clock: what Stripe makes now was made now in the ledger."""
    nobody: Any = None
    department = kind(database_url, nobody)
    standin = InProcessStripe(clock=lambda: int(department.world.now.timestamp()))
    department.gateway = StripeGateway("sk_test_in_process", ADDRESS, http_client=standin.http_client())
    try:
        yield department, standin
    finally:
        department.close()
