"""The table of all copy settings: what a person calls each, what it does, on which levels it may stand.

The names of inputs are the paths in the document (`tradeSizeScaling.mode`, `riskLimits.0.type`), so whoever names a
parameter, our validation or a backend's 400, names the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from copying.engine.model import Level
from editing.terms import BASES, BILLED, CLOSE_ONLY, PERIODS, SCHEMES
from editing.widgets import (
    Flag,
    Ids,
    Listed,
    LongText,
    Moment,
    Number,
    OneOf,
    Percent,
    Secret,
    Several,
    Sides,
    Widget,
    listed,
)

S, M, P, B, U = Level.STRATEGY, Level.MEMBER, Level.PORTFOLIO, Level.SUBSCRIPTION, Level.SUBSCRIBER
SHARES = ("amount-traded", "amount-won", "high-water-mark")
RATE = "commissionRate"


@dataclass(frozen=True)
class Part:
    """One input of a setting. name: its field in the setting's object, "" where the value is the setting itself.

    is_rare: an older spelling, offered only where a document has it.
    """

    name: str
    label: str
    widget: Widget
    help: str = ""
    is_rare: bool = False

    def widget_beside(self, value_of: Any) -> Widget:
        """The widget for a value among its neighbours (value_of: wire name -> value): a share is edited in percent."""
        if self.name == RATE:
            return Percent() if value_of("type") in SHARES else Number()
        return self.widget


@dataclass(frozen=True)
class Field:
    """A setting. key: its dotted path; parts: its inputs; is_rows: a list of such; fixed: what the wire has besides.

    holds: the label under which editing.terms says what holds in the end.
    """

    key: str
    label: str
    help: str
    group: str
    levels: tuple[Level, ...]
    parts: tuple[Part, ...]
    is_rows: bool = False
    fixed: tuple[tuple[str, Any], ...] = ()
    holds: str = ""
    is_required: bool = False

    @property
    def is_object(self) -> bool:
        return self.parts[0].name != ""

    def words(self, value: Any) -> str:
        """What the setting says, in one line per row."""
        if value is None:
            return ""
        if not self.is_rows:
            return self._row_words(value)
        rows = value if isinstance(value, list) else [value]
        return ("\n" if self.is_object else ", ").join(self._row_words(row) for row in rows)

    def _row_words(self, value: Any) -> str:
        if not self.is_object:
            return self.parts[0].widget.words(value)
        if not isinstance(value, dict):
            return str(value)
        shown = [(part, part.widget_beside(value.get).words(value.get(part.name))) for part in self.parts]
        return listed(f"{part.label.lower()} {words}" if part.label else words for part, words in shown if words)


def _one(key: str, label: str, help: str, group: str, levels: tuple, widget: Widget, **more: Any) -> Field:
    return Field(key, label, help, group, levels, (Part("", label, widget),), **more)


def _rows(key: str, label: str, help: str, group: str, levels: tuple, widget: Widget, **more: Any) -> Field:
    return Field(key, label, help, group, levels, (Part("", label, widget),), is_rows=True, **more)


def _choices(words: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((key, f"{label[:1].upper()}{label[1:]}") for key, label in words.items())


BASICS, SIZE, COPIED, SYMBOLS, PROTECTION, NEWS, TIMING, PROVIDER, COMMISSION, PUBLISHING = (
    "Basics",
    "Trade size",
    "What is copied",
    "Symbols",
    "Protection",
    "News",
    "Timing",
    "Filters on the provider",
    "Commission",
    "Publishing",
)
GROUPS = (BASICS, SIZE, COPIED, SYMBOLS, PROTECTION, NEWS, TIMING, PROVIDER, COMMISSION, PUBLISHING)
SHARED, COMMON = (S, M, P, B), (S, M, P, B, U)
LOTS, MINUTES, SECONDS, ACCOUNT_MONEY = Number("lots"), Number("min"), Number("s"), Number("in account currency")
MODES = {
    "none": "The provider's volume as it is",
    "contractSize": "The provider's volume, contract sizes made equal",
    "balance": "In proportion to the balances",
    "equity": "In proportion to the equities",
    "fixedVolume": "Always the same volume",
    "fixedRisk": "A share of the balance at risk per trade",
    "expression": "By a formula",
}
PRIORITIES = (("high", "High"), ("medium", "Medium"), ("low", "Low"))
FOLLOWING = "openPositionFollowingTimeGapInMinutes"

FIELDS: tuple[Field, ...] = (
    # --- Basics
    _one("name", "Name", "What people read everywhere.", BASICS, (S, P, U), Widget(), is_required=True),
    _one("description", "Description", "A longer text for whoever chooses.", BASICS, (S, P), LongText(),
         is_required=True),
    _one("accountId", "Provider's account", "The id of the trading account whose trades are the signals.", BASICS, (S,),
         Widget(), is_required=True),
    _one("multiplier", "Ratio", "Multiplies the volume that the trade size gives: 2 doubles it, 0.5 halves it. Not set"
         " means 1.", BASICS, (M, B), Number("×"), holds="Ratio"),
    _one("closeOnly", "Close-only", "Open positions stay managed, new ones are not opened: a pause. “At once” closes"
         " everything now.", BASICS, (B, U), OneOf(_choices({k: v for k, v in CLOSE_ONLY.items() if k})),
         holds="New trades"),
    _rows("phoneNumbers", "Telephone numbers", "Who gets a text message from the backend.", BASICS, (U,), Widget()),
    Field("offer", "Offered to others", "Who may copy it besides you. Not set: nobody. Whoever copies it sees every"
          " trade of it.", BASICS, (S, P), (
              Part("to", "To", OneOf((("nobody", "Nobody"), ("everybody", "Every user of this backend"),
                                       ("tenants", "Only the users named below")))),
              Part("tenants", "Users", Ids(), "Their ids at the backend, with commas between them."),
          )),
    # --- Trade size
    Field("tradeSizeScaling", "Trade size", "How the volume follows the provider's, before the ratio and the limits.",
          SIZE, SHARED, (
              Part("mode", "Method", OneOf(_choices(MODES))),
              Part("tradeVolume", "Volume", LOTS, "For “always the same volume”."),
              Part("riskFraction", "Share of the balance", Percent(), "For “a share of the balance at risk”."),
              Part("expression", "Formula", LongText(), "For “by a formula”, such as providerVolume * balance /"
                   " providerBalance."),
              Part("forceTinyTrades", "Smallest volume instead of none", Flag(), "When the volume would be below the"
                   " smallest the broker takes."),
              Part("maxRiskCoefficient", "At most so many times the wanted risk", Number("×"), "Bounds what rounding"
                   " up may do. Not set means 5."),
          ), holds="Trade size"),
    _one("minTradeVolume", "Smallest trade", "Smaller copies are skipped.", SIZE, COMMON, LOTS, holds="Smallest trade"),
    _one("maxTradeVolume", "Largest trade", "Larger copies are cut to it.", SIZE, COMMON, LOTS, holds="Largest trade"),
    _one("maxTradeRisk", "Risk per trade", "A copy may lose at most this share of the balance at its stop loss; without"
         " a stop one is placed.", SIZE, SHARED, Percent(), holds="Risk per trade"),
    _one("maxLeverage", "Leverage", "All positions together may use at most this leverage.", SIZE, COMMON,
         Number(": 1"), holds="Leverage"),
    _one("minTradeAmount", "Smallest value of a trade", "Copies worth less are skipped.", SIZE, (U,), ACCOUNT_MONEY,
         holds="Smallest amount"),
    _one("reservedMarginFraction", "Reserved margin", "So many times the balance stays free of margin; usually more"
         " than 1.", SIZE, (U,), Number("× balance"), holds="Margin kept back"),
    # --- What is copied
    _one("reverse", "Reversed", "Buys become sells and the other way round. Two reversals on the way undo each other.",
         COPIED, SHARED, Flag(), holds="Direction"),
    _one("allowedSides", "Sides", "What may be opened; every level must allow it.", COPIED, COMMON, Sides(),
         holds="Sides"),
    _one("skipPendingOrders", "Skip pending orders", "Only positions are copied, orders are not.", COPIED, SHARED,
         Flag(), holds="Pending orders"),
    _one("copyStopLoss", "Copy stop loss", "Whether the provider's stop is placed at the account.", COPIED, COMMON,
         Flag(), holds="Stop loss"),
    _one("copyTakeProfit", "Copy take profit", "Whether the provider's target is placed at the account.", COPIED,
         COMMON, Flag(), holds="Take profit"),
    _one("reduceCorrelations", "Opposite positions", "Whether a copy that only offsets other positions is made"
         " smaller.", COPIED, SHARED, OneOf((("by-strategy", "Reduced within a strategy"),
                                              ("by-account", "Reduced within the account"),
                                              ("by-symbol", "Reduced within a symbol"))),
         holds="Opposite positions"),
    # --- Symbols
    _rows("symbolFilter.included", "Only these symbols", "Everything else is skipped. None: all symbols.", SYMBOLS,
          SHARED, Widget(), holds="Symbols"),
    _rows("symbolFilter.excluded", "Never these symbols", "Skipped whatever else allows them.", SYMBOLS, SHARED,
          Widget(), holds="Symbols"),
    Field("symbolMapping", "Symbols under another name", "Renames symbols where brokers call them differently; the"
          " filters of this level see the name before.", SYMBOLS, SHARED,
          (Part("from", "From", Widget()), Part("to", "To", Widget())), is_rows=True, holds="Symbols"),
    # --- Protection
    Field("riskLimits", "Risk limits", "When the loss of a period reaches a limit, nothing new is opened until the"
          " period ends or somebody resumes.", PROTECTION, COMMON, (
              Part("type", "Period", OneOf(_choices(PERIODS))),
              Part("applyTo", "Measured as", OneOf(_choices(BASES))),
              Part("maxAbsoluteRisk", "Amount", ACCOUNT_MONEY),
              Part("maxRelativeRisk", "Share", Percent()),
              Part("closePositions", "Close open positions", Flag()),
              Part("startTime", "Counts from", Moment(), "UTC"),
          ), is_rows=True, holds="Risk limit"),
    Field("maxStopLoss", "Widest stop", "A stop further away is moved to this distance.", PROTECTION, SHARED,
          (Part("value", "Distance", Number("pips")),), fixed=(("units", "pips"),), holds="Stop distance"),
    # --- News
    Field("newsFilter.calendarNewsFilter", "Calendar news", "Nothing is opened around news of the economic calendar"
          " that concerns the symbol.", NEWS, SHARED, (
              Part("priorities", "For news of", Several((("election", "Elections"), *PRIORITIES))),
              Part("openPositionPrecedingTimeGapInMinutes", "Nothing new before", MINUTES, "Not set means 120."),
              Part(FOLLOWING, "Nothing new after", MINUTES, "Not set means 60."),
              Part("closePositionTimeGapInMinutes", "Close positions before", MINUTES, "Not set: they stay open."),
          ), holds="News"),
    Field("newsFilter.breakingNewsFilter", "Breaking news", "Nothing is opened after breaking news that concerns the"
          " symbol.", NEWS, SHARED, (
              Part("priorities", "For news of", Several(PRIORITIES)),
              Part(FOLLOWING, "Nothing new after", MINUTES, "Not set means 60."),
              Part("closePositionTimeGapInMinutes", "Close positions after", MINUTES, "Not set: they stay open."),
          ), holds="News"),
    # --- Timing
    Field("signalDelay", "Delay", "Every copy waits; two different figures give a random wait between them.", TIMING,
          COMMON, (Part("minInSeconds", "At least", SECONDS), Part("maxInSeconds", "At most", SECONDS)),
          holds="Delay"),
    Field("timeSettings", "Life of a signal", "How long a signal may still be opened and a copy may live.", TIMING,
          (S,), (
              Part("openingIntervalInMinutes", "Opened within", MINUTES, "Not set means 1."),
              Part("lifetimeInHours", "Positions live at most", Number("h"), "Not set means 2160: 90 days."),
              Part("expirePendingOrderSignals", "The same window for pending orders", Flag()),
          )),
    _rows("symbolsTraded", "Symbols kept ready", "Prepared at the accounts, so that the first trade is fast.", TIMING,
          (S,), Widget()),
    # --- Filters on the provider
    _rows("magicFilter.included", "Only these expert ids", "A number such as 1000 or a range such as 1010-1019.",
          PROVIDER, (S,), Widget()),
    _rows("magicFilter.excluded", "Never these expert ids", "A number or a range.", PROVIDER, (S,), Widget()),
    Field("equityCurveFilter", "Equity curve", "Opens only while the provider's equity is above its average.", PROVIDER,
          (S,), (Part("period", "Average over", Number("bars")),
                 Part("timeframe", "Length of a bar", Widget(), "Such as 30m, 2h or 1d."))),
    Field("drawdownFilter", "Drawdown", "Opens only below or above a drawdown of the provider.", PROVIDER, (S,), (
        Part("action", "Opens", OneOf((("exclude", "Only below it"), ("include", "Only above it")))),
        Part("maxRelativeDrawdown", "Drawdown", Percent()),
        Part("maxDrawdown", "Drawdown, as older clients write it", Percent(), is_rare=True),
        Part("maxAbsoluteDrawdown", "Amount", Number("of the provider's currency")),
    )),
    # --- Commission
    Field("commissionScheme", "Commission", "What subscribers pay. Shares are in percent, a fee per period or per lot"
          " is an amount in the currency of each account.", COMMISSION, (S, P), (
              Part("type", "Scheme", OneOf(_choices(SCHEMES))),
              Part("billingPeriod", "Settled", OneOf(_choices(BILLED))),
              Part(RATE, "Rate", Number(), "20 is 20 % of a share, or 20 in money of a fee."),
          )),
    # --- Publishing
    Field("telegram.publishing", "Telegram", "Signals are published by a bot.", PUBLISHING, (S,), (
        Part("chatId", "Chat", Widget(), "@name of a public channel, or an id."),
        Part("token", "Token of the bot", Secret(), "Never shown again. Empty: it stays as it is."),
        Part("template", "Text", LongText(), "Placeholders such as ${description}, ${symbol} and ${volume}."),
    )),
)  # fmt: skip


def parts_field(key: str, label: str, help: str, level: Level, strategies: list[tuple[str, str]]) -> Field:
    """The parts of something new as rows: which strategies, with which ratio. strategies: (id, name)."""
    parts = Part("strategyId", "Strategy", Listed(tuple(strategies))), Part("multiplier", "Ratio", Number("×"))
    return Field(key, label, help, BASICS, (level,), parts, is_rows=True)


def fields_of(level: Level) -> list[Field]:
    """The settings that may stand on a level, in the order of the table."""
    return [field for field in FIELDS if level in field.levels]


def value_at(document: Any, key: str) -> Any:
    """The value at a dotted path; None where there is none."""
    for name in key.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document
