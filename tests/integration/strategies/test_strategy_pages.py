"""Strategies: the list, a strategy's settings, and its results, tried as everybody."""

import re

import pytest

from tests import builders


def test_the_list_is_for_staff(business, is_for_staff_only):
    page = is_for_staff_only("/strategies/", stranger=200)
    assert "Alpine Trend" in page
    assert "20\u202f% of every profit, monthly" in page
    rows = is_for_staff_only("/strategies/results/?format=csv", stranger=200).splitlines()
    assert rows[0].endswith(
        "first_transaction,first_seen,subscribers,equity_copied,currency,accounts_left_out,return_month,return_year,max_drawdown"
    )
    assert rows[1].startswith("Alpine Trend,alpine,single,amount-won,false,")


def test_the_file_has_what_the_page_shows(business, sign_in, alice, dora, charlie, text_of):
    business.other.currency = "USD"
    business.other.save()
    answer = sign_in(alice).get("/strategies/?format=csv&q=alp&sort=-name", follow=True)
    heading, *rows = [row.split(",") for row in text_of(answer).splitlines()]
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="strategies-alp-2')
    [row] = [dict(zip(heading, cells, strict=True)) for cells in rows]
    assert (row["subscribers"], row["equity_copied"], row["currency"], row["max_drawdown"]) == ("2", "2200", "USD", "0")
    assert 0 < float(row["return_year"]) < 0.06
    cells = text_of(
        sign_in(alice).get(f"/strategies/results/?ids={business.alpine.pk}", headers={"HX-Request": "true"})
    )
    assert f"{float(row['return_year']) * 100:.2f}" in cells
    assert sign_in(dora).get("/strategies/?format=csv", follow=True).status_code == 404
    assert len(text_of(sign_in(charlie).get("/strategies/?format=csv", follow=True)).splitlines()) == 1
    assert sign_in(None).get("/strategies/results/?format=csv").status_code == 302
    assert sign_in(alice).get("/strategies/results/?format=xls").status_code == 400


def test_since_when_a_strategy_trades_is_told_by_its_first_transaction(business, sign_in, alice, bob, text_of):
    path = f"/strategies/{business.alpine.pk}/settings/"
    assert "First transaction" not in text_of(sign_in(alice).get(path))
    business.alpine.traded_since = business.now.date()
    business.alpine.save()
    for person in (alice, bob):
        page = text_of(sign_in(person).get(path))
        assert re.search(rf"First transaction</dt><dd>{business.now.date()}", page)
    row = text_of(sign_in(alice).get("/strategies/results/?format=csv&q=alp")).splitlines()[1]
    assert f",{business.now.date()},2026-01-05T09:30:00.000Z," in row


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=alp", ["Alpine Trend"]),
        ("kind=portfolio", ["Balanced"]),
        ("scheme=amount-won", ["Alpine Trend"]),
        ("scheme=none", ["Balanced"]),
        ("state=removed", []),
        ("sort=-name", ["Balanced", "Alpine Trend"]),
    ],
)
def test_filters_and_sort_hold_for_the_page_and_the_file(query, names, business, sign_in, alice, text_of):
    rows = text_of(sign_in(alice).get(f"/strategies/?{query}&format=csv", follow=True)).splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == names
    page = text_of(sign_in(alice).get(f"/strategies/?{query}"))
    assert all(name in page for name in names)


def test_the_list_says_why_it_is_empty(workspace, sign_in, alice, text_of):
    assert "No strategy yet" in text_of(sign_in(alice).get("/strategies/"))
    assert "No strategy fits these filters" in text_of(sign_in(alice).get("/strategies/?q=nothing"))


def test_the_number_of_queries_does_not_grow_with_strategies(
    business, sign_in, alice, django_assert_num_queries, text_of
):
    for number in range(30):
        builders.strategy(business.connection, name=f"More {number:02}")
    client = sign_in(alice)
    with django_assert_num_queries(3):
        text_of(client.get("/strategies/", headers={"HX-Request": "true"}))


def test_pages_of_one_strategy_are_for_staff(business, is_for_staff_only):
    base = f"/strategies/{business.alpine.pk}"
    tabs = ("/", "/settings/", "/performance/", "/equity.json", "/transactions/", "/transactions/?format=csv", "/log/")
    for tab in tabs:
        is_for_staff_only(base + tab)


def test_settings_are_words_with_units_and_levels(business, sign_in, alice, text_of):
    page = text_of(sign_in(alice).get(f"/strategies/{business.alpine.pk}/settings/"))
    assert "At most 2\u202f% of the balance" in page
    assert "Closed loss within a day: at most 10\u202f%, then everything is closed" in page
    assert "settings at their default" in page
    portfolio = text_of(sign_in(alice).get(f"/strategies/{business.portfolio.pk}/settings/"))
    assert "Only buy" in portfolio
    assert "× 0.5" in portfolio


def test_a_document_that_cannot_be_read_is_said_so(business, sign_in, alice, text_of):
    business.alpine.document = {"riskLimits": [{"type": "day"}]}
    business.alpine.save()
    page = text_of(sign_in(alice).get(f"/strategies/{business.alpine.pk}/settings/"))
    assert "hold a value that the contract does not know" in page


def test_a_messengers_token_is_never_shown(business, sign_in, alice, text_of):
    business.alpine.document = {"telegram": {"publishing": {"token": "secret-token", "chatId": "@alpine"}}}
    business.alpine.save()
    page = text_of(sign_in(alice).get(f"/strategies/{business.alpine.pk}/settings/"))
    assert "@alpine" in page
    assert "secret-token" not in page


def test_results_fill_the_cells_of_the_list(business, sign_in, alice, text_of):
    path = f"/strategies/results/?ids={business.alpine.pk}"
    cells = text_of(sign_in(alice).get(path, headers={"HX-Request": "true"}))
    assert f'id="s{business.alpine.pk}-subscribers"' in cells
    assert ">2</a>" in cells
    assert "<html" not in cells


def test_results_of_all_strategies_are_a_page_without_scripts(business, is_for_staff_only):
    page = is_for_staff_only("/strategies/results/", stranger=200)
    assert page.index("Alpine Trend") < page.index("Balanced")


@pytest.mark.parametrize("query", ["ids=1,x", "ids=" + "9," * 200, "sort=colour"])
def test_results_refuse_what_makes_no_sense(query, business, sign_in, alice):
    assert sign_in(alice).get(f"/strategies/results/?{query}").status_code == 400


def test_the_curve_adds_up_the_accounts_that_copy(business, sign_in, alice, text_of):
    business.other.currency = "USD"
    business.other.save()
    path = f"/strategies/{business.alpine.pk}/equity.json?range=1M"
    _, equity, drawdown, moved = sign_in(alice).get(path).json()
    assert moved == [0, 0, 0, 0]
    assert equity == [2140, 2160, 2180, 2200]
    assert drawdown == [0, 0, 0, 0]
    assert "2\u202f200.00" in text_of(sign_in(alice).get(f"{path}&as=table"))


def test_performance_shows_months_and_symbols(business, sign_in, alice, text_of):
    page = text_of(sign_in(alice).get(f"/strategies/{business.alpine.pk}/performance/"))
    assert "EURUSD" in page
    assert "heat-" in page
    assert "Monthly returns appear" in text_of(sign_in(alice).get(f"/strategies/{business.portfolio.pk}/performance/"))


def test_tabs_show_only_what_belongs_to_the_strategy(business, sign_in, alice, text_of):
    client = sign_in(alice)
    assert "EURUSD" in text_of(client.get(f"/strategies/{business.alpine.pk}/transactions/"))
    assert "EURUSD" not in text_of(client.get(f"/strategies/{business.portfolio.pk}/transactions/?format=csv"))
    assert "Copied EURUSD" in text_of(client.get(f"/strategies/{business.alpine.pk}/log/"))
    assert "Copied EURUSD" not in text_of(client.get(f"/strategies/{business.portfolio.pk}/log/"))


def test_a_member_that_is_being_taken_out_is_told_instead_of_edited(business, sign_in, alice, text_of):
    path = f"/strategies/{business.portfolio.pk}/settings/"
    assert "Edit member" in text_of(sign_in(alice).get(path))
    business.portfolio.document["members"][0]["closeOnRemovalMode"] = "close-gracefully-by-position"
    business.portfolio.save()
    page = text_of(sign_in(alice).get(path))
    assert "Being taken out" in page
    assert "nothing new is opened" in page
    assert "Edit member" not in page


@pytest.mark.parametrize(
    ("removed", "mode", "words"),
    [(False, "", "Active"), (True, "close-immediately", "Being removed"), (True, "", "Removed")],
)
def test_what_is_gone_is_not_being_removed_any_more(removed, mode, words, business, sign_in, alice, text_of):
    business.alpine.is_removed = removed
    business.alpine.document |= {"closeOnRemovalMode": mode} if mode else {}
    business.alpine.save()
    assert f"</span>{words}</span>" in text_of(sign_in(alice).get(f"/strategies/{business.alpine.pk}/"))
    assert (f"</span>{words}</span>" in text_of(sign_in(alice).get("/strategies/"))) is removed
