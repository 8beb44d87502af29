"""A small HTTP client for our own API: JSON in and out, patient with servers that are away for a moment."""

import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import urllib3

AWAY: Final = (429, 502, 503, 504)
"""Answers that say: not now. The same request may succeed later."""
PATIENCE_S: Final = 300
_WAIT_S_FIRST: Final = 0.2
_WAIT_S_MAX: Final = 5.0


class Answer(NamedTuple):
    """What the server said."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked."""
        return 200 <= self.status < 300


class Unreachable(Exception):
    """The server stayed away longer than we are ready to wait."""


class Refused(Exception):
    """The server said no (4xx) to something that must succeed. `answer.body` is the problem."""

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(f"{what}: {answer.status} {describe_problem(answer.body)}")
        self.answer = answer


class Client:
    """Requests with one key. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        patience_s: float = PATIENCE_S,
        waiting: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._patience_s = patience_s
        self._waiting = waiting
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=120))

    def get(self, path: str, **query: Any) -> Answer:
        """GET a path; None values in the query are left out."""
        fields = {name: str(value) for name, value in query.items() if value is not None}
        return self._send("GET", path, fields=fields or None)

    def post(self, path: str, content: Any, **headers: str) -> Answer:
        """POST JSON, again while the server is away: what we send has an id of its own, and counts once."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {"Content-Type": "application/json", **headers}
        return self._send("POST", path, body=body, headers=sent)

    def want(self, method: str, path: str, content: Any = None, **more: Any) -> Any:
        """The body of an answer that must be a success; raises Refused otherwise."""
        answer = self.get(path, **more) if method == "GET" else self.post(path, content or {}, **more)
        if not answer.ok:
            raise Refused(f"{method} {path}", answer)
        return answer.body

    def _send(
        self,
        method: str,
        path: str,
        *,
        fields: dict[str, str] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        deadline = time.monotonic() + self._patience_s
        wait_s = _WAIT_S_FIRST
        while True:
            asked_wait: str | None = None
            try:
                response = self._pool.request(
                    method,
                    self.url + path,
                    fields=fields,
                    body=body,
                    headers={
                        "Authorization": f"Bearer {self._key}",
                        "Accept": "application/json",
                        **(headers or {}),
                    },
                    redirect=False,
                )
                if response.status not in AWAY:
                    return Answer(response.status, _decoded(response.data), response.headers)
                reason = f"{response.status} {describe_problem(_decoded(response.data))}"
                asked_wait = response.headers.get("Retry-After")
            except urllib3.exceptions.HTTPError as error:
                reason = f"no connection ({type(error).__name__})"
            pause_s = _pause(asked_wait, wait_s)
            if time.monotonic() + pause_s > deadline:
                raise Unreachable(f"{self.url} stayed away for {self._patience_s:.0f} s: {reason}")
            self._waiting(reason)
            time.sleep(pause_s)
            wait_s = min(wait_s * 2, _WAIT_S_MAX)


def _pause(asked: str | None, backoff_s: float) -> float:
    if asked is not None and asked.isdigit():
        return min(float(asked), 60.0)
    return backoff_s * random.uniform(0.5, 1.0)  # apart from each other, so that clients don't return as one


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return data.decode("utf-8", errors="replace")


def describe_problem(body: Any) -> str:
    """One line for people out of a problem (RFC 9457), or of whatever came instead."""
    if not isinstance(body, dict):
        return str(body or "")[:200]
    line = str(body.get("detail") or body.get("title") or body.get("type") or body)
    errors = body.get("errors")
    if isinstance(errors, list) and errors:
        named = [
            f"{e.get('pointer', '')} {e.get('detail', '')}".strip() for e in errors if isinstance(e, dict)
        ]
        line = f"{line} ({'; '.join(named)})"
    return line
