"""What the backend counts and measures about itself, and /metrics, where Prometheus reads it (docs/operations.md).

Off until METRICS_TOKEN is set. Counted once per journal entry, after whoever waits was answered: a signal that goes to
ten thousand routes costs two sums over its columns. No names of people, tenants or accounts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from copying.backend.core.writer import Core
from copying.backend.state.effects import Deals, Decided, Effects, SignalEvent
from copying.engine.model import Outcome
from copying.engine.reasons import CODES, Reason

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
OUTCOMES = len(Outcome)


class Measured:
    """The figures of one core; made when its application is, so that nothing outlives it."""

    def __init__(self, core: Core) -> None:
        self.registry = CollectorRegistry()
        name, registry = "copyportal_backend_", self.registry
        self.decisions = Counter(
            name + "decisions", "Decisions since the start.", ["outcome", "reason"], registry=registry
        )
        self.signals = Counter(name + "signals", "What happened to signals.", ["what"], registry=registry)
        self.deals = Counter(name + "deals", "Copied deals.", ["kind"], registry=registry)
        self.refused = Counter(name + "refused_entries", "Journal entries that changed nothing.", registry=registry)
        self.seconds = Histogram(
            name + "command_seconds", "From a command to its answer.", buckets=SECONDS, registry=registry
        )
        registry.register(CoreFigures(core))
        core.listeners.append(self.add)

    def add(self, effects: Effects) -> None:
        """Count what one entry did."""
        if effects.watch is not None:
            self.seconds.observe(time.perf_counter() - effects.watch.received)
        if effects.refused is not None:
            self.refused.inc()
        for event in effects.events:
            if isinstance(event, Decided):
                self._add_decisions(event)
            elif isinstance(event, SignalEvent):
                self.signals.labels(event.what).inc()
            elif isinstance(event, Deals):
                self.deals.labels(event.kind).inc(len(event.number))

    def _add_decisions(self, decided: Decided) -> None:
        outcomes = decided.decisions.outcome[decided.rows].astype(np.int64)
        pairs = decided.decisions.reason[decided.rows].astype(np.int64) * OUTCOMES + outcomes
        numbers = np.bincount(pairs)
        for pair in np.flatnonzero(numbers):
            reason, outcome = divmod(int(pair), OUTCOMES)
            labels = Outcome(outcome).name.lower(), CODES[Reason(reason)]
            self.decisions.labels(*labels).inc(int(numbers[pair]))


class CoreFigures(Collector):
    """What is so at the moment of the reading."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def collect(self) -> Iterable[Metric]:
        core, book, name = self._core, self._core.book, "copyportal_backend_"
        yield GaugeMetricFamily(name + "journal_entry", "Number of the newest journal entry.", core.sequence)
        yield GaugeMetricFamily(name + "projected_entry", "Up to which entry the tables tell.", core.projected)
        yield GaugeMetricFamily(name + "positions", "Open copies and trades.", book.positions.size)
        yield GaugeMetricFamily(name + "accounts", "Accounts.", len(book.account_meta))
        troubles = GaugeMetricFamily(name + "trouble", "1 for each trouble that /healthz tells.", labels=["kind"])
        for trouble in core.signs.troubles(core.sequence, core.projected):
            troubles.add_metric([trouble.kind], 1)
        if core.clock.trouble(book.time):
            troubles.add_metric(["clock"], 1)
        yield troubles


async def metrics(request: Request) -> Response:
    """All figures as text. Tenants, whom the gate lets in by their own tokens, find no such address."""
    if request.scope["tenant"]:
        raise HTTPException(404)
    measured: Measured = request.app.state.measured
    return Response(generate_latest(measured.registry), media_type=CONTENT_TYPE_LATEST)
