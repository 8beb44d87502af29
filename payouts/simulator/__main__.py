"""The stand-in as a process: `python -m payouts.simulator --port 12111 --database FILE`."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec

from payouts.simulator import upkeep
from payouts.simulator.app import app_of, fund_platform, open_store
from payouts.simulator.clock import Clock
from payouts.simulator.company import Company
from payouts.simulator.control import CLOCK
from payouts.simulator.deliverer import Deliverer
from payouts.simulator.faults import Faults
from payouts.simulator.money import CURRENCIES
from payouts.simulator.server import Server
from payouts.simulator.settings import Endpoint

DATABASE = Path("var/stripe-simulator.db")
STARTED_AND_LISTENING = "Stripe stand-in listening on"


def money_argument(text: str) -> tuple[str, int]:
    """`gbp=100000` as a currency and whole minor units. Raises ArgumentTypeError for anything else."""
    currency, _, amount = text.lower().partition("=")
    if currency not in CURRENCIES or not re.fullmatch("[1-9][0-9]{0,15}", amount):
        raise argparse.ArgumentTypeError(f"{text!r} is no CURRENCY=MINOR_UNITS, as in gbp=100000")
    return currency, int(amount)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m payouts.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=12111, help="0 for any free one (default %(default)s)")
    parser.add_argument("--database", type=Path, default=DATABASE, help="its SQLite file (%(default)s)")
    parser.add_argument(
        "--platform-balance",
        type=money_argument,
        nargs="+",
        action="extend",
        default=[],
        metavar="CURRENCY=MINOR_UNITS",
        help="test money to begin with, for currencies never held before",
    )
    parser.add_argument(
        "--webhook",
        nargs=2,
        action="append",
        default=[],
        metavar=("URL", "SECRET"),
        help="where snapshot events (API v1) go, signed with the secret",
    )
    parser.add_argument(
        "--thin-webhook",
        nargs=2,
        action="append",
        default=[],
        metavar=("URL", "SECRET"),
        help="the same for thin events (API v2)",
    )
    parser.add_argument(
        "--onboarding",
        choices=("instant", "manual"),
        help="whether accounts are whole at once (the default), or after their owner followed a link",
    )
    parser.add_argument(
        "--automatic-payouts", action="store_true", help="pay connected accounts out at midnight UTC"
    )
    parser.add_argument("--seed", type=int, default=0, help="of faults by chance (default %(default)s)")
    parser.add_argument("--with-parent", action="store_true", help="end when the starting process is gone")
    return parser.parse_args(arguments)


def _apply(company: Company, options: argparse.Namespace) -> None:
    """Behave as the options say; what they do not say stays as it was before a restart."""
    settings = company.settings
    given = [Endpoint(url, (secret,)) for url, secret in options.webhook]
    given += [Endpoint(url, (secret,), "thin") for url, secret in options.thin_webhook]
    endpoints = {f"option {number}": endpoint for number, endpoint in enumerate(given, start=1)}
    company.change_settings(
        msgspec.structs.replace(
            settings,
            endpoints=endpoints or settings.endpoints,
            onboarding=options.onboarding or settings.onboarding,
            automatic_payouts=options.automatic_payouts or settings.automatic_payouts,
        )
    )
    if company.settings.automatic_payouts:
        upkeep.start_days(company)
    fund_platform(company, dict(options.platform_balance))


def _stop_with_parent(server: Server) -> None:
    """A parent that is killed cannot pass the news on, so it is watched: an orphan has another parent."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    server.shutdown()


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns 0 after a clean end, 1 when the address is taken."""
    options = _arguments(arguments)
    store = open_store(options.database)
    clock = Clock()
    with store.read() as tx:
        clock.resume(tx.recall(CLOCK) or clock.state())
    company = Company(store, Faults(options.seed), clock)
    _apply(company, options)
    try:
        server = Server(options.host, options.port, app_of(company))
    except OSError as taken:
        store.close()
        sys.stderr.write(f"Cannot listen on {options.host}:{options.port}: {taken.strerror}\n")
        return 1

    def stop(_signal: int, _frame: object) -> None:
        # shutdown() waits for the loop that this handler interrupts, so it is called from beside it.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if options.with_parent:
        threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    sys.stdout.write(f"{STARTED_AND_LISTENING} http://{options.host}:{server.port}\n")
    sys.stdout.flush()
    deliverer = Deliverer(company)
    deliverer.start()
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    deliverer.stop()
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
