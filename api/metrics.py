"""What Prometheus scrapes: requests by route, and how far the readers of the log are behind."""

import os
from typing import Any, Final

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


def exposition(readings: dict[str, tuple[str, dict[str, Any]]]) -> bytes:
    """The text that Prometheus reads: the counters of all workers, and `readings` taken just now.

    `readings` maps a gauge's name to its help and its values by reader.
    """
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    now = CollectorRegistry()
    for name, (says, values) in readings.items():
        # A plain gauge of this moment: kept out of the workers' shared files.
        gauge = _Reading(name, says, values)
        now.register(gauge)
    return generate_latest(registry) + generate_latest(now)


class _Reading:
    """A collector of one gauge with a label `reader`."""

    def __init__(self, name: str, says: str, values: dict[str, Any]) -> None:
        self._name, self._says, self._values = name, says, values

    def collect(self) -> Any:
        """The gauge."""
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(self._name, self._says, labels=["reader"])
        for reader, value in self._values.items():
            family.add_metric([reader], value)
        yield family
