"""Looking back where a backend cannot: whoever mirrors its history decides the signals again, and registers here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from users.models import Connection

Documents = Mapping[str, Mapping[str, dict[str, Any] | None]]
"""Changed documents as a simulation takes them: by collection and id, None for one that goes."""


class NothingToSay(Exception):
    """Nothing can be said of the last days. text: a sentence with the reason, and what would bring it."""

    transient = False

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class LookBack(Protocol):
    """What changed documents would have done to mirrored signals, in the shape of a simulation's answer."""

    def __call__(
        self,
        connection: Connection,
        documents: Documents,
        *,
        accounts: Sequence[str],
        subscriber_id: str = "",
        strategy_id: str = "",
        start: datetime,
        now: datetime,
    ) -> dict[str, Any]:
        """Decide the signals from `start` on for these accounts. Raises NothingToSay."""


_look_back: list[LookBack] = []


def register_look_back(look_back: LookBack) -> None:
    """Say who mirrors the history."""
    _look_back[:] = [look_back]


def mirrored_look_back() -> LookBack | None:
    """Who mirrors the history; None where nobody does."""
    return _look_back[0] if _look_back else None
