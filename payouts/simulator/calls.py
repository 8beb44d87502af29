"""The life of one call: its faults, its idempotency key, its transaction, its stored answer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import falcon
import msgspec

from payouts.simulator import books, onboarding, playing, problems, upkeep
from payouts.simulator.company import Company
from payouts.simulator.expanding import expand
from payouts.simulator.faults import Fault
from payouts.simulator.forms import Params, decode
from payouts.simulator.problems import StripeProblem
from payouts.simulator.settings import DAY_S
from payouts.simulator.store import Body, StoredAnswer, Transaction
from payouts.simulator.work import Work

KEY_LENGTH_MAX = 255
BODY_LENGTH_MAX = 1 << 20
FORM = "application/x-www-form-urlencoded"

Checked = TypeVar("Checked")


class Api(NamedTuple):
    """What differs between the two versions of the API."""

    # Stripe may prune a key after that time. This stand-in always does: a client must not lean on more.
    key_kept_s: int
    keeps_failures: bool
    content_type: str
    decode: Callable[[bytes], dict[str, Any]]


def _json(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw or b"{}", type=dict[str, Any])
    except msgspec.DecodeError as wrong:
        raise StripeProblem(400, f"Invalid request body: {wrong}", code="invalid_json") from wrong


V1 = Api(DAY_S, True, FORM, decode)
V2 = Api(30 * DAY_S, False, "application/json", _json)


class Write(NamedTuple):
    """The two halves of a POST: type what was sent (Params of v1, plain JSON of v2), then execute."""

    check: Callable[[Any], Any]
    run: Callable[..., Body]
    for_connected: bool = False
    """Whether it can be done with `Stripe-Account`."""


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

    def __init__(self, company: Company) -> None:
        self._company = company
        self._keys = KeysInUse()

    def _work(
        self, tx: Transaction, req: falcon.Request, owner: str, key: str | None, fault: Fault | None
    ) -> Work:
        lag_s = int(fault.seconds) if fault is not None and fault.do == "list_lag" else None
        return self._company.work(
            tx,
            owner=owner,
            request_id=req.context.request_id,
            idempotency_key=key,
            api_version=req.context.api_version,
            lag_s=lag_s,
            base_url=req.prefix,
            query=req.query_string,
        )

    def _owner(self, tx: Transaction, account: str | None) -> str:
        """Whose objects the call sees: the platform's, or those of the connected account it names."""
        if account is None:
            return books.PLATFORM
        onboarding.known(self._company.work(tx), account)
        return account

    def read(
        self, req: falcon.Request, resp: falcon.Response, answer: Callable[[Work, Params], Body]
    ) -> None:
        """Answer a GET. Nothing is stored, its faults neither."""
        upkeep.catch_up(self._company)
        fault = self._company.faults.take(f"{req.method} {req.uri_template}")
        playing.before(fault, self._company.sleep)
        params = Params(decode(req.query_string.encode()))
        paths = params.texts("expand")
        with self._company.store.read() as tx:
            work = self._work(tx, req, self._owner(tx, _account(req)), None, fault)
            body = answer(work, params)
            params.refuse_the_rest()
            body = expand(work, body, paths) if paths else body
        if fault is not None and fault.do in ("stored_500", "stored_500_after_commit"):
            raise problems.unknown_error()
        _send(resp, 200, _dumps(body))
        if fault is not None and fault.do == "insert_while_paging":
            with self._company.acting() as stranger:
                playing.insert_a_row(stranger, req.get_param("transfer_group"), req.get_param("destination"))
        playing.after(fault, req, resp)

    def write(self, req: falcon.Request, resp: falcon.Response, post: Write, path: dict[str, str]) -> None:
        """Answer a POST, once per idempotency key.

        What `post.check` refuses is not stored. `post.run` executes; by API v1 whatever it answers, refusals
        included, is stored under the key in the same transaction and answered again to the same request;
        by v2 only what went well is.
        """
        company = self._company
        api = V2 if req.path.startswith("/v2/") else V1
        upkeep.catch_up(company)
        fault = company.faults.take(f"{req.method} {req.uri_template}")
        sent = _body(req, api)
        key, account = _key(req), _account(req)
        if account is not None and not post.for_connected:
            message = "This stand-in does not do this on behalf of connected accounts."
            raise StripeProblem(400, message, param="Stripe-Account")
        with self._keys.holding(account or books.PLATFORM, key):
            playing.before(fault, company.sleep)
            with company.store.write() as tx:
                work = self._work(tx, req, self._owner(tx, account), key, fault)
                answer, replayed = _answer(work, api, req, sent, post, path, fault)
        _send(resp, answer.status, answer.body)
        if key is not None:
            resp.set_header("Idempotency-Key", key)
        if replayed:
            resp.set_header("Idempotent-Replayed", "true")
            resp.set_header("Original-Request", answer.request_id)
        company.deliver_early()
        playing.after(fault, req, resp)


def _answer(
    work: Work,
    api: Api,
    req: falcon.Request,
    sent: dict[str, Any],
    post: Write,
    path: dict[str, str],
    fault: Fault | None,
) -> tuple[StoredAnswer, bool]:
    """The answer, and whether it was given before."""
    key = work.idempotency_key
    fingerprint = hashlib.sha256(_dumps([req.method, req.path, sent]).encode()).hexdigest()
    if key is not None:
        before = work.tx.answer_of(work.owner, key)
        if before is not None and work.now - before.created < api.key_kept_s:
            if before.fingerprint != fingerprint:
                raise problems.key_reused(key)
            return before, True
    if api is V1:
        params = Params(sent)
        paths = params.texts("expand")
        checked = post.check(params)
        params.refuse_the_rest()
    else:
        checked, paths = post.check(sent), []
    status, body = _execute(work, api, checked, paths, post, path, fault)
    answer = StoredAnswer(fingerprint, status, _dumps(body), work.request_id or "", work.now)
    if key is not None and (api.keeps_failures or status == 200):
        work.tx.keep_answer(work.owner, key, answer)
    return answer, False


def _execute(
    work: Work,
    api: Api,
    checked: Any,
    paths: list[str],
    post: Write,
    path: dict[str, str],
    fault: Fault | None,
) -> tuple[int, Body]:
    """Status and body. A refusal in the middle leaves nothing of the operation behind, but is an answer."""
    try:
        playing.within(fault, work, checked)
        with work.tx.attempt():
            body = post.run(work, checked, **path)
            if paths:
                body = expand(work, body, paths)
            if not api.keeps_failures:
                # What failed is done again under the same key, so nothing of it may stay.
                playing.executed(fault)
        playing.executed(fault)
    except StripeProblem as refusal:
        return refusal.status, refusal.body()
    return 200, body


def _body(req: falcon.Request, api: Api) -> dict[str, Any]:
    """The decoded body of a POST."""
    raw = req.bounded_stream.read(BODY_LENGTH_MAX + 1)
    if len(raw) > BODY_LENGTH_MAX:
        raise StripeProblem(413, "Request entity too large.")
    if raw and (req.content_type or "").split(";")[0].strip().lower() != api.content_type:
        message = f"Invalid request (check that your POST content type is {api.content_type})."
        raise StripeProblem(400, message)
    return api.decode(raw)


def _account(req: falcon.Request) -> str | None:
    """The connected account that a call is about. A thin event's context comes as `Stripe-Context`."""
    account = req.get_header("Stripe-Account")
    return req.get_header("Stripe-Context") if account is None else account


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
