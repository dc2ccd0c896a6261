"""Lists: keyset pages in both directions, ties, rows without a value, positions one cannot make up, filters, counts."""

import pytest
from django.test import RequestFactory
from django.utils import timezone

from subscribers.models import Subscriber
from tests import builders
from users.listing import BadParameter, Choice, Column, DayRange, Listing, Option, Search, with_ids
from users.listing.counting import two_figures

LISTING = Listing(
    name="accounts",
    sort="name",
    page_rows=4,
    columns=(
        Column("name", "Name", is_sortable=True),
        Column("equity", "Equity", is_sortable=True, is_number=True),
        Column("currency", "Currency"),
        Column("where", "Where", source="connection__name", in_csv=False),
    ),
    filters=(
        Search("q", "Search", fields=("name",)),
        Choice("currency", "Currency", options=(Option("USD", "Dollar"), Option("EUR", "Euro"))),
        DayRange("seen", "Seen", field="first_seen_at"),
    ),
)
NAMES = ["Ann", "Ben", "Ben", "Ben", "Ben", "Ben", "Cid", "Dan", "Eve", "Fay"]
EQUITIES = [None, 5, 1, 1, 1, 1, 1, None, 0, None]


@pytest.fixture
def accounts(workspace):
    connection = builders.connection(workspace)
    for name, equity in zip(NAMES, EQUITIES, strict=True):
        builders.subscriber(connection, name=name, equity=equity)
    return Subscriber.objects.filter(workspace=workspace)


def bind(accounts, **parameters):
    request = RequestFactory().get("/accounts/", parameters)
    request.workspace = accounts[0].workspace
    return LISTING.bind(request, accounts)


def follow(accounts, href):
    query = RequestFactory().get(href).GET.dict()
    return bind(accounts, **query)


def walk(accounts, **parameters):
    """Every row from the first page to the last, and the last table."""
    table, rows = bind(accounts, **parameters), []
    rows += table.rows
    while table.next_href:
        table = follow(accounts, table.next_href)
        rows += table.rows
    return rows, table


def walk_back(accounts, table):
    rows = list(table.rows)
    while table.previous_href:
        table = follow(accounts, table.previous_href)
        rows = list(table.rows) + rows
    return rows


@pytest.mark.parametrize("sort", ["name", "-name", "equity", "-equity"])
def test_every_row_comes_once_forwards_and_backwards_with_ties_and_unknowns(accounts, sort):
    forwards, last = walk(accounts, sort=sort)
    assert len(forwards) == len(NAMES)
    assert len({row.id for row in forwards}) == len(NAMES)
    assert walk_back(accounts, last) == forwards


@pytest.mark.parametrize(("sort", "known"), [("equity", [0, 1, 1, 1, 1, 1, 5]), ("-equity", [5, 1, 1, 1, 1, 1, 0])])
def test_rows_without_a_value_come_last_in_both_directions(accounts, sort, known):
    rows, _ = walk(accounts, sort=sort)
    assert [row.equity for row in rows] == [*known, None, None, None]


def test_pages_stay_in_place_when_rows_arrive_before_them(accounts):
    second = follow(accounts, bind(accounts).next_href)
    builders.subscriber(accounts[0].connection, name="Aaron")
    assert [row.id for row in follow(accounts, bind(accounts).next_href).rows] != [row.id for row in second.rows]
    assert [row.id for row in follow(accounts, second.href(after=second.parameters["after"])).rows] == [
        row.id for row in second.rows
    ]


def test_newer_rows_are_counted_without_moving_the_page(accounts):
    table = bind(accounts)
    assert table.newer_href
    builders.subscriber(accounts[0].connection, name="Aaron")
    assert follow(accounts, table.newer_href).newer_count == 1


def test_a_position_of_another_sort_or_a_changed_one_is_refused(accounts):
    position = follow(accounts, bind(accounts).next_href).parameters["after"]
    with pytest.raises(BadParameter, match="position"):
        bind(accounts, sort="equity", after=position)
    with pytest.raises(BadParameter, match="position"):
        bind(accounts, after=position[:-2] + "xx")
    with pytest.raises(BadParameter, match="not both"):
        bind(accounts, after=position, before=position)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sort": "password"}, "cannot be sorted"),
        ({"currency": "CHF"}, "one of USD, EUR"),
        ({"from": "yesterday"}, "day like 2026-01-31"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "before it starts"),
        ({"from": "9999-12-31"}, "1970"),
        ({"q": "x" * 101}, "longer than 100"),
        ({"q": "a\x00b"}, "forbidden"),
        ({"format": "xlsx"}, "only be"),
    ],
)
def test_a_wrong_parameter_is_named_in_a_sentence(accounts, wrong, said):
    with pytest.raises(BadParameter, match=said):
        bind(accounts, **wrong)


def test_filters_narrow_and_can_be_taken_away_one_by_one(accounts):
    table = bind(accounts, q="be", currency="USD", sort="name")
    assert {row.name for row in table.rows} == {"Ben"}
    assert [applied.chip.text for applied in table.applied] == ["be", "Dollar"]
    assert table.applied[0].href == "/accounts/?currency=USD&sort=name"
    assert table.clear_href == "/accounts/?sort=name"


def test_a_period_includes_both_its_days(accounts):
    accounts.update(first_seen_at=timezone.datetime(2026, 3, 5, 23, 59, tzinfo=timezone.get_default_timezone()))
    assert bind(accounts, **{"from": "2026-03-05", "to": "2026-03-05"}).rows
    assert not bind(accounts, **{"to": "2026-03-04"}).rows


def test_small_lists_are_counted_exactly_and_large_ones_said_to_be_estimates(accounts, monkeypatch):
    assert bind(accounts).count.rows == len(NAMES)
    assert bind(accounts).count.is_exact
    monkeypatch.setattr("users.listing.counting.EXACT_UP_TO_ROWS", 3)
    assert not bind(accounts).count.is_exact
    assert two_figures(48_213) == 48_000
    assert two_figures(7) == 7


def test_headings_sort_and_turn_the_current_sort_around(accounts):
    name, equity = bind(accounts).headings[:2]
    assert (name.direction, name.href) == ("ascending", "/accounts/?sort=-name")
    assert (equity.direction, equity.href) == ("", "/accounts/?sort=-equity")


def test_a_page_costs_one_query_and_its_count_at_most_two(accounts, django_assert_num_queries):
    table = bind(accounts)
    with django_assert_num_queries(1):
        _ = table.rows
    with django_assert_num_queries(2):
        _ = table.count


@pytest.mark.parametrize(
    "wanted", [["Ann", "Ben", "Zoe"], [*"abc%'", *(f"Name {number}" for number in range(200)), "Ben", "Ann"], []]
)
def test_rows_of_few_and_of_very_many_ids_are_found_alike(accounts, wanted):
    found_names = sorted(with_ids(accounts, "name", wanted).values_list("name", flat=True))
    assert found_names == sorted(name for name in NAMES if name in wanted)
