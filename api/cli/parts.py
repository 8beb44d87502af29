"""The parts of an installation: each one command that runs until it is told to stop.

What only one part needs is imported where it starts: each of them is a process of its own.
"""

import hashlib
import os
import runpy
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import sqlalchemy as sa
import structlog
import typer

from api.audit_key import NoAuditKey, audit_signer
from api.cli.lifetime import end_with_supervisor, stop_on_signal
from api.cli.supervisor import Part
from api.cli.terminal import EXIT_USAGE, fail
from api.settings import InvalidSettings, Settings, read_settings
from ledger.audit.notes import Signer
from ledger.store.application import Ledger
from ledger.store.database import Database, DatabaseUnavailable

if TYPE_CHECKING:
    from payouts.gateway import StripeGateway
    from payouts.worker import PayoutWorker

LIVE_PREFIXES: Final = ("sk_live_", "rk_live_")
AUDIT_NICENESS: Final = 10
"""The audit log takes the time that ingest leaves: a fact is stored first, and sealed soon after."""
STANDIN_OPENING_BALANCE: Final = ("gbp=1000000000", "eur=1000000000", "usd=1000000000")
"""Test money that the stand-in's platform account begins with."""

Live = Annotated[
    bool, typer.Option("--live", help="Allow a live Stripe key: real money moves. Refused without.")
]


def settings() -> Settings:
    """The settings, or an end that names every mistake in them."""
    try:
        return read_settings()
    except InvalidSettings as error:
        fail(
            f"the configuration has mistakes: {error}",
            code=EXIT_USAGE,
            hint="docs/operations.md lists them all",
        )


def guard_live_key(of: Settings, *, live: bool) -> None:
    """A live key without `--live` ends here, before anything is started."""
    if of.stripe_api_key.startswith(LIVE_PREFIXES) and not live:
        fail(
            "STRIPE_API_KEY is a live key, and --live was not given",
            code=EXIT_USAGE,
            hint="add --live if real money is to move; take a test key (sk_test_…) otherwise",
        )


@contextmanager
def open_ledger(of: Settings) -> Iterator[Ledger]:
    """The ledger for one command; closed at its end. What a database says no to ends the command."""
    ledger = Ledger(Database(of.database_url))
    try:
        yield ledger
    except DatabaseUnavailable as error:
        fail(f"the database can't be used now: {first_line(error)}", hint="is DATABASE_URL right?")
    except sa.exc.DBAPIError:
        # Imported late: only a command that fails needs to know of migrations.
        from ledger.store.migrations import pending_revisions

        if not pending_revisions(of.database_url):
            raise
        fail("the database lacks the newest tables", hint="run `revshare migrate` first")
    finally:
        ledger.close()


def first_line(error: Exception) -> str:
    """What an error says, without the driver's advice below it."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def standin_database(of: Settings) -> Path:
    """Where the stand-in keeps its books: each database has its own.

    Else payouts of one would find the other's transfers there, and refuse to start as after a restore.
    """
    if of.database_url == Settings().database_url:
        return of.var / "stripe-simulator.db"
    address = sa.make_url(of.database_url).render_as_string(hide_password=True)
    return of.var / f"stripe-simulator-{hashlib.sha256(address.encode()).hexdigest()[:8]}.db"


def environment_of(of: Settings) -> dict[str, str]:
    """The environment that gives a part these settings."""
    environment = {
        "DATABASE_URL": of.database_url,
        "HOST": of.host,
        "PORT": str(of.port),
        "WORKERS": str(of.workers),
        "THREADS": str(of.threads),
        "PIN_WORKERS": str(of.pin_workers),
        "STRIPE_API_KEY": of.stripe_api_key,
        "SIMULATOR_PORT": str(of.simulator_port),
        "PAYOUT_CONCURRENCY": str(of.payout_concurrency),
        "PAYOUT_REQUESTS_PER_S": str(of.payout_requests_per_s),
        "VAR_DIR": str(of.var),
    }
    if of.stripe_base is not None:
        environment["STRIPE_API_BASE"] = of.stripe_base
    environment["STRIPE_ACCOUNTS_API"] = of.stripe_accounts_api
    if of.onboarding_return_url is not None:
        environment["ONBOARDING_RETURN_URL"] = of.onboarding_return_url
    environment["AUDIT_KEY_FILE"] = str(of.audit_key)
    environment["AUDIT_INTERVAL_S"] = str(of.audit_interval_s)
    if of.audit_origin is not None:
        environment["AUDIT_ORIGIN"] = of.audit_origin
    if of.smtp_url is not None and of.smtp_sender is not None:
        environment |= {"SMTP_URL": of.smtp_url, "SMTP_SENDER": of.smtp_sender}
    environment["AUDIT_TARGETS"] = ",".join(of.audit_targets)
    environment["AUDIT_WITNESSES"] = ",".join(of.audit_witnesses)
    # Also where there is none: else a part would take the one that this process was given.
    environment["STRIPE_WEBHOOK_SECRET"] = ",".join(of.stripe_webhook_secrets)
    return environment


def parts_of(of: Settings, *, live: bool = False) -> list[Part]:
    """What `up` starts, in this order; it stops them in the other."""
    standin = [Part("stand-in", ("simulator",))] if of.uses_standin and of.stripe_api_base is None else []
    return [
        *standin,
        Part("projections", ("project",)),
        Part("engine", ("engine",)),
        Part("audit", ("audit", "run")),
        Part("payouts", ("payouts", "work", *(("--live",) if live else ()))),
        Part("api", ("serve",)),
    ]


# The commands


def serve() -> None:
    """Run the HTTP API (gunicorn) alone."""
    end_with_supervisor()
    settings()
    sys.argv = ["gunicorn", "--config", "python:api.gunicorn_conf"]
    runpy.run_module("gunicorn", run_name="__main__")


def engine() -> None:
    """Run the reward engine alone. A second one waits until the first is gone."""
    end_with_supervisor()
    stop = stop_on_signal()
    from ledger.engine.engine import RewardEngine

    with open_ledger(settings()) as ledger:
        _log_start("engine")
        RewardEngine(ledger).run(stop)


def project() -> None:
    """Keep the views along the log, alone."""
    end_with_supervisor()
    stop = stop_on_signal()
    from projections.runner import Runner

    with open_ledger(settings()) as ledger:
        _log_start("projections")
        Runner(ledger).run(stop)


def seal() -> None:
    """Seal the log as it grows, sign checkpoints and deliver them, alone."""
    end_with_supervisor()
    stop = stop_on_signal()
    from projections.audit_log import Sequencer
    from projections.checkpoints import CheckpointMaker
    from projections.deliveries import Deliverer

    of = settings()
    os.nice(AUDIT_NICENESS)
    with open_ledger(of) as ledger:
        maker = CheckpointMaker(ledger, signer(of), interval=timedelta(seconds=of.audit_interval_s))
        _log_start("audit")
        loops = {"checkpoints": maker.run, "deliveries": Deliverer(ledger, of.checkpoint_targets).run}
        beside = [_Beside(name, loop, stop) for name, loop in loops.items()]
        try:
            Sequencer(ledger).run(stop)
        finally:
            stop.set()
            for one in beside:
                one.end()


def signer(of: Settings) -> Signer:
    """The signer of this installation's checkpoints; without a usable key the command ends."""
    try:
        return audit_signer(of.audit_key, of.audit_origin)
    except NoAuditKey as error:
        fail(str(error), code=EXIT_USAGE, hint="AUDIT_KEY_FILE names the file")


def simulator(more: Sequence[str] = ()) -> None:
    """Run the Stripe stand-in alone, with more of its own options."""
    end_with_supervisor()
    of = settings()
    from payouts.simulator.__main__ import main as run_simulator

    of.var.mkdir(parents=True, exist_ok=True)
    options = ["--port", str(of.simulator_port), "--database", str(standin_database(of))]
    options += ["--platform-balance", *STANDIN_OPENING_BALANCE, "--automatic-payouts"]
    endpoint = (f"{of.base_url}/webhooks/stripe", of.webhook_secrets[0])
    options += ["--webhook", *endpoint, "--thin-webhook", *endpoint]
    raise typer.Exit(run_simulator([*options, *more]))


def work(live: Live = False) -> None:
    """Run the payout worker alone: it drafts by the calendars, sends what was approved, heeds webhooks."""
    end_with_supervisor()
    stop = stop_on_signal()
    from payouts.gate import Gate
    from payouts.schedule import PayoutScheduler
    from payouts.webhooks.worker import WebhookWorker

    with _worker(live=live) as (ledger, worker, gateway):
        _log_start("payouts")
        loops = {"schedule": PayoutScheduler(ledger).run, "webhooks": WebhookWorker(ledger, gateway).run}
        beside = [_Beside(name, loop, stop) for name, loop in loops.items()]
        try:
            Gate(ledger, gateway, worker).run(stop)
        finally:
            stop.set()
            for one in beside:
                one.end()


def send_once(*, live: bool) -> int:
    """One turn of a payout worker: how many payouts got on. Ends the command where the gate is closed."""
    from api.cli.stripe_words import fail_unasked
    from payouts.gate import Gate
    from payouts.outcomes import GatewayError

    with _worker(live=live) as (ledger, worker, gateway):
        try:
            refusal = Gate(ledger, gateway, worker).closed()
        except GatewayError as error:
            fail_unasked(error, so="so nothing was sent")
        if refusal is not None:
            fail(f"{type(refusal).__name__}: {refusal}", hint="docs/operations.md, Restoring")
        return worker.step()


@contextmanager
def _worker(*, live: bool) -> Iterator[tuple[Ledger, "PayoutWorker", "StripeGateway"]]:
    of = settings()
    guard_live_key(of, live=live)
    from payouts.gateway import LiveKeyRefused, StripeGateway
    from payouts.pacing import Turnstile
    from payouts.worker import Options, PayoutWorker

    try:
        gateway = StripeGateway(
            of.stripe_api_key,
            of.stripe_base,
            live=live,
            accounts_api=of.stripe_accounts_api,
            wait_turn=Turnstile(of.stripe_per_s).wait,
        )
    except LiveKeyRefused as error:
        fail(str(error), code=EXIT_USAGE)
    with open_ledger(of) as ledger:
        options = Options(per_s=of.stripe_per_s, concurrency=of.payout_concurrency)
        worker = PayoutWorker(ledger, gateway, options=options)
        try:
            yield ledger, worker, gateway
        finally:
            worker.close()


class _Beside:
    """Another loop in the same process. What ends it against its will ends the part."""

    def __init__(self, name: str, loop: Callable[[threading.Event], None], stop: threading.Event) -> None:
        self._loop, self._stop = loop, stop
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop(self._stop)
        except BaseException as error:
            self._error = error
            self._stop.set()

    def end(self) -> None:
        """Wait until it has ended; raise what ended it."""
        self._thread.join()
        if self._error is not None:
            raise self._error


def _log_start(name: str) -> None:
    structlog.get_logger("revshare").info("started", part=name)
