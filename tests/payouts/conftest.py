"""One stand-in for Stripe for all tests of the room, and a finance department on each database."""

from collections.abc import Iterator

import pytest

from payouts.gateway import StripeGateway
from tests.support.connected import Connected
from tests.support.finance import Finance
from tests.support.stripe_process import running_stripe
from tests.support.stripe_watch import every_call_fits_stripes_types, stripe_is_watched

__all__ = ["every_call_fits_stripes_types", "stripe_is_watched"]


@pytest.fixture(scope="module")
def stripe_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeGateway]:
    """A gateway to a stand-in that holds test money."""
    with running_stripe(tmp_path_factory.mktemp("stripe")) as address:
        yield StripeGateway("sk_test_standin", address)


@pytest.fixture
def finance(database_url: str, stripe_gateway: StripeGateway) -> Iterator[Finance]:
    """A program with minimum 10.00 on a fresh database, paid through the stand-in."""
    department = Finance(database_url, stripe_gateway)
    yield department
    department.close()


@pytest.fixture
def connected(database_url: str) -> Iterator[Connected]:
    """A world with connected accounts on each database."""
    made = Connected(database_url)
    yield made
    made.close()


@pytest.fixture
def quick(sqlite_database_url: str) -> Iterator[Connected]:
    """The same, where one database says it all."""
    made = Connected(sqlite_database_url)
    yield made
    made.close()
