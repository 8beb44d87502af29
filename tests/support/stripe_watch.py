"""Watches the SDK's calls to stand-ins while tests run: all that is sent and answered fits Stripe's types."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import stripe

from tests.support.in_process_stripe import ADDRESS
from tests.support.stripe_schemas import call_mistakes

_wrong: list[str] = []


def _came_whole(url: str, headers: Mapping[str, str], content: bytes) -> bool:
    """Whether it is a stand-in's own answer: not one of a scripted server, and not spoilt by a fault."""
    is_ours = url.startswith(ADDRESS) or headers.get("Server") == "stripe-simulator"
    return is_ours and headers.get("Content-Type") == "application/json" and content[:1] == b"{"


@contextmanager
def watching() -> Iterator[None]:
    """Look at every call of the SDK's own client from now on."""
    original = stripe.RequestsClient.request

    def request(
        self: stripe.RequestsClient, method: str, url: str, headers: Any, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content, status, answered = original(self, method, url, headers, post_data)
        if _came_whole(url, answered, content):
            response = requests.Response()
            response.status_code, response._content = status, content
            response.request = requests.Request(method.upper(), url, data=post_data).prepare()
            _wrong.extend(f"{urlsplit(url).path}: {mistake}" for mistake in call_mistakes(response))
        return content, status, answered

    stripe.RequestsClient.request = request  # type: ignore[method-assign]
    try:
        yield
    finally:
        stripe.RequestsClient.request = original  # type: ignore[method-assign]


@pytest.fixture(scope="package", autouse=True)
def stripe_is_watched() -> Iterator[None]:
    """For all tests of a folder whose conftest imports this, and for the fixtures that they share."""
    with watching():
        yield


@pytest.fixture(autouse=True)
def every_call_fits_stripes_types(stripe_is_watched: None) -> Iterator[None]:
    """Fails the test in which a call was made that Stripe's types do not know."""
    yield
    found, _wrong[:] = list(_wrong), []

    assert found == []
