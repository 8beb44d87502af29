"""`revshare demo`: the whole house on real data, from an empty folder to paid partners, under one command."""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from api.cli import balances as shown
from api.cli import demo_setup as setup
from api.cli.client import Client, Refused
from api.cli.csv_rows import Target
from api.cli.importer import Import, program_id_of, with_bar
from api.cli.parts import open_ledger, settings
from api.cli.payouts import BATCHES, approve_batch, draft_batch
from api.cli.settling import backlog, open_payouts, payout_counts
from api.cli.supervisor import Supervisor
from api.cli.terminal import EXIT_FAILED, EXIT_INTERRUPTED, err, fail, out, progress, say
from api.cli.terminal import table as new_table
from api.cli.up import bring_up_to_date, only_one, running, with_free_ports
from api.settings import STANDIN_KEY, Settings
from ledger.desk import Desk
from ledger.payout import DELIVERED
from ledger.store.application import Ledger
from payouts.gateway import StripeGateway

DATA: Final = Path(__file__).resolve().parents[2] / "tests" / "data" / "online_retail"
SOURCE: Final = "online-retail"
LARGEST: Final = 10
CATCH_UP_S_MAX: Final = 600
LOOK_S: Final = 0.2


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after printing the balances.")] = False,
) -> None:
    """Run everything on real invoices, refunds and referrals, pay the partners, serve until Ctrl-C.

    Files go to var/. A second run finds everything in place and changes nothing. Money never leaves the
    machine: the demo always pays through the Stripe stand-in, whatever STRIPE_API_KEY says.
    """
    if not DATA.is_dir():
        fail(f"the demo's data is not there: {DATA}", hint="run it in a checkout of the project")
    of = settings()
    if not of.uses_standin:
        say("[yellow]STRIPE_API_KEY is set, and left aside: the demo pays through the stand-in only[/]")
    of = replace(of, stripe_api_key=STANDIN_KEY, stripe_api_base=None, stripe_webhook_secrets=())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with only_one(of.var):
            _run(with_free_ports(of, say), once=once)
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(EXIT_INTERRUPTED if once else 0) from None


def _run(of: Settings, *, once: bool) -> None:
    bring_up_to_date(of)
    log_path = of.var / "demo.log"
    with log_path.open("a", encoding="utf-8") as log:
        say(f"starting every part; what they say goes to {log_path}")
        with running(of, _listener(log)) as supervisor, open_ledger(of) as ledger:
            story = _Story(of, ledger)
            story.tell()
            story.print_results()
            if not once:
                say("[bold]serving until Ctrl-C[/]")
                _serve(supervisor)
    say("stopped")


def _serve(supervisor: Supervisor) -> None:
    while not supervisor.stopping.wait(1):
        pass


def _listener(log: TextIO) -> Callable[[str, str], None]:
    def heard(name: str, line: str) -> None:
        if not log.closed:
            log.write(f"{name:>11} | {line}\n")
            log.flush()
        if line.startswith("** "):
            say(f"[yellow]{name}[/] {line}")

    return heard


class _Story:
    """What the demo does, step by step, on parts that run."""

    def __init__(self, of: Settings, ledger: Ledger) -> None:
        self._of = of
        self._ledger = ledger
        self._desk = Desk(ledger)
        self._gateway = StripeGateway(of.stripe_api_key, of.stripe_base)
        self._program_id = program_id_of(setup.PROGRAM)
        self._keys: dict[str, str] = {}

    def tell(self) -> None:
        """Set up, load, wait, pay, wait, write the balances."""
        names = setup.partner_names(DATA)
        setup.create_program(self._desk)
        with progress() as bars:
            for name in bars.track(names, description="partners"):
                setup.admit_partner(self._desk, self._gateway, self._program_id, name)
        self._keys = setup.demo_keys(self._desk, self._of.var / "demo-keys.json", names[0])
        self._load()
        self._catch_up("rewards, balances")
        self._pay()
        self._catch_up("books")
        rows = self._balances()
        (self._of.var / "demo-balances.csv").write_text(shown.as_csv(rows), encoding="utf-8")

    def _load(self) -> None:
        """The real data through the public API. Sent again, it is all known."""
        client = self._client("conversions writer")
        for noun, file in setup.FILES:
            target = Target(self._program_id, SOURCE, "sale")
            run = Import(DATA / file, noun, target, client, work_dir=_made(self._of.var / "imports"))
            counts = with_bar(run, f"{file} as {noun}")
            say("  " + ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items())))
            if counts["conflict"] + counts["invalid"]:
                fail(f"rows of {file} were refused: see {run.rejected.path}")

    def _catch_up(self, title: str) -> None:
        """Wait until the engine and every view have read the whole log and nothing due is left."""
        with progress() as bars:
            bar = bars.add_task(f"waiting for {title}", total=None)
            for _ in _looks(f"the engine or a view did not catch up within {CATCH_UP_S_MAX} s"):
                now = backlog(self._ledger, self._ledger.clock())
                bars.update(bar, completed=now.reached, total=now.head + now.waiting)
                if now.done:
                    return

    def _pay(self) -> None:
        """One batch, drafted by the maker, approved by the checker, sent by the worker."""
        maker, checker = self._client("finance maker"), self._client("finance checker")
        for batch in maker.want("GET", BATCHES, program_id=self._program_id, limit=100)["items"]:
            if batch["status"] == "draft":  # left by a demo that was broken off
                approve_batch(checker, batch)
        try:
            batch = draft_batch(maker, str(self._program_id))
        except Refused as refused:
            if not str(refused.answer.body.get("type", "")).endswith("nothing-to-pay"):
                raise
            say("nothing is payable: no batch is drafted")
        else:
            approve_batch(checker, batch)
            say(f"batch {batch['batch_id']}: {len(batch['payouts'])} payouts drafted and approved")
        self._wait_for_payouts()
        self._arrive()

    def _wait_for_payouts(self) -> None:
        counts = self._count_until_none("payouts", open_payouts)
        failed = {state: n for state, n in counts.items() if state not in DELIVERED and state != "canceled"}
        if failed:
            fail(f"payouts failed: {failed}", hint="revshare payouts status BATCH says why")

    def _arrive(self) -> None:
        """The banks are quick today; that the money is there, webhooks of the stand-in say."""
        partners = setup.partner_names(DATA)
        for account_id in setup.accounts_of(self._desk, partners):
            setup.pay_out(f"{self._of.stripe_base}/_sim/accounts/{account_id}/pay_out")
        self._count_until_none("money at the partners' banks", lambda counts: counts.get("confirmed", 0))

    def _count_until_none(self, title: str, left: Callable[[dict[str, int]], int]) -> dict[str, int]:
        """How many payouts are in each state, once none are left."""
        with progress() as bars:
            bar = bars.add_task(title, total=None)
            for _ in _looks(f"{title}: some were still open after {CATCH_UP_S_MAX} s"):
                if not backlog(self._ledger, self._ledger.clock()).done:
                    continue
                with self._ledger.database.read() as connection:
                    counts = payout_counts(connection, self._program_id)
                total = sum(counts.values())
                bars.update(bar, completed=total - left(counts), total=total)
                if not left(counts):
                    break
        return counts

    def _balances(self) -> list[dict[str, Any]]:
        with self._ledger.database.read() as connection:
            return shown.rows_of(connection, self._program_id)

    def print_results(self) -> None:
        """The largest balances, the addresses, the keys."""
        largest = sorted(self._balances(), key=lambda row: -row["earned"])[:LARGEST]
        title = f"the {LARGEST} partners who earned most (pence)"
        out.print(shown.as_table(largest, title))
        base = self._of.base_url
        addresses = new_table("what", "where", title="addresses", show_header=False)
        addresses.add_row("API", base)
        addresses.add_row("API reference", f"{base}/docs")
        addresses.add_row("Stripe stand-in", f"{self._of.stripe_base}/_sim/books")
        addresses.add_row("program", str(self._program_id))
        addresses.add_row("balances", str(self._of.var / "demo-balances.csv"))
        out.print(addresses)
        keys = new_table(
            "for", "key", title=f"API keys (also in {self._of.var / 'demo-keys.json'})", show_header=False
        )
        for name, token in self._keys.items():
            keys.add_row(name, token)
        out.print(keys)

    def _client(self, name: str) -> Client:
        return Client(self._of.base_url, self._keys[name], waiting=_say_waiting)


def _say_waiting(reason: str) -> None:
    err.print(f"[yellow]the API is away ({reason}); trying again[/]")


def _looks(too_late: str) -> Iterator[None]:
    deadline = time.monotonic() + CATCH_UP_S_MAX
    while True:
        yield
        if time.monotonic() > deadline:
            fail(too_late, code=EXIT_FAILED, hint="revshare doctor says what is wrong")
        time.sleep(LOOK_S)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
