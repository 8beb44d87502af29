"""Sends the webhooks of a running process: a thread that looks what is due, and POSTs it."""

from __future__ import annotations

import threading

import urllib3

from payouts.simulator import upkeep, webhooks
from payouts.simulator.company import Company

LOOKS_EVERY_S = 0.05
PATIENCE_S = 10.0


class Deliverer:
    """Delivers until it is stopped. One at a time, so that the order is what the faults say it is."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._stop = threading.Event()
        self._sending = threading.RLock()
        self._pool = urllib3.PoolManager(timeout=PATIENCE_S, retries=False)
        self._thread = threading.Thread(target=self._run, daemon=True, name="webhooks")
        company.on_early = lambda: self.deliver(early=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the delivery at work."""
        self._stop.set()
        self._thread.join(PATIENCE_S + 1)

    def _run(self) -> None:
        while not self._stop.wait(LOOKS_EVERY_S):
            upkeep.catch_up(self._company)
            if self._company.settings.endpoints:
                self.deliver()

    def deliver(self, *, early: bool = False) -> int:
        """Send what is due by now: how many. Their endpoints may ask this stand-in things meanwhile."""
        company = self._company
        with self._sending:
            with company.store.write() as tx:
                due = webhooks.due(tx, company.settings, company.clock(), early=early)
            for delivery in due:
                status = self._post(delivery)
                with company.store.write() as tx:
                    webhooks.record(tx, delivery, status, company.clock())
            return len(due)

    def _post(self, delivery: webhooks.Delivery) -> int | None:
        try:
            answer = self._pool.request(
                "POST", delivery.url, body=delivery.body, headers=delivery.headers, redirect=False
            )
        except urllib3.exceptions.HTTPError:
            return None
        return answer.status
