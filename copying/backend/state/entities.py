"""The things the book holds that are few enough to be objects; what there are many of are tables (tables.py).

Everything here is plain and serialisable. Times are UTC seconds since the epoch, money is in the account's currency.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from .commands import Removable

NEVER = math.inf
FAR_FUTURE = 4_102_444_800.0  # 2100-01-01: `stoppedTill` of what never ends by itself

COPIES_STOP_LOSS = 1
COPIES_TAKE_PROFIT = 2


class StoredStrategy(msgspec.Struct):
    """A strategy or portfolio with what only the backend sets."""

    id: str
    tenant: str
    is_portfolio: bool
    document: dict[str, Any]
    created_at: float
    removal_mode: str = ""
    remove_after: float = NEVER
    members_removed: dict[str, str] = {}  # member strategy id -> mode

    @property
    def name(self) -> str:
        return self.document.get("name", "")

    @property
    def takes_signals(self) -> bool:
        """Not while it is being removed, unless symbols that are open are still copied (contract, 2.1)."""
        return self.removal_mode in ("", "close-gracefully-by-symbol")


class StoredSubscriber(msgspec.Struct):
    """An account that copies."""

    id: str
    tenant: str
    document: dict[str, Any]
    created_at: float
    removal_mode: str = ""
    remove_after: float = NEVER
    subscriptions_removed: dict[str, str] = {}  # strategy id -> mode

    @property
    def name(self) -> str:
        return self.document.get("name", "")


class StoredWebhook(msgspec.Struct):
    id: str
    tenant: str
    strategy_id: str
    document: dict[str, Any]
    created_at: float


Deployment = Literal["DRAFT", "DEPLOYING", "DEPLOYED", "UNDEPLOYING", "UNDEPLOYED"]


class AccountMeta(msgspec.Struct):
    """What an account is besides its numbers. A deleted one keeps its row, without a tenant: nobody's.

    settings: as the provisioning API shows them, where they are not as of every paper account. verifier: of the
    password. state_ends: when "DEPLOYING" and "UNDEPLOYING" are over. links: digests of configuration links and when
    they expire.
    """

    id: str
    tenant: str
    name: str
    demo: bool
    robot: str
    created_at: float
    settings: dict[str, Any] = {}
    login: str = ""
    verifier: str = ""
    state: Deployment = "DEPLOYED"
    state_ends: float = NEVER
    links: dict[str, float] = {}


class OpenSignal(msgspec.Struct):
    """An open wish of a provider. `ticket`: the provider's position or order, 0 for external signals.

    accounts: rows of the accounts on which its trade stands already, the provider's first. Of a signal that is itself
    a copy (signals/relays.py): source: Signal.row of what was copied, subscription: by which subscription, strategies:
    those it came through.
    """

    row: int
    id: str
    strategy_id: str
    symbol: str
    side: int
    kind: int
    volume: float
    open_volume: float
    price: float
    time: float
    stop_loss: float | None = None
    take_profit: float | None = None
    magic: int = 0
    ticket: int = 0
    update_time: float = 0.0
    age_s: float = 0.0  # how long it had been on its way when it was published
    document: dict[str, Any] = {}  # of an external signal, as it was put
    accounts: list[int] = []
    source: int = -1
    subscription: int = -1
    strategies: list[str] = []


Event = Literal["close", "levels", "cancel", "provider-closed", "provider-filled", "reconnected", "release"]


class Missed(msgspec.Struct):
    """What an account without connection could not be told about a copy; carried out when it is back.

    what: "close" (volume_lots of the position), "levels", "cancel"; of a provider's own trade "provider-closed",
    "provider-filled" (order: what it was before); "reconnected" of an account that was left out meanwhile; "release":
    what closes in part leave is the owner's, because what it was a copy for was removed.
    """

    account: int
    ticket: int
    what: Event
    cause: str = ""
    volume_lots: float = 0.0
    price: float = 0.0
    stop_loss: float | None = None
    take_profit: float | None = None
    order: int = 0  # snapshots of earlier versions have it as `cause`


class KeptAnswer(msgspec.Struct):
    """What a request with a key was answered (core/idempotency.py). answer: JSON."""

    time: float
    digest: bytes
    status: int
    answer: Any = None


class CalendarEvent(msgspec.Struct):
    """An event of a tenant's economic calendar."""

    time: float
    currency: str
    priority: str
    is_breaking: bool = False
    title: str = ""


class ActiveStopout(msgspec.Struct):
    """A limit that fired and has not ended."""

    tenant: str
    number: int
    account: int
    subscription: int
    level: int
    reason: str
    description: str
    closes: bool
    stopped_at: float
    stopped_till: float
    scope: int = -1


class Removal(msgspec.Struct):
    """Something that is being wound down: dropped when its last copied position is gone, or at `remove_after`."""

    what: Removable
    id: str
    part: str
    mode: str
    remove_after: float
