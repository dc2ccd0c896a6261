"""A decision in one sentence: for staff in the words of copying.engine.reasons, for the client in plainer ones.

Both are made from the recorded reason and numbers, so what an older backend told in other words reads the same.
A reason that is not known here is told in the backend's own words.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from copying.engine.model import Level, Outcome
from copying.engine.reasons import BY_CODE, CODES, NOTES, REASONS, Note, Reason, limit_text, number, sentence
from reporting.models import Decision

# placeholders: limit (the number of the rule, fractions in percent), wanted and rounded (lots), symbol, trades
BECAUSE: dict[Reason, str] = {
    Reason.COPIED: "",
    Reason.MAGIC_FILTER: "the provider does not share trades of this kind",
    Reason.EQUITY_CURVE_FILTER: "the strategy pauses while its own results are below their average",
    Reason.DRAWDOWN_FILTER: "the strategy pauses at its present drawdown",
    Reason.NO_ACCOUNT: "the trading account is not known to the copying service",
    Reason.SYMBOL_FILTER: "{symbol} is not among the symbols that are copied for you",
    Reason.PENDING_ORDERS_SKIPPED: "pending orders are not copied for you",
    Reason.SIDE_NOT_ALLOWED: "{trades} trades are not copied for you",
    Reason.REMOVED: "the subscription is being ended",
    Reason.NOT_OFFERED: "the provider does not offer the strategy to you",
    Reason.CLOSE_ONLY: "no new trades are opened at the moment: copying is close-only",
    Reason.STOPPED_OUT: "a risk limit has stopped new trades",
    Reason.NEWS: "important news was less than {limit} minute{s} away",
    Reason.UNKNOWN_SYMBOL: "your broker does not offer {symbol}",
    Reason.NO_PRICE: "there was no price of {symbol}",
    Reason.NO_EXCHANGE_RATE: "there was no exchange rate for the currency of the account",
    Reason.NO_MONEY: "there is no money left in the account",
    Reason.PROVIDER_WITHOUT_MONEY: "the right volume could not be worked out from the provider's account",
    Reason.NO_STOP_LOSS: "its size depends on a stop loss and the provider's trade had none",
    Reason.EXPRESSION_FAILED: "the formula of the trade size gave no usable number",
    Reason.STOP_LOSS_NEEDED: "the risk of each trade is limited and this one had no stop loss",
    Reason.MAX_TRADE_RISK: "one trade may not risk more than {limit} of the account",
    Reason.MAX_TRADE_VOLUME: "the largest trade of your terms is {limit} lots",
    Reason.CORRELATION: "{limit} lots of the same kind are open already",
    Reason.MAX_LEVERAGE: "the account may not be used beyond a leverage of {limit}",
    Reason.BROKER_MAX_VOLUME: "your broker takes at most {limit} lots at once",
    Reason.MAX_RISK_COEFFICIENT: "the next larger volume that the broker offers would have been too much",
    Reason.TINY_TRADE: "{wanted} lots would have been less than {limit} lots, the smallest trade of your broker",
    Reason.TINY_TRADE_FORCED: "{final} lots is the smallest trade of your broker",
    Reason.RESERVED_MARGIN: "it would have used margin that is kept in reserve",
    Reason.MIN_TRADE_VOLUME: "{rounded} lots would have been less than {limit} lots, the smallest trade of your terms",
    Reason.MIN_TRADE_AMOUNT: "it would have been worth less than {limit}, the smallest amount of your terms",
    Reason.DELAYED: "your terms wait {limit} second{s} before they copy",
    Reason.TOO_LATE: "it could not be placed within {limit} minute{s} of the signal",
    Reason.NOT_ENOUGH_MARGIN: "the free margin of the account was not enough for {rounded} lots",
    Reason.BROKER_REFUSED: "the broker refused the order",
    Reason.OFFLINE: "the account was not connected to its broker",
    Reason.CIRCULAR: "the trade came from this account in the first place",
    Reason.ORPHAN: "the provider's trade had ended and only this copy was left",
    Reason.PROGRAM_FAULT: "a fault of the copying service kept it from your account",
    Reason.INVALID_PRICE: "its price was on the wrong side of the market ({limit})",
    Reason.INVALID_STOPS: "its stop loss or take profit was on the wrong side of the price ({limit})",
    Reason.PRICES_OF_ANOTHER_SYMBOL: "its prices are those of another symbol",
    Reason.NO_PROVIDER_PRICE: "the right volume could not be worked out from the provider's symbol",
}
DONE = {"buy": "bought", "sell": "sold"}


def staff_sentence(decision: Decision | Any) -> str:
    """What happened, which level decided it and with which numbers. decision: a row of the model or of a list."""
    if decision.is_reconstructed and decision.text:
        return str(decision.text)  # it was made here, with what the log says beside it
    reason = BY_CODE.get(decision.reason)
    outcome = Outcome.__members__.get(decision.outcome.upper())
    level = Level.__members__.get(decision.level.upper() or "NONE")
    if reason is None or outcome is None or level is None:
        return decision.text or decision.reason.replace("-", " ").capitalize()
    lots_by_step = (None, None, decision.multiplied_lots, None, decision.rounded_lots, decision.final_lots)
    steps = [math.nan if lots is None else float(lots) for lots in lots_by_step]
    limit = math.nan if decision.limit_value is None else float(decision.limit_value)
    symbol = decision.subscriber_symbol or decision.symbol
    notes = sum(note for note, words in NOTES.items() if words in decision.text)
    return sentence(reason, outcome, level, steps, limit, symbol, decision.symbol, notes)


def setting_of(code: str) -> str:
    """The contract's name of the setting that decided; empty where none did."""
    reason = BY_CODE.get(code)
    about = REASONS.get(reason) if reason is not None else None
    return about.setting if about else ""


def plain_sentence(decision: Decision) -> str:
    """One sentence without jargon: "EURUSD was bought with 0.04 instead of 0.1 lots because ..."."""
    because = _because(decision)
    if because is None:
        return _reconstructed(decision) if decision.is_reconstructed else decision.text
    done = DONE.get(decision.side, "traded")
    symbol = decision.subscriber_symbol or decision.symbol
    if decision.outcome == "copied":
        lost = ", without its take profit" if NOTES[Note.NO_TAKE_PROFIT] in decision.text else ""
        return f"{symbol} was {done} with {_lots(decision.final_lots)} lots{lost}."
    cause = f" because {because}." if because else "."
    if decision.outcome == "resized":
        instead = f"{_lots(decision.final_lots)} instead of {_lots(decision.multiplied_lots)} lots"
        return f"{symbol} was {done} with {instead}{cause}"
    if decision.outcome == "delayed":
        return f"{symbol} is to be {done} a little later{cause}"
    if decision.reason == CODES[Reason.NOT_OFFERED]:
        return "Nothing new is copied: the provider does not offer the strategy to you (any more)."
    if decision.reason == CODES[Reason.ORPHAN]:
        return f"{symbol} was closed{cause}"
    return f"{symbol} {'could not be' if decision.outcome == 'failed' else 'was not'} {done}{cause}"


def _reconstructed(decision: Decision) -> str:
    """What was found where no rule is known to have decided; what the log says is for staff."""
    done = DONE.get(decision.side, "traded")
    symbol = decision.subscriber_symbol or decision.symbol
    if decision.outcome == "copied":
        return f"{symbol} was {done} with {_lots(decision.final_lots)} lots."
    if decision.outcome == "delayed":
        return f"{symbol} is to be {done} when its price is reached; no deal is known yet."
    return f"{symbol} was not {done}. The copying service does not tell you why; your account manager sees its log."


def _because(decision: Decision) -> str | None:
    reason = BY_CODE.get(decision.reason)
    if reason is None:
        return None
    limit = _limit(decision.limit_value, REASONS[reason].unit)
    return BECAUSE[reason].format(
        limit=limit,
        s="" if limit == "1" else "s",
        wanted=_lots(decision.multiplied_lots),
        rounded=_lots(decision.rounded_lots),
        final=_lots(decision.final_lots),
        symbol=decision.symbol,
        trades={"buy": "buy", "sell": "sell"}.get(decision.side, "such"),
    )


def _limit(value: Decimal | None, unit: str) -> str:
    return number(math.nan) if value is None else limit_text(float(value), unit)


def _lots(value: Decimal | None) -> str:
    return number(math.nan) if value is None else number(round(float(value), 4))
