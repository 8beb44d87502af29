"""`revshare partners`: each command through the doors of a running installation."""

from collections.abc import Iterator

import pytest

from tests.support.commands import invoke
from tests.support.onboarding import RETURN, OnboardingHouse
from tests.support.served import served


@pytest.fixture
def place(sqlite_database_url: str) -> Iterator[OnboardingHouse]:
    """An installation and its provider."""
    made = OnboardingHouse(sqlite_database_url)
    yield made
    made.close()


def test_a_partner_is_onboarded_and_looked_at(place):
    """The link, the state, a tax form, and the list of a year."""
    place.partner(country="US")
    with served(place.house.client.app) as address:
        environment = {
            "REVSHARE_URL": address,
            "REVSHARE_API_KEY": place.house.key("finance:read", "finance:approve"),
        }
        link = invoke(environment, "partners", "onboard", "brightside", "--return-url", RETURN)
        shown = invoke(environment, "partners", "payout-account", "brightside")
        admin = {**environment, "REVSHARE_API_KEY": place.house.key("admin")}
        language = invoke(admin, "partners", "locale", "brightside", "pt-BR")
        wrong = invoke(admin, "partners", "locale", "brightside", "pt_BR")
        signed = ("--reference", "vault/1", "--signed-at", "2026-01-15T00:00:00Z")
        filed = invoke(environment, "partners", "tax-form", "brightside", "w-9", *signed)
        listed = invoke(environment, "partners", "reportable", "--year", "2026")
        unknown = invoke(environment, "partners", "payout-account", "nobody")

    assert "/_sim/onboarding/acct_" in link.stdout, link.output
    assert "can't be paid: there is no W-9 on file" in shown.stdout
    assert "pt-BR" in language.stdout + language.stderr
    assert wrong.exit_code == 1
    assert "BCP 47" in wrong.output
    assert "w-9" in filed.stdout
    assert "no W-9" not in filed.stdout
    assert listed.exit_code == 0
    assert unknown.exit_code == 1
