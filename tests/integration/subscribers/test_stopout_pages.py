"""Stopouts: the list, live, and resuming in both steps with honest failures."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from subscribers.models import Stopout
from tests.faults.sim_backend import SimBackend
from tests.integration.conftest import make_stopout
from users.models import AuditEntry


def test_the_list_is_for_staff(business, is_for_staff_only):
    page = is_for_staff_only("/stopouts/", stranger=200)
    assert "The closed loss within a day reached its limit" in page
    assert is_for_staff_only("/stopouts/?format=csv", stranger=200).count("day-balance-difference") == 2


@pytest.mark.parametrize(("query", "count"), [("state=active", 1), ("state=past", 1), ("q=dora", 1), ("q=nobody", 0)])
def test_filters_hold_for_the_file(query, count, business, sign_in, alice, text_of):
    assert text_of(sign_in(alice).get(f"/stopouts/?{query}&format=csv")).count("day-balance") == count


def test_what_is_active_comes_first_however_old_it_is(business, sign_in, alice, text_of):
    long_ago = business.now - timedelta(days=300)
    make_stopout(business.other, long_ago, stopped_till=datetime(2100, 1, 1, tzinfo=UTC))
    reset = make_stopout(business.hers, business.now, stopped_till=business.now + timedelta(days=30))
    Stopout.objects.filter(pk=reset.pk).update(ended_at=business.now)
    page = text_of(sign_in(alice).get("/stopouts/"))
    states = re.findall(r">(Active|Resumed|Ended)</span>", page)
    assert states == ["Active", "Active", "Resumed", "Ended"]
    assert page.count("When resumed") == 1


@pytest.mark.parametrize(
    ("told", "figures"),
    [
        (
            "73451.50 JPY reached the limit 5 % of 1461975.00 (date-balance-difference, subscriber).",
            ("73451.50", "JPY", "", "5", "subscriber"),
        ),
        (
            "100.00 USD reached the limit 100.00 (day-equity-difference, strategy).",
            ("100.00", "USD", "100.00", "", "strategy"),
        ),
        (
            "9.10 EUR reached the limit 9.00 or 2.5 % of 1000.00"
            " (day-balance-difference, member in portfolio member A).",
            ("9.10", "EUR", "9.00", "2.5", "member in portfolio member A"),
        ),
        ("in other words.", ("", "", "", "", "")),
    ],
)
def test_the_file_has_the_columns_of_the_page(told, figures, business, sign_in, alice, text_of):
    reset = make_stopout(business.hers, business.now, stopped_till=business.now + timedelta(days=30))
    Stopout.objects.filter(pk=reset.pk).update(ended_at=business.now)
    Stopout.objects.update(description=f"Drawdown {told}")
    rows = list(csv.DictReader(io.StringIO(text_of(sign_in(alice).get("/stopouts/?format=csv")))))
    assert sorted(row["state"] for row in rows) == ["active", "ended", "resumed"]
    names = ("measured", "currency", "limit_amount", "limit_percent", "set_by")
    assert tuple(rows[0][name] for name in names) == figures


def test_a_poll_without_news_answers_nothing(business, sign_in, alice, text_of):
    client = sign_in(alice)
    part = text_of(client.get("/stopouts/", headers={"HX-Request": "true"}))
    seen = part.split('"X-Seen": "')[1].split('"')[0]
    headers = {"HX-Request": "true", "X-Seen": seen}
    assert client.get("/stopouts/", headers=headers).status_code == 204
    Stopout.objects.filter(pk=business.active.pk).update(ended_at=business.now)
    assert client.get("/stopouts/", headers=headers).status_code == 200


def test_only_who_manages_sees_the_button(business, sign_in, alice, bob, text_of):
    assert "Resume Dora&#39;s account on Alpine Trend?" in text_of(sign_in(alice).get("/stopouts/"))
    assert "Resume Dora" not in text_of(sign_in(bob).get("/stopouts/"))


def test_no_stopout_is_good_news(workspace, sign_in, alice, text_of):
    assert "No risk limit has fired" in text_of(sign_in(alice).get("/stopouts/"))


def test_the_number_of_queries(business, sign_in, alice, django_assert_num_queries):
    client = sign_in(alice)
    with django_assert_num_queries(3):
        client.get("/stopouts/", headers={"HX-Request": "true"})


def test_resuming_is_for_who_manages(business, sign_in, bob, dora, charlie):
    path = reverse("subscribers:reset-stopout", args=[business.active.pk])
    assert sign_in(bob).post(path).status_code == 403
    assert sign_in(dora).post(path).status_code == 404
    assert sign_in(charlie).post(path).status_code == 404
    assert sign_in(None).post(path).headers["Location"].startswith("/accounts/login/")
    assert Stopout.objects.get(pk=business.active.pk).ended_at is None


def test_a_backend_that_does_not_answer_is_a_sentence_and_changes_nothing(business, sign_in, alice, text_of):
    page = text_of(sign_in(alice).post(f"/stopouts/{business.active.pk}/reset/", follow=True))
    assert "Dora&#39;s account is still stopped." in page
    assert Stopout.objects.get(pk=business.active.pk).ended_at is None
    assert not AuditEntry.objects.filter(action="stopout reset").exists()


def test_resuming_does_both_steps_and_says_so(business, sign_in, alice, text_of):
    with SimBackend() as backend:
        terms = [{"strategyId": "alpine", "multiplier": 2}]
        backend.subscribers.append({"_id": business.hers.backend_id, "name": "Dora's account", "subscriptions": terms})
        business.connection.base_url = backend.url
        business.connection.set_token("a.b.c")
        business.connection.save()
        given = {"next": f"/subscribers/{business.hers.pk}/"}
        answer = sign_in(alice).post(f"/stopouts/{business.active.pk}/reset/", given, follow=True)
        assert answer.redirect_chain[-1][0] == given["next"]
        assert "copies again" in text_of(answer)
        assert backend.resets[0].endswith("/subscription-strategies/alpine/stopouts/day-balance-difference/reset")
        assert backend.subscribers[0]["subscriptions"][0]["riskLimits"][0]["startTime"]
    assert Stopout.objects.get(pk=business.active.pk).ended_at is not None
    assert AuditEntry.objects.get(action="stopout reset").user == alice


def test_what_ended_already_is_said_to_have(business, sign_in, alice, text_of):
    page = text_of(sign_in(alice).post(f"/stopouts/{business.past.pk}/reset/", follow=True))
    assert "was not stopped any more" in page
