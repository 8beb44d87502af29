"""How facts of older versions become today's: one function per topic that is no longer written."""

from typing import Final

from ledger.store.mapper import Upcast

UPCASTS: Final[dict[str, Upcast]] = {}
