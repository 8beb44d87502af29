"""Durable single POST/s ÷ no-op POST/s: the same server, the same bytes, 64 connections on both sides."""

from tests.bench.client import post
from tests.bench.harness import Ratio, alternate
from tests.bench.place import Place

CONNECTIONS = 64
PER_SECOND_MAX = 5_000
"""More requests than one second answers, so that the seconds end a round."""


def measure(place: Place) -> Ratio:
    """A request answered means: its fact is on disk."""
    tops, bottoms = alternate(
        lambda _: send_singles(place, place.port, "/v1/conversions"),
        lambda _: send_singles(place, place.port, "/noop"),
        place.rounds,
    )
    return Ratio("single-post", tops, bottoms, "requests/s")


def send_singles(place: Place, port: int, path: str, *, seconds_min: float = 1.0) -> float:
    """New sales, one a request: how many were answered a second."""
    seconds = seconds_min if place.quick else 5
    requests = [post(path, place.token, body) for body in place.bodies(int(seconds * PER_SECOND_MAX))]
    return place.client.send(port, requests, connections=CONNECTIONS, seconds=seconds).per_second
