"""The past of accounts from charts and deals: bounded, idempotent, each account on its own; currencies stay apart."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.utils import timezone

from copying.client import BackendFailed, Forbidden, NotConnected, NotFound, RateLimited, Unauthorised
from copying.contract.accounts import AccountInformation
from copying.contract.equity_chart import EquityChartItem
from copying.contract.terminal import ServerTime, TerminalDeal, TerminalInformation
from reporting.flows import cash_flows
from reporting.metrics import equity_curves
from reporting.models import EquityPoint, PastFilling, PastPoint, PastSource, SyncKind
from reporting.overview import equity_curve
from reporting.past_curves import source_of, with_past
from reporting.sync import past, states
from reporting.sync.accounts import _keep_points
from reporting.sync.currencies import keep_balances
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
NOTHING = NotFound("No such call.")


def deal(number: int, amount: str, days: float, kind: str = "DEAL_TYPE_SELL") -> TerminalDeal:
    return TerminalDeal(id=str(number), type=kind, time=NOW - timedelta(days=days), profit=Decimal(amount))


def hour(end: datetime, equity: str, balance: str = "1000") -> EquityChartItem:
    """An element that ends at a time of the broker's clock."""
    text = past.broker_text(end)
    names = ("average", "min", "max", "start", "last")
    money = {f"{name}_balance": Decimal(balance) for name in names}
    worth = {f"{name}_equity": Decimal(equity) for name in names}
    return EquityChartItem(start_broker_time=text, end_broker_time=text, **money, **worth)


class Platform:
    """A client of accounts: what each answers, or the error that it gives."""

    def __init__(self, *, balance="1000", deals=NOTHING, chart=NOTHING, ahead=0, trouble=None) -> None:
        self.balance, self.deals, self.chart, self.ahead = balance, deals, chart, ahead
        self.trouble = trouble or {}
        self.asked: list[str] = []

    def answer(self, account_id, value):
        for each in (self.trouble.get(account_id), value):
            if isinstance(each, Exception):
                raise each
        return value

    def terminal_information(self, account_id):
        self.asked.append(account_id)
        balance = self.answer(account_id, self.balance)
        amount = balance.pop() if isinstance(balance, list) else balance
        return TerminalInformation(currency="USD", balance=Decimal(amount), equity=Decimal(amount))

    def terminal_deals(self, account_id, start, end):
        deals = self.answer(account_id, self.deals)
        inside = [each for each in deals if start <= each.time < end]
        return iter([inside[place : place + 2] for place in range(0, len(inside), 2)])

    def equity_chart(self, account_id, *, start, end):
        return self.answer(account_id, self.chart)

    def server_time(self, account_id):
        self.answer(account_id, None)
        return ServerTime(time=NOW, broker_time=past.broker_text(NOW + timedelta(hours=self.ahead, seconds=3)))


@pytest.fixture
def backend(workspace):
    return builders.connection(workspace)


@pytest.fixture
def fill(backend):
    """A function that runs the filling once at `now`, as a sync does."""
    states.ensure_states()

    def once(platform, now=NOW):
        states.SyncState.objects.update(due_at=timezone.now() + timedelta(hours=1), lease_until=None)
        states.request_sync(backend, [SyncKind.EQUITY])
        return past.fill_past(states.claim_due(), client=platform, backend=backend, now=now)

    return once


def points(**only):
    return list(PastPoint.objects.filter(**only).order_by("time").values_list("time", "balance", "equity"))


def account(backend, name="a", **fields):
    return builders.subscriber(backend, **{"backend_id": name, "name": name, "currency": "USD", **fields})


def test_the_chart_of_the_platform_fills_the_time_before_the_first_point(backend, fill):
    own, first = account(backend), NOW - timedelta(days=1)
    EquityPoint.objects.create(connection=backend, account_id="a", time=first, balance=1, equity=1)
    ahead = timedelta(hours=2)
    ends = [first - timedelta(hours=3), first - timedelta(hours=2), first, first + timedelta(hours=1)]
    chart = [hour(end + ahead, str(900 + place)) for place, end in enumerate(ends)]
    paid = [deal(1, "800", 30, "DEAL_TYPE_BALANCE"), deal(2, "200", 1.1, "DEAL_TYPE_BALANCE")]
    outcome = fill(Platform(chart=chart, deals=paid, ahead=2))
    assert outcome.error == ""
    assert points() == [(ends[0], 1000, 900), (ends[1], 1000, 901)]
    assert list(PastPoint.objects.order_by("time").values_list("net_deposits", flat=True)) == [800, 1000]
    assert source_of(own).past == "chart"
    curve = with_past(equity_curves(backend.pk, ["a"])["a"], own)
    assert curve.equity.tolist() == [900, 901, 1]
    assert curve.flows.tolist() == [0, 200, 0]
    assert EquityPoint.objects.count() == 1  # what is charged by stays as it is


@pytest.mark.parametrize("seed", range(10))
def test_without_a_chart_the_balance_is_rebuilt_from_deals(backend, fill, seed):
    account(backend)
    dice = random.Random(seed)
    kinds = ["DEAL_TYPE_BUY", "DEAL_TYPE_SELL", "DEAL_TYPE_BALANCE", "DEAL_TYPE_CREDIT"]
    deals = [
        deal(number, f"{dice.uniform(-50, 60):.2f}", dice.uniform(0, 20), dice.choice(kinds)) for number in range(40)
    ]
    moves = sorted((each for each in deals if each.type != "DEAL_TYPE_CREDIT"), key=lambda each: each.time)
    begin = Decimal("500.5")
    balance = begin + sum(each.profit for each in moves)
    platform = Platform(balance=balance, deals=sorted(deals, key=lambda each: each.time))
    fill(platform)
    rows = points()
    assert rows[0][1] == begin
    for time, shown, equity in rows:
        assert shown == equity == begin + sum(each.profit for each in moves if each.time <= time)
    days = {each.time.date() for each in moves}
    assert len(rows) == len(days) + 1
    PastFilling.objects.all().delete()
    fill(platform)
    assert points() == rows


@pytest.mark.parametrize("chart", [NOTHING, Forbidden("Not for this token."), []])
def test_where_nothing_is_offered_it_is_asked_again_after_a_week(backend, fill, chart):
    own = account(backend)
    assert fill(Platform(balance=Forbidden("No."), chart=chart)).error == ""
    assert (points(), PastFilling.objects.get().source) == ([], PastSource.NONE)
    assert (source_of(own).past, source_of(own).is_kept_here) == ("none", True)
    paid = [deal(1, "1000", 3, "DEAL_TYPE_BALANCE")]
    for moment, count in ((NOW + past.LATER - timedelta(seconds=1), 0), (NOW + past.LATER, 1)):
        fill(Platform(deals=paid), now=moment)
        assert len(points()) == count
    assert fill(Platform(), now=NOW + timedelta(days=900)).next_in_s == past.IDLE_S  # it is there and stays


@pytest.mark.parametrize("trouble", [BackendFailed("It broke.", 500), NotConnected("Not connected to the broker yet.")])
def test_one_account_in_trouble_stops_no_other(backend, fill, trouble):
    for name in "abc":
        account(backend, name)
    paid = [deal(1, "1000", 3, "DEAL_TYPE_BALANCE")]
    outcome = fill(Platform(deals=paid, trouble={"a": trouble}))
    assert outcome.error.startswith("The past of 1 of 3 accounts cannot be read")
    assert {point.account_id for point in PastPoint.objects.all()} == {"b", "c"}
    later = Platform(deals=paid, trouble={"a": trouble})
    fill(later, now=NOW + past.SOON - timedelta(seconds=1))
    assert later.asked == []
    fill(Platform(deals=paid), now=NOW + past.SOON)
    assert {point.account_id for point in PastPoint.objects.all()} == {"a", "b", "c"}


@pytest.mark.parametrize("trouble", [RateLimited("Slower.", NOW), Unauthorised("Who?")])
def test_what_concerns_all_ends_the_run_and_keeps_what_is_there(backend, fill, trouble):
    for name in "ab":
        account(backend, name)
    paid = [deal(1, "1000", 3, "DEAL_TYPE_BALANCE")]
    with pytest.raises(type(trouble)):
        fill(Platform(deals=paid, trouble={"b": trouble}))
    assert {point.account_id for point in PastPoint.objects.all()} == {"a"}
    assert PastFilling.objects.count() == 1  # b has not had its turn


def test_a_run_asks_a_few_and_the_rest_has_its_turn(backend, fill):
    for number in range(past.MOST_FILLED + 1):
        account(backend, f"a{number}")
    paid = [deal(1, "1000", 3, "DEAL_TYPE_BALANCE")]
    assert fill(Platform(deals=paid)).next_in_s == past.BUSY_S
    assert PastFilling.objects.count() == past.MOST_FILLED
    assert fill(Platform(deals=paid)).next_in_s == past.IDLE_S
    assert PastFilling.objects.count() == past.MOST_FILLED + 1


def test_deals_that_come_meanwhile_make_no_wrong_balance(backend, fill):
    account(backend)
    outcome = fill(Platform(balance=["1010", "1000"], deals=[deal(1, "1000", 3, "DEAL_TYPE_BALANCE")]))
    assert past.UNSETTLED in outcome.error
    assert points() == []


def test_too_many_deals_are_not_read(backend, fill, monkeypatch):
    account(backend)
    monkeypatch.setattr(past, "MOST_DEALS", 3)
    outcome = fill(Platform(deals=[deal(number, "1", 9 - number) for number in range(4)]))
    assert past.TOO_MANY in outcome.error
    monkeypatch.setattr(past, "MOST_DEALS", 4)
    PastFilling.objects.all().delete()
    assert fill(Platform(deals=[deal(number, "1", 9 - number) for number in range(4)])).error == ""


def information(currency: str, amount: int) -> AccountInformation:
    return AccountInformation(account_id="a", currency=currency, balance=Decimal(amount), equity=Decimal(amount))


def measure(backend, currency: str, amount: int, days: int, deposits: int | None = None) -> None:
    """As the sync of balances does."""
    now = NOW - timedelta(days=days)
    keep_balances(backend, [information(currency, amount)], now=now)
    _keep_points(backend, [("a", now, amount, amount, deposits)], replace=False)


def test_a_curve_holds_one_currency(backend):
    own = account(backend, currency="USD", measured_at=None)
    EquityPoint.objects.create(connection=backend, account_id="a", time=NOW - timedelta(days=9), balance=7, equity=7)
    measure(backend, "USD", 100, 8, 100)
    assert equity_curves(backend.pk, ["a"])["a"].equity.tolist() == [7, 100]
    measure(backend, "EUR", 90, 7, 90)
    measure(backend, "EUR", 95, 6, 92)
    own.refresh_from_db()
    curve = equity_curves(backend.pk, ["a"])["a"]
    assert (curve.currency, curve.equity.tolist()) == ("EUR", [90, 95])
    assert [currency for (currency,) in EquityPoint.objects.order_by("time").values_list("currency")] == [
        "USD",
        "USD",
        "EUR",
        "EUR",
    ]
    assert [amount for _, amount in cash_flows(backend.pk, ["a"])["a"]] == [2]  # 100 dollars to 90 euros is no flow
    cache.clear()
    times, equity, *_ = equity_curve(backend.workspace, currency="EUR", days=3650, now=NOW)
    assert (len(times), equity[-1]) == (2, 95)
    PastPoint.objects.create(
        connection=backend, account_id="a", time=NOW - timedelta(days=20), balance=1, equity=1, currency="USD"
    )
    assert with_past(curve, own).equity.tolist() == [90, 95]
    measure(backend, "USD", 50, 5)
    assert equity_curves(backend.pk, ["a"])["a"].equity.tolist() == [7, 100, 50]


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        (Platform(deals=[deal(1, "1000", 3, "DEAL_TYPE_BALANCE")]), "rebuilt from the account’s deals"),
        (Platform(chart=[hour(NOW - timedelta(days=2), "5")]), "equity chart of the trading platform"),
        (Platform(), "What was before is not known"),
        (None, "as the copying backend recorded them"),
    ],
)
def test_a_line_under_the_chart_names_its_sources(backend, fill, sign_in, alice, dora, text_of, platform, words):
    own = account(backend, access=dora)
    if platform is not None:
        fill(platform)
    measure(backend, "USD", 100, 0)
    pages = [
        text_of(sign_in(alice).get(f"/subscribers/{own.pk}/performance/")),
        text_of(sign_in(dora).get(f"/me/?account={own.pk}")),
    ]
    lines = ("rebuilt from", "equity chart of the", "is not known: the backend", "as the copying backend recorded")
    for page in pages:
        assert words in page
        assert sum(line in page for line in lines) == 1
