"""Subscribers: the list, one account's terms and results, tried as everybody."""

import pytest

from subscribers.effective import effective_terms, strategies_of
from subscribers.mirror import keep_subscribers
from tests import builders


def test_the_list_is_for_staff(business, is_for_staff_only):
    page = is_for_staff_only("/subscribers/", stranger=200)
    assert "1\u202f100.00" in page
    assert "Stopped" in page
    rows = is_for_staff_only("/subscribers/?format=csv", stranger=200).splitlines()
    assert rows[0].startswith("name,id,state,currency,equity,balance,floating")
    assert rows[1].split(",")[2:7] == ["stopped", "USD", "1100", "1000", "100"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=stopped", ["Dora's account"]),
        ("state=copying", ["Other account"]),
        ("state=removed", []),
        ("currency=EUR", ["Other account"]),
        ("strategy=alpine", ["Dora's account", "Other account"]),
        ("strategy=balanced", []),
        ("equity_min=1100", ["Dora's account", "Other account"]),
        ("equity_max=1099.99", []),
        ("q=dora", ["Dora's account"]),
        ("sort=-name", ["Other account", "Dora's account"]),
    ],
)
def test_filters_and_sort_hold_for_the_page_and_the_file(query, names, business, sign_in, alice, text_of):
    rows = text_of(sign_in(alice).get(f"/subscribers/?{query}&format=csv")).splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == names
    assert sign_in(alice).get(f"/subscribers/?{query}").status_code == 200


@pytest.mark.parametrize("query", ["equity_min=many", "equity_min=9&equity_max=1", "state=odd", "sort=state"])
def test_a_wrong_parameter_is_a_400(query, business, sign_in, alice):
    assert sign_in(alice).get(f"/subscribers/?{query}").status_code == 400


def test_the_number_of_queries_does_not_grow_with_subscribers(
    business, sign_in, alice, django_assert_num_queries, text_of
):
    for number in range(60):
        builders.subscriber(business.connection, name=f"More {number:02}")
    client = sign_in(alice)
    # who asks, where; the rows; their number as an estimate, then counted; how the syncs are, for the states
    with django_assert_num_queries(6):
        text_of(client.get("/subscribers/", headers={"HX-Request": "true"}))


def test_pages_of_one_account_are_for_staff(business, is_for_staff_only):
    base = f"/subscribers/{business.hers.pk}"
    tabs = ("/", "/subscriptions/", "/stopouts/", "/stopouts/?format=csv", "/performance/", "/transactions/", "/log/")
    for tab in (*tabs, "/commission/", "/commission/?format=csv", "/transactions/?format=csv"):
        is_for_staff_only(base + tab)


def test_the_subscribers_of_a_strategy(business, is_for_staff_only, sign_in, alice, text_of):
    page = is_for_staff_only(f"/strategies/{business.alpine.pk}/subscribers/")
    assert "× 2" in page
    nobody = text_of(sign_in(alice).get(f"/strategies/{business.portfolio.pk}/subscribers/"))
    assert "Nobody copies this strategy" in nobody


def test_results_fill_the_cells_of_the_list(business, sign_in, alice, charlie, text_of):
    path = f"/subscribers/results/?ids={business.hers.pk},{business.other.pk}"
    cells = text_of(sign_in(alice).get(path, headers={"HX-Request": "true"}))
    assert cells.count("+50.05") == 4
    assert "+50.05" not in text_of(sign_in(charlie).get(path))


def test_every_effective_setting_names_its_level(business):
    subscription = business.hers.subscriptions.get()
    business.hers.document = {"maxLeverage": 20}
    terms = effective_terms(subscription, business.hers, strategies_of(business.connection.pk))
    found = {one.label: (one.value, one.source) for one in terms.effective[0].settings}
    assert found["Ratio"] == ("× 2", "subscription")
    assert found["Risk per trade"] == ("At most 2\u202f% of the balance", "strategy")
    assert found["Largest trade"] == ("0.5 lots", "subscription")
    assert found["Leverage"] == ("At most 20 : 1", "account")
    assert found["Sides"] == ("Buy and sell", "")
    assert found["Risk limit"][1] == "strategy"


def test_a_portfolio_has_terms_for_each_strategy_in_it(business):
    subscription = builders.subscription(business.hers, business.portfolio, first_seen_at=builders.LONG_AGO)
    (effective,) = effective_terms(subscription, business.hers, strategies_of(business.connection.pk)).effective
    found = {one.label: (one.value, one.source) for one in effective.settings}
    assert found["Sides"] == ("Only buy", "portfolio member")
    assert found["Ratio"] == ("× 0.5", "portfolio member")


def test_a_subscription_page_shows_what_it_changes(business, sign_in, alice, text_of):
    page = text_of(sign_in(alice).get(f"/subscribers/{business.hers.pk}/subscriptions/"))
    assert "0.5 lots" in page
    assert "What holds in the end" in page


def test_an_account_of_its_own_has_its_curve(business, sign_in, alice, dora, charlie, text_of):
    path = f"/subscribers/{business.hers.pk}/equity.json"
    for person in (alice, dora):
        assert sign_in(person).get(path).json()[1] == [1070, 1080, 1090, 1100]
    assert sign_in(dora).get(f"/subscribers/{business.other.pk}/equity.json").status_code == 404
    assert sign_in(charlie).get(path).status_code == 404
    assert "1\u202f100.00" in text_of(sign_in(dora).get(f"{path}?as=table"))


def test_fetching_the_log_says_what_went_wrong(business, sign_in, bob, dora, charlie, text_of):
    path = f"/subscribers/{business.hers.pk}/log/fetch/"
    page = text_of(sign_in(bob).post(path, follow=True))
    assert "The log could not be fetched." in page
    assert sign_in(dora).post(path).status_code == 404
    assert sign_in(charlie).post(path).status_code == 404
    assert sign_in(bob).get(path).status_code == 405


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("close-gracefully-by-position", "Winding down<"),
        ("close-gracefully-by-symbol", "Winding down by symbol<"),
        ("", "Winding down<"),  # the vendor tells only that it is removed
    ],
)
def test_a_subscription_that_winds_down_is_shown_until_the_backend_lets_it_go(
    mode, words, business, sign_in, alice, dora, text_of
):
    terms = {"strategyId": "alpine", "removed": True, **({"closeOnRemovalMode": mode} if mode else {})}
    document = {"_id": business.hers.backend_id, "name": "Dora's account", "subscriptions": [terms]}
    keep_subscribers(business.connection, [document], now=business.now)
    pages = {
        f"/subscribers/{business.hers.pk}/": alice,
        f"/subscribers/{business.hers.pk}/subscriptions/": alice,
        "/me/": dora,
    }
    for path, person in pages.items():
        page = text_of(sign_in(person).get(path))
        assert words in page, path
        assert "copies nothing" not in page
    keep_subscribers(business.connection, [document | {"subscriptions": []}], now=business.now)
    told = {path: text_of(sign_in(person).get(path)) for path, person in pages.items()}
    assert not any("Winding down" in page for page in told.values())
    assert ["copies nothing" in page for page in told.values()] == [True, False, True]
    assert "Ended<" in told[f"/subscribers/{business.hers.pk}/subscriptions/"]


def test_nothing_winds_down_on_an_account_that_is_gone(business):
    business.hers.document = {"subscriptions": [{"strategyId": "alpine", "removed": True}, "odd"]}
    business.hers.is_removed = True
    assert business.hers.winding_down == set()


@pytest.mark.parametrize(("mode", "words"), [("close-gracefully-by-symbol", "Being removed"), ("", "Removed")])
def test_a_removed_account_says_whether_it_is_still_managed(mode, words, business, sign_in, alice, text_of):
    business.hers.is_removed = True
    business.hers.document = {"closeOnRemovalMode": mode} if mode else {}
    business.hers.save()
    assert f"</span>{words}</span>" in text_of(sign_in(alice).get(f"/subscribers/{business.hers.pk}/"))
