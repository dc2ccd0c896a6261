"""Strategies: the list, a strategy's settings, and its results, tried as everybody."""

import pytest

from tests import builders


def test_the_list_is_for_staff(business, is_for_staff_only):
    page = is_for_staff_only("/strategies/", stranger=200)
    assert "Alpine Trend" in page
    assert "20\u202f% of every profit, monthly" in page
    assert is_for_staff_only("/strategies/?format=csv", stranger=200).splitlines()[1].startswith("Alpine Trend,alpine")


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
    rows = text_of(sign_in(alice).get(f"/strategies/?{query}&format=csv")).splitlines()[1:]
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
