"""`revshare simulator`: the stand-in as a part of an installation, played with while it runs."""

import threading
from pathlib import Path

import pytest
import requests

from api.kept import STANDIN_FILE, standin_webhook_secret
from tests.support.house import environment, revshare, started, wait_for
from tests.support.stripe_process import sim

DAY_S = 24 * 3600


@pytest.fixture
def env(sqlite_database_url, tmp_path):
    """An installation of its own."""
    return environment(sqlite_database_url, tmp_path / "var")


@pytest.fixture
def address(env, tmp_path):
    """Where the stand-in answers, started with two of its own options."""
    url = f"http://127.0.0.1:{env['SIMULATOR_PORT']}"
    log = tmp_path / "simulator.log"
    with started(env, "simulator", "--onboarding", "manual", "--seed", "7", log=log) as process:
        wait_for(lambda: "listening" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield url


def make_account(address: str) -> requests.Response:
    """Ask for a connected account."""
    body = {"type": "express", "country": "GB"}
    return requests.post(f"{address}/v1/accounts", data=body, auth=("sk_test_standin", ""), timeout=10)


def test_its_webhooks_go_to_the_api_of_the_installation(address, env):
    """Both styles, signed with the secret that the API reads; accounts are paid out by themselves."""
    secret = (Path(env["VAR_DIR"]) / STANDIN_FILE).read_text().strip()
    settings = sim(address, "settings")

    assert {(one["url"], *one["secrets"], one["payload"]) for one in settings["endpoints"].values()} == {
        (f"http://127.0.0.1:{env['PORT']}/webhooks/stripe", secret, payload)
        for payload in ("snapshot", "thin")
    }
    assert secret.startswith("whsec_")
    assert (settings["onboarding"], settings["automatic_payouts"]) == ("manual", True)


def test_it_is_played_with_while_it_runs(address):
    """A fault for the next call, its time, and what became of its webhooks while no API listens."""
    sim(address, "faults", [{"on": "POST /v1/accounts", "do": "stored_500"}])
    struck, fine = make_account(address), make_account(address)
    before = sim(address, "clock")["now"]
    after = sim(address, "clock", {"advance_s": DAY_S})["now"]
    wait_for(lambda: any(one["attempts"] for one in sim(address, "webhooks")["deliveries"]))

    assert (struck.status_code, fine.status_code) == (500, 200)
    assert after - before >= DAY_S
    assert {one["status"] for one in sim(address, "webhooks")["deliveries"]} == {"waiting"}


def test_its_help_names_all_that_it_takes(env):
    """The options are the stand-in's own."""
    done = revshare(env, "simulator", "--help")

    assert done.returncode == 0
    for option in ("--webhook", "--thin-webhook", "--onboarding", "--automatic-payouts", "--seed"):
        assert option in done.stdout


def test_an_installation_has_one_secret_whoever_asks_first(tmp_path):
    """Parts that start together agree; nobody else may read it."""
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(standin_webhook_secret(tmp_path / "var")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert standin_webhook_secret(tmp_path / "other") not in found
    assert [file.name for file in (tmp_path / "var").iterdir()] == [STANDIN_FILE]
    assert (tmp_path / "var" / STANDIN_FILE).stat().st_mode & 0o777 == 0o600
