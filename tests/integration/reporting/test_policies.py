"""High-water-mark policies in the ledger: account value, withdrawals, hurdles and the ends of subscriptions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reporting.commission.moved_money import fees_among
from tests.firm import D, Fund, at

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("snapshots", "rate", "fees"),
    [
        ([(50_000, 50_000), (60_000, 50_000), (58_000, 50_000), (63_000, 50_000)], 0.2, [2000, 0, 600]),
        ([(50_000, 50_000), (60_000, 50_000), (60_000, 50_000), (60_000.5, 50_000)], 0.2, [2000, 0, D("0.1")]),
        ([(50_000, 50_000), (60_000, 60_000), (58_000, 60_000), (63_000, 60_000)], 0.2, [0, 0, 600]),
        ([(50_000, 50_000), (45_000, 45_000), (44_000, 45_000), (46_000, 45_000)], 0.2, [0, 0, 200]),
    ],
)
def test_account_value_at_the_ends_of_months(snapshots, rate, fees):
    fund = Fund(rate, basis="equity")
    for month, (value, deposits) in enumerate(snapshots, 1):
        fund.worth(at(month, 1, 0) - timedelta(minutes=month > 1), value, deposits)
    assert fund.fees(at(4, 1, 1))[:3] == fees


@pytest.mark.parametrize("way", ["net deposits", "balance deals"])
@pytest.mark.parametrize(("withdrawal", "new_mark"), [("absolute", "net"), ("proportional", "net")])
def test_fees_that_are_taken_from_the_account(way, withdrawal, new_mark):
    fund = Fund(0.25, basis="equity", withdrawal=withdrawal, new_mark=new_mark)
    told = [
        (at(1, 1, 0), 100_000, 100_000),
        (at(1, 31, 23), 108_000, 100_000),
        (at(2, 2), 106_000, 98_000),
        (at(2, 28), 111_000, 98_000),
        (at(3, 2), 109_750, 96_750),
        (at(3, 31), 109_000, 96_750),
        (at(4, 30), 112_000, 96_750),
    ]
    before = 100_000
    for moment, value, deposits in told:
        if way == "net deposits":
            fund.worth(moment, value, deposits)
        elif deposits != before:
            fund.move(moment, deposits - before)
            fund.worth(moment + timedelta(seconds=1), value)
        else:
            fund.worth(moment, value)
        before = deposits
    assert fund.fees(at(5, 1, 1))[:4] == [2000, 1250, 0, D("562.50")]


@pytest.mark.parametrize(
    ("before", "after", "withdrawal", "marks"),
    [
        ((8000, 10_000), (4000, 6000), "proportional", 5000),
        ((8000, 10_000), (4000, 6000), "absolute", 6000),
        ((8000, 10_000), (8000, 10_000), "proportional", 10_000),
        ((8000, 10_000), (7999, 9999), "proportional", D("9998.75")),
        ((8000, 10_000), (0, 2000), "proportional", 0),
        ((8000, 10_000), (12_000, 14_000), "proportional", 14_000),
    ],
)
@pytest.mark.parametrize("way", ["at the flow", "after it", "balance deal"])
def test_withdrawals_are_measured_before_they_happen(before, after, withdrawal, marks, way):
    fund = Fund(0.2, basis="equity", withdrawal=withdrawal)
    flow = after[1] - before[1]
    fund.worth(at(1, 1, 0), before[1], None if way == "balance deal" else before[1])
    fund.worth(at(1, 20), before[0], None if way == "balance deal" else before[1])
    if way == "balance deal" and flow:
        fund.move(at(2, 5), flow)
        fund.worth(at(2, 5), after[0])  # as a backend records it: with the balance after it
    else:
        fund.worth(at(2, 5), after[0], after[1])
    if way == "after it":
        fund.worth(at(2, 6), after[0], after[1])
    fees = fund.fees(at(3, 1, 1))
    line = fund.lines.filter(period_start=at(2, 1, 0)).get()
    assert D(line.inputs["mark_before"]) == marks
    assert fees[:2] == [0, 0]


@pytest.mark.parametrize("way", ["snapshot", "deal"])
@pytest.mark.parametrize(("withdrawal", "fee"), [("proportional", "138.89"), ("absolute", "125.00")])
def test_the_published_withdrawal_below_the_mark(way, withdrawal, fee):
    fund = Fund(0.25, basis="equity", withdrawal=withdrawal)
    deposits = (lambda value: value) if way == "snapshot" else (lambda value: None)
    fund.worth(at(1, 1, 0), 5000, deposits(5000))
    fund.worth(at(1, 30), 4500, deposits(5000))
    if way == "deal":
        fund.move(at(2, 5), -500)
    fund.worth(at(2, 5), 4000, deposits(4500))
    fund.worth(at(2, 20), 5000, deposits(4500))
    assert fund.fees(at(3, 1, 1))[:2] == [0, D(fee)]


@pytest.mark.parametrize("basis", ["profit", "equity"])
@pytest.mark.parametrize(
    ("flows", "fees"),
    [
        ([], [0]),
        ([(15, -5000)], [200, 0]),
        ([(15, 5000)], [0]),
        ([(5, -1000)], [0, 0]),
        ([(15, -1000), (25, -500)], [200, 0, 0]),
    ],
)
def test_a_fee_that_is_due_before_each_withdrawal(basis, flows, fees):
    """+1,000 on the 10th, -1,000 on the 20th; flows on some days at noon."""
    fund = Fund(0.2, basis=basis, crystallised="withdrawal")
    value, deposits = D(20_000), D(20_000)
    fund.worth(at(1, 1, 0), value, deposits)
    steps = [(at(1, 10), 1000, 0), (at(1, 20), -1000, 0), *((at(1, day, 12), 0, amount) for day, amount in flows)]
    for moment, result, flow in sorted(steps):
        value, deposits = value + result + flow, deposits + flow
        if result:
            fund.deal(moment, result)
        fund.worth(moment, value, deposits)
    assert fund.fees(at(2, 1, 1))[: len(fees)] == fees


@pytest.mark.parametrize("basis", ["profit", "equity"])
@pytest.mark.parametrize(("last", "fee"), [("-800", 40), ("-1000", 0), ("800", 360)])
def test_a_fee_that_is_due_when_the_subscription_ends_has_its_last_deal(basis, last, fee):
    fund = Fund(0.2, basis=basis, crystallised="subscription-end")
    fund.worth(at(1, 1, 0), 10_000, 10_000)
    fund.deal(at(1, 10), "1000")
    fund.worth(at(1, 10), 11_000, 10_000)
    fund.accrue(at(1, 11))
    fund.deal(at(1, 12), last)
    fund.worth(at(1, 12), 11_000 + int(last), 10_000)
    fund.subscriber.subscriptions.update(is_removed=True)
    fund.accrue(at(1, 12))
    assert fund.fees(at(2, 1, 1))[0] == fee


def test_money_that_moves_between_the_last_snapshot_and_an_edge_is_no_result():
    fund = Fund(0.2, basis="equity", start=at(1, 10))
    fund.worth(at(1, 5), 10_000)
    fund.move(at(1, 7), 10_000)  # before the subscription, after the snapshot
    fund.worth(at(1, 20), 20_100)
    fund.move(at(1, 30), -5000)  # after the last snapshot of the month
    fund.worth(at(2, 2), 15_100)
    fund.worth(at(2, 27), 15_200)
    fund.move(at(3, 1, 0), -100)  # at midnight: of the new month
    fund.worth(at(3, 1, 0), 15_100)
    fund.worth(at(3, 20), 15_150)
    assert fund.fees(at(4, 1, 1))[:3] == [20, 20, 10]


@pytest.mark.parametrize("kind", ["DEAL_TYPE_BONUS", "DEAL_TYPE_CORRECTION"])
@pytest.mark.parametrize("amount", [500, -500])
def test_what_a_broker_books_is_nobodys_profit(kind, amount):
    fund = Fund(0.2, basis="equity")
    fund.worth(at(1, 1, 0), 10_000)
    fund.move(at(1, 10), amount, kind)
    fund.worth(at(1, 20), 10_100 + amount)
    assert fund.fees(at(2, 1, 1))[0] == 20


@pytest.mark.parametrize(("floating", "fee"), [("realised", 20), ("realised-and-floating", 40)])
def test_a_credit_is_a_part_of_the_equity_and_nobodys_profit(floating, fee):
    fund = Fund(0.2, basis="equity", floating=floating)
    fund.worth(at(1, 1, 0), 10_000, 10_000)
    fund.move(at(1, 10), 500, "DEAL_TYPE_CREDIT")
    fund.worth(at(1, 20), 10_100, 10_000, equity=10_700)
    assert fund.fees(at(2, 1, 1))[0] == fee


def test_a_reset_of_a_negative_balance_must_be_earned_back():
    fund = Fund(0.2, basis="equity")
    fund.worth(at(1, 1, 0), 1000)
    fund.worth(at(1, 10), -500)
    fund.move(at(1, 11), 500, "DEAL_TYPE_CORRECTION")
    fund.worth(at(1, 12), 0)
    fund.worth(at(2, 10), 1400)
    assert fund.fees(at(3, 1, 1))[:2] == [0, 0]


@pytest.mark.parametrize(
    ("payments", "paid"),
    [
        ([], []),
        ([(2, 100)], [2]),
        ([(9, 100)], [2]),
        ([(10, 100)], []),
        ([(2, 99)], []),
        ([(2, 100), (3, 100)], [2, 20]),
        ([(20, 100)], [20]),
        ([(13, 100)], [20]),
    ],
)
def test_a_withdrawal_is_a_payment_of_the_same_amount_within_a_week(payments, paid):
    flows = [(at(1, 2), D(-100)), (at(1, 5), D(100)), (at(1, 20), D(-100))]
    if len(payments) == 2:
        payments = [payments[0], (20, 100)]
    times = fees_among(flows, [(at(1, day).date(), D(amount)) for day, amount in payments])
    assert times == {at(1, day) for day in paid}
