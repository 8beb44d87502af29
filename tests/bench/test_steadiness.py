"""What a soak counts as steady, and that a leak, a slower answer or a growing lag is seen."""

import pytest

from tests.bench.steadiness import Moment, judge


def moments(**grows):
    """Thirty looks in which the named figures grow a little each time and the others waver."""
    return [
        Moment(
            at_s=5.0 * number,
            answered=5_000,
            p50_ms=4,
            p99_ms=20
            + number % 3
            + grows.get("p99_ms", 0) * number
            + (grows.get("stalls_ms", 0) * number if number % 5 == 0 else 0),
            lag_events=10,
            lag_s=0.2 + grows.get("lag_s", 0) * number,
            connections=(connections := 20 + number % 2 + grows.get("connections", 0) * number),
            memory_mib={
                "api": 150 + number % 4 + grows.get("memory_mib", 0) * number,
                "engine": 90,
                "postgresql": connections * (2.5 + grows.get("postgresql", 0) * number),
            },
            files={"api": 60 + number % 5 + grows.get("files", 0) * number, "engine": 12},
        )
        for number in range(30)
    ]


def test_what_wavers_is_steady():
    """Ups and downs around the same value."""
    assert all(verdict.holds for verdict in judge(moments()))


@pytest.mark.parametrize(
    ("figure", "step", "name"),
    [
        ("memory_mib", 2, "memory of api, MiB"),
        ("postgresql", 0.02, "memory of postgresql by connection, MiB"),
        ("files", 1, "open files of api"),
        ("connections", 1, "connections to the database"),
        ("p99_ms", 1, "p99, ms"),
        ("stalls_ms", 10, "p99 of the slowest tenth, ms"),
        ("lag_s", 0.2, "lag of the slowest reader, s"),
    ],
)
def test_what_grows_is_named(figure, step, name):
    """And nothing else is."""
    assert [verdict.name for verdict in judge(moments(**{figure: step})) if not verdict.holds] == [name]
