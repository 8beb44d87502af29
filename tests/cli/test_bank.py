"""The commands for partners off Stripe, against a running installation."""

from collections.abc import Iterator

import pytest

from ledger.bank_file import Debtor
from tests.api.house import House
from tests.api.test_bank_files import approved
from tests.support.bank_file import read
from tests.support.bank_statement import camt053, movement, statement_csv
from tests.support.commands import invoke
from tests.support.served import served

IBAN = "DE89370400440532013000"
DEBTOR = Debtor("Us GmbH", "LU280019400644750000")


@pytest.fixture
def house(sqlite_database_url: str) -> Iterator[House]:
    """An installation."""
    made = House(sqlite_database_url, debtor=DEBTOR)
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


def test_a_file_is_written_once_and_for_its_owner_alone(house, tmp_path):
    """Twice it is the same; another file of that name is left alone; a refusal writes nothing."""
    batch_id = approved(house).rsplit("/", 1)[-1]
    file, other = tmp_path / "pain.xml", tmp_path / "other.xml"
    other.write_text("mine")
    with served(house.client.app) as address:
        environment = {"REVSHARE_URL": address, "REVSHARE_API_KEY": house.key("finance:approve")}
        done = [
            invoke(environment, "payouts", "export", batch_id, "--out", str(out))
            for out in (file, file, other, tmp_path / "missing" / "pain.xml")
        ]
        nothing = tmp_path / "nothing.xml"
        refused = invoke(environment, "payouts", "export", batch_id, "--number", "2", "--out", str(nothing))

    assert [each.exit_code for each in done] == [0, 0, 2, 2]
    assert "1 transfers, 20.00 EUR, message " in done[0].stdout
    [order] = read(file.read_text("utf-8")).orders
    assert order.iban == IBAN
    assert file.stat().st_mode & 0o777 == 0o600
    assert other.read_text() == "mine"
    assert (refused.exit_code, nothing.exists()) == (1, False)
    assert sorted(path.name for path in tmp_path.glob("*.xml")) == ["other.xml", "pain.xml"]


def test_a_statement_is_imported_and_a_word_is_recorded(house, tmp_path):
    """0 where all fits, 3 where somebody has to look, 2 for a file of another kind."""
    path = approved(house)
    payout_id = house.post(f"{path}/bank-files", {}).json["payout_ids"][0]
    house.clock.forward(days=1)
    house.catch_up()
    told = movement(None, 20_00, end_to_end_id=payout_id, booked_on="2026-06-02")
    files = {
        "odd.csv": statement_csv(told | {"amount": "19.99"}),
        "good.xml": camt053(told),
        "statement.pdf": b"%PDF",
        "broken.xml": b"<a>",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with served(house.client.app) as address:
        environment = {"REVSHARE_URL": address, "REVSHARE_API_KEY": house.key("finance:approve")}
        done = {
            name: invoke(environment, "payouts", "import-statement", str(tmp_path / name)) for name in files
        }
        again = invoke(environment, "payouts", "import-statement", str(tmp_path / "good.xml"))
        says = ("--as", "returned", "--reference", "R-2", "--reason", "closed account", "--code", "AC04")
        early = invoke(environment, "payouts", "withdraw-rejection", payout_id, "--reason", "no")
        word = invoke(environment, "payouts", "bank-outcome", payout_id, *says)

    assert [each.exit_code for each in done.values()] == [3, 0, 2, 1]
    assert "different" in done["odd.csv"].stdout
    assert "0 new, 1 to look at" in done["odd.csv"].stdout
    assert "statement S-1: 1 paid" in done["good.xml"].stdout
    assert "0 new, 0 to look at" in again.stdout
    assert f"payout {payout_id}: returned" in word.stdout
    assert (early.exit_code, "a rejection can be withdrawn from rejected" in early.stderr) == (1, True)
