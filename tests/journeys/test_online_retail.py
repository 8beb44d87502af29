"""The whole of the real data: through HTTP, to paid partners, on both databases.

What each partner must have earned is computed here by plain SQL over the CSV files; our code takes no part.
"""

import csv
import json
import random
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.cli.client import Client
from ledger import ids
from ledger.store.database import Database
from tests.support.documents import run_shell, shell_blocks
from tests.support.house import answers as api_answers
from tests.support.house import base_url, environment, revshare, started, wait_for

DATA = Path(__file__).resolve().parents[1] / "data" / "online_retail"
FILES = {"invoices": 8_589, "refunds": 1_657, "referrals": 2_931}
PARTNERS = 40
COLUMNS = ["partner", "currency", "earned", "pending", "available", "in_transit", "paid", "clawback"]

# 20% of what is left of each invoice, rounded half up once: (2 * kept + 5) / 10 in whole numbers.
EXPECTED = """
SELECT partner, sum((2 * (invoices.amount_minor - coalesce(refunded, 0)) + 5) / 10)
FROM invoices
JOIN referrals ON referrals.customer = invoices.customer
LEFT JOIN (SELECT invoice_id, sum(amount_minor) AS refunded FROM refunds GROUP BY invoice_id) AS given_back
       ON given_back.invoice_id = invoices.invoice_id
GROUP BY partner
"""


def rows_of(name):
    """The rows of a file."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def expected():
    """What each partner must have earned."""
    connection = sqlite3.connect(":memory:")
    for name, count in FILES.items():
        rows = rows_of(name)
        assert len(rows) == count
        columns = ", ".join(f"{c} INTEGER" if c == "amount_minor" else f"{c} TEXT" for c in rows[0])
        connection.execute(f"CREATE TABLE {name} ({columns})")
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", [list(r.values()) for r in rows])
    earned = dict(connection.execute(EXPECTED).fetchall())
    connection.close()
    assert len(earned) == PARTNERS
    return earned


def log_of(database_url):
    """How many facts there are, and the position of the last."""
    database = Database(database_url, pool_size=1)
    with database.read() as connection:
        query = sa.text("SELECT count(*), max(notification_id) FROM stored_events")
        found = tuple(connection.execute(query).one())
    database.close()
    return found


def payouts_by_state(database_url):
    """How many payouts are in each state."""
    database = Database(database_url, pool_size=1)
    with database.read() as connection:
        found = connection.execute(sa.text("SELECT state, count(*) FROM payouts GROUP BY state"))
        counts = dict(tuple(row) for row in found)
    database.close()
    return counts


def shuffled_items():
    """All of it once more as a service of our users would send it, in no order at all."""
    program_id = str(ids.program_id("online-retail"))
    about = {"program_id": program_id, "source": "online-retail"}
    items = [
        {
            **about,
            "kind": "sale",
            "external_id": row["invoice_id"],
            "customer": row["customer"],
            "effective_at": row["occurred_at"],
            "amount_minor": int(row["amount_minor"]),
            "currency": row["currency"],
        }
        for row in rows_of("invoices")
    ]
    items += [
        {
            **about,
            "kind": "refund",
            "external_id": row["invoice_id"],
            "refund_id": row["refund_id"],
            "effective_at": row["occurred_at"],
            "amount_minor": int(row["amount_minor"]),
            "currency": row["currency"],
        }
        for row in rows_of("refunds")
    ]
    random.Random(20101201).shuffle(items)
    return items


def send_everything_again(env, log):
    """How the server answers all of it, shuffled; the log then; and how it answers the README's sale."""
    keys = json.loads((Path(env["VAR_DIR"]) / "demo-keys.json").read_text())
    statuses = set()
    with started(env, "up", log=log) as process:
        wait_for(lambda: api_answers(env) or process.poll() is not None)
        client = Client(base_url(env), keys["conversions writer"])
        items = shuffled_items()
        for start in range(0, len(items), 5_000):
            answer = client.post("/v1/conversions/batch", items[start : start + 5_000])
            assert answer.ok, answer
            statuses |= {item["status"] for item in answer.body["items"]}
        log_then = log_of(env["DATABASE_URL"])
        return statuses, log_then, first_conversion(env, keys["conversions writer"])


def first_conversion(env, key):
    """What the first conversion of the README is answered."""
    script = shell_blocks("README.md")
    for shown, ours in (("KEY=rs_…", f"KEY={key}"), ("http://127.0.0.1:8080", base_url(env))):
        assert shown in script
        script = script.replace(shown, ours)
    done = run_shell(script, env, Path(env["VAR_DIR"]))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(900)
def test_the_demo_pays_every_partner_what_the_data_says(database_url, tmp_path, expected):
    """Exactly, to the penny; and nothing that comes a second time changes anything."""
    var = tmp_path / "var"
    env = environment(database_url, var)

    first = revshare(env, "demo", "--once", timeout_s=600)
    assert first.returncode == 0, first.stdout + first.stderr + (var / "demo.log").read_text()[-5_000:]
    written = (var / "demo-balances.csv").read_text()
    log, payouts = log_of(database_url), payouts_by_state(database_url)
    second = revshare(env, "demo", "--once", timeout_s=600)
    log_after_demo = log_of(database_url)
    statuses, log_at_end, answered = send_everything_again(env, tmp_path / "up.log")

    rows = list(csv.DictReader(written.splitlines()))
    assert list(rows[0]) == COLUMNS
    assert [row["partner"] for row in rows] == sorted(expected)
    assert {row["partner"]: int(row["earned"]) for row in rows} == expected
    # Thirty days after the last invoice everything has matured, and the one batch has paid all of it.
    assert {row["partner"]: int(row["paid"]) for row in rows} == expected
    for nothing_left in ("pending", "available", "in_transit", "clawback"):
        assert {row[nothing_left] for row in rows} == {"0"}
    # The stand-in's webhooks said that every bank has its money.
    assert payouts == {"paid": PARTNERS}
    assert second.returncode == 0, second.stdout + second.stderr
    assert "nothing is payable" in second.stderr
    assert statuses == {"duplicate"}
    assert log_after_demo == log_at_end == log
    assert (var / "demo-balances.csv").read_text() == written
    assert (var / "demo-keys.json").stat().st_mode & 0o777 == 0o600
    largest = max(expected, key=expected.__getitem__)
    assert f"{expected[largest]:,}" in first.stdout
    assert "/docs" in first.stdout
    (reward,) = answered["rewards"]
    assert (reward["amount_minor"], reward["stage"]) == (2_500, "held")
    assert reward["reason"] == "20% of 125.00 GBP for a sale (terms 1, rule 1)"
