"""The payouts' finance department, and processes that are forked in an instant."""

from collections.abc import Iterator

import pytest

from tests.faults.forks import Forks
from tests.payouts.conftest import address, bank, finance, stripe_gateway

__all__ = ["address", "bank", "finance", "forks", "stripe_gateway"]


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Where worker processes come from."""
    with Forks() as found:
        yield found
