"""The simulation finds nothing wrong with our worker, finds what is wrong with others, and tells it again."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.many import run_one
from tests.simulation.mutants import MUTANTS
from tests.support.stripe_schemas import call_mistakes
from tests.support.stripe_watch import heard

ROOT = Path(__file__).resolve().parents[2]
CAUGHT_WITHIN = 200
CAUGHT_TIMES = 5
WATCHED = 40
"""Schedules of which every call is held against Stripe's types."""


def simulate(*arguments: str, **environment: str) -> tuple[int, list[str]]:
    """The command as `make simulate` runs it: its exit code and its lines."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if " of them wrong, " not in line] == []
    return done.returncode, done.stdout.splitlines()


@pytest.mark.timeout(1800)  # a minute or two of two processors, which may be slow and have much else to do
def test_two_thousand_schedules_pay_each_payout_once():
    """Whatever breaks, nobody is paid twice and nobody is forgotten; the last line says so to machines."""
    code, lines = simulate("--schedules", "2000", "--seed", "1")
    summary = json.loads(lines[-1])

    assert lines[:-1] == []
    assert list(summary) == [
        "schedules",
        "payouts",
        "paid_twice",
        "never_paid",
        "held_for_human",
        "per_second",
    ]
    assert (code, summary["schedules"], summary["paid_twice"], summary["never_paid"]) == (0, 2000, 0, 0)
    assert summary["payouts"] > 2000


def test_what_our_worker_sends_in_a_schedule_and_what_it_is_answered_fits_stripes_types(monkeypatch):
    """The run of thousands is in processes of its own, which nobody listens to; some of it is run here."""
    held: list[str] = []

    def judge(response: Any) -> list[str]:
        held.append(response.request.method)
        return call_mistakes(response)

    monkeypatch.setattr("tests.support.stripe_watch.call_mistakes", judge)

    wrong = [wrong for seed in range(1, WATCHED + 1) for wrong in run_one(seed, None).wrong]

    assert wrong == []
    assert heard() == []
    assert len(held) > WATCHED
    assert {"GET", "POST"} <= set(held)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_worker_with_a_wrong_idea_is_caught(name):
    """Within two hundred schedules the oracles see that it pays twice, and not by one lucky seed alone."""
    verdicts = (run_one(seed, name) for seed in range(1, CAUGHT_WITHIN + 1))
    caught = itertools.islice((one for one in verdicts if one.paid_twice), CAUGHT_TIMES)

    assert len(list(caught)) == CAUGHT_TIMES


def test_a_caught_mutant_ends_with_its_count_and_the_command_that_shows_it_again():
    """What is printed for a failing seed is enough to see it fail once more, step by step."""
    code, lines = simulate("--schedules", "60", "--mutant", "random-key")
    summary = json.loads(lines[-1])
    again = next(line.strip() for line in lines if "again: " in line)
    seed = again.split("SEED=")[1].split()[0]

    assert code == 1
    assert summary["caught"] > 0
    assert again == f"again: make simulate SCHEDULES=1 SEED={seed} MUTANT=random-key"
    code, lines = simulate("--schedules", "1", "--seed", seed, "--mutant", "random-key")
    assert (code, json.loads(lines[-1])["caught"]) == (1, 1)
    assert f"seed {seed}: Plan(" in lines[0]


def test_mutants_are_named():
    """`make simulate MUTANT=list`."""
    code, lines = simulate("--mutant", "list")

    assert code == 0
    assert [line.split()[0] for line in lines] == list(MUTANTS)


def test_a_seed_tells_the_same_story_every_time():
    """In another process, with texts hashed otherwise, after other schedules: step by step the same."""
    seeds = range(700, 715)
    told: dict[int, list[str]] = {seed: [] for seed in seeds}
    for seed in seeds:
        run_one(seed, trace=told[seed])

    again: list[str] = []
    run_one(seeds[-1], trace=again)
    assert again == told[seeds[-1]]
    for seed, hashed in ((seeds[0], "1"), (seeds[7], "2")):
        _, lines = simulate("--schedules", "1", "--seed", str(seed), PYTHONHASHSEED=hashed)
        assert "\n".join(lines[:-1]) == "\n".join(told[seed])
