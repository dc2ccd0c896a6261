"""How much of the copies stays open after the provider closed a part of the position."""

from __future__ import annotations

import numpy as np

from copying.engine.levels import EPSILON


def volumes_after_partial_close(
    opened_lots: np.ndarray,
    present_lots: np.ndarray,
    share: float,
    min_volume: np.ndarray | float,
    volume_step: np.ndarray | float,
) -> np.ndarray:
    """What the copies' volumes are to be when `share` of the provider's opening volume is left.

    target = opened_lots x share, to the nearest step, measured on the opening volumes, so that a second partial close
    does not add to the rounding of the first. Never more than is open. A target below min volume - step / 2 is closed
    whole; one below min volume is min volume.
    Smallest volume and step: (n,), or one for all.
    units: lots.  shape: (n,)  source: contract, section 8, 38; 4.3 rounding
    """
    exact = opened_lots * min(max(share, 0.0), 1.0)
    steps = np.floor(exact / volume_step + 0.5 + EPSILON)
    target = np.maximum(np.round(steps * volume_step, 8), min_volume)
    is_too_small = exact < (min_volume - 0.5 * volume_step) * (1 - EPSILON)
    volumes: np.ndarray = np.minimum(np.where(is_too_small | (exact <= 0), 0.0, target), present_lots)
    return volumes
