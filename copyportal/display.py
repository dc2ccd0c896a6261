"""How pages show numbers, times and states: one function per kind of thing, used as filters of the templates.

What goes into markup by way of f-strings is made of digits and words of this module; anything else is escaped.
Every function takes None and answers with an en dash whose title says why the value is unknown. Nothing is computed
here beyond rounding for the eye.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from markupsafe import Markup

from reporting.commission.money import MINOR_DIGITS
from reporting.deals import IN, OUT, entry_of
from subscribers.causes import in_words

THIN_SPACE = "\u202f"
MINUS = "\u2212"
UNKNOWN = Markup('<span class="unknown" title="{}">–</span>')
PAIRED = {"USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK", "SGD", "HKD", "PLN"}
FLAT_FRACTION = Decimal("0.00005")
STORED_DECIMALS = 8


def unknown(reason: str = "Not known yet") -> Markup:
    """The en dash for a value that nobody has measured."""
    return UNKNOWN.format(reason)


def digits_of(currency: str | None) -> int:
    """Decimals of a currency's amounts."""
    return MINOR_DIGITS.get(currency or "", 2)


def plain(value, digits: int) -> str:
    """Rounded half up, thousands set apart by a thin space, a real minus sign."""
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    text = f"{abs(rounded):,.{digits}f}".replace(",", THIN_SPACE)
    return f"{MINUS}{text}" if rounded < 0 else text


def money(value, currency: str | None = None, reason: str = "Not known yet") -> str:
    """An amount with the currency's decimals; the currency itself belongs to the column's head."""
    return unknown(reason) if value is None else plain(value, digits_of(currency))


def money_with_unit(value, currency: str, reason: str = "Not known yet") -> str:
    """An amount and its currency, where there is no column to name it."""
    if value is None:
        return unknown(reason)
    return Markup('{}<span class="unit">{}</span>').format(plain(value, digits_of(currency)), currency)


def result(value, currency: str | None = None, reason: str = "Not known yet") -> Markup:
    """A gain or loss: sign, colour and weight; zero is neutral."""
    return unknown(reason) if value is None else _signed(value, plain(value, digits_of(currency)))


def result_percent(fraction, reason: str = "Not known yet") -> Markup:
    """A gain or loss as a fraction of one, shown in percent."""
    return unknown(reason) if fraction is None else _signed(fraction, percent(fraction))


def _signed(value, text: str) -> Markup:
    amount = Decimal(value)
    is_zero = not any(digit in "123456789" for digit in text)
    kind = "zero" if is_zero else "gain" if amount > 0 else "loss"
    text = text.removeprefix(MINUS) if is_zero else f"+{text}" if amount > 0 else text
    return Markup(f'<span class="result {kind}">{text}</span>')


def percent(fraction, reason: str = "Not known yet") -> str:
    """A fraction of one in percent, at most two decimals."""
    if fraction is None:
        return unknown(reason)
    value = Decimal(str(fraction)) * 100
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{plain(value, digits)}{THIN_SPACE}%"


def lots(value, step=None, reason: str = "Not a trade") -> str:
    """A volume in lots with the decimals of the step; without one: at least two, at most what is stored (8)."""
    if value is None:
        return unknown(reason)
    value = round(value, STORED_DECIMALS)  # sums of binary fractions end in noise
    digits = _decimals(step) if step else max(2, _decimals(value))
    return plain(value, digits)


def price(value, digits: int | None = None, reason: str = "No price") -> str:
    """A price with the symbol's digits; without them: as many as are stored."""
    if value is None:
        return unknown(reason)
    return plain(value, _decimals(value) if digits is None else digits)


def quote(value, symbol: str = "", reason: str = "No price") -> str:
    """A price with as many digits as its pair of currencies is quoted with, so that columns align; others as stored."""
    usual = 3 if symbol[3:6] == "JPY" else 5
    is_pair = symbol[:3] in PAIRED and symbol[3:6] in PAIRED
    return price(value, max(usual, _decimals(value)) if is_pair and value is not None else None, reason)


def _decimals(value) -> int:
    exponent = Decimal(str(value)).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def number(value, reason: str = "Not known yet") -> str:
    """A count of things."""
    return unknown(reason) if value is None else plain(value, 0)


def ratio(value, reason: str = "The provider's volume is not known") -> str:
    """A copy's volume by the provider's: "× 0.5"."""
    if value is None:
        return unknown(reason)
    value = round(Decimal(value), 4)
    return f"\N{MULTIPLICATION SIGN}{THIN_SPACE}{plain(value, max(1, _decimals(value)))}"


def basis_points(value, reason: str = "The provider's price is not known, or of another symbol") -> Markup | str:
    """Slippage: more than nothing is worse than the provider's price."""
    if value is None:
        return unknown(reason)
    return f"{plain(round(Decimal(value), 1), 1)}{THIN_SPACE}bp"


def milliseconds(value, reason: str = "Not measured") -> str:
    """A duration in milliseconds with its unit."""
    if value is None:
        return unknown(reason)
    return f"{plain(value, 0 if abs(value) >= 10 else 1)}{THIN_SPACE}ms"


def count_text(count) -> str:
    """The number of rows of a list, saying when it is an estimate."""
    return plain(count.rows, 0) if count.is_exact else f"about {plain(count.rows, 0)}"


def file_size(size: float | None) -> str:
    """About so many bytes, in the unit that reads best."""
    return unknown("The database has not measured its tables yet.") if size is None else filesizeformat(size)


OTHER_SIDE = {"Buy": "sell", "Sell": "buy"}
DEAL_TYPES = {
    "DEAL_TYPE_BUY": "Buy",
    "DEAL_TYPE_SELL": "Sell",
    "DEAL_TYPE_BALANCE": "Balance",
    "DEAL_TYPE_CREDIT": "Credit",
    "DEAL_TYPE_COMMISSION": "Commission",
}


def deal_type(value: str, deal_id: str = "") -> str:
    """A deal's type in words; one we do not know in its own.

    With its id what it did to the position: a deal of type buy that closes reads "Close sell".
    """
    words = DEAL_TYPES.get(value) or value.removeprefix("DEAL_TYPE_").replace("_", " ").capitalize()
    if words not in OTHER_SIDE:
        return words
    return {IN: f"Open {words.lower()}", OUT: f"Close {OTHER_SIDE[words]}"}.get(entry_of(deal_id), words)


NEGATIVE = re.compile(r"(?<![\w.:/\-\u2212])-(?=\d)")
VOLUME = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(?=(?: (?:instead of|to|→) \d+(?:\.\d+)?)? lots?\b)")
PRICE = re.compile(r"(?<= at )(\d+(?:\.\d+)?)(?![\w%])")
RESULT = re.compile(r"(?<=net result )-?\d+\.\d\d(?![\w.]| [A-Z]{3}\b)")
AMOUNT = re.compile(r"(?<![\w.])(\d{4,}(?:\.\d+)?|\d+\.\d\d)(?= [A-Z]{3}\b)")


def prose(text: str, symbol: str = "", currency: str | None = "") -> str:
    """A sentence of the backend as pages write numbers: codes in words, lots and prices with their digits, real minus.

    symbol: what a price in it is of; currency: of the account that a result in it belongs to, empty where unknown.
    Files keep the backend's own text.
    """
    text = VOLUME.sub(lambda match: lots(Decimal(match[1])), in_words(text))
    if symbol:
        text = PRICE.sub(lambda match: str(quote(Decimal(match[1]), symbol)), text)
    if currency:
        text = RESULT.sub(lambda match: f"{match[0]} {currency}", text)
    text = AMOUNT.sub(lambda match: plain(match[1], digits_of(text[match.end() + 1 : match.end() + 4])), text)
    return NEGATIVE.sub(MINUS, text)


def words(value: str) -> str:
    """A code of the backend as words: day-balance-difference -> Day balance difference."""
    return value.replace("-", " ").replace("_", " ").capitalize()


# --- Time -----------------------------------------------------------------------------------------------------------
def _time(value: datetime, text: str, kind: str) -> Markup:
    exact = value.astimezone(UTC).isoformat(sep=" ", timespec="seconds")[:19]
    stamp = exact.replace(" ", "T")
    return Markup(f'<time datetime="{stamp}+00:00" title="{exact} UTC" data-{kind}>{text}</time>')


def moment(value: datetime | None, reason: str = "Never") -> Markup:
    """A point in time in the reader's zone, UTC on hover."""
    if value is None:
        return unknown(reason)
    return _time(value, timezone.localtime(value).isoformat(sep=" ", timespec="seconds")[:19], "moment")


def from_seconds(value: float) -> datetime:
    """Seconds since 1970 as a moment."""
    return datetime.fromtimestamp(value, tz=UTC)


def day(value: date | datetime | None, reason: str = "Never") -> str:
    """A calendar day."""
    if value is None:
        return unknown(reason)
    return (timezone.localtime(value) if isinstance(value, datetime) else value).strftime("%Y-%m-%d")


def ago(value: datetime | None, now: datetime | None = None, reason: str = "Never") -> Markup:
    """How long ago (or in how long), exact UTC on hover; scripts keep it current."""
    if value is None:
        return unknown(reason)
    seconds = ((now or timezone.now()) - value).total_seconds()
    return _time(value, relative(seconds), "ago")


def behind(value: datetime | None, now: datetime | None = None, reason: str = "Never complete yet") -> Markup:
    """How far something that is complete until `value` is behind now, exact UTC on hover."""
    if value is None:
        return unknown(reason)
    seconds = max(0.0, ((now or timezone.now()) - value).total_seconds())
    return _time(
        value, f"{int(seconds)}{THIN_SPACE}s" if seconds < 5 else relative(seconds).removesuffix(" ago"), "behind"
    )


def relative(seconds: float) -> str:
    """Seconds in words of one unit: "just now", "3 min ago", "in 2 h"."""
    span = abs(seconds)
    if span < 5:
        return "just now"
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if span >= length:
            text = f"{int(span // length)}{THIN_SPACE}{unit}"
            return f"{text} ago" if seconds > 0 else f"in {text}"
    return "just now"


# --- Pictures -------------------------------------------------------------------------------------------------------
def sparkline(values: Sequence, label: str = "Course") -> Markup:
    """A line without axes, coloured by whether it ends above its start; needs at least two values."""
    known = [float(value) for value in values if value is not None]
    if len(known) < 2:
        return unknown("Too few measurements")
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    step = 100 / (len(known) - 1)
    points = " ".join(f"{n * step:.1f},{26 - (value - low) / span * 24:.1f}" for n, value in enumerate(known))
    kind = "gain" if known[-1] > known[0] else "loss" if known[-1] < known[0] else "zero"
    return Markup(
        '<svg class="sparkline {}" viewBox="0 0 100 28" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<polyline points="{}" /></svg>'
    ).format(kind, f"{label}: from {known[0]:,.2f} to {known[-1]:,.2f}", points)


def heat(value, full) -> str:
    """The class of a heat-map cell: five steps each way, `full` (same unit) being the strongest."""
    if value is None:
        return "heat-none"
    share = Decimal(value) / Decimal(full) if full else Decimal(0)
    if abs(share) < FLAT_FRACTION:
        return "heat-0"
    step = min(5, int(abs(share) * 5) + 1)
    return f"heat-{'gain' if share > 0 else 'loss'}-{step}"


FILTERS = {
    "money": money,
    "money_with_unit": money_with_unit,
    "result": result,
    "result_percent": result_percent,
    "percent": percent,
    "lots": lots,
    "price": price,
    "quote": quote,
    "number": number,
    "ratio": ratio,
    "basis_points": basis_points,
    "decimal": Decimal,
    "milliseconds": milliseconds,
    "count_text": count_text,
    "file_size": file_size,
    "deal_type": deal_type,
    "words": words,
    "in_words": prose,
    "from_seconds": from_seconds,
    "moment": moment,
    "day": day,
    "ago": ago,
    "behind": behind,
    "sparkline": sparkline,
}
GLOBALS = {"unknown": unknown, "heat": heat}
