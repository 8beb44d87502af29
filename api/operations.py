"""What a responder promises: scopes, schemas, problems. Middleware and OpenAPI document read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import falcon
from marshmallow import Schema

from ledger.events.access import Scope

KIB: Final = 1_024
SINGLE_BYTES_MAX: Final = 1_024 * KIB
BATCH_BYTES_MAX: Final = 16 * 1_024 * KIB
JSON_ONLY: Final = ("application/json",)

R = TypeVar("R", bound=Callable[..., None])


@dataclass(frozen=True)
class Operation:
    """One method of one route. A key opens it with any one of `scopes`, or with admin; none: it is public.

    `also_produces` are media types that `Accept` can ask for instead of `produces`.
    `needs_key`: without an Idempotency-Key it is refused, since nothing else tells a repetition.
    """

    summary: str
    tag: str
    scopes: tuple[Scope, ...] = ()
    body: Schema | None = None
    query: Schema | None = None
    answer: Schema | None = None
    statuses: tuple[int, ...] = (200,)
    problems: tuple[str, ...] = ()
    raw: bool = False
    bytes_max: int = SINGLE_BYTES_MAX
    media_types: tuple[str, ...] = JSON_ONLY
    produces: str = "application/json"
    also_produces: tuple[str, ...] = ()
    example: Any = None
    secrets: tuple[str, ...] = ()
    needs_key: bool = False
    description: str = ""

    @property
    def public(self) -> bool:
        """Whether it takes no key."""
        return not self.scopes


def operation(summary: str, **promises: Any) -> Callable[[R], R]:
    """Say what a responder promises."""

    def attach(responder: R) -> R:
        promises.setdefault("tag", responder.__module__.rsplit(".", 1)[-1].replace("_", " "))
        promises.setdefault("description", (responder.__doc__ or "").strip())
        responder.operation = Operation(summary, **promises)  # type: ignore[attr-defined]
        return responder

    return attach


def answer_head(resource: Any) -> None:
    """Let a resource answer HEAD as it does GET; the framework leaves the body out (RFC 9110, 9.3.2).

    One whose GET leaves a trace has a HEAD of its own.
    """
    if hasattr(resource, "on_get") and not hasattr(resource, "on_head"):
        resource.on_head = resource.on_get


def operation_of(resource: object, method: str) -> Operation | None:
    """What the resource promises for an HTTP method; None where it has no responder for it."""
    responder = getattr(resource, f"on_{'get' if method == 'HEAD' else method.lower()}", None)
    return getattr(responder, "operation", None)


def methods_of(resource: object) -> Sequence[str]:
    """The HTTP methods that a resource answers. HEAD goes with GET and is not told of."""
    return [m for m in falcon.HTTP_METHODS if m != "HEAD" and hasattr(resource, f"on_{m.lower()}")]
