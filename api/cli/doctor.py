"""`revshare doctor`: looks at everything an installation needs, and says what to do about what is wrong."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

import sqlalchemy as sa
import typer
import urllib3

from api.cli.parts import LIVE_PREFIXES, first_line
from api.cli.stripe_words import why
from api.cli.terminal import EXIT_FAILED, out
from api.cli.terminal import table as new_table
from api.settings import InvalidSettings, Settings, read_settings
from ledger.store.application import Ledger
from ledger.store.database import Database, DatabaseUnavailable
from ledger.store.migrations import pending_revisions
from payouts.gateway import GatewayError, LiveKeyRefused, StripeGateway
from payouts.restore_check import gate, look_from, lost_transfers
from payouts.webhooks import inbox
from projections import audit_log
from projections.audit_state import audit_state
from projections.deliveries import TargetState
from projections.lag import lag
from projections.queries.checks import zero_sum

LAG_S_MAX: Final = 30
"""A reader whose oldest waiting fact is older than this does not keep up, or does not run."""
GROWN_BYTES: Final = 2 * 2**30
"""A PostgreSQL that holds more than this, yet has the memory of its default settings, waits for its pages."""
DEFAULT_BUFFERS: Final = 128 * 2**20
DEFAULT_WAL: Final = 2**30
"""What PostgreSQL comes with (its documentation: shared_buffers, max_wal_size), in bytes."""
_STORE: Final = "stored_events"


class Finding(NamedTuple):
    """What one check found. `advice` says what to do where it failed."""

    check: str
    ok: bool
    detail: str
    advice: str = ""


def doctor() -> None:
    """Check configuration, database, triggers, lag, books and Stripe. Ends with 1 if something is wrong."""
    findings = list(examine())
    table = new_table("check", "", "finding")
    for found in findings:
        table.add_row(found.check, "[green]ok[/]" if found.ok else "[bold red]FAILED[/]", found.detail)
        if found.advice and not found.ok:
            table.add_row("", "", f"[cyan]→ {found.advice}[/]")
    out.print(table)
    wrong = [found for found in findings if not found.ok]
    if wrong:
        out.print(f"[bold red]{len(wrong)} of {len(findings)} checks failed[/]")
        raise typer.Exit(EXIT_FAILED)
    out.print(f"[green]all {len(findings)} checks are well[/]")


def examine() -> Iterator[Finding]:
    """Every check, in order; where the ground for the next ones is missing it ends early."""
    try:
        of = read_settings()
    except InvalidSettings as error:
        yield Finding(
            "configuration", False, str(error), "correct these variables; docs/operations.md has all"
        )
        return
    yield Finding("configuration", True, f"database {_shown(of.database_url)}, API {of.base_url}")
    yield _live_key(of)
    ledger = Ledger(Database(of.database_url, pool_size=1))
    try:
        yield from _database(of, ledger)
    finally:
        ledger.close()
    yield _api(of)
    yield _stripe(of)


def _shown(url: str) -> str:
    return sa.make_url(url).render_as_string(hide_password=True)


def _live_key(of: Settings) -> Finding:
    if of.uses_standin:
        return Finding("Stripe key", True, "none: the stand-in plays Stripe, no real money moves")
    if of.stripe_api_key.startswith(LIVE_PREFIXES):
        return Finding("Stripe key", True, "a LIVE key: `up` and `payouts work` refuse it without --live")
    return Finding("Stripe key", True, "a test key")


def _database(of: Settings, ledger: Ledger) -> Iterator[Finding]:
    try:
        pending = pending_revisions(of.database_url)
    except (DatabaseUnavailable, sa.exc.DBAPIError) as error:
        advice = "start it, or correct DATABASE_URL"
        yield Finding("database", False, first_line(error), advice)
        return
    yield Finding("database", True, "reachable")
    missing = f"{len(pending)} migrations are missing: {', '.join(pending)}"
    yield Finding("migrations", not pending, missing if pending else "up to date", "revshare migrate")
    if pending:
        return
    checks: tuple[Callable[[Ledger, sa.Connection], Iterator[Finding]], ...] = (
        _triggers,
        _memory,
        _lag,
        partial(_audit, of),
        _books,
        _webhooks,
    )
    for check in checks:
        with ledger.database.read() as connection:
            yield from check(ledger, connection)
    yield _payouts(of, ledger)
    if of.debtor is not None:
        yield _bank_files(ledger)


_GUARDED_SQLITE: Final = {"UPDATE": "UPDATE", "DELETE": "DELETE", "INSERT": "REPLACE"}
_GUARDED_POSTGRESQL: Final = {
    "UPDATE": "UPDATE",
    "DELETE": "DELETE",
    "TRUNCATE": "TRUNCATE",
    "INSERT": "coming out of turn",
}
"""What the triggers of the log fire before, and what each keeps from happening."""


def _triggers(ledger: Ledger, connection: sa.Connection) -> Iterator[Finding]:
    """The triggers that keep facts from being changed: tried out by reading what guards the table."""
    if ledger.database.is_postgresql:
        query = (
            "SELECT string_agg(pg_get_triggerdef(t.oid), ' ') FROM pg_trigger t"
            f" WHERE t.tgrelid = '{_STORE}'::regclass AND NOT t.tgisinternal AND t.tgenabled <> 'D'"
        )
    else:
        query = (
            "SELECT group_concat(sql, ' ') FROM sqlite_master"
            f" WHERE type = 'trigger' AND tbl_name = '{_STORE}'"
        )
    defined = (connection.execute(sa.text(query)).scalar() or "").upper()
    # SQLite has no TRUNCATE: its DELETE trigger covers all.
    missing = [
        what
        for verb, what in (_GUARDED_POSTGRESQL if ledger.database.is_postgresql else _GUARDED_SQLITE).items()
        if f"{verb} ON" not in defined and f"{verb} OR" not in defined
    ]
    detail = (
        f"nothing keeps facts from {' and '.join(missing)}"
        if missing
        else "facts can't be changed or deleted, and come in turn"
    )
    yield Finding(
        "triggers", not missing, detail, "restore them from the migrations; find out who dropped them"
    )


def _memory(ledger: Ledger, connection: sa.Connection) -> Iterator[Finding]:
    """A grown database on PostgreSQL has more than the memory and the log that a new server is given."""
    if not ledger.database.is_postgresql:
        return
    query = (
        "SELECT pg_size_bytes(buffers), pg_size_bytes(wal), pg_database_size(current_database()),"
        " buffers, wal FROM (SELECT current_setting('shared_buffers') AS buffers,"
        " current_setting('max_wal_size') AS wal) AS given"
    )
    buffers, wal, size, *told = connection.execute(sa.text(query)).one()
    small = size > GROWN_BYTES and (buffers <= DEFAULT_BUFFERS or wal <= DEFAULT_WAL)
    detail = "shared_buffers {}, max_wal_size {}".format(*told) + f", {size / 2**30:.1f} GB of data"
    advice = (
        "give shared_buffers a quarter of the machine's memory, and max_wal_size 16GB (docs/operations.md)"
    )
    yield Finding("database memory", not small, detail, advice)


def _lag(ledger: Ledger, connection: sa.Connection) -> Iterator[Finding]:
    for reader in lag(ledger, connection):
        behind = f"{reader.events:,} facts, {reader.seconds:.0f} s behind" if reader.events else "up to date"
        ok = not reader.events or reader.seconds <= LAG_S_MAX
        command = "revshare engine" if reader.name == "engine" else "revshare project"
        advice = f"is it running? start everything with `revshare up`, or it alone with `{command}`"
        yield Finding(f"lag of {reader.name.removeprefix('view:')}", ok, behind, advice)


def _audit(of: Settings, ledger: Ledger, connection: sa.Connection) -> Iterator[Finding]:
    """The sequencer keeps up; what it sealed is signed (a log that was tampered with is not any more); each
    target has it."""
    advice = "is it running? start everything with `revshare up`, or it alone with `revshare audit run`"
    [sealed] = lag(ledger, connection, [audit_log.NAME])
    behind = f"{sealed.events:,} facts, {sealed.seconds:.0f} s behind" if sealed.events else "up to date"
    yield Finding("lag of audit log", not sealed.events or sealed.seconds <= LAG_S_MAX, behind, advice)
    state = audit_state(ledger, connection, [target.name for target in of.checkpoint_targets])
    waits_s = int(state.unsigned_s)
    ok = state.unsigned >= 0 and waits_s <= LAG_S_MAX + of.audit_interval_s
    detail = f"{state.unsigned:,} facts are not signed, the first for {waits_s} s"
    advice = f"{advice}; if it runs, `revshare verify` names what is wrong"
    yield Finding("checkpoints", ok, detail if state.unsigned or waits_s else "all is signed", advice)
    yield from map(_target, state.targets)


def _target(target: TargetState) -> Finding:
    """Whether a target has every checkpoint, but for those that are on their way."""
    has = "no checkpoint" if target.size is None else f"checkpoints up to size {target.size:,}"
    wrong = []
    if target.refused:
        wrong.append(f"{target.refused} that it holds others in the place of ({target.first_refusal})")
    if target.waiting_s > LAG_S_MAX:
        said = f": {target.error}" if target.error else ""
        wrong.append(f"{target.waiting} wait, the first for {target.waiting_s:.0f} s{said}")
    advice = "docs/operations.md, Targets, says what to do; then `revshare audit deliver`"
    return Finding("target", not wrong, "; ".join([f"{target.name} has {has}", *wrong]), advice)


def _books(_ledger: Ledger, connection: sa.Connection) -> Iterator[Finding]:
    wrong = zero_sum(connection)
    detail = "; ".join(f"{found.rule}: {found.place} {found.detail}" for found in wrong[:3])
    advice = "stop the payout worker; `revshare rebuild` says whether the views are at fault"
    yield Finding("zero-sum", not wrong, detail or "every entry and every currency sums to zero", advice)


def _webhooks(ledger: Ledger, connection: sa.Connection) -> Iterator[Finding]:
    held = inbox.count(connection, "held")
    reasons = inbox.listed(connection, status="held", after=None, limit=3).rows
    shown = "; ".join(f"{row['event_id']}: {row['reason']}" for row in reasons)
    advice = "look at GET /v1/webhook-events?status=held, mend the cause, then retry or dismiss each"
    detail = f"{held} were left to a human: {shown}" if held else "none was left to a human"
    yield Finding("webhooks", not held, detail, advice)
    oldest = inbox.oldest_due(connection, ledger.clock())
    waits_s = 0 if oldest is None else int((ledger.clock() - oldest).total_seconds())
    advice = "is it running? start everything with `revshare up`, or it alone with `revshare payouts work`"
    detail = f"the oldest has been due for {waits_s} s" if oldest else "all that is due was worked on"
    yield Finding("webhook worker", waits_s <= LAG_S_MAX, detail, advice)


def _bank_files(ledger: Ledger) -> Finding:
    """Whether files for our bank are exported: none may be there that the ledger lost."""
    doubt = gate(ledger).bank_doubt
    advice = "docs/bank-payouts.md, After a restore; then revshare payouts bank-files-known"
    detail = "may be exported" if doubt is None else f"none is exported: {doubt}"
    return Finding("bank files", doubt is None, detail, advice)


def _payouts(of: Settings, ledger: Ledger) -> Finding:
    """Whether payouts are sent: nobody froze them, and Stripe holds no transfer that the ledger lost."""
    state = gate(ledger)
    if state.frozen is not None:
        return Finding(
            "payouts", False, f"frozen: {state.frozen}", "revshare payouts thaw, once it is cleared"
        )
    try:
        gateway = StripeGateway(of.stripe_api_key, of.stripe_base, live=True)
        unknown = lost_transfers(ledger, gateway, look_from(ledger)).unknown
    except (GatewayError, LiveKeyRefused):
        return Finding("payouts", True, "not frozen; Stripe could not be asked what it holds")
    detail = f"Stripe holds {len(unknown)} transfers that the ledger does not know: {', '.join(unknown[:3])}"
    advice = "was the database restored? docs/operations.md, Restoring; then revshare reconcile"
    return Finding("payouts", not unknown, detail if unknown else "may be sent", advice)


def _api(of: Settings) -> Finding:
    try:
        with urllib3.PoolManager(retries=False, timeout=5) as pool:
            answer = pool.request("GET", f"{of.base_url}/readyz")
    except urllib3.exceptions.HTTPError as error:
        return Finding("API", False, f"{of.base_url}: {type(error).__name__}", "revshare up (or serve)")
    return Finding(
        "API", answer.status == 200, f"{of.base_url} answers {answer.status}", "look at its output"
    )


def _stripe(of: Settings) -> Finding:
    name = "stand-in" if of.uses_standin else "Stripe"
    try:
        # Reading a balance moves no money, so a live key is fine here.
        health = StripeGateway(of.stripe_api_key, of.stripe_base, live=True).ping()
    except (GatewayError, LiveKeyRefused) as error:
        said = why(error)[0] if isinstance(error, GatewayError) else str(error)
        advice = "revshare up (or simulator)" if of.uses_standin else "check STRIPE_API_KEY and the network"
        return Finding(
            name,
            False,
            f"{of.stripe_base or 'Stripe'}: {said}",
            advice,
        )
    return Finding(name, True, f"{health.address} answers")
