"""Simulations: what a changed configuration would have done to recorded signals (docs/copying.md, "Simulations")."""

from .compare import (
    METHOD,
    MOST_SIGNALS,
    Answer,
    Result,
    TooMuch,
    simulate,
)
from .past import Event, Scene, leaves_of, scene_of

__all__ = [
    "METHOD",
    "MOST_SIGNALS",
    "Answer",
    "Event",
    "Result",
    "Scene",
    "TooMuch",
    "leaves_of",
    "scene_of",
    "simulate",
]
