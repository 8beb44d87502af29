"""Every view, in the order in which they are written."""

from collections.abc import Sequence
from typing import Final

from projections.balances import Balances
from projections.conversions import Conversions
from projections.directory import Directory
from projections.journal import Journal
from projections.payouts import Payouts
from projections.periods import Periods
from projections.view import View

VIEWS: Final[tuple[View, ...]] = (Directory(), Conversions(), Journal(), Balances(), Payouts(), Periods())


class UnknownView(LookupError):
    """No view has this name."""


def views_named(names: Sequence[str]) -> tuple[View, ...]:
    """The views of these names (none: all of them), in their order. Raises UnknownView."""
    unknown = set(names) - {view.name for view in VIEWS}
    if unknown:
        raise UnknownView(
            f"no view is called {', '.join(sorted(unknown))}: {', '.join(v.name for v in VIEWS)}"
        )
    return tuple(view for view in VIEWS if not names or view.name in names)
