"""Whatever goes wrong below /api/ is answered with problem details, wherever it goes wrong."""

from __future__ import annotations

import pytest
from django.test import Client

from api.problems import KINDS
from strategies.models import Strategy

pytestmark = pytest.mark.django_db


def problem(answer, code: str) -> dict:
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert (body["type"], body["status"]) == (f"/api/v1/problems/{code}/", answer.status_code)
    assert KINDS[code].status == answer.status_code
    assert body["title"] == KINDS[code].title
    return body


@pytest.mark.parametrize("path", ["nothing/", "strategies", "strategies/x/", "strategies/1/2/", "token", "schema"])
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options", "head"])
def test_an_address_that_is_none_is_not_found_and_never_a_redirect(path, method, program, alice):
    answer = program(alice).call(method, path)
    assert answer.status_code == 404
    if method != "head":
        assert "end with a slash" in problem(answer, "not-found")["detail"]


def test_an_address_outside_the_version_too():
    problem(Client().get("/api/v2/strategies/"), "not-found")
    problem(Client().get("/api/"), "not-found")


def test_without_a_token(client, alice):
    answer = client.get("/api/v1/strategies/")
    problem(answer, "unauthenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="copyportal"'


def test_a_session_opens_nothing(sign_in, alice):
    problem(sign_in(alice).get("/api/v1/strategies/"), "unauthenticated")
    answer = sign_in(alice).post("/api/v1/strategies/", {}, content_type="application/json")
    problem(answer, "unauthenticated")


@pytest.mark.parametrize(
    "header", ["Basic abc", "Bearer", "Bearer  ", "Token abc", "Bearer a b", "Bearer ü", "bearer x"]
)
def test_a_header_that_holds_no_token(header):
    problem(Client().get("/api/v1/strategies/", headers={"Authorization": header}), "unauthenticated")


def test_the_scheme_is_read_in_any_case(program, alice):
    answer = Client().get("/api/v1/token/", headers={"Authorization": f"bEARER  {program(alice).text}"})
    assert answer.status_code == 200


def test_unreadable_characters_and_hosts_of_others(program, alice):
    problem(program(alice).get("strategies/", {"q": "a\0b"}), "bad-request")
    problem(program(alice).get("strategies/", Host="evil.test"), "bad-request")


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"stat": "offered"}, "stat"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"fields": "name,token"}, "token"),
        ({"fields": ","}, "field"),
        ({"sort": "document"}, "sorted"),
        ({"after": "x"}, "position"),
        ({"kind": "x"}, "Kind"),
        ({"format": "csv"}, "format"),
        ({"newer": "x"}, "newer"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(parameters, word, program, alice):
    body = problem(program(alice).get("strategies/", parameters), "bad-parameter")
    assert word in body["detail"]


def test_an_error_of_the_program_says_nothing_of_it(program, alice, monkeypatch):
    def fail(self, membership):
        raise RuntimeError("secret words")

    monkeypatch.setattr(type(Strategy.objects), "visible_to", fail)
    caller = Client(raise_request_exception=False)
    answer = caller.get("/api/v1/strategies/", headers={"Authorization": f"Bearer {program(alice).text}"})
    body = problem(answer, "server-error")
    assert len(body["id"]) == 8
    assert "secret" not in answer.content.decode()


def test_every_kind_of_problem_has_its_page(client):
    for code, kind in KINDS.items():
        body = client.get(f"/api/v1/problems/{code}/").json()
        assert body == {"code": code, "status": kind.status, "title": kind.title, "meaning": kind.meaning}
    problem(client.get("/api/v1/problems/no-such-thing/"), "not-found")
