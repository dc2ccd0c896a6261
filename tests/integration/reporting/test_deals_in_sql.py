"""Lines and sums of deals that the database makes are those that Python makes of the same deals one by one."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import pytest

from reporting.commission import deals_in_sql, open_periods
from reporting.commission.charging import StrategyAccount
from reporting.commission.deals_in_sql import has_storable_rates
from reporting.commission.history import History, TermsSpan
from reporting.commission.periods import MOMENT, PeriodLength
from reporting.commission.policy import Scheme, Terms
from reporting.models import DailyResult, Transaction
from tests import builders
from tests.firm import NOW, D, Firm, at

pytestmark = pytest.mark.django_db
BY_DEAL = ["amount-won", "lots-won", "lots-traded", "amount-traded"]
BY_SUM = ["high-water-mark", "flat-fee", "high-water-mark", "flat-fee"]
CURRENCIES = ["USD", "JPY", "KWD", "BTC"]
# where a period, a day or terms begin in New York, and one step beside
EDGES = [at(4, 1, 4), at(4, 5, 4), at(4, 12, 4), at(4, 20, 15), at(5, 1, 4), at(5, 3, 4), at(5, 17, 4)]
SIDES = ["open", "close", "", "close", "open:close", "close:open"]


def whole(firm: Firm) -> list[object]:
    """Everything that the ledger says, in the order in which it was written."""
    names = (
        "subscriber_id period_start period_end scheme policy key occurred_at inputs rate exact_amount amount currency"
    )
    order = ("subscriber_id", "period_start", "occurred_at", "id")
    return list(firm.lines.order_by(*order).values_list(*names.split(), "is_provisional", "member_id"))


def busy(chance: random.Random, schemes: list[str]) -> Firm:
    """A firm whose terms and clients change, with deals at every edge, in all sizes and signs."""
    length = chance.choice(["week", "month", "quarter"])
    firm = Firm(schemes[0], chance.choice([0.2, 7, 0.0000000001]), length, timezone="America/New_York")
    clients = [builders.subscriber(firm.connection, currency=currency) for currency in CURRENCIES]
    firm.deal(at(3, 20), "0", subscriber=clients[0])
    changes = [at(4, 9, 20), at(4, 20, 15), at(5, 6, 1)]
    for moment, scheme in zip(changes, schemes[1:], strict=True):
        firm.complete_until(moment)
        firm.accrue(moment)
        firm.change_scheme(type=scheme, commissionRate=chance.choice([0.2, 6, 0, 0.0123456789]))
    for number, client in enumerate([*clients, *clients, *clients, *clients]):
        for edge in chance.sample(EDGES, 5):
            moment = edge + chance.choice([-MOMENT, timedelta(), MOMENT, timedelta(hours=chance.randrange(99))])
            firm.deal(
                moment,
                chance.choice(["0", "12.5", "-12.5", "0.00000001", "1234567890.12345678"]),
                subscriber=client,
                side=chance.choice(SIDES),
                lots=chance.choice(["0", "-0.30", "2", "100", "0.00000001"]),
                amount=chance.choice(["0", "-1000", "1050.5", "99999999999.99999999"]),
                swap=D(chance.choice(["0", "-3.25", "0.5"])),
                commission=chance.choice([None, D("-1"), D("12.5")]),
                position_id=chance.choice(["", "p", "p", "p"]),
                type=chance.choice(["DEAL_TYPE_BUY", "DEAL_TYPE_SELL", "DEAL_TYPE_BUY", "DEAL_TYPE_BALANCE"]),
            )
        if number == 7:
            firm.accrue(at(5, 10))
    return firm


def by_python(monkeypatch):
    """From here on every deal is read and charged one by one."""
    monkeypatch.setattr(open_periods, "has_storable_rates", lambda history: False)
    monkeypatch.setattr(StrategyAccount, "needs_single_deals", lambda account, since: True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("schemes", [BY_DEAL, BY_SUM])
def test_the_database_makes_what_python_makes(schemes, seed, monkeypatch):
    chance = random.Random(f"{seed} {schemes}")
    firm = busy(chance, chance.sample(schemes, 4))
    made_by_python = []
    read_deals = open_periods.sources._read_deals
    monkeypatch.setattr(open_periods.sources, "_read_deals", lambda *asked: made_by_python.append(read_deals(*asked)))
    firm.complete_until(at(5, 1, 4))
    firm.from_nothing()
    in_sql = whole(firm)
    assert in_sql
    assert not made_by_python
    by_python(monkeypatch)
    firm.from_nothing()
    assert made_by_python
    assert whole(firm) == in_sql


@pytest.mark.parametrize("schemes", [BY_DEAL, BY_SUM])
def test_python_finds_nothing_to_correct_after_new_deals(schemes, monkeypatch):
    chance = random.Random(str(schemes))
    firm = busy(chance, schemes[::-1] if schemes is BY_SUM else schemes)
    firm.complete_until(at(5, 1, 4))
    firm.accrue()
    for hour in range(9):
        firm.deal(at(5, 7 + hour), "25.5", subscriber=firm.subscriber, side=SIDES[hour % 2])
    assert firm.accrue().lines_written
    by_python(monkeypatch)
    DailyResult.objects.update(is_accrued=False)
    accrued = firm.accrue()
    assert accrued.subscriptions
    assert (accrued.lines_written, accrued.lines_removed) == (0, 0)


def test_a_rate_of_more_digits_than_a_line_keeps_is_charged_deal_by_deal(monkeypatch):
    firm = Firm("amount-won", 0.12345678905)
    firm.deal(at(5, 2), "1.00000001")
    monkeypatch.setattr(deals_in_sql.ChargedDeals, "lines", None)
    firm.accrue()
    (line,) = firm.lines
    assert line.exact_amount == round(Decimal("0.12345678905") * D("1.00000001"), 18)


@pytest.mark.parametrize(
    ("rate", "own", "is_storable"),
    [
        ("0.2", "6", True),
        ("0.1234567890", "1E+3", True),
        ("0.12345678901", "6", False),
        ("0.2", "0.12345678901", False),
        ("1E-10", "1E-11", False),
    ],
)
def test_rates_that_a_line_keeps_to_the_last_digit(rate, own, is_storable):
    terms = Terms(Scheme.AMOUNT_WON, D(rate), PeriodLength.MONTH, rates=(("JPY", D(own)),))
    assert has_storable_rates(History((TermsSpan(None, None), TermsSpan(at(5, 1), terms)))) is is_storable


def test_a_firm_without_a_deal_owes_nothing_and_one_of_the_future_is_charged():
    firm = Firm("amount-won", 0.2)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(4, 1))
    assert firm.accrue().lines_written == 0
    firm.deal(NOW + timedelta(days=90), "10")  # clocks differ
    firm.accrue()
    assert firm.amounts() == [D("2")]
    assert Transaction.objects.count() == 1
