"""The steps of a payout's way at which a process can end: named, so that tests can end it at each of them."""

from collections.abc import Callable
from typing import Final, Literal, get_args

Step = Literal[
    "lease taken",
    "before the intent",
    "intent recorded",
    "before the socket",
    "answered",
    "outcome recorded",
    "search begun",
    "listed",
    "search recorded",
    "cleared",
    "lease released",
]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
"""Every step, in the order of the way."""

Reached = Callable[[Step], None]


def nothing(_step: Step) -> None:
    """What happens at a step where nobody looks."""
