"""Commissions down to single lines, and a subscriber's own page, tried as everybody."""

import csv
import io

import pytest

from tests import builders


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("by", ["strategy", "subscriber"])
def test_the_overview_of_commissions_is_for_staff(by, business, is_for_staff_only):
    page = is_for_staff_only(f"/commissions/?by={by}", stranger=200)
    assert "10.01" in page
    rows = rows_of(is_for_staff_only(f"/commissions/?by={by}&format=csv", stranger=200))
    assert sorted((row["amount"], row["currency"]) for row in rows) == [("10.01", "EUR"), ("10.01", "USD")]


def test_the_backends_figure_stands_beside_ours(business, sign_in, alice, text_of):
    rows = rows_of(text_of(sign_in(alice).get("/commissions/?format=csv")))
    assert {(row["backends_amount"], row["difference"]) for row in rows} == {("10.01", "0")}
    assert "agrees" in text_of(sign_in(alice).get("/commissions/"))


def test_earlier_periods_are_reached_by_month(business, sign_in, alice, text_of):
    client = sign_in(alice)
    assert "Nothing ended in this month" in text_of(client.get("/commissions/?period=2020-01"))
    assert "January 2020" in text_of(client.get("/commissions/?period=2020-01&by=subscriber"))


@pytest.mark.parametrize("query", ["period=2020", "period=9999-01", "period=x", "by=colour", "format=pdf"])
def test_a_wrong_parameter_is_a_400(query, business, sign_in, alice):
    assert sign_in(alice).get(f"/commissions/?{query}").status_code == 400


def test_the_number_of_queries_does_not_grow_with_subscriptions(
    business, sign_in, alice, django_assert_num_queries, text_of
):
    client = sign_in(alice)
    with django_assert_num_queries(9):  # one asks which exchange rates there are
        text_of(client.get("/commissions/"))
    with django_assert_num_queries(5):  # among them the accounts, and what all that are shown owe
        text_of(client.get("/commissions/?by=subscriber", headers={"HX-Request": "true"}))


def test_commission_of_one_strategy_and_one_account(business, is_for_staff_only):
    for path in (f"/strategies/{business.alpine.pk}/commission/", f"/subscribers/{business.hers.pk}/commission/"):
        assert "10.01" in is_for_staff_only(path)
        assert rows_of(is_for_staff_only(f"{path}?format=csv"))[0]["amount"] == "10.01"


def test_a_line_explains_itself(business, sign_in, alice, text_of):
    page = text_of(sign_in(alice).get(f"/commissions/{business.alpine.pk}/{business.hers.pk}/"))
    assert "profit 50.05 USD × 20\u202f% = 10.01 USD" in page
    assert f"deal={business.hers.pk}%3Aclose" in page
    made_from = text_of(sign_in(alice).get(f"/transactions/?deal={business.hers.pk}:close&format=csv"))
    assert len(made_from.splitlines()) == 2


def test_lines_are_seen_by_staff_and_by_whom_they_concern(business, sign_in, alice, bob, dora, charlie, text_of):
    hers = f"/commissions/{business.alpine.pk}/{business.hers.pk}/"
    others = f"/commissions/{business.alpine.pk}/{business.other.pk}/"
    for person in (alice, bob, dora):
        assert sign_in(person).get(hers).status_code == 200
        assert text_of(sign_in(person).get(f"{hers}?format=csv")).count("amount-won") == 1
    assert sign_in(dora).get(others).status_code == 404
    assert sign_in(charlie).get(hers).status_code == 404
    assert sign_in(None).get(hers).headers["Location"].startswith("/accounts/login/")
    unrelated = f"/commissions/{business.portfolio.pk}/{business.hers.pk}/"
    assert sign_in(dora).get(unrelated).status_code == 404


# --- A subscriber's own page ----------------------------------------------------------------------------------------
def test_dora_sees_her_account_in_plain_language(business, sign_in, dora, text_of):
    page = text_of(sign_in(dora).get("/me/"))
    assert "1\u202f100.00" in page
    assert "0.5 lots" in page
    assert "Copying is stopped for Alpine Trend." in page
    assert "EURUSD" in page
    assert "10.01" in page
    assert "Other account" not in page
    assert "/strategies/" not in page


def test_me_is_for_subscribers(business, sign_in, alice, bob, charlie):
    for person in (alice, bob, charlie):
        assert sign_in(person).get("/me/").status_code == 404
    assert sign_in(None).get("/me/").headers["Location"].startswith("/accounts/login/")


def test_several_accounts_are_chosen_by_a_link(business, sign_in, dora, text_of):
    second = builders.subscriber(business.connection, access=dora, name="Dora's second")
    page = text_of(sign_in(dora).get(f"/me/?account={second.pk}"))
    assert "It copies nothing at the moment." in page
    assert f"account={business.hers.pk}" in page
    assert sign_in(dora).get(f"/me/?account={business.other.pk}").status_code == 404
    assert sign_in(dora).get("/me/?account=x").status_code == 404


def test_without_an_account_the_page_says_so(workspace, dora, sign_in, text_of):
    assert "No account is linked to you yet" in text_of(sign_in(dora).get("/me/"))


def test_the_number_of_queries_of_me(business, sign_in, dora, django_assert_num_queries):
    client = sign_in(dora)
    # three tell the state of the account and of the mirror, three where the curve begins, four what one may change
    with django_assert_num_queries(28):
        client.get("/me/")
    with django_assert_num_queries(22):  # of them what the backend offers
        client.get("/me/", headers={"HX-Request": "true"})


def test_the_live_part_of_me_follows_what_happens(business, sign_in, alice, charlie, dora, text_of):
    client, path, as_part = sign_in(dora), f"/me/?account={business.hers.pk}", {"HX-Request": "true"}
    page = text_of(client.get(path))
    assert f'hx-get="{path}" hx-trigger="every 15s"' in page
    assert "Monthly returns" in page
    business.hers.equity = 4321
    business.hers.save()
    part = text_of(client.get(path, headers=as_part))
    assert "4\u202f321.00" in part
    assert 'id="equity-card" hx-preserve="true"' in part, "the chart stays as it is"
    assert "<html" not in part
    assert "Monthly returns" not in part
    for person in (alice, charlie):
        assert sign_in(person).get(path, headers=as_part).status_code == 404
    assert sign_in(None).get(path, headers=as_part).status_code == 401
    assert sign_in(dora).get(f"/me/?account={business.other.pk}", headers=as_part).status_code == 404
