"""A line of the ledger as a person would work it out: the formula with its numbers, and each input by name.

Everything comes from the line alone; nothing is recomputed here (`recompute` does that, and a test compares).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Protocol

from reporting.commission.fee_terms import EXTRA_FEES, ExtraFee
from reporting.commission.money import EXACT
from reporting.commission.policy import IN_MONEY, Scheme

THIN = "\u202f"
WORDS = {
    Scheme.LOTS_TRADED: ("lots", "lots opened"),
    Scheme.LOTS_WON: ("lots", "lots closed with a gain"),
    Scheme.AMOUNT_TRADED: ("amount", "traded amount"),
    Scheme.AMOUNT_WON: ("result", "profit"),
}


@dataclass(frozen=True)
class NamedInput:
    """One input by name. at: a moment, for values that are one."""

    label: str
    value: str
    at: datetime | None = None


@dataclass(frozen=True)
class Explanation:
    """What a line is for, how its amount comes about, and what it was made from.

    transaction: the deal it was charged for. since, until: the deals that were measured, where it is about many.
    """

    title: str
    formula: str
    steps: list[NamedInput] = field(default_factory=list)
    transaction: str = ""
    since: datetime | None = None
    until: datetime | None = None


def plain(value: Any, least: int = 0) -> str:
    """A number exactly as it is, without needless zeros; `least` decimals are shown anyway."""
    number = Decimal(value)
    text = f"{number.normalize():,f}"
    whole, _, rest = text.partition(".")
    rest = rest.rstrip("0").ljust(least, "0")
    return (f"{whole}.{rest}" if rest else whole).replace(",", THIN).replace("-", "\u2212")


def money(value: Any) -> str:
    """An amount for the eye: two to six decimals."""
    return plain(Decimal(value).quantize(Decimal("0.000001"), ROUND_HALF_UP), 2)


def percent(rate: Any) -> str:
    """A fraction of one in percent."""
    return f"{plain(Decimal(rate) * 100)}{THIN}%"


class BookedLine(Protocol):
    """What is read of a stored line, or of a draft of one."""

    @property
    def scheme(self) -> str: ...
    @property
    def policy(self) -> dict[str, Any]: ...
    @property
    def inputs(self) -> dict[str, Any]: ...
    @property
    def rate(self) -> Decimal: ...
    @property
    def exact_amount(self) -> Decimal: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...


def explain(line: BookedLine) -> Explanation:
    """The explanation of a stored line (fields of `reporting.models.CommissionLine`)."""
    corrected = line.inputs.get("corrects")
    if corrected is not None:
        return _adjustment(line, corrected)
    if line.scheme in EXTRA_FEES:
        return _with_discount(line, _EXTRA[ExtraFee(line.scheme)](line, line.inputs))
    scheme = Scheme(line.scheme)
    if scheme is Scheme.FLAT_FEE:
        return _with_discount(line, _flat_fee(line, line.inputs))
    if scheme is Scheme.HIGH_WATER_MARK:
        return _with_discount(line, _high_water_mark(line, line.inputs))
    return _with_discount(line, _deal(line, scheme, line.inputs))


def _with_discount(line: BookedLine, explanation: Explanation) -> Explanation:
    """The rate that a line is charged by, as the one that was agreed on less a discount."""
    if "list_rate" not in line.policy:
        return explanation
    lowered = Decimal(line.policy["discount"])
    words = "free: trial time" if lowered == 1 else f"{percent(lowered)} off {_rate_text(line)}"
    return replace(explanation, steps=[*explanation.steps, NamedInput("Discount", words)])


def _rate_text(line: BookedLine) -> str:
    is_amount = line.scheme in IN_MONEY or line.scheme == ExtraFee.JOINING
    rate = line.policy["list_rate"]
    return f"{money(rate)} {line.currency}" if is_amount else percent(rate)


def _equals(line: BookedLine, left: str, exact: Any) -> str:
    rounded = "" if Decimal(exact) == Decimal(line.amount) else f" = {money(exact)}, rounded"
    return f"{left}{rounded} = {money(line.amount)} {line.currency}"


def _deal(line: BookedLine, scheme: Scheme, inputs: dict[str, Any]) -> Explanation:
    name, words = WORDS[scheme]
    quantity = inputs[name]
    if name == "lots":
        left = f"{plain(quantity, 2)} {words} × {money(line.rate)} {line.currency} per lot"
        rate = NamedInput("Rate", f"{money(line.rate)} {line.currency} per lot")
    else:
        left = f"{words} {money(quantity)} {line.currency} × {percent(line.rate)}"
        rate = NamedInput("Rate", percent(line.rate))
    steps = [NamedInput(words.capitalize(), plain(quantity, 2)), rate, NamedInput("Deal", inputs["transaction"])]
    title = "Opened a trade" if scheme in (Scheme.LOTS_TRADED, Scheme.AMOUNT_TRADED) else "Closed a trade with a gain"
    return Explanation(title, _equals(line, left, line.exact_amount), steps, transaction=inputs["transaction"])


def _by_days(line: BookedLine, inputs: dict[str, Any]) -> str:
    """Rate x days of each period that counts, as the client agreed to them."""
    counted = inputs.get("by_period") or [[inputs["days"], inputs["days_of_period"]]]
    return " + ".join(f"{money(line.rate)} {line.currency} × {part} of {length} days" for part, length in counted)


def _flat_fee(line: BookedLine, inputs: dict[str, Any]) -> Explanation:
    days, whole = inputs["days"], inputs["days_of_period"]
    left = _by_days(line, inputs)
    steps = [
        NamedInput("Fee of a whole period", f"{money(line.rate)} {line.currency}"),
        NamedInput("First day", inputs["first_day"]),
        NamedInput("Last day", inputs["last_day"]),
        *[NamedInput("Was there", f"{first} – {last}") for first, last in inputs.get("stretches", ())],
        NamedInput("Days counted", f"{days} of {whole}"),
    ]
    return Explanation("Fee of the period, by days", _equals(line, left, line.exact_amount), steps)


def _high_water_mark(line: BookedLine, inputs: dict[str, Any]) -> Explanation:
    profit_basis = line.policy.get("basis") == "profit"
    measured = "Profit of all copied trades so far" if profit_basis else "Value of the account"
    steps = [
        NamedInput("Copied deals in this span", plain(inputs["deals"])),
        NamedInput("Their result", money(inputs["result"])),
        *[
            NamedInput(
                _flow_label(f),
                money(f["amount"]),
                datetime.fromisoformat(f["at"]),
            )
            for f in inputs["flows"]
        ],
        NamedInput(measured, money(inputs["measured"])),
        NamedInput("Highest value charged before (mark)", money(inputs["mark_before"])),
    ]
    if Decimal(inputs["hurdle"]):
        steps.append(NamedInput(f"Hurdle ({line.policy.get('hurdle')})", money(inputs["hurdle"])))
    steps += [
        NamedInput("Above the mark", money(inputs["chargeable"])),
        NamedInput("Rate", percent(line.rate)),
        NamedInput("New mark", money(inputs["mark_after"])),
    ]
    gap = Decimal(inputs["mark_before"]) - Decimal(inputs["measured"])
    if Decimal(inputs["chargeable"]):
        left = f"{money(inputs['chargeable'])} {line.currency} above the mark × {percent(line.rate)}"
        formula = _equals(line, left, line.exact_amount)
    elif gap > 0:
        formula = f"Nothing: {money(gap)} {line.currency} below the mark"
    elif not inputs.get("is_due", True):
        length = line.policy.get("agreed_period", "period")
        formula = f"Nothing yet: measured at the end of the {length} that was agreed on"
    else:
        formula = "Nothing: no gain above the mark"
    since, until = datetime.fromisoformat(inputs["from"]), datetime.fromisoformat(inputs["at"])
    return Explanation("Profit above the high-water mark", formula, steps, since=since, until=until)


def _flow_label(flow: dict[str, Any]) -> str:
    """A flow is money that moved, or a management fee that has to be earned first."""
    if flow.get("is_cost"):
        return "Management fee, to be earned first"
    return "Deposit" if Decimal(flow["amount"]) > 0 else "Withdrawal"


def _management_fee(line: BookedLine, inputs: dict[str, Any]) -> Explanation:
    days, waiting = inputs["days"], inputs.get("waiting", [])
    with localcontext(EXACT):
        total = sum((max(Decimal(0), Decimal(value)) for _, value in days), Decimal(0))
    left = f"{money(total)} {line.currency} of equity of {_days_text(len(days))} × {percent(line.rate)} / 365"
    steps = [
        NamedInput("Rate a year", percent(line.rate)),
        *[NamedInput(f"Equity on {day}", money(value)) for day, value in days],
        *[NamedInput(f"Equity on {day}", "not known: the day waits") for day in waiting],
    ]
    title = "Management fee of days that were waited for" if inputs.get("late") else "Management fee, by days"
    if waiting:
        title += f" ({_days_text(len(waiting))} waiting)"
    return Explanation(title, _equals(line, left, line.exact_amount), steps)


def _days_text(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def _joining_fee(line: BookedLine, inputs: dict[str, Any]) -> Explanation:
    begun = datetime.fromisoformat(inputs["started_at"])
    steps = [NamedInput("Amount", f"{money(line.rate)} {line.currency}"), NamedInput("Copies since", "", begun)]
    return Explanation("Joining fee, once", _equals(line, "Joining fee", line.exact_amount), steps)


def _minimum(line: BookedLine, inputs: dict[str, Any]) -> Explanation:
    days, whole = inputs["days"], inputs["days_of_period"]
    left = f"{_by_days(line, inputs)} − {money(inputs['fees'])} of other fees"
    steps = [
        NamedInput("Minimum of a whole period", f"{money(line.rate)} {line.currency}"),
        NamedInput("Days counted", f"{days} of {whole}"),
        NamedInput("Other fees of the period", money(inputs["fees"])),
    ]
    return Explanation("What is missing to the minimum", _equals(line, left, line.exact_amount), steps)


def _cap(line: BookedLine, inputs: dict[str, Any]) -> Explanation:
    cap = _by_days(line, inputs) if "by_period" in inputs else f"{money(line.rate)} {line.currency}"
    left = f"{cap} at most − {money(inputs['fees'])} of fees"
    steps = [
        NamedInput("Cap of a period", f"{money(line.rate)} {line.currency}"),
        NamedInput("Fees of the period", money(inputs["fees"])),
    ]
    return Explanation("Above the cap of the period", _equals(line, left, line.exact_amount), steps)


_EXTRA = {
    ExtraFee.MANAGEMENT: _management_fee,
    ExtraFee.JOINING: _joining_fee,
    ExtraFee.MINIMUM: _minimum,
    ExtraFee.CAP: _cap,
}


def _adjustment(line: BookedLine, corrected: dict[str, Any]) -> Explanation:
    booked = Decimal(corrected["booked"])
    owed = Decimal(line.amount) + booked
    formula = f"{money(owed)} owed − {money(booked)} booked before = {money(line.amount)} {line.currency}"
    steps = [
        NamedInput("Booked in the closed period", money(booked)),
        NamedInput("Owed by what is known now", money(owed)),
    ]
    if "period_start" in corrected:
        named = f"line {corrected['line']}" if corrected["line"] else "a deal that was not known"
        steps.insert(0, NamedInput("Corrects", f"{named} in the period from {corrected['period_start'][:10]}"))
    transaction = (corrected.get("inputs") or {}).get("transaction", "")
    if transaction:
        steps.append(NamedInput("Deal", transaction))
    return Explanation("Correction of an earlier period", formula, steps, transaction=transaction)
