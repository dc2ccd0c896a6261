"""The ledger on PostgreSQL: idempotent, incremental, settled once, late deals as adjustments, always recomputable."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import close_old_connections, connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reporting.commission.recompute import recompute
from reporting.models import (
    CommissionPolicy,
    DailyResult,
    EquityPoint,
)
from tests import builders
from tests.firm import NOW, SCHEMES, D, Firm, at

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("scheme", "rate", "expected"),
    [
        ("lots-traded", 7, ["1.75"]),
        ("lots-won", 7, ["0.70"]),
        ("amount-traded", 0.001, ["2.50"]),
        ("amount-won", 0.2, ["20.01"]),
        ("high-water-mark", 0.2, ["12.01"]),
        ("flat-fee", 31, ["20.00"]),
    ],
)
def test_every_scheme_charges_what_its_formula_says(scheme, rate, expected):
    firm = Firm(scheme, rate)
    firm.deal(at(5, 1), side="open", lots="-0.25", amount="-2500")
    firm.deal(at(5, 4), "100.03", lots="0.10")
    firm.deal(at(5, 5), "-40", lots="0.15")
    firm.subscriber.first_seen_at = at(5, 1)
    firm.subscriber.save()
    firm.accrue()
    assert firm.amounts() == [D(text) for text in expected]


def test_swap_and_broker_commission_are_part_of_the_result():
    firm = Firm("amount-won", 0.5)
    firm.deal(at(5, 4), "10", swap=D("-1.50"), commission=D("-0.50"))
    firm.deal(at(5, 4), "1", swap=D("-1.50"), number="lost")
    firm.accrue()
    assert firm.amounts() == [D("4.00")]


def test_deposits_and_manual_trades_are_never_charged():
    firm = Firm("amount-won", 0.5)
    firm.deal(at(5, 4), "1000", type="DEAL_TYPE_BALANCE", position_id="")
    firm.deal(at(5, 4), "1000", position_id="")
    firm.deal(at(5, 4), "1000", type="DEAL_TYPE_CREDIT")
    firm.accrue()
    assert firm.amounts() == []


@pytest.mark.parametrize(("currency", "amount"), [("USD", "0.13"), ("JPY", "0"), ("KWD", "0.125")])
def test_a_line_is_rounded_once_to_the_minor_unit(currency, amount):
    firm = Firm("amount-won", 0.5, currency=currency)
    firm.deal(at(5, 4), "0.25")
    firm.accrue()
    assert firm.amounts() == [D(amount)]


def test_nothing_is_charged_before_the_currency_is_known():
    firm = Firm(currency="")
    firm.deal(at(5, 4), "10")
    firm.accrue()
    assert firm.amounts() == []
    firm.subscriber.currency = "USD"
    firm.subscriber.save()
    firm.accrue()
    assert firm.amounts() == [D("2.00")]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_running_twice_changes_nothing(scheme):
    firm = Firm(scheme, 0.2)
    for day in range(1, 20):
        firm.deal(at(4, day), str(10 - day))
        firm.deal(at(4, day), side="open")
    firm.accrue()
    before = list(firm.lines.values())
    assert before
    DailyResult.objects.update(is_accrued=False)
    assert firm.accrue().lines_written == 0
    assert list(firm.lines.values()) == before
    assert firm.accrue().strategies == 0


def test_a_new_deal_touches_only_its_own_line():
    firm = Firm()
    firm.deal(at(5, 4), "10", number="a")
    firm.deal(at(5, 5), "20", number="b")
    firm.accrue()
    old = set(firm.lines.values_list("pk", "amount"))
    firm.deal(at(5, 3), "30", number="c")
    assert firm.accrue().lines_written == 1
    assert old < set(firm.lines.values_list("pk", "amount"))
    firm.deal(at(5, 5), "21", number="b")
    accrued = firm.accrue()
    assert (accrued.lines_written, accrued.lines_removed, firm.total) == (1, 0, D("12.20"))
    firm.deal(at(5, 5), "-1", number="b")
    accrued = firm.accrue()
    assert (accrued.lines_written, accrued.lines_removed, firm.total) == (0, 1, D("8.00"))


def test_a_mark_runs_through_the_months_and_settles_at_their_end():
    firm = Firm("high-water-mark", 0.15)
    firm.deal(at(2, 10), "10000")
    firm.deal(at(3, 10), "-7000")
    firm.deal(at(4, 10), "8000")
    firm.accrue(at(4, 20))
    assert firm.amounts() == [D(1500), D(0), D(150)]
    assert [line.is_provisional for line in firm.lines] == [False, False, True]
    firm.accrue(at(5, 1, 0))
    assert [line.is_provisional for line in firm.lines] == [False, False, False]
    firm.deal(at(5, 2), "100")
    firm.accrue(at(5, 2, 12))
    assert firm.amounts() == [D(1500), D(0), D(150), D(15)]
    assert firm.lines.last().inputs["mark_before"] == "11000.00000000"


def test_gains_and_losses_inside_a_period_offset():
    firm = Firm("high-water-mark", 0.2)
    firm.deal(at(5, 4), "1000")
    firm.accrue(at(5, 4, 11))
    assert firm.amounts() == [D(200)]
    firm.deal(at(5, 5), "-600")
    firm.accrue()
    assert firm.amounts() == [D(80)]


def test_a_fixed_fee_pays_broken_periods_by_days_and_grows():
    firm = Firm("flat-fee", 30)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(4, 16))
    firm.accrue(at(5, 3))
    assert firm.amounts() == [D("15.00"), D("2.90")]  # 15 of 30 days of April, 3 of 31 of May
    firm.accrue(at(5, 4))
    assert firm.amounts() == [D("15.00"), D("3.87")]
    firm.accrue(at(6, 1))
    assert firm.amounts() == [D("15.00"), D("30.00"), D("1.00")]


def test_a_fixed_fee_ends_with_the_last_deal_of_a_removed_subscription():
    firm = Firm("flat-fee", 30)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(4, 1), is_removed=True)
    firm.deal(at(4, 10))
    firm.accrue(at(5, 3))
    assert firm.amounts() == [D("10.00")]


def test_a_late_deal_for_an_ended_period_becomes_an_adjustment_in_the_open_one():
    firm = Firm()
    firm.deal(at(4, 4), "10", number="a")
    firm.accrue()
    settled = list(firm.lines.values())
    firm.deal(at(4, 5), "5", number="late")
    firm.deal(at(4, 4), "20", number="a")
    firm.accrue()
    assert list(firm.lines.filter(period_end__lte=at(5, 1, 0)).values()) == settled
    changed, late = firm.lines.filter(period_start=at(5, 1, 0)).order_by("key")
    assert (changed.amount, late.amount) == (D("2.00"), D("1.00"))
    assert changed.inputs["corrects"]["line"] == settled[0]["id"]
    assert late.inputs["corrects"]["line"] is None
    DailyResult.objects.update(is_accrued=False)
    assert firm.accrue().lines_written == 0


def test_an_adjustment_is_corrected_in_place_until_its_own_period_ends():
    firm = Firm()
    firm.deal(at(3, 4), "10", number="a")
    firm.accrue(at(4, 4))
    firm.deal(at(3, 4), "20", number="a")
    firm.accrue(at(4, 5))
    assert firm.amounts() == [D(2), D(2)]
    firm.deal(at(3, 4), "15", number="a")
    firm.accrue(at(4, 6))
    assert firm.amounts() == [D(2), D(1)]
    firm.accrue(at(5, 6))
    firm.deal(at(3, 4), "5", number="a")
    firm.accrue(at(5, 7))
    assert firm.amounts() == [D(2), D(1), D(-2)]
    firm.deal(at(3, 4), "15", number="a")
    firm.accrue(at(5, 8))
    assert firm.amounts() == [D(2), D(1)]


def test_an_adjustment_is_booked_once_although_its_period_has_just_ended():
    firm = Firm()
    firm.deal(at(2, 1), "10")
    firm.accrue(at(4, 2))
    firm.deal(at(3, 1), "20")
    firm.accrue(at(4, 3))
    firm.deal(at(3, 1), "-5")
    firm.accrue(at(5, 1))  # April has ended and settles with this very accrual
    assert firm.amounts() == [D(2), D(4)]
    assert firm.lines.last().period_start == at(4, 1, 0)


def test_a_late_loss_lowers_the_mark_of_every_later_period():
    firm = Firm("high-water-mark", 0.1)
    for month in (2, 3, 4):
        firm.deal(at(month, 10), "1000")
    firm.accrue()
    assert firm.amounts() == [100, 100, 100, 0]
    firm.deal(at(2, 12), "-1500", number="late")
    firm.accrue()
    assert firm.total == D(150)
    incremental = firm.total
    firm.deal(at(5, 12), "500")
    firm.accrue()
    assert firm.total == incremental + 50
    firm.from_nothing()
    assert firm.total == incremental + 50


def test_a_second_late_deal_continues_from_the_mark_that_the_first_one_corrected():
    firm = Firm("high-water-mark", 0.2)
    firm.deal(at(2, 2), "0")
    firm.accrue()
    firm.deal(at(2, 28), "-455.07")
    firm.deal(at(4, 20), "467.47")
    firm.accrue()
    firm.deal(at(4, 25), "-229.61")
    firm.deal(at(5, 19), "369.01")
    firm.accrue()
    assert firm.total == D("30.36")  # a fifth of 369.01 - 217.21


def test_periods_settle_only_when_the_history_is_complete():
    firm = Firm("high-water-mark", 0.1)
    firm.complete_until(None)
    firm.deal(at(3, 10), "1000")
    firm.accrue()
    assert all(line.is_provisional for line in firm.lines)
    firm.deal(at(2, 10), "500")
    firm.accrue()
    assert [line.amount for line in firm.lines] == [50, 100, 0, 0]
    firm.complete_until(at(4, 15))
    firm.accrue()
    assert [line.is_provisional for line in firm.lines] == [False, False, True, True]


def test_a_changed_scheme_leaves_alone_what_was_before_it():
    firm = Firm()
    firm.deal(at(4, 4), "10")
    firm.deal(at(5, 4), "10")
    firm.accrue()
    firm.change_scheme(commissionRate=0.5)
    firm.accrue()
    assert firm.amounts() == [D("2.00"), D("2.00")]
    firm.deal(at(5, 21), "10")
    firm.accrue(at(5, 22))
    firm.change_scheme(type="high-water-mark", commissionRate=0.1)
    firm.accrue(at(5, 22))
    firm.deal(at(5, 23), "10")
    firm.accrue(at(5, 24))
    charged = [("amount-won", 2), ("amount-won", 2), ("amount-won", 5), ("high-water-mark", 1)]
    assert [(line.scheme, line.amount) for line in firm.lines] == charged
    firm.strategy.document = {}
    firm.strategy.save()
    firm.accrue(at(5, 25))
    firm.deal(at(5, 26), "10")
    firm.accrue(at(6, 2))
    assert [(line.scheme, line.amount) for line in firm.lines] == charged
    assert not firm.lines.filter(is_provisional=True).exists()


def test_a_longer_period_begins_where_it_was_seen_first():
    firm = Firm("flat-fee", 92)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(4, 1))
    firm.accrue(at(5, 1))
    firm.change_scheme(billingPeriod="quarter")
    firm.accrue(at(5, 10))
    firm.accrue(at(5, 12))
    assert [line.period_start for line in firm.lines] == [at(4, 1, 0), at(5, 1, 0), at(5, 10)]
    assert firm.amounts() == [D(92), round(D(92) * 9 / 31, 2), round(D(92) * 3 / 91, 2)]


def test_weeks_are_cut_at_local_midnight():
    firm = Firm("lots-won", 10, billing_period="week", timezone="America/New_York")
    firm.deal(datetime(2026, 3, 8, 4, 59, tzinfo=UTC), "1")  # Saturday night in New York
    firm.deal(datetime(2026, 3, 8, 5, 0, tzinfo=UTC), "1")  # Sunday: a new week, and clocks go forward
    firm.accrue()
    starts = [line.period_start for line in firm.lines]
    assert starts == [datetime(2026, 3, 1, 5, tzinfo=UTC), datetime(2026, 3, 8, 5, tzinfo=UTC)]
    assert firm.lines.last().period_end == datetime(2026, 3, 15, 4, tzinfo=UTC)


def test_the_equity_basis_follows_the_account():
    firm = Firm("high-water-mark", 0.25)
    CommissionPolicy.objects.create(
        workspace=firm.workspace,
        connection=firm.connection,
        strategy_id=firm.strategy.backend_id,
        name="equity",
        choices={"basis": "equity", "withdrawal": "proportional"},
        created_at=NOW,
    )
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(4, 1))

    def worth(moment, value):
        EquityPoint.objects.create(
            connection=firm.connection, account_id=firm.subscriber.backend_id, time=moment, balance=value, equity=value
        )

    worth(at(4, 1), 5000)
    worth(at(4, 30), 4500)
    firm.deal(at(5, 5), "-500", type="DEAL_TYPE_BALANCE", position_id="")
    worth(at(5, 6), 4000)
    worth(at(5, 18), 5000)
    firm.accrue()
    assert firm.amounts() == [D(0), D("138.89")]
    assert all(recompute(line) == line.amount for line in firm.lines)


def test_one_mark_for_all_strategies_of_a_client():
    firm = Firm("high-water-mark", 0.1)
    second = builders.strategy(firm.connection, document=firm.strategy.document)
    for strategy in (firm.strategy, second):
        CommissionPolicy.objects.create(
            workspace=firm.workspace,
            connection=firm.connection,
            strategy_id=strategy.backend_id,
            name="netted",
            choices={"scope": "client"},
            created_at=NOW,
        )
    firm.deal(at(5, 4), "1000")
    firm.strategy = second
    firm.deal(at(5, 5), "-400")
    firm.accrue()
    assert firm.amounts() == [D(60)]


def test_another_workspace_is_not_touched():
    one, other = Firm(), Firm()
    one.deal(at(5, 4), "10")
    other.deal(at(5, 4), "10")
    one.accrue()
    assert (one.total, other.total) == (D(2), D(0))


@pytest.mark.django_db(transaction=True)
def test_two_accruals_in_parallel_equal_one():
    firm = Firm()
    for day in range(1, 29):
        firm.deal(at(4, day), "10")
    failures = []

    def run():
        try:
            firm.accrue()
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_old_connections()
    assert not failures
    assert firm.amounts() == [D(2)] * 28


def test_a_crash_leaves_everything_as_it_was():
    firm = Firm()
    firm.deal(at(4, 4), "10")
    with transaction.atomic():
        firm.accrue()
        transaction.set_rollback(True)  # what PostgreSQL does when the worker is killed
    assert firm.amounts() == []
    firm.accrue()
    assert firm.amounts() == [D(2)]


deals = st.lists(
    st.tuples(st.integers(0, 110), st.decimals(-500, 500, places=2), st.sampled_from(["open", "close"])),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(scheme=st.sampled_from(SCHEMES), deals=deals, arrivals=st.lists(st.integers(1, 6), max_size=4))
def test_any_order_of_arrival_owes_what_a_fresh_computation_owes(scheme, deals, arrivals):
    with transaction.atomic():
        firm = Firm(scheme, 0.2)
        builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(2, 1, 0))
        left = list(enumerate(deals))
        for count in [*arrivals, len(left)]:
            for number, (day, profit, side) in left[:count]:
                firm.deal(at(2, 1) + timedelta(days=day), profit if side == "close" else 0, side=side, number=number)
            left = left[count:]
            firm.accrue(at(5, 22))
        assert all(recompute(line) == line.amount for line in firm.lines)
        incremental, before = firm.total, firm.contents()
        firm.from_nothing(at(5, 22))
        assert firm.total == incremental, (scheme, deals, arrivals, before, firm.contents())
        assert all(recompute(line) == line.amount for line in firm.lines)
        transaction.set_rollback(True)


def test_half_a_million_rows_are_not_needed_to_see_that_nothing_is_due(django_assert_num_queries):
    firm = Firm()
    firm.deal(at(4, 4), "10")
    firm.accrue()
    with django_assert_num_queries(8):
        assert firm.accrue(NOW + timedelta(minutes=1)).strategies == 0
