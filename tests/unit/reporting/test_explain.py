"""Every kind of line explains its amount with its own numbers."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from reporting.commission.explain import explain, money, plain

HIGH_WATER = {
    "from": "2026-05-01T00:00:00+00:00",
    "at": "2026-06-01T00:00:00+00:00",
    "result": "500",
    "deals": 7,
    "flows": [],
    "capital": "0",
    "measured": "700",
    "mark_before": "200",
    "hurdle": "0",
    "chargeable": "500",
    "mark_after": "700",
}


def line(scheme, inputs, *, rate="0.2", exact="10.01", amount="10.01", policy=None):
    return SimpleNamespace(
        scheme=scheme,
        inputs=inputs,
        rate=Decimal(rate),
        exact_amount=Decimal(exact),
        amount=Decimal(amount),
        currency="USD",
        policy=policy or {"basis": "profit"},
    )


@pytest.mark.parametrize(
    ("given", "formula"),
    [
        (line("amount-won", {"transaction": "1", "result": "50.05"}), "profit 50.05 USD × 20\u202f% = 10.01 USD"),
        (
            line("lots-traded", {"transaction": "1", "lots": "0.1"}, rate="3.5", exact="0.35", amount="0.35"),
            "0.10 lots opened × 3.50 USD per lot = 0.35 USD",
        ),
        (
            line(
                "flat-fee",
                {"days": 22, "days_of_period": 30, "first_day": "2026-06-09", "last_day": "2026-06-30"},
                rate="49",
                exact="35.933333333333",
                amount="35.93",
            ),
            "49.00 USD × 22 of 30 days = 35.933333, rounded = 35.93 USD",
        ),
        (
            line("high-water-mark", HIGH_WATER, exact="100", amount="100"),
            "500.00 USD above the mark × 20\u202f% = 100.00 USD",
        ),
        (
            line("high-water-mark", HIGH_WATER | {"measured": "150", "chargeable": "0"}, exact="0", amount="0"),
            "Nothing: 50.00 USD below the mark",
        ),
        (
            line("amount-won", {"corrects": {"booked": "4", "inputs": {"transaction": "9"}}}, amount="10"),
            "14.00 owed − 4.00 booked before = 10.00 USD",
        ),
    ],
)
def test_the_formula_has_the_lines_numbers(given, formula):
    assert explain(given).formula == formula


def test_a_deal_and_the_days_of_a_span_lead_to_transactions():
    assert explain(line("amount-won", {"transaction": "7:close", "result": "1"})).transaction == "7:close"
    span = explain(line("high-water-mark", HIGH_WATER))
    assert (span.since.month, span.until.month) == (5, 6)


@pytest.mark.parametrize(
    ("value", "text"), [("1000.50", "1\u202f000.5"), ("-3", "\u22123"), ("0", "0"), ("100", "100")]
)
def test_numbers_are_exact_and_without_needless_zeros(value, text):
    assert plain(value) == text


def test_money_has_at_least_two_decimals():
    assert (money("3"), money("3.12345678"), money("-1000")) == ("3.00", "3.123457", "\u22121\u202f000.00")
