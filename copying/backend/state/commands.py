"""What can be asked of the backend's core, as msgspec structs: the API makes them, the journal stores them.

A command is checked against the state, journalled and applied as one step by the single writer (core/writer.py).
`tenant` is the caller's user id. Documents are the contract's, already validated.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec


class Command(msgspec.Struct, tag_field="kind", frozen=True, kw_only=True):
    """Base of all commands."""

    tenant: str


class PutStrategy(Command, tag="put-strategy", frozen=True, kw_only=True):
    """Create or replace a strategy (contract, C4). names_stopout_risk: a setting that is not known any more."""

    strategy_id: str
    document: dict[str, Any]
    names_stopout_risk: bool = False


class PutPortfolio(Command, tag="put-portfolio", frozen=True, kw_only=True):
    """Create or replace a portfolio strategy (C8)."""

    strategy_id: str
    document: dict[str, Any]
    names_stopout_risk: bool = False


class PutSubscriber(Command, tag="put-subscriber", frozen=True, kw_only=True):
    """Create or replace a subscriber (C13)."""

    subscriber_id: str
    document: dict[str, Any]
    names_stopout_risk: bool = False


Removable = Literal["strategy", "portfolio", "member", "subscriber", "subscription"]


class Remove(Command, tag="remove", frozen=True, kw_only=True):
    """Remove a strategy, portfolio, member, subscriber or subscription (C5, C9, C10, C14, C15).

    what: "strategy" | "portfolio" | "member" | "subscriber" | "subscription"; `id` is the owner, `part` the member or
    subscribed strategy.
    """

    what: Removable
    id: str
    part: str = ""
    mode: str = "close-immediately"
    remove_after: datetime | None = None


class PutWebhook(Command, tag="put-webhook", frozen=True, kw_only=True):
    """Create (C17) or change (C18) a webhook."""

    strategy_id: str
    webhook_id: str
    document: dict[str, Any]


class RemoveWebhook(Command, tag="remove-webhook", frozen=True, kw_only=True):
    """C19."""

    strategy_id: str
    webhook_id: str


class PutSignal(Command, tag="put-signal", frozen=True, kw_only=True):
    """Create or change an external signal (S3, S5). posted: through a webhook."""

    strategy_id: str
    signal_id: str
    document: dict[str, Any]
    posted: bool = False


class RemoveSignal(Command, tag="remove-signal", frozen=True, kw_only=True):
    """Close an external signal (S4)."""

    strategy_id: str
    signal_id: str
    time: datetime


class ResetStopouts(Command, tag="reset-stopouts", frozen=True, kw_only=True):
    """T3 (strategy_id given) or T4 (empty)."""

    subscriber_id: str
    strategy_id: str = ""
    reason: str


class Resynchronise(Command, tag="resynchronise", frozen=True, kw_only=True):
    """T1. Empty lists: everything."""

    subscriber_id: str
    strategy_ids: list[str] = []
    position_ids: list[str] = []


class OpenAccount(Command, tag="open-account", frozen=True, kw_only=True):
    """Open or re-configure a paper account (beyond the contract; docs/copying.md)."""

    account_id: str
    name: str
    currency: str = "USD"
    leverage: float = 100
    deposit: float = 10_000
    demo: bool = True
    robot: str = ""


class CreateAccount(Command, tag="create-account", frozen=True, kw_only=True):
    """Open a paper account as the provisioning API does (account APIs, P5). The id is the server's.

    settings: what the API shows of it besides its numbers. verifier: of the password; "": none was said. draft: it
    waits for login and password.
    """

    account_id: str
    name: str
    currency: str
    leverage: float
    deposit: float
    demo: bool
    settings: dict[str, Any]
    login: str = ""
    verifier: str = ""
    draft: bool = False


class ConfigureAccount(Command, tag="configure-account", frozen=True, kw_only=True):
    """Change what the provisioning API says of an account (P6, P11 to P15, and what is typed behind a link).

    settings: what changes. name, login, verifier: "" stays. link: the digest of the configuration link that was used.
    """

    account_id: str
    settings: dict[str, Any] = {}
    name: str = ""
    login: str = ""
    verifier: str = ""
    link: str = ""


class MakeConfigurationLink(Command, tag="make-configuration-link", frozen=True, kw_only=True):
    """P16. digest: of the link's secret, which is not journalled. expires_at: UTC seconds."""

    account_id: str
    digest: str
    expires_at: float


class SetDeployment(Command, tag="set-deployment", frozen=True, kw_only=True):
    """P8 to P10."""

    account_id: str
    action: Literal["deploy", "undeploy", "redeploy"]


class DeleteAccount(Command, tag="delete-account", frozen=True, kw_only=True):
    """P7."""

    account_id: str


class Deposit(Command, tag="deposit", frozen=True, kw_only=True):
    """Pay money in (positive) or out (negative) of a paper account, in its currency."""

    account_id: str
    amount: float
    comment: str = ""


class Trade(Command, tag="trade", frozen=True, kw_only=True):
    """Trade on a paper account by hand, in the vocabulary of the vendor's trade call (action_type)."""

    account_id: str
    action_type: str
    symbol: str = ""
    volume_lots: float | None = None
    price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    position_id: str = ""
    order_id: str = ""
    magic: int = 0


class PutNews(Command, tag="put-news", frozen=True, kw_only=True):
    """Replace the caller's economic calendar. events: {time, currency, priority, breaking?, title?}, times in ISO."""

    events: list[dict[str, Any]]


class AddNews(Command, tag="add-news", frozen=True, kw_only=True):
    """Add events to the caller's economic calendar, as a feed hears of them. events: as PutNews."""

    events: list[dict[str, Any]]


class SetConnection(Command, tag="set-connection", frozen=True, kw_only=True):
    """An account lost its connection to the broker, or has it again: what a broker's own program reports."""

    account_id: str
    is_connected: bool


class AddNote(Command, tag="note", frozen=True, kw_only=True):
    """A line for the log of a strategy, from something that happened beside the book. severity as in the log."""

    strategy_id: str
    severity: int
    message: str


class SetBrokerClock(Command, tag="set-broker-clock", frozen=True, kw_only=True):
    """The broker's clock, hours ahead of UTC: by it the periods of equity-difference limits begin (contract, 4.5)."""

    offset_hours: float


class SetRules(Command, tag="set-rules", frozen=True, kw_only=True):
    """From here on entries go by the rules of this version (settings/rules.py): journalled at its first start.

    secret: of the ids from here on (numbers.py).
    """

    version: int
    secret: bytes = b""


class ReserveStrategyId(Command, tag="reserve-strategy-id", frozen=True, kw_only=True):
    """C1: an id is handed out; only whoever it was handed to may make a strategy or portfolio of it."""

    strategy_id: str


class FindOrphans(Command, tag="find-orphans", frozen=True, kw_only=True):
    """Close what lost its signal or its provider's position: asked at a start that finds some."""


class Tick(Command, tag="tick", frozen=True, kw_only=True):
    """Time or prices moved in a way that has effects: orders fill, stops hit, limits fire, periods roll, delays end.

    snapshots: also write down balance and equity of every account (hourly; daily in accelerated time).
    """

    snapshots: bool = False


NEWEST_RULES = 5
"""The newest set of rules, by which every new entry is carried out. A rule that would change what an entry does that
is in somebody's journal already gets the next number, and asks `book.rules` for it.

1: prices on the wrong side of the market and of another symbol are refused (levels.py, copying.engine.levels),
   and a copy under maxStopLoss keeps a stop when the provider takes its own off (signals/levels.py).
2: a risk limit that is reached to the cent fires whatever floating point makes of the last digit, and an account is
   stopped out at a margin level of exactly 50 % as well (risk/limits.py, core/ticks.py); what closes in part leave of a
   copy for something that was removed while its account was away is the owner's (signals/removal.py); a close near
   news waits for every account that is away, also for copies without a lifetime (signals/news_closing.py).
3: instruments are those of the table (copying/symbols), before it twelve pairs; volumes go by their smallest
   and step (state/book.py).
4: nothing is opened on an account that does not run, a login stays one account's also when its server changes, and
   with one configuration link all of its account are used up (state/trading_accounts.py).
5: half a cent of an amount above a hundred thousand is rounded away from zero, too (state/valuation.py).
"""


class Once(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The key that came with a request, and what its caller is told if the command itself answers nothing.

    caller: the tenant, or the address of a webhook: keys of different callers are different. digest: of the request.
    """

    caller: str
    key: str
    digest: bytes
    status: int = 204
    answer: Any = None


AnyCommand = (
    PutStrategy
    | PutPortfolio
    | PutSubscriber
    | Remove
    | PutWebhook
    | RemoveWebhook
    | PutSignal
    | RemoveSignal
    | ResetStopouts
    | Resynchronise
    | OpenAccount
    | CreateAccount
    | ConfigureAccount
    | MakeConfigurationLink
    | SetDeployment
    | DeleteAccount
    | Deposit
    | Trade
    | PutNews
    | AddNews
    | SetConnection
    | AddNote
    | SetBrokerClock
    | SetRules
    | ReserveStrategyId
    | FindOrphans
    | Tick
)


class CommandEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One journal entry: `quotes` are those that changed since the entry before (symbol -> bid, ask).

    received: the wall clock at its receipt where that is not `time`, because the journal was ahead of the clock.
    faulty: accounts that it was found to fail for; left_out: those that such an entry failed for shortly before. It is
    carried out without both (core/faults.py).
    rules: those of `NEWEST_RULES` that it was carried out by first, and is for ever; 0 in entries from before.
    once: the key of its request, if there was one (core/idempotency.py).
    """

    time: float
    received: float | None = None
    rules: int = 0
    quotes: dict[str, tuple[float, float]]
    command: AnyCommand
    faulty: list[str] = []
    left_out: list[str] = []
    once: Once | None = None
