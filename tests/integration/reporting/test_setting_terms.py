"""Rates by currency and rules of high-water marks: set on pages, charged by spans, waited for where they cost more."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.test import Client
from django.utils import timezone

from reporting.commission.beginning import costs_no_more
from reporting.commission.consent import record_answers
from reporting.commission.explain import explain
from reporting.commission.policy import Policy
from reporting.commission.recompute import recompute
from reporting.commission.setting import set_terms
from reporting.models import CommissionPolicy, Subject, TermsVersion
from tests import builders
from tests.firm import D, Firm, at

pytestmark = pytest.mark.django_db
NUMBERS = count(1)
MOMENT = timedelta(microseconds=1)
NEXT_MONTH = at(2, 1, 0)


class Clients:
    """A strategy with one client of each currency, set up on 1 January and looked at since."""

    def __init__(self, scheme="lots-won", rate=6, currencies=("USD", "JPY", "KWD"), **more):
        self.firm = Firm(scheme, rate, currency=currencies[0], **more)
        self.accounts = {currencies[0]: self.firm.subscriber}
        for currency in currencies[1:]:
            self.accounts[currency] = builders.subscriber(self.firm.connection, currency=currency)
        for account in self.accounts.values():
            builders.subscription(account, self.firm.strategy, first_seen_at=at(1, 1, 0))
        self.look(at(1, 2))

    def look(self, now):
        self.firm.complete_until(now)
        self.firm.accrue(now)

    def set_rates(self, rates, *, choice="next", now=None):
        content = {"scheme": self.firm.strategy.document["commissionScheme"]["type"], "rates": rates}
        return set_terms(self.firm.strategy, Subject.RATES, content, choice=choice, by=None, now=now or at(1, 10))

    def deal(self, moment, **more):
        for account in self.accounts.values():
            self.firm.deal(moment, "100", lots="1", subscriber=account, **more)

    def sums(self):
        return {
            currency: sum((line.amount for line in self.firm.lines.filter(subscriber_id=account.backend_id)), D(0))
            for currency, account in self.accounts.items()
        }

    def check(self, now):
        sums = self.sums()
        assert all(recompute(line) == line.amount for line in self.firm.lines)
        self.firm.from_nothing(now)
        assert self.sums() == sums


# --- Rates by currency ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("moment", "expected"),
    [(NEXT_MONTH - MOMENT, (6, 6, 6)), (NEXT_MONTH, (6, 600, D("1.85"))), (at(2, 20), (6, 600, D("1.85")))],
)
@pytest.mark.parametrize("arrives", ["in time", "late"])
def test_each_currency_has_its_rate_from_a_moment_on(moment, expected, arrives):
    clients = Clients()
    clients.set_rates({"JPY": "600", "KWD": "1.85"})
    if arrives == "in time":
        clients.deal(moment)
    clients.look(at(3, 10))
    if arrives == "late":
        clients.deal(moment)
        clients.look(at(3, 11))
    assert tuple(clients.sums().values()) == expected
    clients.check(at(3, 12))


def test_a_fixed_fee_by_currency():
    clients = Clients("flat-fee", 30)
    clients.set_rates({"JPY": "3000"})
    clients.look(at(3, 1))
    sums = clients.sums()
    assert sums["USD"] == 60 + round(D(30) / 31, 2)
    assert sums["JPY"] == 30 + 3000 + round(D(3000) / 31)
    clients.check(at(3, 1))


def test_rates_belong_to_their_scheme_and_follow_no_other():
    clients = Clients()
    clients.set_rates({"JPY": "600"}, choice="now")
    clients.look(at(1, 11))
    clients.firm.change_scheme(type="lots-traded", commissionRate=5)
    clients.look(at(1, 20))
    clients.deal(at(1, 21), side="open")
    clients.firm.change_scheme(type="lots-won", commissionRate=7)
    clients.look(at(1, 22))
    clients.deal(at(1, 23))
    clients.look(at(1, 24))
    assert clients.sums() == {"USD": 5 + 7, "JPY": 5 + 600, "KWD": 5 + 7}


def test_a_line_says_the_rate_of_its_currency_and_the_version_it_is_of():
    clients = Clients()
    version = clients.set_rates({"JPY": "600"}, choice="now")
    clients.deal(at(1, 12))
    clients.look(at(1, 13))
    line = clients.firm.lines.get(subscriber_id=clients.accounts["JPY"].backend_id)
    assert (line.rate, line.policy["terms"]) == (600, version.number)
    assert "600.00 JPY per lot" in explain(line).formula
    other = clients.firm.lines.get(subscriber_id=clients.accounts["USD"].backend_id)
    assert (other.rate, other.policy["terms"]) == (6, 1)


def test_a_rise_in_one_currency_waits_for_the_consent_of_its_clients_only():
    clients = Clients(asks_consent=True)
    version = clients.set_rates({"JPY": "600", "USD": "5"}, choice="now")
    clients.deal(at(1, 12))
    clients.look(at(1, 13))
    assert clients.sums() == {"USD": 5, "JPY": 6, "KWD": 6}
    record_answers(version, [clients.accounts["JPY"].backend_id], is_consent=True, note="", by=None, now=at(1, 14))
    clients.deal(at(1, 15))
    clients.look(at(1, 16))
    assert clients.sums() == {"USD": 10, "JPY": 606, "KWD": 12}
    clients.check(at(1, 17))


# --- Rules of a mark --------------------------------------------------------------------------------------------------
def set_rules(clients, policy, *, choice="now", now=None, client=""):
    content = policy.serialise() if policy else {}
    more = {"choice": choice, "by": None, "now": now or at(1, 10), "subscriber_id": client}
    return set_terms(clients.firm.strategy, Subject.POLICY, content, **more)


def test_rules_hold_from_their_beginning_and_the_mark_goes_on():
    clients = Clients("high-water-mark", 0.2, ["USD"])
    clients.deal(at(1, 5))
    set_rules(clients, Policy.parse({"new_mark": "gross"}), choice="next")
    clients.look(at(2, 5))
    clients.deal(at(2, 10))  # 100 more: charged at the net mark's end, the fee of it to be earned back after
    clients.look(at(3, 5))
    clients.deal(at(3, 10))
    clients.look(at(4, 5))
    assert clients.firm.amounts() == [20, 20, 16, 0]
    clients.check(at(4, 5))


def test_one_client_has_rules_of_its_own_and_follows_the_strategy_again():
    clients = Clients("high-water-mark", 0.2, ["USD", "EUR"])
    own = clients.accounts["EUR"].backend_id
    set_rules(clients, Policy.parse({"loss_memory_periods": 1}), client=own)
    for month, profit in ((1, "-100"), (3, "100"), (4, "-50"), (6, "50")):
        for account in clients.accounts.values():
            clients.firm.deal(at(month, 15), profit, subscriber=account)
        if month == 3:
            clients.look(at(4, 1))
            set_rules(clients, None, now=at(4, 1), client=own)
    clients.look(at(7, 2))
    assert clients.sums() == {"USD": 0, "EUR": 20}
    clients.check(at(7, 2))


def test_rules_that_cost_more_wait_for_consent_and_others_do_not():
    clients = Clients("high-water-mark", 0.2, ["USD", "EUR"], asks_consent=True)
    dearer = set_rules(clients, Policy.parse({"crystallised": "subscription-end"}))
    cheaper = set_rules(clients, Policy.parse({"new_mark": "gross"}), now=at(1, 12))
    clients.deal(at(1, 15))
    clients.look(at(2, 5))
    clients.deal(at(2, 15))
    clients.look(at(3, 5))
    assert clients.sums() == {"USD": 36, "EUR": 36}
    assert (dearer.needs_consent, cheaper.needs_consent) == (True, False)


def test_a_policy_of_the_version_before_is_not_put_back():
    clients = Clients("high-water-mark", 0.2, ["USD"])
    CommissionPolicy.objects.create(
        workspace=clients.firm.workspace,
        connection=clients.firm.connection,
        name="old",
        created_at=at(1, 3),
        strategy_id=clients.firm.strategy.backend_id,
        choices={"new_mark": "gross"},
    )
    clients.look(at(1, 4))
    set_rules(clients, Policy.parse({"loss_memory_periods": 2}))
    clients.look(at(1, 11))
    versions = TermsVersion.objects.filter(subject=Subject.POLICY).order_by("number")
    assert [version.terms["loss_memory_periods"] for version in versions] == [None, 2]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, True),
        ({}, {"new_mark": "gross"}, True),
        ({"new_mark": "gross"}, {}, False),
        ({}, {"hurdle": "soft", "hurdle_rate": "0.05"}, True),
        ({"hurdle": "soft", "hurdle_rate": "0.05"}, {"hurdle": "hard", "hurdle_rate": "0.05"}, True),
        ({"hurdle": "soft", "hurdle_rate": "0.05"}, {"hurdle": "hard", "hurdle_rate": "0.04"}, False),
        ({"hurdle": "hard", "hurdle_rate": "0.05"}, {"hurdle": "soft", "hurdle_rate": "0.05"}, False),
        ({"hurdle": "hard", "hurdle_rate": "0.05"}, {"hurdle": "hard", "hurdle_rate": "0.06"}, True),
        ({"hurdle": "hard", "hurdle_rate": "0.05"}, {"hurdle": "hard", "hurdle_rate": "0.04"}, False),
        ({}, {"loss_memory_periods": 9}, False),
        ({"loss_memory_periods": 9}, {}, True),
        ({"loss_memory_periods": 9}, {"loss_memory_periods": 10}, True),
        ({"loss_memory_periods": 9}, {"loss_memory_periods": 8}, False),
        ({}, {"crystallised": "withdrawal"}, False),
        ({"crystallised": "withdrawal"}, {}, True),
        ({}, {"basis": "equity"}, False),
        ({"basis": "equity"}, {"basis": "equity", "withdrawal": "proportional"}, False),
        ({}, {"scope": "client"}, False),
        ({}, {"floating": "realised-and-floating"}, False),
    ],
)
def test_which_rules_cost_no_client_more(before, after, expected):
    assert costs_no_more(Policy.parse(before), Policy.parse(after)) is expected


# --- Pages ------------------------------------------------------------------------------------------------------------
def signed_in(workspace, role="owner"):
    client = Client()
    client.force_login(builders.member(workspace, f"{role}{next(NUMBERS)}", role))
    return client


def text_of(answer):
    return " ".join(answer.content.decode().split())


STANDARD = {
    "basis": "profit",
    "floating": "realised",
    "new_mark": "net",
    "withdrawal": "absolute",
    "crystallised": "period-end",
    "hurdle": "none",
    "hurdle_rate": "",
    "loss_memory_periods": "",
    "scope": "subscription",
}


def path_of(clients, page):
    return f"/strategies/{clients.firm.strategy.pk}/commission/{page}/"


def test_rates_are_looked_at_and_then_saved():
    clients = Clients()
    client, path = signed_in(clients.firm.workspace, "manager"), path_of(clients, "rates")
    page = text_of(client.get(path))
    assert all(f"In {currency}" in page for currency in clients.accounts)
    sent = {"USD": "", "JPY": "600", "KWD": "", "start": "next", "step": "review"}
    page = text_of(client.post(path, sent))
    assert "JPY: 600 instead of 6." in page
    assert "make sure that they agreed" in page
    assert not TermsVersion.objects.filter(subject=Subject.RATES).exists()
    answer = client.post(path, sent | {"step": "save", "other": "eur", "other_rate": "5.5"})
    assert answer.status_code == 302
    version = TermsVersion.objects.get(subject=Subject.RATES)
    assert version.terms == {"scheme": "lots-won", "rates": {"EUR": "5.5", "JPY": "600"}}
    page = text_of(client.get(answer["Location"]))
    assert "by currency: 5.5 EUR, 600 JPY" in page
    assert "Set rates by currency" in page
    page = text_of(client.post(path, {"JPY": "600", "EUR": "5.5", "start": "next"}))
    assert "Nothing was changed" in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"JPY": "0"},
        {"JPY": "-6"},
        {"JPY": "six"},
        {"other": "YE", "other_rate": "1"},
        {"other": "EUR"},
        {"other_rate": "1"},
        {"JPY": "600", "start": "yesterday"},
        {"JPY": "600", "start": "day", "day": "2020-01-01"},
    ],
)
def test_wrong_rates_are_refused(wrong):
    clients = Clients()
    sent = {"start": "next", "step": "save", **wrong}
    assert signed_in(clients.firm.workspace).post(path_of(clients, "rates"), sent).status_code == 422
    assert not TermsVersion.objects.filter(subject=Subject.RATES).exists()


def test_a_share_has_no_rates_by_currency_and_a_fee_no_mark():
    share, fee = Clients("amount-won", 0.2), Clients()
    page = text_of(signed_in(share.firm.workspace).get(path_of(share, "rates")))
    assert "A share is the same in every currency" in page
    assert "No high-water mark" in text_of(signed_in(fee.firm.workspace).get(path_of(fee, "mark")))


def test_rules_show_what_they_would_have_cost_and_are_saved():
    clients = Clients("high-water-mark", 0.2, ["USD"], asks_consent=True)
    now = timezone.now()
    for months in (3, 2):
        clients.deal(now - timedelta(days=30 * months))
    client, path = signed_in(clients.firm.workspace), path_of(clients, "mark")
    page = text_of(client.get(path))
    assert "would have paid in all for 2 deals" in page
    assert "40.00" in page
    sent = STANDARD | {"crystallised": "withdrawal", "start": "now", "step": "review"}
    page = text_of(client.post(path, sent))
    assert "The mark is measured by the new rules from the moment it is saved" in page
    assert "keeps the earlier terms until you have recorded its consent" in page
    assert client.post(path, sent | {"step": "save"}).status_code == 302
    version = TermsVersion.objects.get(subject=Subject.POLICY)
    assert (version.terms["crystallised"], version.asks_consent, version.source) == ("withdrawal", True, "portal")
    history = text_of(client.get(path_of(clients, "terms")))
    assert "Then, and before each withdrawal" in history
    assert "1 to answer" in history


def test_a_client_gets_rules_of_its_own():
    clients = Clients("high-water-mark", 0.2, ["USD", "EUR"])
    own = clients.accounts["EUR"]
    client, path = signed_in(clients.firm.workspace), f"{path_of(clients, 'mark')}?subscriber={own.pk}"
    assert f"for {own.name}" in text_of(client.get(path))
    sent = STANDARD | {"hurdle": "hard", "hurdle_rate": "5", "loss_memory_periods": "3", "start": "now", "step": "save"}
    assert client.post(path, sent).status_code == 302
    version = TermsVersion.objects.get(subject=Subject.POLICY)
    assert (version.subscriber_id, version.terms["hurdle_rate"]) == (own.backend_id, "0.05")
    assert client.post(path, sent | {"follows": "on"}).status_code == 302
    assert TermsVersion.objects.filter(subject=Subject.POLICY).last().terms == {}
    assert "as the strategy" in text_of(client.get(path_of(clients, "terms")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"basis": "luck"},
        {"hurdle": "hard"},
        {"hurdle": "soft", "hurdle_rate": "-1"},
        {"loss_memory_periods": "0"},
        {"loss_memory_periods": "1.5"},
        {"scope": ""},
        {},
    ],
)
def test_wrong_rules_are_refused(wrong):
    clients = Clients("high-water-mark", 0.2, ["USD"])
    sent = STANDARD | {"start": "now", "step": "save"} | wrong
    assert signed_in(clients.firm.workspace).post(path_of(clients, "mark"), sent).status_code == 422
    assert not TermsVersion.objects.filter(subject=Subject.POLICY).exists()


@pytest.mark.parametrize("page", ["rates", "mark"])
@pytest.mark.parametrize(
    ("role", "status"), [("owner", 200), ("manager", 200), ("accountant", 403), ("viewer", 403), ("subscriber", 404)]
)
def test_managers_set_terms(page, role, status):
    clients = Clients("high-water-mark" if page == "mark" else "lots-won", 0.2, ["USD"])
    assert signed_in(clients.firm.workspace, role).get(path_of(clients, page)).status_code == status
    assert signed_in(Firm().workspace).get(path_of(clients, page)).status_code == 404


def test_rules_of_a_stranger_are_nobodys():
    clients, other = Clients("high-water-mark", 0.2, ["USD"]), Firm()
    client = signed_in(clients.firm.workspace)
    for wrong in (other.subscriber.pk, "x", 0):
        assert client.get(f"{path_of(clients, 'mark')}?subscriber={wrong}").status_code == 404
