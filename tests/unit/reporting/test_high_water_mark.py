"""The published cases of high-water marks, and what must hold for any history."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting.commission.highwater import CashFlow, Mark, apply_cash_flow, crystallise
from reporting.commission.policy import Basis, Hurdle, NewMark, Policy, Withdrawal

START = datetime(2026, 1, 1, tzinfo=UTC)
D = Decimal
ZERO = D(0)


def month_end(number: int) -> datetime:
    return START + timedelta(days=30 * number)


def fees_of(results, *, rate, policy, start=ZERO):
    """Fees when `results` are made period by period and every fee is withdrawn at once, as the account records it."""
    mark, value, fees, flows = Mark(start, START), start, [], []
    for number, result in enumerate(map(D, results), 1):
        value += result
        step = crystallise(mark, value, rate=D(rate), policy=policy, at=month_end(number), flows=flows)
        mark, flows = step.after, []
        if policy.basis is Basis.EQUITY:
            flows = [CashFlow(month_end(number), -step.fee, value)]
            value -= step.fee
        fees.append(step.fee)
    return fees


@pytest.mark.parametrize(("new_mark", "fees"), [(NewMark.GROSS, [600, 0, 150, 450]), (NewMark.NET, [600, 0, 330, 495])])
def test_equity_basis_agrees_with_the_example_of_ctrader(new_mark, fees):
    # month ends 12 000, 11 000, 12 500, 14 000 after the gross fees were withdrawn are these trading results
    results = [2000, -400, 1500, 1650]
    policy = Policy(basis=Basis.EQUITY, new_mark=new_mark)
    assert fees_of(results, rate="0.3", policy=policy, start=D(10_000)) == fees


@pytest.mark.parametrize(("new_mark", "fees"), [(NewMark.GROSS, [600, 0, 150, 450]), (NewMark.NET, [600, 0, 330, 495])])
def test_profit_basis_with_a_gross_mark_earns_the_fee_back_first(new_mark, fees):
    results = [2000, -400, 1500, 1650]
    expected = fees if new_mark is NewMark.GROSS else [600, 0, D("330"), 495]
    assert fees_of(results, rate="0.3", policy=Policy(new_mark=new_mark)) == expected


def test_losses_are_forgotten_after_two_periods_as_at_interactive_brokers():
    results = [0, -100, 20, -10, 10, 10, 50, -40, 50, 10, -150, 10, 10, 10]
    billable = [0, 0, 0, 0, 0, 10, 50, 0, 10, 10, 0, 0, 0, 10]
    assert fees_of(results, rate=1, policy=Policy(loss_memory_periods=2)) == billable


@pytest.mark.parametrize(
    ("withdrawal", "mark_left", "chargeable", "fee"),
    [(Withdrawal.PROPORTIONAL, "4444.44", "555.56", "138.89"), (Withdrawal.ABSOLUTE, "4500.00", "500.00", "125.00")],
)
def test_a_withdrawal_below_the_mark_lowers_it(withdrawal, mark_left, chargeable, fee):
    policy = Policy(basis=Basis.EQUITY, withdrawal=withdrawal)
    flow = CashFlow(month_end(1), D(-500), D(4500))
    assert round(apply_cash_flow(Mark(D(5000), START), flow, policy).value, 2) == D(mark_left)
    step = crystallise(Mark(D(5000), START), D(5000), rate=D("0.25"), policy=policy, at=month_end(1), flows=[flow])
    assert (round(step.chargeable, 2), round(step.fee, 2)) == (D(chargeable), D(fee))


def test_a_withdrawal_after_a_booked_loss_scales_the_loss_too():
    policy = Policy(basis=Basis.EQUITY, withdrawal=Withdrawal.PROPORTIONAL)
    below = crystallise(Mark(D(5000), START), D(4500), rate=D("0.25"), policy=policy, at=month_end(1)).after
    mark = apply_cash_flow(below, CashFlow(month_end(1), D(-500), D(4500)), policy)
    assert (below.value, round(mark.value, 2), round(mark.level, 2)) == (D(5000), D("4444.44"), D("4000.00"))


def test_a_deposit_raises_the_mark_by_as_much_on_the_equity_basis_only():
    flow = CashFlow(month_end(1), D(700), D(4500))
    assert apply_cash_flow(Mark(D(5000), START), flow, Policy(basis=Basis.EQUITY)).value == D(5700)
    assert apply_cash_flow(Mark(D(5000), START), flow, Policy()).value == D(5000)


def test_quarters_agree_with_darwinex():
    assert fees_of([10_000, -7_000, 8_000], rate="0.15", policy=Policy()) == [1500, 0, 150]


@pytest.mark.parametrize(("hurdle", "fee"), [(Hurdle.HARD, "1.389"), (Hurdle.SOFT, "2.139"), (Hurdle.NONE, "2.139")])
def test_a_hurdle_of_five_percent_over_a_year(hurdle, fee):
    policy = Policy(basis=Basis.EQUITY, hurdle=hurdle, hurdle_rate=D("0.05"))
    year_end = START + timedelta(days=365)
    assert crystallise(Mark(D(100), START), D("114.26"), rate=D("0.15"), policy=policy, at=year_end).fee == D(fee)


@pytest.mark.parametrize(
    ("new_mark", "fees", "mark"), [(NewMark.GROSS, [200, 0, 200], 12_400), (NewMark.NET, [200, 100, 140], 12_200)]
)
def test_a_fee_is_earned_back_before_the_hurdle_counts(new_mark, fees, mark):
    policy = Policy(basis=Basis.EQUITY, new_mark=new_mark, hurdle=Hurdle.SOFT, hurdle_rate=D("0.04"))
    state, charged = Mark(D(10_000), START), []
    for year, value in enumerate([11_000, 11_500, 12_200], 1):
        step = crystallise(state, D(value), rate=D("0.2"), policy=policy, at=START + timedelta(days=365 * year))
        state = step.after
        charged.append(step.fee)
    assert (charged, state.value) == (fees, mark)


def test_below_the_hurdle_nothing_is_owed_and_the_mark_waits():
    policy = Policy(basis=Basis.EQUITY, hurdle=Hurdle.SOFT, hurdle_rate=D("0.05"))
    step = crystallise(Mark(D(100), START), D(104), rate=D("0.15"), policy=policy, at=START + timedelta(days=365))
    assert (step.fee, step.after.value, step.after.set_at) == (0, 100, START)


def test_a_mark_belongs_to_one_subscription():
    """X buys at 100, the price falls to 90, Y joins there, the price returns: X owes nothing, Y for ten per unit."""
    fees_of_x = fees_of([-10, 10], rate="0.2", policy=Policy())
    fees_of_y = fees_of([10], rate="0.2", policy=Policy())
    assert (sum(fees_of_x), sum(fees_of_y)) == (0, D("0.2") * 10)


results = st.lists(st.decimals(-10_000, 10_000, places=2), min_size=1, max_size=24)
rates = st.decimals("0.01", "0.5", places=2)


@settings(max_examples=150)
@given(results=results, rate=rates)
def test_the_whole_fee_is_the_rate_on_the_highest_profit(results, rate):
    peak = total = D(0)
    for result in results:
        total += result
        peak = max(peak, total)
    assert sum(fees_of(results, rate=rate, policy=Policy())) == rate * peak


@settings(max_examples=150)
@given(results=results, rate=rates, memory=st.none() | st.integers(1, 4), gross=st.booleans(), equity=st.booleans())
def test_nothing_is_owed_below_the_mark(results, rate, memory, gross, equity):
    policy = Policy(
        loss_memory_periods=memory,
        new_mark=NewMark.GROSS if gross else NewMark.NET,
        basis=Basis.EQUITY if equity else Basis.PROFIT,
    )
    mark, value, flows = Mark(D(0), START), D(0), []
    for number, result in enumerate(results, 1):
        value += result
        step = crystallise(mark, value, rate=rate, policy=policy, at=month_end(number), flows=flows)
        assert step.fee >= 0
        assert step.fee == 0 or value > step.before.value
        flows = [CashFlow(month_end(number), -step.fee, value)] if equity else []
        value -= step.fee if equity else 0
        mark = step.after


@pytest.mark.parametrize(
    ("values", "rate", "is_taken", "new_mark", "fees"),
    [
        ([60_000, 58_000, 63_000], "0.2", False, NewMark.NET, [2000, 0, 600]),
        ([60_000, 60_000, 60_000], "0.2", False, NewMark.NET, [2000, 0, 0]),
        ([60_000, 58_000, 60_000], "0.2", False, NewMark.NET, [2000, 0, 0]),
        ([60_000, 62_000, 63_000], "0.2", False, NewMark.GROSS, [2000, 0, 200]),
        ([60_000, 58_000, 58_001], "0.2", True, NewMark.NET, [2000, 0, D("0.2")]),
        ([60_000, 58_000, 63_000], "0.2", True, NewMark.GROSS, [2000, 0, 600]),
    ],
)
def test_an_account_value_is_charged_once_however_the_fee_is_paid(values, rate, is_taken, new_mark, fees):
    """values: at the ends of months. is_taken: the fee is withdrawn from the account at the end of the month."""
    policy, mark, flows, charged = Policy(basis=Basis.EQUITY, new_mark=new_mark), Mark(D(50_000), START), [], []
    for number, value in enumerate(map(D, values), 1):
        step = crystallise(mark, value, rate=D(rate), policy=policy, at=month_end(number), flows=flows)
        mark = step.after
        flows = [CashFlow(month_end(number), -step.fee, value, is_fee=True)] if is_taken and step.fee else []
        charged.append(step.fee)
    assert charged == fees


@pytest.mark.parametrize("hurdle", [Hurdle.HARD, Hurdle.SOFT])
@pytest.mark.parametrize(
    ("results", "memory", "expected"),
    [
        ([-1000, 1010, 100], 1, 0),
        ([-1000, 1010, 0, 100], 1, 0),
        ([-1000, 500, 510, 100], 2, 0),
        ([-1000, 1010, 100], None, 0),
        ([1010, -1000, 1000, 100], 1, 0),
    ],
)
def test_a_hurdle_never_makes_a_forgotten_loss_a_gain(hurdle, results, memory, expected):
    policy = Policy(loss_memory_periods=memory, hurdle=hurdle, hurdle_rate=D("0.05"))
    mark, total, fees = Mark(D(0), START), D(0), D(0)
    for number, result in enumerate(results, 1):
        total += result
        step = crystallise(mark, total, rate=D("0.2"), policy=policy, at=month_end(number), capital=D(300_000))
        mark, fees = step.after, fees + step.fee
    assert fees == expected


@pytest.mark.parametrize(
    ("memories", "expected"),
    [
        ([None, 1, 1], 0),
        ([None, None, 1], 0),
        ([1, 1, 1], 20),
        ([1, None, 1], 0),
        ([2, None, None], 0),
    ],
)
def test_losses_begin_to_be_forgotten_when_a_limit_is_set(memories, expected):
    """-100, nothing, +100: without a limit at any time the loss is as old as the limit."""
    mark, total, fees = Mark(D(0), START), D(0), D(0)
    for number, (result, memory) in enumerate(zip([-100, 0, 100], memories, strict=True), 1):
        total += result
        policy = Policy(loss_memory_periods=memory)
        step = crystallise(mark, total, rate=D("0.2"), policy=policy, at=month_end(number))
        mark, fees = step.after, fees + step.fee
    assert fees == expected


@settings(max_examples=150)
@given(
    results=results,
    hurdle=st.sampled_from([Hurdle.HARD, Hurdle.SOFT]),
    memory=st.none() | st.integers(1, 4),
    hurdle_rate=st.sampled_from([D("0.01"), D("0.05"), D("0.5")]),
)
def test_a_hurdle_only_lowers_what_is_owed(results, hurdle, memory, hurdle_rate):
    sums = []
    for chosen in (hurdle, Hurdle.NONE):
        policy = Policy(loss_memory_periods=memory, hurdle=chosen, hurdle_rate=hurdle_rate)
        mark, total, fees = Mark(D(0), START), D(0), D(0)
        for number, result in enumerate(results, 1):
            total += result
            step = crystallise(mark, total, rate=D("0.2"), policy=policy, at=month_end(number), capital=D(20_000))
            mark, fees = step.after, fees + step.fee
        sums.append(fees)
    assert sums[0] <= sums[1]


def test_a_withdrawal_that_paid_a_fee_lowers_the_mark_by_that_whatever_the_rule():
    below, policy = Mark(D(5000), START), Policy(basis=Basis.EQUITY, withdrawal=Withdrawal.PROPORTIONAL)
    paid = CashFlow(month_end(1), D(-500), D(4000), is_fee=True)
    assert apply_cash_flow(below, paid, policy).value == 4500
    assert CashFlow.parse(paid.serialise()) == paid
    other = CashFlow(month_end(1), D(-500), D(4000))
    assert apply_cash_flow(below, other, policy).value == 4375
    assert "is_fee" not in other.serialise()


@settings(max_examples=60)
@given(results=results)
def test_a_longer_memory_never_costs_more(results):
    fees = [sum(fees_of(results, rate="0.2", policy=Policy(loss_memory_periods=n))) for n in (1, 2, 5, None)]
    assert fees == sorted(fees, reverse=True)


@given(results=st.lists(st.decimals(-999, 999, places=2), max_size=6), memory=st.none() | st.integers(1, 3))
def test_a_mark_survives_being_stored(results, memory):
    mark = Mark(D(0), START)
    for number, result in enumerate(results, 1):
        policy = Policy(loss_memory_periods=memory)
        mark = crystallise(mark, mark.level + result, rate=D("0.2"), policy=policy, at=month_end(number)).after
    assert Mark.parse(mark.serialise()) == mark
