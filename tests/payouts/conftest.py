"""Stand-ins for Stripe, clients that hold every call against its types, and a finance department."""

from collections.abc import Iterator

import pytest
import stripe

from payouts.gateway import StripeGateway
from tests.support.bank import BankFinance
from tests.support.connected import Connected
from tests.support.finance import Finance
from tests.support.in_process_stripe import InProcessStripe
from tests.support.stripe_process import running_stripe
from tests.support.stripe_schemas import call_mistakes
from tests.support.stripe_sdk import connect


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a stand-in that holds test money listens: one for each module. It hears child processes, too."""
    with running_stripe(tmp_path_factory.mktemp("stripe"), watched=True) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def stripe_gateway(address: str) -> StripeGateway:
    """A gateway to it."""
    return StripeGateway("sk_test_standin", address)


@pytest.fixture
def client(address: str) -> Iterator[stripe.StripeClient]:
    """A client of it, of which every call is held against the schemas."""
    wrong: list[str] = []
    yield connect(address, wrong)

    assert wrong == []


@pytest.fixture
def standin() -> InProcessStripe:
    """A stand-in without a process."""
    return InProcessStripe()


@pytest.fixture
def in_process_client(standin: InProcessStripe) -> Iterator[stripe.StripeClient]:
    """A client of that one; its books balance in the end, too."""
    wrong: list[str] = []
    yield standin.sdk(lambda response: wrong.extend(call_mistakes(response)))

    assert wrong == []
    assert standin.books()["balanced"] is True


@pytest.fixture
def finance(database_url: str, stripe_gateway: StripeGateway) -> Iterator[Finance]:
    """A program with minimum 10.00 on a fresh database, paid through the stand-in."""
    department = Finance(database_url, stripe_gateway)
    yield department
    department.close()


@pytest.fixture
def bank(database_url: str, stripe_gateway: StripeGateway) -> Iterator[BankFinance]:
    """The same in euros, with partners who are paid by our own bank."""
    department = BankFinance(database_url, stripe_gateway)
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
