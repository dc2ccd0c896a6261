"""Lists of the API: the rows, filters, sorts and pages of the portal's lists, and the fields that were asked for."""

from __future__ import annotations

import pytest

from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def strategies(workspace):
    connection = builders.connection(workspace)
    return [builders.strategy(connection, name=f"Strategy {number:02}") for number in range(5)]


def names(body: dict) -> list[str]:
    return [row["name"] for row in body["results"]]


def test_pages_lead_there_and_back(program, alice, strategies):
    caller = program(alice)
    body = caller.get("strategies/", {"limit": 2, "sort": "-name"}).json()
    pages = [names(body)]
    assert body["previous"] is None
    while body["next"]:
        assert body["next"].startswith("http://testserver/api/v1/strategies/?")
        body = caller.get(body["next"].removeprefix("http://testserver")).json()
        pages.append(names(body))
    assert pages == [["Strategy 04", "Strategy 03"], ["Strategy 02", "Strategy 01"], ["Strategy 00"]]
    body = caller.get(body["previous"].removeprefix("http://testserver")).json()
    assert names(body) == ["Strategy 02", "Strategy 01"]


def test_filters_are_those_of_the_page(program, sign_in, alice, strategies):
    strategies[1].is_removed, strategies[1].scheme = True, "flat-fee"
    strategies[1].save()
    for filters in (
        {"state": "removed"},
        {"scheme": "flat-fee"},
        {"q": "strategy 01"},
        {"scheme": "none", "q": "strategy 02"},
    ):
        rows = names(program(alice).get("strategies/", filters).json())
        page = sign_in(alice).get("/strategies/", filters).content.decode()
        assert rows
        assert [name for name in (s.name for s in strategies) if name in page] == rows


def test_only_the_fields_that_were_asked_for(program, alice, strategies):
    [row] = program(alice).get("strategies/", {"fields": "name,state", "q": "Strategy 03"}).json()["results"]
    assert row == {"id": strategies[3].pk, "name": "Strategy 03", "state": "offered"}


def test_a_state_is_that_of_the_page(program, alice, strategies):
    strategies[1].is_removed = True
    strategies[2].is_removed, strategies[2].document = True, {"closeOnRemovalMode": "close-gracefully-by-position"}
    for strategy in strategies:
        strategy.save()
    body = program(alice).get("strategies/").json()
    assert [row["state"] for row in body["results"]] == ["offered", "removed", "ending", "offered", "offered"]
    type(strategies[0].connection).objects.update(is_enabled=False)
    body = program(alice).get("strategies/").json()
    assert [row["state"] for row in body["results"]][::4] == ["unconfirmed", "unconfirmed"]


def test_settings_come_without_their_secrets(program, alice, strategies):
    telegram = {"publishing": {"token": "123:secret", "chatId": "@x"}}
    strategies[0].document = {"name": "Strategy 00", "telegram": telegram, "maxTradeRisk": 0.02}
    strategies[0].save()
    for caller in (program(alice), program(alice, service_role="viewer")):
        answer = caller.get(f"strategies/{strategies[0].pk}/")
        assert answer.json()["document"]["maxTradeRisk"] == 0.02
        assert "secret" not in answer.content.decode()


def test_a_list_costs_as_many_queries_as_rows_do_not_matter(program, alice, strategies, django_assert_max_num_queries):
    caller = program(alice)
    with django_assert_max_num_queries(5):
        assert len(caller.get("strategies/").json()["results"]) == 5
