"""kill -9 at every edge of a worker's process: whoever comes next brings each payout to its end, once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from tests.faults.scene import CREATE, KILLED, Scene

AMOUNTS = (20_00, 30_00)


class Story(NamedTuple):
    """What is wrong with the provider's answers, and what becomes of two payouts then."""

    faults: Sequence[dict[str, Any]]
    ends: Sequence[str]


STORIES = {
    "nothing breaks": Story((), ("confirmed", "confirmed")),
    "an answer is lost": Story(({"on": CREATE, "do": "drop_after_commit"},), ("confirmed", "confirmed")),
    "a payout is refused": Story(({"on": CREATE, "do": "insufficient_balance"},), ("confirmed", "rejected")),
}


def play(scene: Scene, story: Story, kill_at: str | None = None) -> list[str]:
    """Two payouts go their way, through the end of a process if one is asked for: the edges it met."""
    scene.begin(AMOUNTS, story.faults)
    first = last = scene.start(kill_at=kill_at)
    if kill_at is not None:
        scene.let_run(lambda: kill_at in first.edges)
        assert first.wait() == KILLED, f"it did not end {kill_at}"
        last = scene.start()
    scene.let_run(lambda: bool(last.edges) and scene.statuses() == sorted(story.ends))
    last.stop()
    scene.check()
    return first.edges


@pytest.mark.parametrize("name", STORIES)
def test_a_process_can_end_at_any_edge(finance, forks, tmp_path, name):
    """The first play names the edges; then the process is killed at each of them, and another one follows."""
    scene = Scene(finance, forks, tmp_path)
    edges = play(scene, STORIES[name])

    assert "before append PayoutIntentRecorded+PayoutReserved" in edges
    assert f"after {CREATE}" in edges
    for edge in edges:
        play(scene, STORIES[name], kill_at=edge)
    finance.check_zero_sum()
