"""Watches what is sent to stand-ins and answered while tests run: all of it fits Stripe's types.

In the tests' own process the SDK is watched; in processes that tests start, the stand-in among them.
"""

import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import pytest
import requests
import stripe
from requests.structures import CaseInsensitiveDict

from payouts.simulator.faults import DROP
from payouts.simulator.server import Server
from tests.support.in_process_stripe import ADDRESS
from tests.support.stripe_schemas import call_mistakes

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_wrong: list[str] = []
_FILE = "STRIPE_CALLS_WRONG"
_heard = Path(tempfile.gettempdir()) / f"stripe-calls-wrong-{os.getpid()}"


def _came_whole(url: str, headers: Mapping[str, str], content: bytes) -> bool:
    """Whether it is a stand-in's own answer: not one of a scripted server, and not spoilt by a fault."""
    is_ours = url.startswith(ADDRESS) or headers.get("Server") == "stripe-simulator"
    return is_ours and headers.get("Content-Type") == "application/json" and _is_object(content)


def _is_object(content: bytes) -> bool:
    """An answer that was cut off begins as one does; to fail at it here would change what the caller sees."""
    try:
        return isinstance(msgspec.json.decode(content), dict)
    except msgspec.DecodeError:
        return False


@contextmanager
def watching() -> Iterator[None]:
    """Look at every call of the SDK's own client from now on."""
    original = stripe.RequestsClient.request

    def request(
        self: stripe.RequestsClient, method: str, url: str, headers: Any, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content, status, answered = original(self, method, url, headers, post_data)
        if _came_whole(url, answered, content):
            _wrong.extend(_mistakes(method, url, post_data, status, content))
        return content, status, answered

    stripe.RequestsClient.request = request  # type: ignore[method-assign]
    try:
        yield
    finally:
        stripe.RequestsClient.request = original  # type: ignore[method-assign]


def _mistakes(method: str, url: str, sent: Any, status: int, content: bytes) -> Iterable[str]:
    response = requests.Response()
    response.status_code, response._content = status, content
    response.request = requests.Request(method.upper(), url, data=sent).prepare()
    return (f"{urlsplit(url).path}: {mistake}" for mistake in call_mistakes(response))


# In a process of its own


def watched_environment() -> dict[str, str]:
    """What a process is started with, so that the stand-ins below it are watched."""
    return {"PYTHONPATH": str(Path(__file__).parent / "watched"), _FILE: str(_heard)}


def watch_this_stand_in() -> None:
    """Look at every call that this process, which is a stand-in, is going to answer."""
    make = Server.__init__

    def watched(self: Server, host: str, port: int, application: "WSGIApplication") -> None:
        make(self, host, port, _watched(application))

    Server.__init__ = watched  # type: ignore[method-assign]


def _watched(application: "WSGIApplication") -> "WSGIApplication":
    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        head: list[Any] = []

        def noted(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            head[:] = [status, CaseInsensitiveDict(headers)]
            return start_response(status, headers, exc_info)

        sent = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(sent)
        content = b"".join(application(environ, noted))
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        url = f"{ADDRESS}{environ['PATH_INFO']}{query}"
        whole = DROP not in environ and environ["PATH_INFO"].startswith(("/v1/", "/v2/"))
        if whole and _came_whole(url, head[1], content):
            found = _mistakes(environ["REQUEST_METHOD"], url, sent, int(head[0][:3]), content)
            if lines := "".join(f"{line}\n" for line in found):
                with Path(os.environ[_FILE]).open("a", encoding="utf-8") as file:
                    file.write(lines)
        return [content]

    return serve


def heard() -> list[str]:
    """What was wrong since this was last asked, here and in processes that tests started."""
    found, _wrong[:] = list(_wrong), []
    if _heard.exists():
        found += _heard.read_text(encoding="utf-8").splitlines()
        _heard.unlink()
    return found


@pytest.fixture(scope="session", autouse=True)
def stripe_is_watched() -> Iterator[None]:
    """For all tests, and for the fixtures that they share."""
    with watching():
        yield


@pytest.fixture(autouse=True)
def every_call_fits_stripes_types(stripe_is_watched: None) -> Iterator[None]:
    """Fails the test in which a call was made that Stripe's types do not know."""
    yield

    assert heard() == []
