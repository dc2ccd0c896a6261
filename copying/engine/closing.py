"""Closes: how much of a copy follows the provider's partial close, and what close-only and removal do to positions."""

from __future__ import annotations

from dataclasses import dataclass

from copying.engine.model import Instrument
from copying.engine.prices import EPSILON, step_fraction


@dataclass(slots=True, frozen=True)
class Wanted:
    """What a setting wants done with the copied positions of a route.

    opens: none, held (only symbols that are open) or all. manages: closes and changes of the provider are copied.
    closes_now: every position is closed at once.
    """

    opens: str
    manages: bool
    closes_now: bool


ALL = Wanted("all", manages=True, closes_now=False)
CLOSE_ONLY = {
    "by-position": Wanted("none", manages=True, closes_now=False),
    "by-symbol": Wanted("held", manages=True, closes_now=False),
    "immediately": Wanted("none", manages=True, closes_now=True),
}
REMOVAL = {
    "preserve": Wanted("none", manages=False, closes_now=False),
    "close-gracefully-by-position": Wanted("none", manages=True, closes_now=False),
    "close-gracefully-by-symbol": Wanted("held", manages=True, closes_now=False),
    "close-immediately": Wanted("none", manages=True, closes_now=True),
}


def wanted(removal_modes: list[str], subscription_close_only: str, subscriber_close_only: str) -> Wanted:
    """The strictest of the removals of a chain and its closeOnly (the subscription's value, else the subscriber's).

    source: contract, 2.1 removal, 4.4 closeOnly
    """
    close_only = subscription_close_only or subscriber_close_only
    each = [REMOVAL[mode] for mode in removal_modes] + ([CLOSE_ONLY[close_only]] if close_only else [])
    if not each:
        return ALL
    order = ("none", "held", "all")
    return Wanted(
        opens=min((one.opens for one in each), key=order.index),
        manages=all(one.manages for one in each),
        closes_now=any(one.closes_now for one in each) and all(one.manages for one in each),
    )


def volume_after_partial_close(
    opened_lots: float, present_lots: float, provider_opened: float, provider_present: float, instrument: Instrument
) -> float:
    """What a copy's volume is to be after the provider closed a part of the position.

    target = opened_lots x provider_present / provider_opened, to the nearest step, measured on the opening volumes, so
    that a second partial close does not add to the rounding of the first. Never more than is open. A target below
    min volume - step / 2 is closed whole; one below min volume is min volume.
    units: lots.  source: contract, section 8, 38; 4.3 rounding
    """
    if provider_present <= 0 or provider_opened <= 0:
        return 0.0
    numerator, denominator = step_fraction(instrument.volume_step)
    exact = opened_lots * min(provider_present / provider_opened, 1.0)
    if exact < (instrument.min_volume - 0.5 * instrument.volume_step) * (1 - EPSILON):
        return 0.0
    steps = int(exact * denominator / numerator + 0.5 + EPSILON)
    target = max(steps * numerator / denominator, instrument.min_volume)
    return min(target, present_lots)


def partial_close_volume(
    opened_lots: float, present_lots: float, provider_opened: float, provider_present: float, instrument: Instrument
) -> float:
    """The lots to close now so that the copy has `volume_after_partial_close`; a multiple of the step.  units: lots"""
    target = volume_after_partial_close(opened_lots, present_lots, provider_opened, provider_present, instrument)
    numerator, denominator = step_fraction(instrument.volume_step)
    if target <= 0:
        return present_lots
    return int((present_lots - target) * denominator / numerator + 0.5 + EPSILON) * numerator / denominator
