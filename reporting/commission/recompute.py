"""The amount of a stored line, from the line alone: what an account manager or a client does with a calculator."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any, Protocol

from reporting.commission.fee_lines import exact_fee
from reporting.commission.fee_terms import EXTRA_FEES
from reporting.commission.highwater import CashFlow, Mark, crystallise
from reporting.commission.money import EXACT, round_money
from reporting.commission.policy import Scheme, Terms
from reporting.commission.schemes import PERIOD_KEY, fixed_fee


class StoredLine(Protocol):
    """The fields of `reporting.models.CommissionLine` that an amount depends on."""

    key: str
    scheme: str
    policy: dict[str, Any]
    inputs: dict[str, Any]
    rate: Decimal
    currency: str


def recompute(line: StoredLine) -> Decimal:
    """The booked amount of a line in its currency; equals `line.amount` for every line of the ledger."""
    corrected = line.inputs.get("corrects")
    if corrected is None:
        return _booked(line, line.key, line.inputs)
    owed = _booked(line, corrected["key"], corrected["inputs"]) if corrected["inputs"] else Decimal(0)
    return owed - Decimal(corrected["booked"])


def _booked(line: StoredLine, key: str, inputs: dict[str, Any]) -> Decimal:
    with localcontext(EXACT):
        return round_money(_exact(line, key, inputs), line.currency)


def _exact(line: StoredLine, key: str, inputs: dict[str, Any]) -> Decimal:
    if line.scheme in EXTRA_FEES:
        return exact_fee(line.scheme, line.rate, inputs)
    terms = Terms.of_line(line.scheme, line.rate, line.policy)
    if terms.scheme is Scheme.FLAT_FEE:
        return fixed_fee(line.rate, inputs)
    if terms.scheme is Scheme.HIGH_WATER_MARK:
        return crystallise(
            Mark.parse(inputs["before"]),
            Decimal(inputs["measured"]),
            rate=line.rate,
            policy=terms.policy,
            at=datetime.fromisoformat(inputs["at"]),
            flows=[CashFlow.parse(flow) for flow in inputs["flows"]],
            capital=Decimal(inputs["capital"]),
            ends_period=key == PERIOD_KEY,
            is_due=inputs.get("is_due", True),
        ).fee
    quantity = inputs.get("lots") or inputs.get("amount") or inputs["result"]
    return line.rate * Decimal(quantity)
