"""Runs at the start of each process that has this folder on its PYTHONPATH: a stand-in among them is watched.

What Stripe's types do not know of a call, or of its answer, goes into the file that STRIPE_CALLS_WRONG names
(tests/support/stripe_watch.py reads it after each test).
"""

import sys
from pathlib import Path

if "simulator" in sys.orig_argv or "payouts.simulator" in sys.orig_argv:
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    from tests.support.stripe_watch import watch_this_stand_in

    watch_this_stand_in()
