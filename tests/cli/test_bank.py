"""`revshare partners bank-account` and what follows from it, against a running installation."""

from collections.abc import Iterator

import pytest

from tests.api.house import House
from tests.support.commands import invoke
from tests.support.served import served

IBAN = "DE89370400440532013000"


@pytest.fixture
def house(sqlite_database_url: str) -> Iterator[House]:
    """An installation."""
    made = House(sqlite_database_url)
    yield made
    made.close()


def test_a_bank_account_is_linked_and_shown_masked(house):
    """And a slip in its number ends the command with the field that is wrong."""
    partner_id = house.partner(house.program(currency="EUR"))
    with served(house.client.app) as address:
        environment = {"REVSHARE_URL": address, "REVSHARE_API_KEY": house.key("finance:approve")}
        arguments = ("partners", "bank-account", "brightside", "--holder", "Brightside GmbH", "--iban")
        linked = invoke(environment, *arguments, "DE89 3704 0044 0532 0130 00")
        wrong = invoke(environment, *arguments, "DE89 3704 0044 0532 0130 01")

    assert "paid to DE****************3000 of Brightside GmbH\n" in linked.stdout
    assert house.get(f"/v1/partners/{partner_id}/bank-account").json["iban"] == IBAN
    assert wrong.exit_code == 1
    assert "(/iban its check" in wrong.stderr
