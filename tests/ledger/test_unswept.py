"""Batches without the garbage collector: it rests for the block and works again after it, come what may."""

import gc

import pytest

from ledger.unswept import unswept


def test_the_collector_rests_for_the_block_and_works_after_it():
    """Also where such a block stands inside another one."""
    assert gc.isenabled()
    with unswept():
        assert not gc.isenabled()
        with unswept():
            assert not gc.isenabled()
        assert not gc.isenabled()

    assert gc.isenabled()


def test_an_error_in_the_block_leaves_the_collector_working():
    """A batch that fails is no reason to let memory grow."""
    with pytest.raises(LookupError), unswept():
        raise LookupError

    assert gc.isenabled()


def test_a_collector_that_somebody_stopped_stays_so():
    """Whoever works in a process without it has a reason."""
    gc.disable()
    try:
        with unswept():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
