"""Simulations: what a changed configuration would have done to recorded signals (docs/copying.md, "Simulations")."""

from .compare import (
    METHOD,
    MOST_SIGNALS,
    Comparison,
    SignalAnswer,
    TooManyDecisions,
    simulate,
)
from .past import Event, Scene, leaves_of, scene_of

__all__ = [
    "METHOD",
    "MOST_SIGNALS",
    "Comparison",
    "Event",
    "Scene",
    "SignalAnswer",
    "TooManyDecisions",
    "leaves_of",
    "scene_of",
    "simulate",
]
