"""What a value must be beyond its type: ranges, formats, fields that need each other (contract, 3 and 8).

One function per struct. It is given the values that were of the right type, by attribute name, and yields
(parameter, value, message) for each problem; the parameter is relative to the object. Rules of a base struct hold for
everything built on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from . import accounts, documents, settings
from .texts import ONE_LINE, is_one_line

Values = dict[str, Any]
Problem = tuple[str, Any, str]
Rule = Callable[[Values], Iterable[Problem]]

ID = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")  # as in addresses, so that whatever can be made can be referred to
_MAGIC = re.compile(r"(-?[0-9]{1,19})(?:-(-?[0-9]{1,19}))?")
_TIMEFRAME = re.compile(r"[1-9][0-9]{0,5}[smhdw]")
_CURRENCY = re.compile(r"[A-Z]{3}")
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_TENANTS = 200
HEDGING = "ACCOUNT_MARGIN_MODE_RETAIL_HEDGING"
_LONGEST_NAME = 200
_LONGEST_SYMBOL = 64
_SEPARATORS = ",;|"  # several symbols in one text would never match anything


# ---------------------------------------------------------------------------------------------------- small pieces


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _not_negative(values: Values, *names: str) -> Iterator[Problem]:
    for name in names:
        if name in values and values[name] < 0:
            yield _camel(name), values[name], "must not be negative"


def _positive(values: Values, *names: str) -> Iterator[Problem]:
    for name in names:
        if name in values and values[name] <= 0:
            yield _camel(name), values[name], "must be greater than 0"


def _fraction(values: Values, *names: str) -> Iterator[Problem]:
    for name in names:
        if name in values and not 0 <= values[name] <= 1:
            yield _camel(name), values[name], "must be a fraction between 0 and 1"


def _is_id(values: Values, *names: str) -> Iterator[Problem]:
    for name in names:
        if name in values and not values[name]:
            yield _camel(name), values[name], "is required: an id of 1 to 64 letters, digits, _, -, ., : and +"
        elif name in values and not ID.fullmatch(values[name]):
            yield _camel(name), values[name], "must be an id of 1 to 64 letters, digits, _, -, ., : and +"


def _is_name(values: Values, *names: str) -> Iterator[Problem]:
    for name in names:
        if name in values and not values[name].strip():
            yield _camel(name), values[name], "must not be empty"
        elif name in values and len(values[name]) > _LONGEST_NAME:
            yield _camel(name), values[name], f"must have at most {_LONGEST_NAME} characters"
        elif name in values and not is_one_line(values[name]):
            yield _camel(name), values[name], ONE_LINE


def _symbols(name: str, symbols: list[str] | None) -> Iterator[Problem]:
    for index, symbol in enumerate(symbols or ()):
        yield from _symbol(f"{name}.{index}", symbol)


def _symbol(parameter: str, symbol: str) -> Iterator[Problem]:
    if not symbol.strip() or len(symbol) > _LONGEST_SYMBOL:
        yield parameter, symbol, f"must be a symbol of 1 to {_LONGEST_SYMBOL} characters"
    elif any(separator in symbol for separator in _SEPARATORS):
        yield parameter, symbol, "must be one symbol: several stand in a list, each as a text of its own"
    elif not symbol.isprintable():  # two symbols could differ by what is not seen
        yield parameter, symbol, "must be a symbol without control characters, line breaks and invisible characters"


def _repeated(parameter: str, elements: list[Any] | None, attribute: str) -> Iterator[Problem]:
    seen = set()
    for index, element in enumerate(elements or ()):
        key = getattr(element, attribute)
        if key in seen:
            yield f"{parameter}.{index}.{_camel(attribute.rstrip('_'))}", key, "appears more than once"
        seen.add(key)


# ------------------------------------------------------------------------------------------------ the copy settings


def account_settings(values: Values) -> Iterator[Problem]:
    """Volumes in lots, leverage as a ratio: none negative, the smallest not above the largest."""
    yield from _not_negative(values, "max_leverage", "min_trade_volume", "max_trade_volume")
    lowest, highest = values.get("min_trade_volume"), values.get("max_trade_volume")
    if lowest is not None and highest is not None and lowest > highest:
        yield "minTradeVolume", lowest, "must not be above maxTradeVolume"


def copy_settings(values: Values) -> Iterator[Problem]:
    """max_trade_risk is a fraction of balance; a symbol is renamed once per level."""
    yield from _fraction(values, "max_trade_risk")
    yield from _repeated("symbolMapping", values.get("symbol_mapping"), "from_")


def symbol_mapping(values: Values) -> Iterator[Problem]:
    """Both ends must be symbols."""
    for name in ("from_", "to"):
        if name in values:
            yield from _symbol(name.rstrip("_"), values[name])


def symbol_filter(values: Values) -> Iterator[Problem]:
    """Lists of symbols."""
    yield from _symbols("included", values.get("included"))
    yield from _symbols("excluded", values.get("excluded"))


def magic_filter(values: Values) -> Iterator[Problem]:
    """Each element a number or a range, the lower end first."""
    for name in ("included", "excluded"):
        for index, text in enumerate(values.get(name, ())):
            match = _MAGIC.fullmatch(text)
            if not match:
                yield f"{name}.{index}", text, 'must be a number such as "1000" or a range such as "1010-1019"'
            elif match[2] and int(match[1]) > int(match[2]):
                yield f"{name}.{index}", text, "must be a range whose lower end comes first"


def news_gaps(values: Values) -> Iterator[Problem]:
    """Gaps in minutes."""
    yield from _not_negative(values, *(name for name in values if name.endswith("_minutes")))


def risk_limit(values: Values) -> Iterator[Problem]:
    """Absolute in account currency, relative a fraction of 1; without either it could never fire."""
    yield from _not_negative(values, "max_absolute_risk")
    yield from _fraction(values, "max_relative_risk")
    if "max_absolute_risk" not in values and "max_relative_risk" not in values:
        yield "", None, "needs maxAbsoluteRisk or maxRelativeRisk"


def max_stop_loss(values: Values) -> Iterator[Problem]:
    """A distance in pips."""
    yield from _positive(values, "value")


def trade_size_scaling(values: Values) -> Iterator[Problem]:
    """Three modes need a value of their own; the coefficient is at least 1."""
    needed = {"fixedVolume": "trade_volume", "fixedRisk": "risk_fraction", "expression": "expression"}
    name = needed.get(values.get("mode", ""))
    if name is not None and values.get(name) in (None, ""):
        yield _camel(name), values.get(name), f"is required by mode {values['mode']}"
    yield from _positive(values, "trade_volume", "risk_fraction")
    if values.get("risk_fraction", 0) > 1:
        yield "riskFraction", values["risk_fraction"], "must be a fraction between 0 and 1"
    if values.get("max_risk_coefficient", 1) < 1:
        yield "maxRiskCoefficient", values["max_risk_coefficient"], "must be at least 1"


def signal_delay(values: Values) -> Iterator[Problem]:
    """Seconds, the lower bound first."""
    yield from _not_negative(values, "min_in_seconds", "max_in_seconds")
    shortest, longest = values.get("min_in_seconds"), values.get("max_in_seconds")
    if shortest is not None and longest is not None and shortest > longest:
        yield "minInSeconds", shortest, "must not be above maxInSeconds"


# ------------------------------------------------------------------------------------------ configuration objects


def strategy(values: Values) -> Iterator[Problem]:
    """The settings only a strategy has."""
    yield from _is_name(values, "name")
    yield from _is_id(values, "account_id")
    yield from _symbols("symbolsTraded", values.get("symbols_traded"))


def offer(values: Values) -> Iterator[Problem]:
    """Tenants are named exactly where it is offered to tenants, each once (beyond the contract)."""
    tenants = values.get("tenants") or []
    if values.get("to") == "tenants" and not tenants:
        yield "tenants", None, "is required: name whom it is offered to, or offer it to nobody"
    if tenants and "to" in values and values["to"] != "tenants":
        yield "tenants", tenants, 'may only be given with "to": "tenants"'
    if len(tenants) > _MOST_TENANTS:
        yield "tenants", len(tenants), f"may name at most {_MOST_TENANTS}"
    for index, tenant in enumerate(tenants):
        if not _TENANT.fullmatch(tenant):
            yield f"tenants.{index}", tenant, "must be a user's id of 1 to 64 letters, digits, _ and -"
        elif tenant in tenants[:index]:
            yield f"tenants.{index}", tenant, "appears more than once"


def time_settings(values: Values) -> Iterator[Problem]:
    """Hours and minutes."""
    yield from _positive(values, "lifetime_in_hours")
    yield from _not_negative(values, "opening_interval_in_minutes")


def commission_scheme(values: Values) -> Iterator[Problem]:
    """A fee per period or lot is an amount; the others are shares of 1 (3.9)."""
    if values.get("type") in ("amount-traded", "amount-won", "high-water-mark"):
        yield from _fraction(values, "commission_rate")
    else:
        yield from _not_negative(values, "commission_rate")


def equity_curve_filter(values: Values) -> Iterator[Problem]:
    """At least one period of a timeframe."""
    if values.get("period", 1) < 1:
        yield "period", values["period"], "must be at least 1"
    if "timeframe" in values and not _TIMEFRAME.fullmatch(values["timeframe"]):
        yield "timeframe", values["timeframe"], "must be a positive integer and one of s, m, h, d, w, such as 2h"


def drawdown_filter(values: Values) -> Iterator[Problem]:
    """Relative ones are fractions; a filter without a level is a mistake."""
    yield from _fraction(values, "max_drawdown", "max_relative_drawdown")
    yield from _not_negative(values, "max_absolute_drawdown")
    if not values.keys() & {"max_drawdown", "max_relative_drawdown", "max_absolute_drawdown"}:
        yield "", None, "needs maxRelativeDrawdown or maxAbsoluteDrawdown"


def portfolio(values: Values) -> Iterator[Problem]:
    """Named, each member once."""
    yield from _is_name(values, "name")
    yield from _repeated("members", values.get("members"), "strategy_id")


def part(values: Values) -> Iterator[Problem]:
    """A member or subscription: what is copied, and with which weight."""
    yield from _is_id(values, "strategy_id")
    yield from _positive(values, "multiplier")


def subscriber(values: Values) -> Iterator[Problem]:
    """Named, each strategy once; reserve as a multiple of balance, smallest trade in account currency."""
    yield from _is_name(values, "name")
    yield from _repeated("subscriptions", values.get("subscriptions"), "strategy_id")
    yield from _not_negative(values, "reserved_margin_fraction", "min_trade_amount")
    for index, number in enumerate(values.get("phone_numbers", ())):
        if not number.strip() or len(number) > 40:
            yield f"phoneNumbers.{index}", number, "must be a phone number"


# --------------------------------------------------------------------------------------------- signals, webhooks, E4


def webhook(values: Values) -> Iterator[Problem]:
    """A symbol is renamed once; the guard against repeats lasts a day at most, 0 is none."""
    if not 0 <= values.get("ignore_repeats_in_seconds", 0) <= 86_400:
        yield "ignoreRepeatsInSeconds", values["ignore_repeats_in_seconds"], "must be between 0 and 86400"
    yield from _repeated("symbolMapping", values.get("symbol_mapping"), "from_")


def signal(values: Values) -> Iterator[Problem]:
    """Volume in lots; a pending order needs its price; 0 as a stop or target means none."""
    if "symbol" in values:
        yield from _symbol("symbol", values["symbol"])
    yield from _positive(values, "volume")
    yield from _not_negative(values, "stop_loss", "take_profit", "open_price")
    if values.get("type", "").startswith("ORDER_TYPE") and not values.get("open_price"):
        yield "openPrice", values.get("open_price"), "is required by a pending order"


def trade(values: Values) -> Iterator[Problem]:
    """Each action needs its own fields."""
    if values.get("symbol"):
        yield from _symbol("symbol", values["symbol"])
    action = values.get("action_type", "")
    needed: tuple[str, ...] = {
        "POSITION_MODIFY": ("position_id",),
        "POSITION_PARTIAL": ("position_id", "volume"),
        "POSITION_CLOSE_ID": ("position_id",),
        "POSITIONS_CLOSE_SYMBOL": ("symbol",),
        "ORDER_MODIFY": ("order_id",),
        "ORDER_CANCEL": ("order_id",),
    }.get(action, ("symbol", "volume") if action else ())
    if action.endswith(("_LIMIT", "_STOP")):
        needed += ("open_price",)
    for name in needed:
        if values.get(name) in (None, ""):
            yield _camel(name), values.get(name), f"is required by {action}"
    yield from _positive(values, "volume")
    yield from _not_negative(values, "open_price", "stop_loss", "take_profit")


def account(values: Values) -> Iterator[Problem]:
    """A paper account: three letters of currency, leverage as a ratio."""
    yield from _is_name(values, "name")
    yield from _positive(values, "leverage")
    yield from _not_negative(values, "deposit")
    if values.get("margin_mode", HEDGING) != HEDGING:
        yield "marginMode", values["margin_mode"], f"must be {HEDGING}: netting is not offered"
    if "currency" in values and not _CURRENCY.fullmatch(values["currency"]):
        yield "currency", values["currency"], "must be a currency code such as USD"


def deposit(values: Values) -> Iterator[Problem]:
    """Money moves or it does not."""
    if values.get("amount") == 0:
        yield "amount", 0, "must not be 0"
    if not is_one_line(values.get("comment", "")):
        yield "comment", values.get("comment"), ONE_LINE


RULES: dict[type, tuple[Rule, ...]] = {
    settings.AccountSettings: (account_settings,),
    settings.CopySettings: (copy_settings,),
    settings.SymbolMapping: (symbol_mapping,),
    settings.SymbolFilter: (symbol_filter,),
    settings.MagicFilter: (magic_filter,),
    settings.BreakingNewsFilter: (news_gaps,),
    settings.CalendarNewsFilter: (news_gaps,),
    settings.RiskLimit: (risk_limit,),
    settings.MaxStopLoss: (max_stop_loss,),
    settings.TradeSizeScaling: (trade_size_scaling,),
    settings.SignalDelay: (signal_delay,),
    settings.TimeSettings: (time_settings,),
    settings.CommissionScheme: (commission_scheme,),
    settings.EquityCurveFilter: (equity_curve_filter,),
    settings.DrawdownFilter: (drawdown_filter,),
    documents.Offer: (offer,),
    documents.StrategyUpdate: (strategy,),
    documents.PortfolioUpdate: (portfolio,),
    documents.PortfolioMemberUpdate: (part,),
    documents.SubscriptionUpdate: (part,),
    documents.SubscriberUpdate: (subscriber,),
    documents.WebhookUpdate: (webhook,),
    documents.WebhookSignal: (signal,),
    accounts.TradeRequest: (trade,),
    accounts.AccountUpdate: (account,),
    accounts.DepositRequest: (deposit,),
}


def _numbers_as_texts(elements: Any) -> Any:
    if not isinstance(elements, list):
        return elements
    return [
        str(element) if isinstance(element, int) and not isinstance(element, bool) else element for element in elements
    ]


def _without_ends(text: Any) -> Any:
    """White space and line breaks around a symbol come from spreadsheets and alerts, and mean nothing."""
    return text.strip() if isinstance(text, str) else text


def _each_without_ends(elements: Any) -> Any:
    return [_without_ends(element) for element in elements] if isinstance(elements, list) else elements


# Other spellings that clients use, brought into the documented one before the walk. For everything built on the struct.
ALIASES: dict[type, dict[str, Callable[[Any], Any]]] = {
    settings.MagicFilter: {"included": _numbers_as_texts, "excluded": _numbers_as_texts},
    settings.SymbolFilter: {"included": _each_without_ends, "excluded": _each_without_ends},
    settings.SymbolMapping: {"from": _without_ends, "to": _without_ends},
    documents.StrategyUpdate: {"symbolsTraded": _each_without_ends},
    documents.WebhookSignal: {"symbol": _without_ends},
    accounts.TradeRequest: {"symbol": _without_ends},
}
