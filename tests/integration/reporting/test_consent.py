"""A rise of a fee waits for the consent of each client, and reaches no client's past."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from editing.models import Change
from reporting.attention import attention
from reporting.commission.consent import record_answers
from reporting.commission.recompute import recompute
from reporting.models import AccrualState, CommissionLine, TermsAnswer, TermsVersion
from reporting.views.consent import recorded_words
from tests import builders
from tests.firm import D, Firm, at
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
NUMBERS = count(1)
MOMENT = timedelta(microseconds=1)
RISE, CONSENT = at(2, 10), at(2, 20)


class Pair:
    """Two clients of one strategy, `first` and `second`; the fee rises on 10 February."""

    def __init__(self, scheme="amount-won", rate=0.1, length="month", **more):
        self.firm = Firm(scheme, rate, length, asks_consent=True, **more)
        self.first, self.second = self.firm.subscriber, builders.subscriber(self.firm.connection, currency="USD")
        for client in (self.first, self.second):
            builders.subscription(client, self.firm.strategy, first_seen_at=at(1, 1, 0))
        self.look(at(1, 2))

    def look(self, now, complete=None):
        self.firm.complete_until(complete or now)
        self.firm.accrue(now)

    def change(self, now=RISE, **scheme):
        self.firm.change_scheme(**scheme)
        self.look(now)
        return TermsVersion.objects.filter(subject="commission", strategy_id=self.firm.strategy.backend_id).last()

    def answer(self, client, now=CONSENT, *, is_consent=True, version=None):
        version = version or TermsVersion.objects.filter(subject="commission").last()
        return record_answers(version, [client.backend_id], is_consent=is_consent, note="", by=None, now=now)

    def deal(self, moment, profit="100", **more):
        for client in (self.first, self.second):
            self.firm.deal(moment, profit, subscriber=client, **more)

    def sums(self):
        totals = []
        for client in (self.first, self.second):
            lines = self.firm.lines.filter(subscriber_id=client.backend_id)
            totals.append(sum((line.amount for line in lines), D(0)))
        return totals

    def check(self, now):
        """The same from nothing, and every line from itself."""
        sums = self.sums()
        assert all(recompute(line) == line.amount for line in self.firm.lines)
        self.firm.from_nothing(now)
        assert self.sums() == sums


@pytest.mark.parametrize(
    ("moment", "first", "second"),
    [
        (RISE - MOMENT, 10, 10),
        (RISE, 10, 10),
        (RISE + MOMENT, 10, 10),
        (CONSENT - MOMENT, 10, 10),
        (CONSENT, 30, 10),
        (CONSENT + MOMENT, 30, 10),
        (at(3, 20), 30, 10),
    ],
)
@pytest.mark.parametrize("arrives", ["in time", "late"])
def test_a_client_pays_by_new_terms_from_its_consent_on(moment, first, second, arrives):
    pair = Pair()
    pair.change(commissionRate=0.3)
    if arrives == "in time":
        pair.deal(moment)
    pair.look(CONSENT)
    pair.answer(pair.first)
    pair.look(at(4, 10))
    if arrives == "late":
        pair.deal(moment)
        pair.look(at(4, 11))
    assert pair.sums() == [first, second]
    pair.check(at(4, 12))


def test_consent_before_terms_begin_counts_from_their_beginning():
    pair = Pair()
    version = pair.change(commissionRate=0.3)
    TermsVersion.objects.filter(pk=version.pk).update(valid_from=at(3, 1, 0))
    version.refresh_from_db()
    pair.answer(pair.first, version=version)
    assert TermsAnswer.objects.get().holds_from == at(3, 1, 0)
    pair.deal(at(3, 1, 0) - MOMENT)
    pair.deal(at(3, 1, 0))
    pair.look(at(3, 10))
    assert pair.sums() == [40, 20]


def test_a_closed_period_is_untouched_by_a_later_consent():
    pair = Pair()
    pair.deal(at(2, 15))
    pair.change(commissionRate=0.3)
    pair.look(at(3, 2))
    pair.firm.close(at(3, 1), now=at(3, 2))
    closed = list(CommissionLine.objects.order_by("pk").values())
    pair.answer(pair.first, at(3, 5))
    pair.deal(at(2, 16))
    pair.deal(at(3, 4))
    pair.deal(at(3, 6))
    pair.look(at(4, 2))
    assert pair.sums() == [10 + 10 + 10 + 30, 40]
    assert list(CommissionLine.objects.filter(pk__in=[row["id"] for row in closed]).order_by("pk").values()) == closed


def test_consent_reaches_no_period_that_was_settled_already():
    pair = Pair()
    pair.change(commissionRate=0.3)
    pair.look(at(3, 2))
    AccrualState.objects.update(settled_until=at(3, 1, 0))
    pair.answer(pair.first, at(2, 20))  # a clock that is late
    assert TermsAnswer.objects.get().holds_from == at(3, 1, 0)


def test_who_refuses_stays_and_may_agree_later():
    pair = Pair()
    pair.change(commissionRate=0.3)
    assert pair.answer(pair.first, is_consent=False) == 1
    pair.deal(at(2, 21))
    pair.look(at(2, 22))
    assert pair.sums() == [10, 10]
    pair.answer(pair.first, at(2, 23))
    pair.deal(at(2, 24))
    pair.look(at(2, 25))
    assert pair.sums() == [40, 20]
    assert pair.answer(pair.first, at(2, 26), is_consent=False) == 0
    pair.check(at(2, 27))


def test_what_costs_no_more_holds_for_everybody_at_once():
    pair = Pair(rate=0.3)
    pair.change(commissionRate=0.1)
    pair.deal(RISE)
    pair.look(at(2, 11))
    assert pair.sums() == [10, 10]


@pytest.mark.parametrize(("then", "first", "second"), [(0.2, 20, 10), (0.1, 10, 10), (0.05, 5, 5), (0.4, 30, 10)])
def test_another_change_is_compared_with_what_each_client_pays(then, first, second):
    pair = Pair()
    pair.change(commissionRate=0.3)
    pair.answer(pair.first, at(2, 12))
    pair.change(at(2, 20), commissionRate=then)
    pair.deal(at(2, 21))
    pair.look(at(2, 22))
    assert pair.sums() == [first, second]
    pair.answer(pair.second, at(2, 23))
    pair.deal(at(2, 24))
    pair.look(at(2, 25))
    assert pair.sums() == [first * 2, second + int(then * 100)]


def test_consent_to_terms_that_others_followed_before_counts_for_nothing():
    pair = Pair()
    version = pair.change(commissionRate=0.3)
    pair.change(at(2, 20), commissionRate=0.4)
    pair.answer(pair.first, at(2, 21), version=version)
    pair.deal(at(2, 22))
    pair.look(at(2, 23))
    assert pair.sums() == [10, 10]


@pytest.mark.parametrize(("days", "expected"), [(-1, 10), (0, 10), (1, 30)])
def test_who_subscribes_after_the_decision_takes_the_terms_as_they_are(days, expected):
    pair = Pair()
    pair.change(commissionRate=0.3)
    third = builders.subscriber(pair.firm.connection, currency="USD")
    builders.subscription(third, pair.firm.strategy, first_seen_at=RISE + timedelta(days=days))
    pair.look(at(2, 12))
    pair.firm.deal(at(2, 13), "100", subscriber=third)
    pair.look(at(2, 14))
    assert sum(pair.firm.amounts(subscriber_id=third.backend_id)) == expected


def test_who_subscribes_again_takes_the_terms_from_then_on():
    pair = Pair()
    pair.change(commissionRate=0.3)
    pair.first.subscriptions.update(is_removed=True)
    pair.look(at(2, 12))
    pair.first.subscriptions.update(is_removed=False)
    pair.look(at(2, 14))
    pair.deal(at(2, 14) - MOMENT)
    pair.deal(at(2, 14))
    pair.look(at(2, 16))
    assert pair.sums() == [40, 20]


def test_a_fee_that_is_switched_on_waits_too():
    pair = Pair(rate=0)
    pair.change(commissionRate=0.3)
    pair.answer(pair.first)
    for day in (9, 15, 25):
        pair.deal(at(2, day))
    pair.look(at(3, 5))
    assert pair.sums() == [30, 0]
    pair.check(at(3, 6))


def test_a_firm_that_asks_for_no_consent_charges_at_once():
    pair = Pair()
    pair.firm.workspace.asks_consent = False
    pair.firm.workspace.save()
    pair.change(commissionRate=0.3)
    pair.deal(RISE)
    pair.look(at(2, 11))
    assert pair.sums() == [30, 30]


def test_a_later_demand_of_consent_takes_nothing_back():
    pair = Pair()
    pair.firm.workspace.asks_consent = False
    pair.firm.workspace.save()
    pair.change(commissionRate=0.3)
    pair.firm.workspace.asks_consent = True
    pair.firm.workspace.save()
    pair.deal(RISE)
    pair.look(at(2, 11))
    assert pair.sums() == [30, 30]


# --- Periods of another length ----------------------------------------------------------------------------------------
def test_a_fixed_fee_stays_what_its_own_months_cost_where_periods_became_quarters():
    pair = Pair("flat-fee", 31)
    pair.change(at(2, 10), commissionRate=200, billingPeriod="quarter")
    pair.look(at(3, 31))
    pair.answer(pair.first, at(4, 11))
    pair.look(at(7, 2))
    months = [D(31), round(D(31) * 9 / 28, 2), round(D(31) * 19 / 28 + 31, 2)]  # the period of February was cut
    second = [*months, D(93), D(2)]
    by_days = [round(D(31) * 10 / 30, 2), round(D(200) * 81 / 91, 2), round(D(200) * 2 / 92, 2)]
    assert pair.sums() == [sum([*months, *by_days]), sum(second)]
    pair.check(at(7, 2))


@pytest.mark.parametrize("closes", [False, True])
def test_a_mark_is_measured_at_the_ends_of_the_quarters_that_were_agreed_on(closes):
    pair = Pair("high-water-mark", 0.2, "quarter")
    pair.deal(at(1, 15), "100")
    pair.change(at(2, 10), billingPeriod="month")
    pair.answer(pair.first, at(2, 10, 11))
    pair.deal(at(2, 20), "100")
    pair.look(at(3, 5))
    if closes:
        pair.firm.close(at(3, 1), now=at(3, 5))
    pair.deal(at(3, 10), "-60")
    pair.look(at(4, 5))
    # the first: 100 at its consent, 100 at the end of February; the second: 140 at the end of the quarter
    assert pair.sums() == [20 + 20, 28]
    late = at(2, 21)
    pair.deal(late, "10")
    pair.look(at(4, 6))
    assert pair.sums() == [42, 30]
    if not closes:
        pair.check(at(4, 7))


# --- Pages ------------------------------------------------------------------------------------------------------------
def signed_in(workspace, role="owner"):
    client = Client()
    client.force_login(builders.member(workspace, f"{role}{next(NUMBERS)}", role))
    return client


def text_of(answer):
    return " ".join(answer.content.decode().split())


@pytest.fixture
def asked():
    pair = Pair()
    now = timezone.now()
    pair.version = pair.change(now - timedelta(days=2), commissionRate=0.3)
    pair.record = f"/commissions/terms/{pair.version.pk}/consent/record/"
    pair.path = f"/commissions/terms/{pair.version.pk}/consent/"
    return pair


def test_the_page_lists_who_answered_and_records_it(asked):
    client = signed_in(asked.firm.workspace, "manager")
    page = text_of(client.get(asked.path))
    assert page.count("no answer yet") == 2
    assert "pays now: Share of profits, 10" in page
    sent = {"answer": "agreed", "note": "mail of 3 May", "subscriber": [asked.first.pk]}
    assert client.post(asked.record, sent).status_code == 302
    assert client.post(asked.record, {"answer": "refused", "subscriber": [asked.second.pk]}).status_code == 302
    page = text_of(client.get(asked.path))
    assert "mail of 3 May" in page
    assert "no answer yet" not in page.partition("<tbody>")[2]
    assert "pays now: Share of profits, 30" in page
    rows = client.get(f"{asked.path}?format=csv")
    assert b"mail of 3 May" in b"".join(rows.streaming_content if rows.streaming else [rows.content])
    assert "no answer yet" not in text_of(client.get(f"{asked.path}?answer=refused"))
    records = AuditEntry.objects.filter(workspace=asked.firm.workspace, action__endswith="recorded")
    assert sorted(records.values_list("action", flat=True)) == ["consent recorded", "refusal recorded"]


@pytest.mark.parametrize(
    ("is_consent", "answers", "words"),
    [
        (True, 1, "Recorded: 1 client agreed and pays by the new terms from now on."),
        (True, 2, "Recorded: 2 clients agreed and pay by the new terms from now on."),
        (False, 1, "Recorded: 1 client refused and keeps the earlier terms."),
        (False, 2, "Recorded: 2 clients refused and keep the earlier terms."),
    ],
)
def test_what_was_recorded_is_said(asked, is_consent, answers, words):
    chosen = [asked.first.pk, asked.second.pk][:answers]
    sent = {"answer": "agreed" if is_consent else "refused", "subscriber": chosen}
    assert words in text_of(signed_in(asked.firm.workspace).post(asked.record, sent, follow=True))


@pytest.mark.parametrize(("seconds", "words"), [(-1, "from now on"), (0, "from now on"), (1, "as soon as they begin")])
def test_consent_to_terms_that_have_not_begun_says_so(seconds, words):
    now = timezone.now()
    version = TermsVersion(valid_from=now + timedelta(seconds=seconds))
    assert recorded_words(1, version, is_consent=True, now=now).endswith(f"by the new terms {words}.")


def test_who_pays_no_more_is_asked_nothing(asked):
    """Who agreed to 30 % pays 20 % without being asked; who pays 10 % is asked. Nobody answers for 5 %."""
    now = timezone.now()
    asked.answer(asked.first, now - timedelta(days=1))
    between = asked.change(now, commissionRate=0.2)
    client = signed_in(asked.firm.workspace)
    path = f"/commissions/terms/{between.pk}/consent/"
    page = text_of(client.get(path))
    assert (page.count("none needed"), page.partition("<tbody>")[2].count("no answer yet")) == (1, 1)
    assert client.post(f"{path}record/", {"answer": "agreed", "subscriber": [asked.first.pk]}).status_code == 422
    assert client.post(f"{path}record/", {"answer": "agreed", "is_everybody": "on"}).status_code == 302
    assert [each.subscriber_id for each in between.answers.all()] == [asked.second.backend_id]
    lowest = asked.change(timezone.now(), commissionRate=0.05)
    page = text_of(client.get(f"/commissions/terms/{lowest.pk}/consent/"))
    assert page.count("none needed") == 2
    assert "Record the answer" not in page
    page = text_of(client.get(asked.path))
    assert (page.count("did not answer"), page.partition("<tbody>")[2].count("no answer yet")) == (1, 0)


def test_everybody_who_has_not_answered_at_once(asked):
    client = signed_in(asked.firm.workspace)
    client.post(asked.record, {"answer": "refused", "subscriber": [asked.second.pk]})
    assert client.post(asked.record, {"answer": "agreed", "is_everybody": "on"}).status_code == 302
    consents = TermsAnswer.objects.filter(is_consent=True)
    assert [each.subscriber_id for each in consents] == [asked.first.backend_id]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"answer": "agreed"},
        {"answer": "perhaps", "subscriber": ["1"]},
        {"answer": "agreed", "subscriber": ["x", "-1"]},
    ],
)
def test_an_answer_needs_a_client_and_a_word(asked, sent):
    assert signed_in(asked.firm.workspace).post(asked.record, sent).status_code == 422
    assert not TermsAnswer.objects.exists()


def test_clients_of_others_and_later_ones_are_not_recorded(asked):
    stranger = builders.subscriber(Firm().connection)
    later = builders.subscriber(asked.firm.connection)
    builders.subscription(later, asked.firm.strategy, first_seen_at=timezone.now())
    client = signed_in(asked.firm.workspace)
    assert client.post(asked.record, {"answer": "agreed", "subscriber": [stranger.pk, later.pk]}).status_code == 422
    assert not TermsAnswer.objects.exists()


def test_terms_that_are_not_offered_any_more_take_no_answer(asked):
    asked.change(timezone.now(), commissionRate=0.4)
    client = signed_in(asked.firm.workspace)
    assert "Record the answer" not in text_of(client.get(asked.path))
    answer = client.post(asked.record, {"answer": "agreed", "subscriber": [asked.first.pk]})
    assert answer.status_code == 422
    assert "not offered any more" in text_of(answer)


@pytest.mark.parametrize(
    ("role", "sees", "records"),
    [
        ("owner", 200, 302),
        ("manager", 200, 302),
        ("accountant", 200, 403),
        ("viewer", 200, 403),
        ("subscriber", 404, 404),
    ],
)
def test_managers_record_and_staff_reads(asked, role, sees, records):
    client = signed_in(asked.firm.workspace, role)
    assert client.get(asked.path).status_code == sees
    assert client.post(asked.record, {"answer": "agreed", "subscriber": [asked.first.pk]}).status_code == records
    stranger = signed_in(Firm().workspace)
    assert stranger.get(asked.path).status_code == 404
    assert stranger.post(asked.record, {"answer": "agreed", "subscriber": [asked.first.pk]}).status_code == 404


def test_attention_and_the_history_say_who_has_to_answer(asked):
    now, owner = timezone.now(), builders.member(asked.firm.workspace, f"owner{next(NUMBERS)}", "owner")
    (line,) = [each for each in attention(owner.memberships.get(), now=now).lines if "waits for consent" in each.rest]
    assert line.href == asked.path
    assert line.note.startswith("2 clients pay by")
    (line,) = [each for each in attention(owner.memberships.get(), now=now).lines if "at the backend" in each.rest]
    assert line.note == "They hold from the moment they were first seen, for those who pay more once they agree"
    page = f"/strategies/{asked.firm.strategy.pk}/commission/terms/"
    assert "2 to answer" in text_of(signed_in(asked.firm.workspace).get(page))
    asked.answer(asked.first, now)
    cache.clear()
    (line,) = [each for each in attention(owner.memberships.get(), now=now).lines if "waits for consent" in each.rest]
    assert line.note.startswith("1 client pays by")
    asked.answer(asked.second, now, is_consent=False)
    cache.clear()
    assert not [each for each in attention(owner.memberships.get(), now=now).lines if "waits for consent" in each.rest]
    assert "to answer" not in text_of(signed_in(asked.firm.workspace).get(page))


def test_the_review_says_that_a_rise_waits(asked):
    after = {"commissionScheme": {"type": "amount-won", "commissionRate": 0.5, "billingPeriod": "month"}}
    change = Change.objects.create(
        workspace=asked.firm.workspace,
        connection=asked.firm.connection,
        kind="strategy",
        name="Alpine",
        backend_id=asked.firm.strategy.backend_id,
        before=asked.firm.strategy.document,
        after=after,
        proposed_at=timezone.now(),
    )
    page = text_of(signed_in(asked.firm.workspace).get(f"/commissions/changes/{change.pk}/"))
    assert "keeps the earlier terms until you have recorded its consent" in page
