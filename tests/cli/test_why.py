"""`revshare why`: a tree for people, JSON for programs, and a clear no for an id that nothing has."""

import json
from uuid import uuid4

import pytest

from projections.runner import Runner
from tests.support.commands import invoke
from tests.support.house import environment
from tests.support.world import World, day


@pytest.fixture
def env(sqlite_database_url, tmp_path):
    """An installation with a rewarded sale."""
    world = World(sqlite_database_url)
    world.program()
    world.touch("customer", world.partner("brightside"), day(-1))
    world.send(world.sale("order [1]", "customer", 10_000, day(0)))
    world.engine.drain()
    Runner(world.ledger).catch_up()
    made = environment(sqlite_database_url, tmp_path / "var")
    made["CONVERSION"] = str(world.conversion_id("order [1]"))
    world.close()
    return made


def test_the_facts_behind_a_conversion_are_a_tree(env):
    done = invoke(env, "why", env["CONVERSION"])

    assert done.exit_code == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "conversion: A sale of 100.00 GBP on 2024-01-01, told by shop as order [1]" in told
    assert "reward: 20.00 GBP" in told
    assert "terms: Terms version 1" in told


def test_as_json_each_fact_has_its_words(env):
    found = json.loads(invoke(env, "why", env["CONVERSION"], "--json").stdout)

    assert found["words"]["amount_minor"] == 10_000
    assert found["because"][0]["fact"] == "RewardAccrued"


def test_an_id_that_nothing_has_is_told_so(env):
    assert invoke(env, "why", str(uuid4())).exit_code == 1
    assert "no payout, reward or conversion has this id" in invoke(env, "why", str(uuid4())).stderr
    assert invoke(env, "why", "nonsense").exit_code == 2
