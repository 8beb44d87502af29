"""Webhooks: what is to be delivered where and when, how it is signed, and when it is tried again."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from payouts.simulator.settings import DAY_S, Settings
from payouts.simulator.store import Body, Transaction

if TYPE_CHECKING:
    from payouts.simulator.work import Work

GIVEN_UP_AFTER_S = 3 * DAY_S
LATE_S = 3600
OVERTAKEN_S = 2
AHEAD_S = 365 * DAY_S
_TRIED_AGAIN_AFTER_S = (60, 300, 1800, 7200, 18_000, 36_000)
_FORGED_SECRET = "whsec_of_somebody_else"


class Delivery(NamedTuple):
    """One POST that an endpoint is to get."""

    seq: int
    endpoint: str
    url: str
    event: str
    headers: dict[str, str]
    body: bytes


def queue(work: Work, payload: str, event: Body) -> int:
    """Let every endpoint that wants the event have it, as the faults for it say. To how many it will go."""
    kind = str(event["type"])
    places = [name for name, one in work.settings.endpoints.items() if one.wants(payload, kind)]
    if not places:
        return 0
    fault = work.strike(f"webhook {kind}")
    trick = "" if fault is None else fault.do.removeprefix("webhook_")
    text = msgspec.json.encode({**event, "pending_webhooks": len(places)} if payload == "snapshot" else event)
    at = work.now
    if fault is not None and trick in ("late", "reordered"):
        at += int(fault.seconds or (LATE_S if trick == "late" else OVERTAKEN_S))
    for name in places:
        for each in _what_goes_out(trick):
            work.tx.connection.execute(
                "INSERT INTO delivery (endpoint, event, payload, trick, first, at, attempts, status)"
                " VALUES (?, ?, ?, ?, ?, ?, 0, 'waiting')",
                (name, event["id"], text.decode(), each, at, at),
            )
    return len(places)


def _what_goes_out(trick: str) -> Sequence[str]:
    """The deliveries of one event to one endpoint, each with what is odd about it."""
    match trick:
        case "lost":
            return ()
        case "doubled":
            return ("", "")
        case "forged":
            return ("forged", "")
        case "future":
            return ("future", "")
        case "before_response":
            return ("early",)
        case _:
            return ("",)


def due(tx: Transaction, settings: Settings, now: int, *, early: bool = False) -> list[Delivery]:
    """What is to be delivered by now, in order; `early`: only what overtakes the answer to its call."""
    rows = tx.connection.execute(
        "SELECT seq, endpoint, event, payload, trick FROM delivery"
        " WHERE at <= ? AND (trick = 'early' OR NOT ?) ORDER BY at, seq LIMIT 100",
        (now, early),
    ).fetchall()
    found = []
    for seq, endpoint, event, payload, trick in rows:
        where = settings.endpoints.get(endpoint)
        if where is None:
            tx.connection.execute("UPDATE delivery SET at = NULL, status = 'gone' WHERE seq = ?", (seq,))
            continue
        body = payload.encode()
        when = now + AHEAD_S if trick == "future" else now
        by = (_FORGED_SECRET,) if trick == "forged" else where.secrets
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Stripe/1.0 (stand-in)"}
        headers["Stripe-Signature"] = signature(body, by, when)
        found.append(Delivery(seq, endpoint, where.url, event, headers, body))
    return found


def signature(body: bytes, secrets: Sequence[str], when: int) -> str:
    """The Stripe-Signature header: the time, and an HMAC of time and body by each secret."""
    signed = b"%d.%s" % (when, body)
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={when}", *(f"v1={mark}" for mark in marks)])


def record(tx: Transaction, delivery: Delivery, status: int | None, now: int) -> None:
    """What the endpoint answered; None: nothing. Only a 2xx ends it, anything else is tried again."""
    first, attempts, trick = tx.connection.execute(
        "SELECT first, attempts, trick FROM delivery WHERE seq = ?", (delivery.seq,)
    ).fetchone()
    arrived = status is not None and 200 <= status < 300
    after = _TRIED_AGAIN_AFTER_S[min(attempts, len(_TRIED_AGAIN_AFTER_S) - 1)]
    again: int | None = now + after
    state = "waiting"
    if arrived:
        again, state = None, "delivered"
        tx.connection.execute(
            "UPDATE object SET body = json_set(body, '$.pending_webhooks',"
            " max(0, json_extract(body, '$.pending_webhooks') - 1)) WHERE id = ? AND kind = 'event'",
            (delivery.event,),
        )
    elif trick in ("forged", "future") or now + after - first > GIVEN_UP_AFTER_S:
        # A forger has one try, and Stripe gives up after three days.
        again, state = None, "refused" if trick in ("forged", "future") else "given up"
    tx.connection.execute(
        "UPDATE delivery SET at = ?, attempts = attempts + 1, status = ?, trick = ? WHERE seq = ?",
        (again, state, "" if trick == "early" else trick, delivery.seq),
    )


def report(tx: Transaction) -> list[dict[str, object]]:
    """Every delivery and how it stands, for those who test."""
    rows = tx.connection.execute(
        "SELECT seq, endpoint, event, json_extract(payload, '$.type') AS type, trick, at, attempts, status"
        " FROM delivery ORDER BY seq"
    )
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows]
