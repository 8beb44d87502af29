"""Closings for tests of a world: let it settle, close a month, see what it came to."""

from typing import Any

from ledger.period import ClosePeriod
from projections.runner import Runner
from projections.statements.closing import Closed, close_period
from tests.support.world import World


def settle(world: World) -> None:
    """Let the engine and the views catch up."""
    while world.engine.step():
        pass
    Runner(world.ledger).catch_up()


def close(world: World, period: str, **options: Any) -> Closed:
    """Close a month now."""
    wish = ClosePeriod(program_id=world.program_id, period=period, reason=options.pop("reason", None))
    return close_period(world.ledger, wish, by="key:finance", **({"wait_s": 0} | options))


def moved(closed: Closed) -> dict[str, int]:
    """By how much each account moved, without the zeros."""
    return {each.account: each.moved_minor for each in closed.frozen.totals if each.moved_minor}
