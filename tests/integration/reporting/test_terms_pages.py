"""The pages of terms: from when a change holds, the history of a strategy, and what attention says."""

from __future__ import annotations

import importlib
from datetime import timedelta
from itertools import count

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone

from editing.models import Change, ChangeOutcome
from reporting.attention import attention
from reporting.commission.observing import observe
from reporting.commission.periods import Calendar, PeriodLength
from reporting.models import AccrualState, Subject, TermsSource, TermsVersion
from tests import builders
from tests.firm import D, Firm, at

pytestmark = pytest.mark.django_db
NUMBERS = count(1)
MONTHLY = {"type": "amount-won", "commissionRate": 0.1, "billingPeriod": "month"}


@pytest.fixture
def firm():
    firm = Firm(rate=0.1)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1))
    observe(firm.connection.pk, timezone.now() - timedelta(days=40))
    return firm


def client_of(firm, role="owner"):
    client = Client()
    client.force_login(builders.member(firm.workspace, f"{role}{next(NUMBERS)}", role))
    return client


def proposed(firm, **scheme):
    return Change.objects.create(
        workspace=firm.workspace,
        connection=firm.connection,
        kind="strategy",
        backend_id=firm.strategy.backend_id,
        name="Alpine",
        before=firm.strategy.document,
        after={"commissionScheme": MONTHLY | scheme},
        proposed_at=timezone.now(),
    )


def text_of(answer):
    return " ".join(answer.content.decode().split())


def choose(firm, change, role="owner", **chosen):
    return client_of(firm, role).post(f"/commissions/changes/{change.pk}/", chosen, headers={"HX-Request": "true"})


def test_the_next_period_is_what_holds_where_clients_copy_and_the_review_says_so(firm):
    change = proposed(firm, commissionRate=0.2)
    page = text_of(client_of(firm).get(f"/commissions/changes/{change.pk}/"))
    assert '<option value="next" selected' in page
    assert "is charged as a whole by the old terms" in page
    assert "make sure that they agreed" in page
    assert "The backend knows no date" in page


def test_the_review_leaves_out_plans_that_another_plan_called_off(firm):
    now = timezone.now()
    firm.strategy.document = {"commissionScheme": MONTHLY | {"billingPeriod": "quarter"}}
    firm.strategy.save()
    observe(firm.connection.pk, now - timedelta(days=30))
    for number, (seen, planned) in enumerate([(20, now - timedelta(days=1)), (10, now + timedelta(days=300))], 10):
        TermsVersion.objects.create(
            workspace=firm.workspace,
            connection=firm.connection,
            strategy_id=firm.strategy.backend_id,
            number=number,
            subject=Subject.COMMISSION,
            source=TermsSource.PORTAL,
            seen_at=now - timedelta(days=seen),
            terms={"scheme": "amount-won", "rate": "0.2", "billing_period": "week"},
            valid_from=planned,
        )
    page = text_of(client_of(firm).get(f"/commissions/changes/{proposed(firm, commissionRate=0.2).pk}/"))
    quarter = Calendar().containing(now, PeriodLength.QUARTER)
    assert f"the beginning of {quarter.next_day}" in page


def test_what_is_chosen_is_kept_with_the_change(firm):
    change = proposed(firm, commissionRate=0.2)
    tomorrow = timezone.now().date() + timedelta(days=2)
    for chosen, stored in (
        ({"start": "now"}, "now"),
        ({"start": "day", "day": str(tomorrow)}, str(tomorrow)),
        ({"start": "next"}, "next"),
    ):
        assert choose(firm, change, **chosen).status_code == 200
        change.refresh_from_db()
        assert change.terms_from == stored
    answer = client_of(firm).post(f"/commissions/changes/{change.pk}/", {"start": "now"})
    assert (answer.status_code, answer["Location"]) == (302, f"/changes/{change.pk}/")


@pytest.mark.parametrize("days", [None, -400, -1, 0, 365 * 7])
def test_terms_never_reach_back_and_not_beyond_what_anybody_plans(firm, days):
    change = proposed(firm, commissionRate=0.2)
    day = "" if days is None else str(timezone.now().date() + timedelta(days=days))
    assert choose(firm, change, start="day", day=day).status_code == 422
    change.refresh_from_db()
    assert change.terms_from == ""


@pytest.mark.parametrize("chosen", [{}, {"start": "yesterday"}, {"start": "day", "day": "2026-02-31"}])
def test_what_is_no_choice_is_refused(firm, chosen):
    assert choose(firm, proposed(firm, commissionRate=0.2), **chosen).status_code == 422


def test_a_change_that_is_saved_or_on_its_way_keeps_its_day(firm):
    for fields in ({"saved_at": timezone.now()}, {"outcome": ChangeOutcome.SENDING}):
        change = proposed(firm, commissionRate=0.2)
        Change.objects.filter(pk=change.pk).update(**fields)
        choose(firm, change, start="now")
        change.refresh_from_db()
        assert change.terms_from == ""
        Change.objects.filter(pk=change.pk).delete()


def test_strangers_and_viewers_choose_nothing(firm):
    change = proposed(firm, commissionRate=0.2)
    stranger = client_of(Firm())
    assert stranger.post(f"/commissions/changes/{change.pk}/", {"start": "now"}).status_code == 404
    assert choose(firm, change, "viewer", start="now").status_code in (403, 404)
    change.refresh_from_db()
    assert change.terms_from == ""


def test_the_history_lists_every_span_in_words(firm):
    now = timezone.now()
    firm.change_scheme(commissionRate=0.25)
    observe(firm.connection.pk, now - timedelta(days=3))
    change = proposed(firm, type="flat-fee", commissionRate=30, billingPeriod="quarter")
    saved_by = builders.member(firm.workspace, "saver", "owner")
    Change.objects.filter(pk=change.pk).update(
        saved_at=now,
        sent_at=now,
        saved_by=saved_by,
        outcome=ChangeOutcome.DONE,
        terms_from=str(now.date() + timedelta(days=9)),
    )
    firm.change_scheme(type="flat-fee", commissionRate=30, billingPeriod="quarter")
    observe(firm.connection.pk, now)
    page = text_of(client_of(firm).get(f"/strategies/{firm.strategy.pk}/commission/terms/"))
    said = ["Share of profits, 10", "Share of profits, 25", "Flat fee, 30, quarterly", "the beginning", "current"]
    said += ["begins later", "ended", "Changed at the backend", "Changed here by", "midnight in UTC"]
    for words in said:
        assert words in page, words
    assert f'href="/changes/{change.pk}/"' in page
    assert "Fee history" in text_of(client_of(firm).get(f"/strategies/{firm.strategy.pk}/commission/"))


def test_a_history_is_nobody_elses(firm):
    path = f"/strategies/{firm.strategy.pk}/commission/terms/"
    assert client_of(Firm()).get(path).status_code == 404
    assert client_of(firm, "viewer").get(path).status_code == 200
    assert client_of(firm, "subscriber").get(path).status_code in (403, 404)


@pytest.mark.parametrize(("days", "is_shown"), [(0, True), (7 - 1e-9, True), (7, False), (8, False)])
def test_attention_shows_what_was_changed_at_the_backend_for_a_week(firm, days, is_shown):
    now = timezone.now()
    firm.change_scheme(commissionRate=0.25)
    observe(firm.connection.pk, now - timedelta(days=days))
    owner = builders.member(firm.workspace, f"owner{next(NUMBERS)}", "owner")
    membership = owner.memberships.get()
    lines = [line for line in attention(membership, now=now).lines if "changed at the backend" in line.rest]
    assert bool(lines) is is_shown
    if is_shown:
        assert lines[0].href == f"/strategies/{firm.strategy.pk}/commission/terms/"
        assert "should have agreed" in lines[0].note


@pytest.mark.parametrize(("strategies", "left"), [(5, ""), (6, "1 more strategy"), (7, "2 more strategies")])
def test_attention_names_each_strategy_once_and_counts_those_it_leaves_out(firm, strategies, left):
    now = timezone.now()
    rows = [firm.strategy, *(builders.strategy(firm.connection, name=f"Nr {n}") for n in range(1, strategies))]
    for number, strategy in enumerate(rows * 2, 50):
        TermsVersion.objects.create(
            workspace=firm.workspace,
            connection=firm.connection,
            strategy_id=strategy.backend_id,
            number=number,
            subject=Subject.COMMISSION,
            source=TermsSource.BACKEND,
            seen_at=now - timedelta(minutes=100 - number),
            terms={"scheme": "amount-won", "rate": "0.2", "billing_period": "week"},
            needs_consent=number < 55,
        )
    membership = builders.member(firm.workspace, f"owner{next(NUMBERS)}", "owner").memberships.get()
    lines = [line for line in attention(membership, now=now).lines if "changed at the backend" in line.rest]
    named = [line for line in lines if line.href]
    assert [line.title for line in named] == [strategy.name for strategy in rows[::-1][:5]]
    assert {line.title for line in named if "should have agreed" in line.note} == {
        strategy.name for strategy in rows[:5]
    } & {line.title for line in named}
    assert [line.title for line in lines if not line.href] == ([left] if left else [])


def test_many_changes_at_once_are_noted_with_as_many_queries_as_few(firm, django_assert_max_num_queries):
    others = [builders.strategy(firm.connection, document=firm.strategy.document) for _ in range(12)]
    observe(firm.connection.pk, timezone.now() - timedelta(days=9))
    firm.workspace.timezone = "Asia/Tokyo"
    firm.workspace.save()
    with django_assert_max_num_queries(9):  # one looks for who changed the zone
        observe(firm.connection.pk, timezone.now())
    assert TermsVersion.objects.filter(terms__zone="Asia/Tokyo").count() == len(others) + 1


def plan(firm, rate, now):
    """What is charged from the next month on, while 10 % is charged until then."""
    Change.objects.create(
        workspace=firm.workspace,
        connection=firm.connection,
        kind="strategy",
        backend_id=firm.strategy.backend_id,
        name="Alpine",
        before=firm.strategy.document,
        after={"commissionScheme": MONTHLY | {"commissionRate": rate}},
        proposed_at=now,
        saved_at=now,
        sent_at=now,
        outcome=ChangeOutcome.DONE,
        terms_from="next",
    )
    firm.change_scheme(commissionRate=rate)
    observe(firm.connection.pk, now)


@pytest.mark.parametrize(("rate", "asks"), [(0.05, False), (0.1, False), (0.2, True), (0.4, True)])
def test_the_review_compares_with_what_is_charged_and_names_the_plan_that_it_calls_off(firm, rate, asks):
    now = timezone.now()
    plan(firm, 0.3, now)
    page = text_of(client_of(firm).get(f"/commissions/changes/{proposed(firm, commissionRate=rate).pk}/"))
    begins_on = Calendar().containing(now, PeriodLength.MONTH).next_day
    assert f"The change planned for {begins_on} is called off: Share of profits, 30" in page
    assert ("make sure that they agreed" in page) is asks
    assert ("charged by the new terms" in page) is (rate != 0.1)


def test_the_review_of_another_setting_says_nothing_of_what_is_planned(firm):
    plan(firm, 0.3, timezone.now())
    page = text_of(client_of(firm).get(f"/commissions/changes/{proposed(firm, commissionRate=0.3).pk}/"))
    assert "What is charged stays as it is." in page
    assert "called off" not in page


def test_what_is_changed_here_needs_no_attention(firm):
    now = timezone.now()
    change = proposed(firm, commissionRate=0.25)
    Change.objects.filter(pk=change.pk).update(saved_at=now, sent_at=now, outcome=ChangeOutcome.DONE)
    firm.change_scheme(commissionRate=0.25)
    observe(firm.connection.pk, now)
    assert TermsVersion.objects.get(subject="commission", number=3).source == TermsSource.PORTAL
    membership = builders.member(firm.workspace, f"owner{next(NUMBERS)}", "owner").memberships.get()
    assert not [line for line in attention(membership, now=now).lines if "changed at the backend" in line.rest]


# --- Data of the version before ---------------------------------------------------------------------------------------
MIGRATION = importlib.import_module("reporting.migrations.0007_terms_history")
FEB, MARCH = "2026-02-10T00:00:00+00:00", "2026-03-01T00:00:00+00:00"


def calendar(since, length, zone="UTC"):
    return {"since": since, "zone": zone, "week_starts_monday": False, "billing_period": length}


def known(since, scheme, *calendars):
    return {"charged": {"": {"since": since, "scheme": scheme, "rate": "0.20"}}, "calendars": list(calendars)}


TOKYO = [calendar(FEB, "week", "Asia/Tokyo"), calendar(MARCH, "month", "Asia/Tokyo")]


@pytest.mark.parametrize(
    ("known", "commissions"),
    [
        ({"charged": {}, "calendars": []}, [(None, "", "month")]),
        (known(None, "amount-won", calendar(None, "week")), [(None, "amount-won", "week")]),
        (known(FEB, "amount-won", calendar(None, "week")), [(None, "", "week"), (FEB, "amount-won", "week")]),
        (
            known(None, "flat-fee", calendar(None, "week"), *TOKYO),
            [(None, "flat-fee", "week"), (MARCH, "flat-fee", "month")],
        ),
    ],
)
def test_what_was_known_becomes_versions(known, commissions):
    rows = list(MIGRATION.commissions(known))
    assert [(since, terms["scheme"], terms["billing_period"]) for _, since, terms in rows] == commissions
    zones = [(since, terms["zone"]) for _, since, terms in MIGRATION.calendars(known)]
    assert len(zones) == len({zone for _, zone in zones})


def test_data_of_the_version_before_give_the_same_figures_and_closed_lines_stay():
    firm = Firm("amount-won", 0.2)
    firm.deal(at(1, 5), "100")
    firm.deal(at(2, 5), "50")
    firm.complete_until(at(2, 20))
    firm.accrue(at(2, 20))
    firm.close(at(2, 1, 0), now=at(2, 20))
    for line in firm.lines.filter(period_start__gte=at(2, 1, 0)):  # as the version before wrote it
        del line.policy["terms"]
        line.save()
    closed = list(firm.lines.filter(period_end__lte=at(2, 1, 0)).values())
    TermsVersion.objects.all().delete()
    charged = {"": {"since": None, "scheme": "amount-won", "rate": "0.2"}}
    AccrualState.objects.update(terms_since={"charged": charged, "calendars": [calendar(None, "month")]})
    MIGRATION.keep_what_is_known(apps, None)
    firm.accrue(at(2, 21))
    assert TermsVersion.objects.filter(workspace=firm.workspace, source="initial").count() == 2
    assert firm.amounts() == [D(20), D(10)]
    firm.deal(at(1, 6), "10", number="late")
    firm.accrue(at(2, 22))
    assert firm.amounts() == [D(20), D(10), D(2)]
    assert list(firm.lines.filter(period_end__lte=at(2, 1, 0)).values()) == closed
