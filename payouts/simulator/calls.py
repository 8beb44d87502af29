"""The life of one call: its faults, its idempotency key, its transaction, its stored answer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import falcon
import msgspec

from payouts.simulator import books, playing, problems
from payouts.simulator.faults import Fault, FaultSource
from payouts.simulator.forms import Params, Tree, decode
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body, Store, StoredAnswer, Transaction
from payouts.simulator.work import Work

KEY_LENGTH_MAX = 255
# Stripe may prune a key after 24 hours. This stand-in always does: a client must not lean on more.
KEY_KEPT_S = 24 * 3600
BODY_LENGTH_MAX = 1 << 20

FORM = "application/x-www-form-urlencoded"

Checked = TypeVar("Checked")


class KeysInUse:
    """The idempotency keys being worked on. In memory: a crash leaves no key behind that nobody works on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: set[tuple[str, str]] = set()

    @contextmanager
    def holding(self, owner: str, key: str | None) -> Iterator[None]:
        """Raises StripeProblem 409 when another call holds the key."""
        if key is None:
            yield
            return
        with self._lock:
            if (owner, key) in self._keys:
                raise problems.key_in_use(key)
            self._keys.add((owner, key))
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard((owner, key))


class Calls:
    """Runs operations: reads on a view of the store, writes in one transaction with their idempotency key."""

    def __init__(
        self,
        store: Store,
        faults: FaultSource,
        clock: Callable[[], int],
        make_id: Callable[[str], str],
        sleep: Callable[[float], object],
    ) -> None:
        self._store, self._faults, self._clock, self._make_id = store, faults, clock, make_id
        self._sleep = sleep
        self._keys = KeysInUse()

    def _work(self, tx: Transaction, req: falcon.Request, owner: str, key: str | None = None) -> Work:
        context = req.context
        return Work(tx, self._clock(), owner, self._make_id, context.request_id, key, context.api_version)

    def _owner(self, tx: Transaction, req: falcon.Request) -> str:
        """Whose objects the call sees: the platform's, or with `Stripe-Account` the connected account's."""
        account = req.get_header("Stripe-Account")
        if account is None:
            return books.PLATFORM
        if tx.get("account", books.PLATFORM, account) is None:
            message = f"The provided key does not have access to account '{account}' (or it does not exist)."
            raise StripeProblem(403, message, code="account_invalid")
        return account

    def read(
        self, req: falcon.Request, resp: falcon.Response, answer: Callable[[Work, Params], Body]
    ) -> None:
        """Answer a GET. Nothing is stored, its faults neither."""
        fault = self._faults.take(f"{req.method} {req.uri_template}")
        playing.before(fault, self._sleep)
        params = Params(decode(req.query_string.encode()))
        with self._store.read() as tx:
            body = answer(self._work(tx, req, self._owner(tx, req)), params)
        params.refuse_the_rest()
        if fault is not None and fault.do in ("stored_500", "stored_500_after_commit"):
            raise problems.unknown_error()
        _send(resp, 200, _dumps(body))
        playing.after(fault, req, resp)

    def write(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        check: Callable[[Params], Checked],
        run: Callable[[Work, Checked], Body],
    ) -> None:
        """Answer a POST, once per idempotency key.

        `check` types the parameters; what it refuses is not stored. `run` executes; whatever it answers,
        refusals included, is stored under the key in the same transaction and answered again to the same
        request.
        """
        fault = self._faults.take(f"{req.method} {req.uri_template}")
        tree = _form(req)
        key = _key(req)
        if req.get_header("Stripe-Account") is not None:
            message = "This stand-in does not write on behalf of connected accounts."
            raise StripeProblem(400, message, param="Stripe-Account")
        with self._keys.holding(books.PLATFORM, key):
            playing.before(fault, self._sleep)
            with self._store.write() as tx:
                work = self._work(tx, req, books.PLATFORM, key)
                answer, replayed = _answer(work, req, tree, check, run, fault)
        _send(resp, answer.status, answer.body)
        if key is not None:
            resp.set_header("Idempotency-Key", key)
        if replayed:
            resp.set_header("Idempotent-Replayed", "true")
            resp.set_header("Original-Request", answer.request_id)
        playing.after(fault, req, resp)


def _answer(
    work: Work,
    req: falcon.Request,
    tree: Tree,
    check: Callable[[Params], Checked],
    run: Callable[[Work, Checked], Body],
    fault: Fault | None,
) -> tuple[StoredAnswer, bool]:
    """The answer, and whether it was given before."""
    key = work.idempotency_key
    fingerprint = hashlib.sha256(_dumps([req.method, req.path, tree]).encode()).hexdigest()
    if key is not None:
        before = work.tx.answer_of(work.owner, key)
        if before is not None and work.now - before.created < KEY_KEPT_S:
            if before.fingerprint != fingerprint:
                raise problems.key_reused(key)
            return before, True
    params = Params(tree)
    checked = check(params)
    params.refuse_the_rest()
    status, body = _execute(work, checked, run, fault)
    answer = StoredAnswer(fingerprint, status, _dumps(body), work.request_id, work.now)
    if key is not None:
        work.tx.keep_answer(work.owner, key, answer)
    return answer, False


def _execute(
    work: Work, checked: Checked, run: Callable[[Work, Checked], Body], fault: Fault | None
) -> tuple[int, Body]:
    """Status and body. A refusal in the middle leaves nothing of the operation behind, but is an answer."""
    try:
        playing.within(fault, work, checked)
        with work.tx.attempt():
            body = run(work, checked)
        playing.executed(fault)
    except StripeProblem as refusal:
        return refusal.status, refusal.body()
    return 200, body


def _form(req: falcon.Request) -> Tree:
    """The decoded body of a POST."""
    raw = req.bounded_stream.read(BODY_LENGTH_MAX + 1)
    if len(raw) > BODY_LENGTH_MAX:
        raise StripeProblem(413, "Request entity too large.")
    if raw and (req.content_type or "").split(";")[0].strip().lower() != FORM:
        raise StripeProblem(400, f"Invalid request (check that your POST content type is {FORM}).")
    return decode(raw)


def _key(req: falcon.Request) -> str | None:
    """The idempotency key, if one was sent."""
    key = req.get_header("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= KEY_LENGTH_MAX:
        message = f"Idempotency keys must be between 1 and {KEY_LENGTH_MAX} characters long."
        raise StripeProblem(400, message, kind="idempotency_error")
    return key


def _send(resp: falcon.Response, status: int, body: str) -> None:
    resp.status = status
    resp.content_type = "application/json"
    resp.text = body


def _dumps(body: Any) -> str:
    return msgspec.json.encode(body, order="deterministic").decode()
