"""Answers: JSON out, problems out, times in UTC with Z."""

from datetime import UTC, datetime
from typing import Any, Final

import falcon
import msgspec

from api.problems import PROBLEM_JSON, TYPES, HttpProblem, body_of

JSON: Final = "application/json"
_encoder: Final = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """A value as JSON. Times in it must be in UTC: they come out as RFC 3339 with Z."""
    return _encoder.encode(value)


def send(resp: falcon.Response, value: Any, status: int = 200) -> None:
    """Answer with JSON."""
    resp.status = status
    resp.content_type = JSON
    resp.data = encode(value)


def send_problem(req: falcon.Request, resp: falcon.Response, problem: HttpProblem) -> None:
    """Answer with a problem document."""
    resp.status = problem.status or TYPES[problem.name].status
    resp.content_type = PROBLEM_JSON
    resp.text = None
    resp.media = None
    resp.data = encode(body_of(problem, instance=getattr(req.context, "instance", None)))
    resp.set_headers(dict(problem.headers))
    resp.set_header("Cache-Control", "no-store")


def utc(value: datetime | None) -> datetime | None:
    """The same moment in UTC."""
    return None if value is None else value.astimezone(UTC)
