"""Work without the garbage collector: what a batch holds is given up by itself when the batch is over."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unswept() -> Iterator[None]:
    """No search for cycles in this process while the block runs.

    A batch makes tens of thousands of objects and keeps them until it is written: the collector would go
    through all of them again and again, which took a third of the engine's time, and find nothing. Between
    two batches it may search as always.
    """
    swept = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if swept:  # else another thread is in such a block, too, or somebody wants it so
            gc.enable()
