"""kill -9 at every edge of a worker's process: whoever comes next brings each payout to its end, once."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import pytest

from payouts.steps import STEPS
from tests.faults.scene import CREATE, KILLED, Scene

OPTIONS: Final[dict[str, Any]] = {
    "shards": 1,  # else the ids would decide how many leases are taken, and so which edges there are
    "lease_for": "PT1H",
    "search_margin": "PT1M",
}
AFTER_THE_LEASE: Final = 2
"""Hours after which whoever was killed holds no lease any more."""
AFTER_THE_KEY: Final = 21
"""Hours after which nobody sends again, so that the provider's list is searched."""


class Story(NamedTuple):
    """Which steps payouts take, what is wrong with the answers, and where an earlier process ended."""

    steps: frozenset[str]
    amounts: Sequence[int] = (20_00, 30_00)
    faults: Sequence[dict[str, Any]] = ()
    ended: str | None = None


STRAIGHT: Final = frozenset(
    {
        "lease taken",
        "before the intent",
        "intent recorded",
        "before the socket",
        "answered",
        "outcome recorded",
        "lease released",
    }
)
SEARCH: Final = frozenset({"search begun", "listed", "search recorded"})
STORIES: Final = {
    "nothing breaks": Story(STRAIGHT),
    "an answer is lost": Story(STRAIGHT, faults=[{"on": CREATE, "do": "drop_after_commit"}]),
    "one is refused": Story(STRAIGHT | {"cleared"}, faults=[{"on": CREATE, "do": "insufficient_balance"}]),
    "it was sent long ago": Story(SEARCH, [20_00], ended=f"after {CREATE}"),
    "it was never sent, long ago": Story(STRAIGHT | SEARCH, [20_00], ended=f"before {CREATE}"),
}


def play(scene: Scene, story: Story, kill_at: str | None = None) -> list[str]:
    """The payouts go their way, through the end of a process if one is asked for: the edges it met."""
    scene.begin(story.amounts, story.faults)
    if story.ended is not None:
        end(scene, story.ended)
        scene.later(AFTER_THE_KEY)
    edges = [] if kill_at is None else end(scene, kill_at)
    last = scene.start(**OPTIONS)
    scene.let_run(lambda: bool(last.edges) and scene.confirmed() == len(story.amounts))
    last.stop()
    scene.check()
    return edges or last.edges


def end(scene: Scene, edge: str) -> list[str]:
    """A process that ends at an edge: all that it met. Its lease has ended, too, when the next one begins."""
    process = scene.start(kill_at=edge, **OPTIONS)
    scene.let_run(lambda: edge in process.edges)
    assert process.wait() == KILLED, f"it did not end {edge}"
    scene.later(AFTER_THE_LEASE)
    return process.edges


@pytest.mark.parametrize("name", STORIES)
def test_a_process_can_end_at_any_edge(finance, forks, tmp_path, name):
    """The first play names the edges; then the process is killed at each of them, and another one follows."""
    scene = Scene(finance, forks, tmp_path)
    story = STORIES[name]
    edges = play(scene, story)

    assert story.steps <= set(edges)
    for edge in edges:
        play(scene, story, kill_at=edge)
    finance.check_zero_sum()


def test_each_step_of_the_worker_is_in_a_story():
    """A step that the worker has learned since is killed, too."""
    assert frozenset[str]().union(*(story.steps for story in STORIES.values())) == set(STEPS)
