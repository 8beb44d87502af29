"""What Prometheus scrapes: requests by route, how far readers of the log are, how the audit log stands."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.registry import REGISTRY

REQUESTS: Final = Counter("revshare_requests", "Requests answered.", ["method", "route", "status"])
LATENCY: Final = Histogram(
    "revshare_request_seconds",
    "Time to answer a request.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
WAITING: Final = Gauge(
    "revshare_appends_waiting", "Appends that wait for their commit.", multiprocess_mode="livesum"
)


class Reading(NamedTuple):
    """A gauge of this moment: its values by the value of `label`, or one value without a label."""

    name: str
    says: str
    label: str | None
    values: Mapping[str, float]


def exposition(readings: Sequence[Reading]) -> bytes:
    """The text that Prometheus reads: the counters of all workers, and `readings` taken just now."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    now = CollectorRegistry()
    for reading in readings:
        # A plain gauge of this moment: kept out of the workers' shared files.
        now.register(_Gauge(reading))
    return generate_latest(registry) + generate_latest(now)


class _Gauge:
    """A collector of one reading."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Any:
        """The gauge."""
        from prometheus_client.core import GaugeMetricFamily

        name, says, label, values = self._reading
        family = GaugeMetricFamily(name, says, labels=[] if label is None else [label])
        for of, value in values.items():
            family.add_metric([] if label is None else [of], value)
        yield family
