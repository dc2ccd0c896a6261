"""What generated histories of high-water marks showed, each as its smallest case."""

from __future__ import annotations

import json

import pytest

from reporting.commission.policy import Policy
from reporting.commission.setting import set_terms
from reporting.commission.statement_file import statement_file
from reporting.models import Subject
from reporting.views.statements import lines_of
from tests import builders
from tests.firm import D, Fund, at
from tools import verify_statement

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("floating", "mark"), [("realised", 7500), ("realised-and-floating", 2500)])
def test_a_withdrawal_takes_its_share_of_what_is_measured(floating, mark):
    fund = Fund(0.2, basis="equity", withdrawal="proportional", floating=floating)
    fund.worth(at(1, 1, 0), 10_000, 10_000, equity=5000)
    fund.worth(at(1, 10), 7500, 7500, equity=2500)
    assert fund.fees(at(2, 1, 1))[0] == 0
    assert D(fund.lines.first().inputs["mark_before"]) == mark


@pytest.mark.parametrize("basis", ["profit", "equity"])
@pytest.mark.parametrize("floating", ["realised", "realised-and-floating", "realised-and-negative-floating"])
@pytest.mark.parametrize("credit", [500, -500])
def test_a_credit_is_no_result_of_open_positions(basis, floating, credit):
    fund = Fund(0.2, basis=basis, floating=floating)
    fund.worth(at(1, 1, 0), 10_000, 10_000)
    fund.move(at(1, 10), credit, "DEAL_TYPE_CREDIT")
    fund.worth(at(1, 20), 10_000, 10_000, equity=10_000 + credit - 300)
    fund.deal(at(2, 10), 100)
    fund.worth(at(2, 20), 10_100, 10_000, equity=10_100 + credit)
    assert fund.fees(at(3, 1, 1))[:2] == [0, 20]


@pytest.mark.parametrize(("floating", "fee"), [(500, 0), (0, 20), (-500, 120)])
def test_positions_that_were_open_before_a_client_came_are_no_gain(floating, fee):
    fund = Fund(0.2, floating="realised-and-floating", start=at(1, 10))
    fund.worth(at(1, 9), 10_000, 10_000, equity=10_000 + floating)
    fund.deal(at(1, 20), 100)
    fund.worth(at(1, 21), 10_100, 10_000)
    assert fund.fees(at(2, 1, 1))[0] == fee


@pytest.mark.parametrize(
    ("value", "back", "after", "fees"),
    [
        (12_000, None, None, [20]),  # what the account earns without the strategy is not charged
        (12_000, 12_000, 12_100, [20, 20]),
        (9000, 9000, 10_200, [20, 20]),  # a loss must be earned back
        (10_050, 10_050, 10_150, [20, 10]),
    ],
)
@pytest.mark.parametrize("crystallised", ["period-end", "withdrawal", "subscription-end"])
def test_an_account_is_measured_while_its_client_is_there(value, back, after, fees, crystallised):
    fund = Fund(0.2, basis="equity", crystallised=crystallised)
    fund.worth(at(1, 1, 0), 10_000, 10_000)
    fund.worth(at(1, 9), 10_100, 10_000)
    fund.accrue(at(1, 2))
    fund.subscriber.subscriptions.update(is_removed=True)
    fund.accrue(at(1, 10))
    fund.worth(at(1, 20), value, 10_000)
    if back is not None:
        fund.complete_until(at(3, 5))
        fund.accrue(at(3, 5))
        fund.subscriber.subscriptions.update(is_removed=False)
        fund.worth(at(3, 6), back, 10_000)
        fund.accrue(at(3, 10))
        fund.worth(at(3, 20), after, 10_000)
    assert [fee for fee in fund.fees(at(4, 1, 1)) if fee] == fees


def test_a_mark_begins_with_its_client_and_not_with_what_was_closed():
    fund = Fund(0.2, hurdle="hard", hurdle_rate="0.1")
    fund.deal(at(1, 10), 100)
    fund.complete_until(at(2, 10))
    fund.accrue(at(2, 10))
    fund.close(at(2, 1, 0), now=at(2, 10))
    other = builders.subscriber(fund.connection, currency="USD")
    builders.subscription(other, fund.strategy, first_seen_at=at(3, 17, 0))
    fund.deal(at(3, 20), 100, subscriber=other)
    fund.complete_until(at(4, 1, 1))
    fund.accrue(at(4, 1, 1))
    lines = fund.lines.filter(subscriber_id=other.backend_id, is_provisional=False)
    assert [(line.period_start, line.inputs["before"]["set_at"]) for line in lines] == [
        (at(3, 1, 0), at(3, 17, 0).isoformat())
    ]


@pytest.mark.parametrize("opening", [at(3, 16), at(3, 17, 0), at(3, 18)])
def test_a_minimum_return_counts_from_the_first_day_on(opening):
    """36,500 at 10 % a year are 10 a day: 15 days of March."""
    fund = Fund(0.2, hurdle="hard", hurdle_rate="0.1", start=at(3, 17, 0))
    fund.worth(opening, 36_500, 36_500)
    fund.deal(at(3, 20), 200)
    assert fund.fees(at(4, 1, 1))[0] == 10


def test_the_rules_of_a_strategy_cut_no_period_of_a_client_that_has_its_own():
    fund = Fund(0.2)
    fund.complete_until(at(1, 2))
    fund.accrue(at(1, 2))
    gross = Policy.parse({"new_mark": "gross"}).serialise()
    client = fund.subscriber.backend_id
    set_terms(fund.strategy, Subject.POLICY, gross, choice="now", by=None, now=at(1, 3), subscriber_id=client)
    fund.deal(at(1, 10), 100)
    fund.accrue(at(1, 15))
    hurdle = Policy.parse({"hurdle": "soft", "hurdle_rate": "0.05"}).serialise()
    set_terms(fund.strategy, Subject.POLICY, hurdle, choice="now", by=None, now=at(1, 15))
    fund.deal(at(1, 20), -100)
    assert sum(fund.fees(at(2, 1, 1))) == 0


def test_a_client_that_comes_when_rules_change_has_no_mark_by_the_old_ones():
    fund = Fund(0.2)
    builders.subscriber(fund.connection)
    fund.complete_until(at(1, 1, 1))
    fund.accrue(at(1, 1, 1))
    other = builders.subscriber(fund.connection, currency="USD", first_seen_at=at(1, 15))
    builders.subscription(other, fund.strategy, first_seen_at=at(1, 15))
    equity = Policy.parse({"basis": "equity"}).serialise()
    set_terms(fund.strategy, Subject.POLICY, equity, choice="now", by=None, now=at(1, 15))
    fund.deal(at(1, 20), 100, subscriber=other)
    fund.complete_until(at(2, 1, 1))
    fund.accrue(at(2, 1, 1))
    assert not fund.lines.filter(subscriber_id=other.backend_id, policy__basis="profit").exists()


def test_a_payment_pays_one_withdrawal_also_of_a_settled_period():
    """Two withdrawals of 100 around a month's end; the payment is of the first, whenever February is computed."""
    fund = Fund(0.2, basis="equity", withdrawal="proportional")
    fund.worth(at(1, 1, 0), 1000, 1000)
    fund.worth(at(1, 30), 900, 900)
    fund.worth(at(2, 2), 800, 800)
    fund.pay(100, received_on=at(1, 31).date(), now=at(2, 3))
    fund.complete_until(at(2, 1, 1))
    fund.accrue(at(2, 1, 1))
    assert fund.fees(at(3, 1, 1))[:2] == [0, 0]
    flows = [flow for line in fund.lines for flow in line.inputs["flows"]]
    assert [flow.get("is_fee", False) for flow in flows] == [True, False]


@pytest.mark.parametrize(
    "choices",
    [
        {"basis": "equity"},
        {"basis": "equity", "new_mark": "gross", "withdrawal": "proportional"},
        {"basis": "equity", "crystallised": "withdrawal", "withdrawal": "proportional"},
        {"basis": "equity", "hurdle": "hard", "hurdle_rate": "0.3", "loss_memory_periods": 1},
        {"hurdle": "soft", "hurdle_rate": "0.3", "loss_memory_periods": 1},
    ],
)
@pytest.mark.parametrize("then", [None, {}, {"loss_memory_periods": 2}, {"basis": "equity"}])
def test_statements_of_all_rules_agree(tmp_path, choices, then):
    """A loss, a gain below and one above the hurdle, a withdrawal of a fee and of other money."""
    fund = Fund(0.2, **choices)
    value = deposits = D(1000)
    fund.worth(at(1, 1, 0), value, deposits)
    for month, result, flow in ((1, 200, -40), (2, -150, -100), (3, 160, 0), (4, 400, 50)):
        fund.deal(at(month, 10), result)
        value, deposits = value + result + flow, deposits + flow
        fund.worth(at(month, 10), value - flow, deposits - flow)
        fund.worth(at(month, 20), value, deposits)
    fund.pay(40, received_on=at(1, 22).date(), now=at(1, 22))
    fund.complete_until(at(3, 1, 1))
    fund.accrue(at(3, 1, 1))
    if then is not None:
        set_terms(fund.strategy, Subject.POLICY, Policy.parse(then).serialise(), choice="now", by=None, now=at(3, 1, 1))
    fund.complete_until(at(5, 2))
    fund.accrue(at(5, 2))
    documents = []
    for until in (at(3, 1, 0), at(5, 1, 0)):
        fund.close(until, at(5, 2))
        for statement in fund.issue(until, at(5, 2), accepts_old_rates=True):
            path = tmp_path / f"{statement.number}.json"
            path.write_text(json.dumps(json.loads(statement_file(statement, lines_of(statement)))), encoding="utf-8")
            documents.insert(0, str(path))
            assert verify_statement.main(documents) == 0
    assert documents
