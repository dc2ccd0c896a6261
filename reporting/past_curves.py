"""Curves of accounts that begin before their equity was recorded here, and where their parts come from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from reporting.metrics import Curve
from reporting.models import EquityPoint, PastFilling, PastPoint, PastSource
from subscribers.models import Subscriber


@dataclass(frozen=True)
class CurveSource:
    """How a curve came about. recorded_since: None while nothing is recorded. past: what is shown before that."""

    recorded_since: datetime | None
    past: str
    is_kept_here: bool  # else the backend keeps the history


def source_of(subscriber: Subscriber) -> CurveSource:
    """The sources of an account's curve, for the line under its chart."""
    own = {"connection_id": subscriber.connection_id, "account_id": subscriber.backend_id}
    first = EquityPoint.objects.filter(**own).order_by("time").values_list("time", flat=True).first()
    filling = PastFilling.objects.filter(**own).first()
    past = PastSource.NONE if filling is None else filling.source
    return CurveSource(first, str(past), filling is not None)


def with_past(curve: Curve, subscriber: Subscriber) -> Curve:
    """An account's curve with what is known of the time before its first recorded point, in its present currency."""
    until = datetime.fromtimestamp(int(curve.times[0])).astimezone() if len(curve.times) else None
    points = PastPoint.objects.filter(
        connection_id=subscriber.connection_id,
        account_id=subscriber.backend_id,
        currency__in=("", subscriber.currency),
    )
    if until is not None:
        points = points.filter(time__lt=until)
    rows = list(points.order_by("time").values_list("time", "equity", "net_deposits"))
    if not rows:
        return curve
    times = np.array([int(time.timestamp()) for time, _, _ in rows], np.int64)
    equity = np.array([float(worth) for _, worth, _ in rows])
    moved = np.zeros(len(rows) + len(curve.times))
    moved[1 : len(rows)] = np.diff([float(paid or 0) for *_, paid in rows])
    moved[len(rows) + 1 :] = curve.flows[1:]
    return Curve(
        np.concatenate([times, curve.times]),
        np.concatenate([equity, curve.equity]),
        moved,
        curve.currency,
        curve.is_estimated,
    )
