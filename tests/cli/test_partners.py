"""`revshare partners`: each command through the doors of a running installation."""

import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from tests.support.commands import invoke
from tests.support.onboarding import RETURN, OnboardingHouse


class Quiet(WSGIRequestHandler):
    """Says nothing of requests."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def place(sqlite_database_url: str) -> Iterator[OnboardingHouse]:
    """An installation and its provider."""
    made = OnboardingHouse(sqlite_database_url)
    yield made
    made.close()


def test_a_partner_is_onboarded_and_looked_at(place):
    """The link, the state, a tax form, and the list of a year."""
    place.partner(country="US")
    app: Any = place.house.client.app
    server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    environment = {
        "REVSHARE_URL": f"http://127.0.0.1:{server.server_port}",
        "REVSHARE_API_KEY": place.house.key("finance:read", "finance:approve"),
    }
    try:
        link = invoke(environment, "partners", "onboard", "brightside", "--return-url", RETURN)
        shown = invoke(environment, "partners", "payout-account", "brightside")
        signed = ("--reference", "vault/1", "--signed-at", "2026-01-15T00:00:00Z")
        filed = invoke(environment, "partners", "tax-form", "brightside", "w-9", *signed)
        listed = invoke(environment, "partners", "reportable", "--year", "2026")
        unknown = invoke(environment, "partners", "payout-account", "nobody")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert "/_sim/onboarding/acct_" in link.stdout, link.output
    assert "can't be paid: there is no W-9 on file" in shown.stdout
    assert "w-9" in filed.stdout
    assert "no W-9" not in filed.stdout
    assert listed.exit_code == 0
    assert unknown.exit_code == 1
