"""Which documents were in force at a moment, of the versions that the mirror keeps (strategies/versions.py).

A configuration is made once for each stretch of time in which nothing was replaced, so signals that follow each other
share it and the engine's tables of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from copying.engine.routes import Configuration
from strategies.versions import Described, DocumentVersion

Versions = dict[str, list[DocumentVersion]]


@dataclass(slots=True)
class Timeline:
    """The versions of a connection's documents during some stretch of time, by kind and id, oldest first."""

    by_kind: dict[str, Versions]
    moments: list[datetime] = field(default_factory=list)
    known: dict[int, Configuration] = field(default_factory=dict)

    @classmethod
    def of(cls, versions: Iterable[DocumentVersion]) -> Timeline:
        """A timeline of versions in any order."""
        by_kind: dict[str, Versions] = {kind: defaultdict(list) for kind in Described.values}
        moments: set[datetime] = set()
        for version in sorted(versions, key=lambda version: (version.first_seen_at, version.pk or 0)):
            by_kind[version.kind][version.backend_id].append(version)
            moments.add(version.first_seen_at)
            if version.replaced_at is not None:
                moments.add(version.replaced_at)
        return cls(by_kind, sorted(moments))

    @classmethod
    def read(cls, connection_id: int, start: datetime, end: datetime) -> Timeline:
        """The timeline of [start, end] as it is mirrored. One query."""
        return cls.of(DocumentVersion.objects.filter(connection_id=connection_id).during(start, end))

    @classmethod
    def of_first(cls, connection_id: int) -> Configuration:
        """Everything as it was seen first, whenever that was. One query."""
        own = DocumentVersion.objects.filter(connection_id=connection_id)
        first = list(own.order_by("kind", "backend_id", "first_seen_at", "pk").distinct("kind", "backend_id"))
        by_kind = {
            kind: {row.backend_id: row.document for row in first if row.kind == kind} for kind in Described.values
        }
        return Configuration(
            strategies=by_kind[Described.STRATEGY],
            portfolios=by_kind[Described.PORTFOLIO],
            subscribers=by_kind[Described.SUBSCRIBER],
        )

    def version_at(self, kind: str, backend_id: str, moment: datetime) -> DocumentVersion | None:
        """The version of an object that was in force; None: there was none, or none was seen yet."""
        own = self.by_kind[kind].get(backend_id, ())
        return next((version for version in reversed(own) if version.holds_at(moment)), None)

    def configuration_at(self, moment: datetime) -> Configuration:
        """Everything that was in force at a moment; the same object while nothing changes."""
        place = bisect_right(self.moments, moment)
        if place not in self.known:
            self.known[place] = Configuration(
                strategies=self._documents(Described.STRATEGY, moment),
                portfolios=self._documents(Described.PORTFOLIO, moment),
                subscribers=self._documents(Described.SUBSCRIBER, moment),
            )
        return self.known[place]

    def _documents(self, kind: str, moment: datetime) -> dict[str, dict[str, Any]]:
        versions = ((key, self.version_at(kind, key, moment)) for key in self.by_kind[kind])
        return {key: version.document for key, version in versions if version is not None}

    def is_portfolio(self, strategy_id: str) -> bool:
        """Whether an id is one of a portfolio, as far as is known."""
        return strategy_id in self.by_kind[Described.PORTFOLIO]

    def is_certain(self, strategy_ids: Iterable[str], subscriber_id: str, moment: datetime) -> bool:
        """Whether none of the documents of a way can have been another one by then already."""
        asked = [(Described.SUBSCRIBER, subscriber_id)]
        asked += [(kind, key) for key in strategy_ids for kind in (Described.STRATEGY, Described.PORTFOLIO)]
        versions = (self.version_at(kind, key, moment) for kind, key in asked)
        return all(version is None or version.is_certain_at(moment) for version in versions)
