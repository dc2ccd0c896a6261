"""Every address of the portal with values that nobody should send: words or nothing, never an error of the program.

Which parameters a view reads is found out by watching it read them, so a new view is tried without being named here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from urllib.parse import quote

import pytest
from django.db import transaction
from django.http import QueryDict
from django.urls import URLPattern, URLResolver, get_resolver

from copying.client import errors
from copying.client.exchange import Exchange

NASTY = ["²", "9" * 5_000, "-1", "nobody", "NaN"]
READ_BY_LISTS = ("sort", "after", "newer", "from", "to", "strategy", "subscriber", "state", "equity_min")
# what ends the session or answers with another program's page is tried elsewhere
LEFT_OUT = ("accounts/", "healthz", "readyz")


def patterns(resolver: URLResolver, before: str = "") -> Iterator[str]:
    """Every address, as a format with places for its arguments."""
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        elif isinstance(entry, URLPattern) and not route.startswith(LEFT_OUT):
            yield route


ROUTES = sorted(set(patterns(get_resolver())))
PARTS = [ROUTES[start : start + 16] for start in range(0, len(ROUTES), 16)]


def filled(route: str, business, value: str | None = None) -> str:
    """The address with ids that exist, or with a value in every place that takes text."""
    rows = {"strategies/": business.alpine.pk, "subscribers/": business.hers.pk, "stopouts/": business.active.pk}
    pk = next((pk for start, pk in rows.items() if route.startswith(start)), business.connection.pk)
    path = route.replace("<int:strategy_pk>", str(business.alpine.pk)).replace(
        "<int:subscriber_pk>", str(business.hers.pk)
    )
    path = path.replace("<int:pk>", str(pk))
    while "<str:" in path:
        start, _, rest = path.partition("<str:")
        path = start + quote(value or "alpine", safe="") + rest.partition(">")[2]
    return f"/{path}"


@pytest.fixture
def read(monkeypatch) -> set[str]:
    """The names of the parameters that views ask for, as they ask."""
    names: set[str] = set()
    lists = QueryDict.lists

    def watch_lists(self):
        names.update(READ_BY_LISTS)
        return lists(self)

    monkeypatch.setattr(QueryDict, "lists", watch_lists)
    for method in ("get", "getlist", "__getitem__", "__contains__"):
        original = getattr(QueryDict, method)

        def watch(self, key, *arguments, original=original, **named):
            if isinstance(key, str):
                names.add(key)
            return original(self, key, *arguments, **named)

        monkeypatch.setattr(QueryDict, method, watch)
    return names


@pytest.fixture(autouse=True)
def _no_backend(monkeypatch):
    """The backend cannot be reached, which is said at once."""

    def refuse(self, request, host):
        raise errors.Unreachable("Cannot reach the backend.", was_sent=False, transient=False)

    monkeypatch.setattr(Exchange, "_send", refuse)


def read_by(client, path: str, read: set[str], method: str) -> set[str]:
    """What the view reads when it is asked without anything; a list reads all at once: then its filters' names."""
    read.clear()
    getattr(client, method)(path)
    ours = {name for name in read if name not in ("csrfmiddlewaretoken", "_method")}
    return ours - set(READ_BY_LISTS) if method == "post" else ours


def check(answer, what: str) -> None:
    assert answer.status_code < 500 or answer.status_code == 503, what
    if answer.streaming:
        b"".join(answer.streaming_content)


@contextmanager
def visit(person, sign_in):
    """A browser of its own, whatever it does to the business is taken back: the next address finds it as it was."""
    with transaction.atomic():
        client = sign_in(person)
        client.raise_request_exception = False
        yield client
        transaction.set_rollback(True)


# to build the business anew takes longer than to try an address: one for many addresses
@pytest.mark.parametrize("routes", PARTS, ids=lambda routes: routes[0])
def test_no_parameter_of_an_address_is_an_error(routes, business, sign_in, alice, read):
    for route in routes:
        path = filled(route, business)
        with visit(alice, sign_in) as client:
            for name, value in product(sorted(read_by(client, path, read, "get")), NASTY):
                check(client.get(path, {name: value}), f"GET {path} {name}={value[:20]!r}")


@pytest.mark.parametrize("routes", PARTS, ids=lambda routes: routes[0])
def test_no_field_of_a_form_is_an_error(routes, business, sign_in, alice, read):
    for route in routes:
        path = filled(route, business)
        with visit(alice, sign_in) as client:
            names = read_by(client, path, read, "post")
            for value in NASTY:
                check(client.post(path, dict.fromkeys(names, value)), f"POST {path} {sorted(names)} {value[:20]!r}")


def test_every_address_is_in_a_part():
    assert sorted(route for part in PARTS for route in part) == ROUTES


@pytest.mark.parametrize("value", NASTY)
def test_no_part_of_a_path_is_an_error(value, business, sign_in, alice):
    client = sign_in(alice)
    client.raise_request_exception = False
    for route in (route for route in ROUTES if "<" in route):
        for method in (client.get, client.post):
            check(method(filled(route, business, value)), f"{route} {value[:20]!r}")
        numbers = filled(route.replace("<int:", "<str:"), business, value)
        check(client.get(numbers), f"{numbers[:80]}")


@pytest.mark.parametrize(
    "host", ["evil.test", "localhost,evil.test", "", "10.0.0.7:8000", "a b", "[::1", "localhost:x"]
)
@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/nothing/", "/static/portal.css"])
def test_a_host_of_others_is_refused_with_the_portals_page(client, host, path, caplog, db):
    client.raise_request_exception = False
    answer = client.get(path, headers={"Host": host})
    if path == "/static/portal.css":
        assert answer.status_code in (200, 400)
        return
    assert answer.status_code == 400
    assert "not reached by this name" in answer.content.decode()
    assert not [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]


def test_totals_of_nobody_are_none(business, sign_in, alice):
    for query in ({"subscriber": "nobody"}, {"strategy": "nobody"}, {"subscriber": "nobody", "symbol": "X"}):
        assert sign_in(alice).get("/transactions/totals/", query).status_code == 200


def test_an_unreadable_character_is_named(business, sign_in, alice):
    answer = sign_in(alice).get("/subscribers/", {"q": "a\0b"})
    assert answer.status_code == 400
    assert "cannot be stored" in answer.content.decode()
