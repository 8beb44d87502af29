"""`revshare reports`: the same rows as table, CSV and JSON; what can't be reported is said."""

import csv
import io
import json

import pytest

from tests.cli.test_balances import env
from tests.support.commands import invoke

__all__ = ["env"]
REPORTS = {
    "trial-balance": ("--by", "partner"),
    "roll-forward": ("--from", "2025-01", "--to", "2025-03", "--program", "shop"),
    "ageing": ("--partner", "acme", "--currency", "GBP"),
}


@pytest.mark.parametrize("report", REPORTS)
def test_csv_and_json_hold_the_same_rows_and_the_table_is_for_people(env, report):
    """Acme earned 2.01, matured after thirty days."""
    shown = {
        form: invoke(env, "reports", report, *REPORTS[report], "--format", form)
        for form in ("csv", "json", "table")
    }

    assert {done.exit_code for done in shown.values()} == {0}
    rows = json.loads(shown["json"].stdout)["items"]
    assert {row["partner"] for row in rows} == {"acme"}
    assert [{name: str(value) for name, value in row.items()} for row in rows] == list(
        csv.DictReader(io.StringIO(shown["csv"].stdout))
    )
    assert "2.01" in shown["table"].stdout
    assert "acme" in shown["table"].stdout


def test_the_months_of_the_reward(env):
    """Accrued on the second of January, matured thirty days later."""
    done = invoke(
        env, "reports", "roll-forward", *REPORTS["roll-forward"], "--balance", "payable", "--format", "json"
    )

    rows = json.loads(done.stdout)["items"]
    assert [
        (row["period"], row["opening_minor"], row["matured_minor"], row["closing_minor"]) for row in rows
    ] == [
        ("2025-02", 0, 201, 201),
        ("2025-03", 201, 0, 201),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trial-balance", "--by", "shoe"), "--by shoe"),
        (("trial-balance", "--currency", "shoe"), "--currency shoe"),
        (("trial-balance", "--effective-as-of", "now"), "--effective-as-of now"),
        (("roll-forward", "--from", "2025-1", "--to", "2025-02"), "--from 2025-1"),
        (("roll-forward", "--from", "2025-02", "--to", "2025-01"), "1 to 120 months"),
        (("roll-forward", "--from", "2025-02", "--to", "2025-02", "--balance", "shoe"), "--balance shoe"),
        (("roll-forward", "--from", "2025-02", "--to", "2025-02", "--basis", "shoe"), "--basis shoe"),
        (("ageing", "--balance", "shoe"), "--balance shoe"),
    ],
)
def test_a_wrong_option_is_named(env, arguments, said):
    """And nothing goes to standard output."""
    done = invoke(env, "reports", *arguments)

    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stdout == ""
