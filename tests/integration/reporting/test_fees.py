"""Fees beside the commission: what each does, in what order, from when, and how it is shown and proven."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.test import Client

from reporting.commission.beginning import is_rise
from reporting.commission.consent import record_answers
from reporting.commission.explain import explain
from reporting.commission.fee_terms import FeeTerms
from reporting.commission.fees import costs_more
from reporting.commission.journal import _sums_of_combined, role_of
from reporting.commission.recompute import recompute
from reporting.commission.setting import set_terms
from reporting.commission.statement_file import statement_file
from reporting.models import EquityPoint, Statement, Subject, TermsVersion
from reporting.views.statements import lines_of
from subscribers.models import Subscription
from tests import builders
from tests.firm import D, Firm, at
from tools import verify_statement

pytestmark = pytest.mark.django_db
NUMBERS = count(1)
HOUR = timedelta(hours=1)


class Firms(Firm):
    """A firm whose client copies since 1 January and whose account is read at noon of each day."""

    def __init__(self, scheme="amount-won", rate=0.2, *, value="36500", days=70, **more):
        super().__init__(scheme, rate, **more)
        builders.subscription(self.subscriber, self.strategy, first_seen_at=at(1, 1, 0))
        self.look(at(1, 1, 0))
        for day in range(days):
            self.read(at(1, 1, 12) + timedelta(days=day), value)

    def read(self, moment, value):
        EquityPoint.objects.create(
            connection=self.connection, account_id=self.subscriber.backend_id, time=moment, balance=value, equity=value
        )

    def look(self, now):
        self.complete_until(now)
        self.accrue(now)

    def set_fees(self, content, *, choice="now", now=None, client=""):
        more = {"choice": choice, "by": None, "now": now or at(1, 1, 0), "subscriber_id": client}
        return set_terms(self.strategy, Subject.FEES, content, **more)

    def of(self, scheme):
        return [line.amount for line in self.lines.filter(scheme=scheme)]

    def check(self, now):
        assert all(recompute(line) == line.amount for line in self.lines)
        total = self.total
        self.from_nothing(now)
        assert self.total == total


# --- Management fee ---------------------------------------------------------------------------------------------------
def test_a_management_fee_is_counted_by_days_that_are_over():
    firm = Firms()
    firm.set_fees({"management": "0.02"})
    firm.look(at(1, 11, 0))
    line = firm.lines.get()
    assert (line.scheme, line.amount, line.is_provisional) == ("management-fee", D(20), True)  # 2 a day
    assert len(line.inputs["days"]) == 10
    firm.look(at(1, 11, 23))
    assert firm.total == 20
    firm.look(at(2, 1, 0))
    assert firm.of("management-fee") == [62]
    assert "365" in explain(firm.lines.get()).formula
    firm.check(at(2, 1, 0))


def test_a_day_without_a_reading_waits_and_is_charged_when_it_is_known():
    firm = Firms()
    firm.set_fees({"management": "0.02"})
    EquityPoint.objects.filter(time__in=[at(1, 10, 12), at(1, 20, 12)]).delete()
    firm.look(at(2, 5))
    line = firm.lines.earliest("period_start")
    assert (line.amount, line.inputs["waiting"], line.is_provisional) == (58, ["2026-01-10", "2026-01-20"], False)
    assert "2 days waiting" in explain(line).title
    firm.read(at(1, 20, 15), "73000")
    firm.look(at(2, 6))
    late = firm.lines.get(key__startswith="late:")
    assert (late.amount, late.period_start, late.inputs["days"]) == (4, at(2, 1, 0), [["2026-01-20", "73000.00000000"]])
    assert firm.lines.get(pk=line.pk).amount == 58
    firm.look(at(3, 5))
    firm.look(at(3, 6))
    assert firm.lines.filter(key__startswith="late:").count() == 1
    assert all(recompute(row) == row.amount for row in firm.lines)


def test_an_account_below_zero_owes_nothing_and_credit_is_not_its_own():
    firm = Firms(days=0)
    firm.set_fees({"management": "0.02"})
    firm.read(at(1, 1), "-500")
    firm.read(at(1, 2), "46500")
    firm.deal(at(1, 1, 20), "10000", type="DEAL_TYPE_CREDIT", position_id="")
    firm.look(at(1, 3, 0))
    assert firm.total == 2


def test_new_profit_has_to_earn_the_management_fee_first():
    firm = Firms("high-water-mark", 0.2)
    firm.set_fees({"management": "0.02"})
    firm.deal(at(1, 15), "1000")
    firm.look(at(2, 1, 0))
    assert (firm.of("management-fee"), firm.of("high-water-mark")) == ([62], [D("187.60")])  # 20 % of 1000 - 62
    firm.deal(at(2, 15), "50")  # February costs 56
    firm.look(at(3, 1, 0))
    assert firm.of("high-water-mark") == [D("187.60"), 0]
    steps = explain(firm.lines.filter(scheme="high-water-mark")[0]).steps
    assert any(step.label.startswith("Management fee") for step in steps)
    firm.check(at(3, 1, 0))


def test_late_deals_of_a_settled_month_are_measured_above_its_management_fee():
    firm = Firms("high-water-mark", 0.2)
    firm.set_fees({"management": "0.02"})
    firm.deal(at(1, 15), "1000")
    firm.look(at(2, 2))
    firm.deal(at(1, 20), "100")
    firm.look(at(2, 3))
    assert firm.of("high-water-mark")[:1] == [D("187.60")]
    assert firm.lines.get(key__startswith="adjustment").amount == 20
    firm.check(at(2, 3))


# --- Joining fee ------------------------------------------------------------------------------------------------------
def test_who_begins_after_a_joining_fee_was_set_pays_it_once():
    firm = Firms()
    firm.set_fees({"joining": {"USD": "50"}, "discount": "0.1"}, now=at(1, 5))
    second, third = (builders.subscriber(firm.connection, currency=currency) for currency in ("USD", "EUR"))
    for account in (second, third):
        builders.subscription(account, firm.strategy, first_seen_at=at(1, 20))
    firm.look(at(1, 21))
    line = firm.lines.get()
    assert (line.subscriber_id, line.amount, line.policy["list_rate"]) == (second.backend_id, 45, "50")
    for moment, is_removed in ((at(1, 25), True), (at(2, 10), False), (at(3, 10), False)):
        Subscription.objects.filter(subscriber=second).update(is_removed=is_removed)
        firm.look(moment)
    assert firm.lines.get().pk == line.pk
    firm.check(at(3, 10))


# --- What lowers a rate -----------------------------------------------------------------------------------------------
def test_a_discount_holds_from_a_moment_on_for_deals_of_then_whenever_they_arrive():
    firm = Firms()
    firm.set_fees({"discount": "0.1"}, now=at(1, 10))
    firm.look(at(2, 5))
    firm.deal(at(1, 9), "100")
    firm.deal(at(1, 11), "100")
    firm.look(at(2, 6))
    assert sorted(firm.amounts()) == [18, 20]
    line = firm.lines.get(amount=18)
    assert (line.rate, line.policy["list_rate"], line.policy["discount"]) == (D("0.18"), "0.2", "0.1")
    firm.check(at(2, 6))


def test_a_client_has_a_rate_of_its_own_while_the_scheme_is_the_one_it_is_for():
    firm = Firms()
    firm.set_fees({"rate": "0.15", "rate_scheme": "amount-won"}, client=firm.subscriber.backend_id)
    other = builders.subscriber(firm.connection)
    for account in (firm.subscriber, other):
        firm.deal(at(1, 10), "100", subscriber=account)
    firm.look(at(1, 11))
    assert sorted(firm.amounts()) == [15, 20]
    firm.set_fees({"follows": True}, client=firm.subscriber.backend_id, now=at(1, 12))
    firm.deal(at(1, 13), "100")
    firm.look(at(1, 14))
    firm.change_scheme(type="lots-won", commissionRate=6)
    firm.look(at(1, 15))
    assert sorted(firm.amounts()) == [15, 20, 20]


def test_a_client_may_have_a_rate_of_nothing():
    firm = Firms()
    firm.set_fees({"rate": "0", "rate_scheme": "amount-won"}, client=firm.subscriber.backend_id)
    firm.deal(at(1, 10), "100")
    firm.look(at(1, 11))
    assert firm.total == 0
    firm.check(at(1, 11))


def test_free_days_charge_nothing_but_losses_in_them_are_to_be_earned_back():
    firm = Firms("high-water-mark", 0.2)
    firm.set_fees({"trial_days": 10, "management": "0.02"}, now=at(1, 1, 0))
    account = builders.subscriber(firm.connection)
    builders.subscription(account, firm.strategy, first_seen_at=at(1, 2))
    for moment, profit in ((at(1, 5), "300"), (at(1, 8), "-100"), (at(1, 11, 23), "-50"), (at(1, 12, 0), "160")):
        firm.deal(moment, profit, subscriber=account)
    firm.look(at(2, 1, 0))
    mark = firm.lines.filter(subscriber_id=account.backend_id, scheme="high-water-mark")
    assert [line.amount for line in mark] == [0, 32]  # 150 at the end of 11 January; +160
    assert "free: trial time" in [step.value for step in explain(mark[0]).steps]
    firm.deal(at(2, 2), "-1", subscriber=account)
    firm.look(at(3, 1, 0))
    firm.check(at(3, 1, 0))


# --- Minimum and cap --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("profit", "expected"), [("0", 31), ("154.95", 31), ("155", 31), ("155.05", D("31.01")), ("400", 80), ("405", 80)]
)
@pytest.mark.parametrize("arrives", ["in time", "late"])
def test_a_period_costs_at_least_and_at_most(profit, expected, arrives):
    firm = Firms()
    firm.set_fees({"minimum": {"USD": "31"}, "cap": {"USD": "80"}})
    if arrives == "late":
        firm.look(at(2, 2))
        assert firm.total == 31 + round(D(31) * 2 / 28, 2)
    firm.deal(at(1, 10), profit)
    firm.look(at(2, 3))
    february = round(D(31) * 3 / 28, 2)
    assert firm.total == expected + february
    firm.look(at(2, 3))
    assert firm.total == expected + february
    firm.check(at(2, 3))


def test_a_cap_of_a_closed_period_is_corrected_in_the_open_one():
    firm = Firms()
    firm.set_fees({"cap": {"USD": "80"}})
    firm.deal(at(1, 10), "350", number=1)
    firm.look(at(2, 2))
    firm.close(at(2, 1, 0), now=at(2, 2))
    closed = list(firm.lines.values())
    firm.deal(at(1, 11), "100")
    firm.look(at(2, 3))
    assert sorted(firm.amounts()) == [-10, 20, 70]
    correction = firm.lines.get(scheme="fee-cap")
    assert (correction.period_start, correction.inputs["corrects"]["key"]) == (at(2, 1, 0), "cap")
    firm.deal(at(1, 10), "200", number=1)
    firm.look(at(2, 4))
    assert sorted(firm.amounts()) == [-30, 20, 70]  # 60 in all: no cap any more
    assert list(firm.lines.filter(period_start=at(1, 1, 0)).values()) == closed


# --- Billing periods --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("length", "starts"),
    [
        ("day", [at(3, 30, 0), at(3, 31, 0), at(4, 1, 0)]),
        ("week", [at(3, 29, 0)]),
        ("quarter", [at(1, 1, 0), at(4, 1, 0)]),
        ("half-year", [at(1, 1, 0)]),
        ("year", [at(1, 1, 0)]),
    ],
)
def test_fees_are_billed_by_the_length_that_is_set_here(length, starts):
    firm = Firms(days=0)
    firm.set_fees({"billing_period": length})
    for moment in (at(3, 30), at(3, 31), at(4, 1)):
        firm.deal(moment, "100")
    firm.look(at(4, 2))
    assert sorted({line.period_start for line in firm.lines}) == starts
    assert {line.policy["billing_period"] for line in firm.lines} == {length}
    firm.check(at(4, 2))


def test_a_length_ends_the_running_period_and_may_end_itself():
    firm = Firms("flat-fee", 31, days=0)
    firm.set_fees({"billing_period": "half-year"}, choice="next", now=at(1, 20))
    firm.set_fees({}, choice="2026-04-01", now=at(2, 20))
    firm.look(at(5, 1, 0))
    spans = [(line.period_start, line.period_end, line.amount) for line in firm.lines]
    half = round(D(31) * 59 / 181, 2)
    assert spans == [
        (at(1, 1, 0), at(2, 1, 0), 31),
        (at(2, 1, 0), at(4, 1, 0), half),
        (at(4, 1, 0), at(5, 1, 0), 31),
    ]
    firm.check(at(5, 1, 0))


def test_a_mark_that_is_measured_more_often_waits_for_consent():
    firm = Firms("high-water-mark", 0.2, days=0, asks_consent=True)
    version = firm.set_fees({"billing_period": "day"}, now=at(1, 1, 0))
    assert version.needs_consent is True
    firm.deal(at(1, 10), "100")
    firm.deal(at(1, 20), "-60")
    firm.look(at(2, 1, 0))
    assert firm.total == 8  # measured at the end of the month that was agreed on
    assert firm.set_fees({"billing_period": "year"}, now=at(2, 2)).needs_consent is False


def test_a_length_of_the_portal_in_a_document_is_not_known():
    firm = Firms("amount-won", 0.2, billing_period="year", days=0)
    firm.deal(at(1, 10), "100")
    firm.look(at(2, 1, 0))
    assert firm.total == 0


# --- Consent ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, False),
        ({}, {"management": "0.02"}, True),
        ({"management": "0.02"}, {"management": "0.02"}, False),
        ({"management": "0.02"}, {"management": "0.01"}, False),
        ({}, {"discount": "0.1"}, False),
        ({"discount": "0.1"}, {"discount": "0.09"}, True),
        ({}, {"minimum": {"USD": "5"}}, True),
        ({"minimum": {"USD": "5"}}, {"minimum": {"USD": "5", "EUR": "5"}}, False),
        ({}, {"cap": {"USD": "5"}}, False),
        ({"cap": {"USD": "5"}}, {"cap": {"USD": "6"}}, True),
        ({"cap": {"USD": "5"}}, {"cap": {"USD": "5"}}, False),
        ({"cap": {"USD": "5"}}, {}, True),
        ({}, {"joining": {"USD": "5"}}, False),
        ({"trial_days": 9}, {}, False),
    ],
)
def test_what_costs_a_client_more(before, after, expected):
    assert costs_more(FeeTerms.parse(before), FeeTerms.parse(after), "USD") is expected


@pytest.mark.parametrize(
    ("before", "after", "lengths", "expected"),
    [
        ({"minimum": {"USD": "12"}}, {"minimum": {"USD": "12"}}, "month week", True),
        ({"minimum": {"USD": "12"}}, {"minimum": {"USD": "1"}}, "month week", True),  # a bad week of a good month
        ({"minimum": {"USD": "12"}}, {"minimum": {"USD": "36"}}, "month quarter", False),
        ({"minimum": {"USD": "12"}}, {"minimum": {"USD": "37"}}, "month quarter", True),
        ({"minimum": {"USD": "12"}}, {"minimum": {"USD": "12"}}, "month month", False),
        ({"cap": {"USD": "12"}}, {"cap": {"USD": "12"}}, "month week", True),
        ({"cap": {"USD": "36"}}, {"cap": {"USD": "12"}}, "quarter month", False),
        ({"cap": {"USD": "36"}}, {"cap": {"USD": "13"}}, "quarter month", True),
        ({"cap": {"USD": "12"}}, {"cap": {"USD": "13"}}, "month quarter", True),  # a good month
        ({"cap": {"USD": "12"}}, {"cap": {"USD": "12"}}, "month quarter", False),
    ],
)
def test_limits_of_periods_of_another_length_may_cost_more(before, after, lengths, expected):
    old, new = lengths.split()
    charged = {"scheme": "amount-won", "rate": "0.2", "currency": "USD"}
    terms_before = charged | {"billing_period": old, "fees": FeeTerms.parse(before)}
    assert is_rise(terms_before, charged | {"billing_period": new, "fees": FeeTerms.parse(after)}) is expected


def test_who_refuses_shorter_periods_owes_minimum_and_cap_by_those_agreed_on():
    firm = Firms(days=0, asks_consent=True)
    first = firm.set_fees({"minimum": {"USD": "31"}, "cap": {"USD": "62"}})
    record_answers(first, [firm.subscriber.backend_id], is_consent=True, note="", by=None, now=at(1, 1, 0))
    builders.subscription(other := builders.subscriber(firm.connection), firm.strategy, first_seen_at=at(1, 1, 0))
    version = firm.set_fees(
        {"minimum": {"USD": "31"}, "cap": {"USD": "62"}, "billing_period": "week"}, choice="2026-01-04", now=at(1, 2)
    )
    assert version.needs_consent is True
    record_answers(version, [other.backend_id], is_consent=True, note="", by=None, now=at(1, 2))
    for account in (firm.subscriber, other):
        firm.deal(at(1, 12), "400", subscriber=account)
    firm.look(at(1, 18, 0))
    week = {"period_start": at(1, 4, 0)}
    own = firm.lines.filter(subscriber_id=firm.subscriber.backend_id)
    assert own.get(**week, scheme="minimum-fee").amount == 7  # 31 x 7 of 31 days
    assert own.get(scheme="fee-cap").amount == -66  # 80 - 62 x 7 of 31 days
    assert "7 of 31 days at most" in explain(own.get(scheme="fee-cap")).formula
    agreed = firm.lines.filter(subscriber_id=other.backend_id)
    assert agreed.get(**week, scheme="minimum-fee").amount == 31
    assert agreed.get(scheme="fee-cap").amount == -18
    firm.check(at(1, 18, 0))


def test_terms_are_what_was_stored():
    content = {"management": "0.02", "cap": {"USD": "5"}, "trial_days": 3, "rate": "6", "rate_scheme": "lots-won"}
    assert FeeTerms.parse(content).serialise() == content


def test_a_management_fee_waits_for_consent_and_a_discount_does_not():
    firm = Firms(asks_consent=True)
    version = firm.set_fees({"management": "0.02"}, now=at(1, 5, 0))
    assert (version.needs_consent, version.asks_consent) == (True, True)
    firm.look(at(1, 11, 0))
    assert firm.total == 0
    record_answers(version, [firm.subscriber.backend_id], is_consent=True, note="", by=None, now=at(1, 11, 0))
    firm.look(at(1, 21, 0))
    assert firm.of("management-fee") == [20]
    version = firm.set_fees({"management": "0.02", "discount": "0.5"}, now=at(1, 21, 0))
    assert version.needs_consent is False
    firm.look(at(1, 31, 0))
    assert firm.of("management-fee") == [20, 10]
    firm.check(at(1, 31, 0))


# --- Documents --------------------------------------------------------------------------------------------------------
@pytest.fixture
def issued(tmp_path):
    """A statement with every kind of fee: (firm, statement, path of its file)."""
    firm = Firms("high-water-mark", 0.2)
    firm.set_fees({"management": "0.02", "minimum": {"USD": "200"}, "joining": {"USD": "50"}, "discount": "0.1"})
    account = builders.subscriber(firm.connection)
    builders.subscription(account, firm.strategy, first_seen_at=at(1, 5))
    firm.deal(at(1, 10), "150", subscriber=account)
    firm.deal(at(1, 10), "150")
    firm.set_fees({"management": "0.02", "cap": {"USD": "40"}}, choice="next", now=at(1, 20))
    firm.deal(at(2, 10), "300")
    firm.look(at(3, 2))
    firm.close(at(3, 1, 0), now=at(3, 2))
    firm.issue(at(3, 1, 0), now=at(3, 2))
    document = Statement.objects.get(subscriber_id=firm.subscriber.backend_id)
    path = tmp_path / "statement.json"
    path.write_bytes(statement_file(document, lines_of(document)))
    return firm, document, path


def test_a_statement_with_fees_proves_itself(issued, capsys):
    _, document, path = issued
    assert verify_statement.main([str(path)]) == 0, capsys.readouterr()
    schemes = {line.scheme for line in lines_of(document)}
    assert schemes == {"management-fee", "high-water-mark", "joining-fee", "minimum-fee", "fee-cap"}
    assert {item.scheme for item in document.items.all()} == {"combined"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"36500.00000000"', '"36500.10000000"'),
        ('"list_rate": "0.2"', '"list_rate": "0.21"'),
        ('"days": 31', '"days": 30'),
        ('"is_cost": true', '"is_cost": false'),
    ],
)
def test_a_wrong_figure_in_a_fee_is_seen(issued, old, new, capsys):
    path = issued[2]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert verify_statement.main([str(path)]) == 1
    assert "line" in capsys.readouterr().out


def test_the_journal_books_each_kind_of_fee_on_its_account(issued):
    _, document, _ = issued
    sums = _sums_of_combined([document.pk])[document.pk]
    assert sum(sums.values()) == document.amount
    assert (role_of("fee-cap"), role_of("joining-fee")) == ("minimum-fee", "joining-fee")


# --- Pages ------------------------------------------------------------------------------------------------------------
def signed_in(workspace, role="owner"):
    client = Client()
    client.force_login(builders.member(workspace, f"{role}{next(NUMBERS)}", role))
    return client


def text_of(answer):
    return " ".join(answer.content.decode().split())


def test_fees_are_looked_at_and_then_saved():
    firm = Firms(asks_consent=True)
    client, path = signed_in(firm.workspace, "manager"), f"/strategies/{firm.strategy.pk}/commission/fees/"
    assert "no fees beside the commission" in text_of(client.get(path)).lower()
    sent = {"management": "2", "joining_USD": "50", "trial_days": "14", "start": "next", "step": "review"}
    page = text_of(client.post(path, sent))
    assert "management fee 2" in page
    assert "The backend knows none of this" in page
    assert "until you have recorded its consent" in page
    assert not TermsVersion.objects.filter(subject=Subject.FEES).exists()
    answer = client.post(path, sent | {"step": "save", "other": "jpy", "cap_other": "9000"})
    assert answer.status_code == 302
    version = TermsVersion.objects.get(subject=Subject.FEES)
    expected = {"management": "0.02", "joining": {"USD": "50"}, "cap": {"JPY": "9000"}, "trial_days": 14}
    assert version.terms == expected
    assert "joining fee 50 USD" in text_of(client.get(answer["Location"]))
    assert "Nothing was changed" in text_of(client.post(path, sent | {"cap_JPY": "9000", "step": "save"}))


def test_pages_say_what_the_backend_does_not_know():
    firm = Firms()
    firm.set_fees({"management": "0.02"})
    firm.deal(at(1, 10), "100")
    firm.look(at(2, 1, 0))
    client = signed_in(firm.workspace)
    for path in (f"/strategies/{firm.strategy.pk}/commission/?period=2026-01", "/commissions/?period=2026-01"):
        page = text_of(client.get(path))
        assert "62.00 beside it" in page
        assert "Several fees" in page
        assert "It knows no discount" in page


def test_a_client_gets_fees_of_its_own_and_follows_again():
    firm = Firms()
    client = signed_in(firm.workspace)
    path = f"/strategies/{firm.strategy.pk}/commission/fees/?subscriber={firm.subscriber.pk}"
    page = text_of(client.get(path))
    assert f"for {firm.subscriber.name}" in page
    assert "trial_days" not in page  # it began before
    assert client.post(path, {"rate": "15", "discount": "5", "start": "now", "step": "save"}).status_code == 302
    version = TermsVersion.objects.get(subject=Subject.FEES)
    assert (version.subscriber_id, version.terms) == (
        firm.subscriber.backend_id,
        {"discount": "0.05", "rate": "0.15", "rate_scheme": "amount-won"},
    )
    assert client.post(path, {"follows": "on", "start": "now", "step": "save"}).status_code == 302
    assert TermsVersion.objects.filter(subject=Subject.FEES).latest("number").terms == {"follows": True}
    assert "Nothing was changed" in text_of(client.post(path, {"follows": "on", "start": "now", "step": "save"}))


def test_nothing_is_said_of_the_length_of_periods_where_one_client_gets_a_rate():
    firm = Firms()
    firm.set_fees({"billing_period": "week", "discount": "0.1"})
    path = f"/strategies/{firm.strategy.pk}/commission/fees/?subscriber={firm.subscriber.pk}"
    page = text_of(signed_in(firm.workspace).post(path, {"rate": "15", "start": "now", "step": "review"}))
    assert "charged at the new rate" in page
    assert "running period ends" not in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"management": "-1"},
        {"management": "101"},
        {"discount": "101"},
        {"trial_days": "0"},
        {"trial_days": "367"},
        {"minimum_USD": "6", "cap_USD": "5"},
        {"other": "EUR"},
        {"cap_other": "5"},
        {"other": "EU", "cap_other": "5"},
        {"joining_USD": "0"},
        {"minimum_USD": "100", "other": "usd", "cap_other": "50"},
    ],
)
def test_wrong_fees_are_refused(wrong):
    firm = Firms()
    path = f"/strategies/{firm.strategy.pk}/commission/fees/"
    answer = signed_in(firm.workspace).post(path, {"start": "next", "step": "save", **wrong})
    assert answer.status_code == 422
    assert not TermsVersion.objects.filter(subject=Subject.FEES).exists()
