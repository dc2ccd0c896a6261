"""The description of the API is complete, valid, and true of what is answered, whatever is sent."""

from __future__ import annotations

import io
from urllib.parse import urlencode

import pytest
import schemathesis
from django.core.management import call_command
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator

from api.open_views import OPENAPI
from api.schema import description
from copying.client.exchange import Exchange
from tests.integration.api.test_matrix import ADDRESSES, PART, away, path_of, unreachable
from tests.integration.api.worlds import world

pytestmark = pytest.mark.django_db
TRIES = 25  # of each operation


@pytest.fixture(autouse=True)
def limits_and_backends(monkeypatch, settings):
    """These worlds have no backend: a write that gets as far as that is answered so."""
    settings.API_WRITES_PER_MINUTE = 100_000
    monkeypatch.setattr("api.edits.backend_of", away)
    monkeypatch.setattr("editing.bulk_review.backend_of", away)
    monkeypatch.setattr(Exchange, "_send", unreachable)


def schema_of(operation: dict, answer) -> dict:
    """What the description says of an answer. Fails where it says nothing of the status or the type of content."""
    described = operation["responses"][str(answer.status_code)]["content"]
    return described[answer["Content-Type"].partition(";")[0]]["schema"]


def faults(schema: dict, body) -> list[str]:
    whole = {"components": description()["components"], **schema}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(body)]


def operations():
    return [
        (method, path, operation)
        for path, methods in description()["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_command_of_the_package_finds_nothing_to_say():
    text = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=text, skip_checks=True)
    assert "openapi: 3.1.1" in text.getvalue()


def test_it_is_served_to_everybody(client):
    answer = client.get("/api/v1/schema/")
    assert (answer.status_code, answer["Content-Type"]) == (200, OPENAPI)
    assert answer.json() == description()


def test_every_operation_has_words_a_name_of_its_own_and_its_errors():
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for _, path, operation in operations():
        assert operation["summary"], path
        for parameter in operation.get("parameters", ()):
            assert parameter["in"] == "path" or parameter["description"], (path, parameter["name"])
        is_open = "security" not in operation
        assert is_open is (operation["tags"] == ["About"]), path
        assert is_open or {"401", "403", "404", "429"} <= set(operation["responses"]), path
    assert description()["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_writes_say_what_they_need():
    writes = [(path, operation) for method, path, operation in operations() if method != "get"]
    assert len(writes) >= 12
    for path, operation in writes:
        assert "scope “write”" in operation["description"], path
        headers = {entry["name"] for entry in operation["parameters"] if entry["in"] == "header"}
        assert "Idempotency-Key" in headers, path
        assert ("If-Match" in headers) is path.endswith("/settings/"), path
        assert {"409", "415", "422", "503"} <= set(operation["responses"]), path
        body = operation["requestBody"]["content"]["application/json"]["schema"] if "requestBody" in operation else {}
        without = ("cancel", "reset", "activate", "deactivate", "revoke", "secret", "test", "repeat", "close")
        assert body or path.split("/")[-2] in without, path


def test_every_address_is_described():
    paths = description()["paths"]
    described = {path.replace("{id}", "<int:pk>").replace("{strategy_id}", "<str:strategy_id>") for path in paths}
    described = {path.replace("{signal_id}", "<str:signal_id>") for path in described}
    from tests.integration.api.test_matrix import routes

    meant = {f"/api/v1/{route}".replace("<slug:code>", "{code}") for name, route in routes().items()}
    assert meant - described == {"/api/v1/schema/", "/api/v1/<path:rest>"}


@pytest.mark.parametrize("who", ["alice", "dora"])
def test_answers_are_as_described(who, workspace, dora, program, request):
    mine, caller = world(workspace, "Alpine", client=dora), program(request.getfixturevalue(who))
    paths = {path: methods["get"] for path, methods in description()["paths"].items() if "get" in methods}
    answered = 0
    for name, address in ADDRESSES.items():
        if "get" not in address.may:
            continue
        answer = caller.get(path_of(name, getattr(mine, address.rows).pk if address.rows else 0))
        path = f"/api/v1/{path_of(name)}".replace("/0/", "/{id}/").replace("/not-found/", "/{code}/")
        operation = paths.get(path.replace(PART, "{strategy_id}"))
        if operation is not None:
            assert faults(schema_of(operation, answer), answer.json()) == [], name
            answered += answer.status_code == 200
    assert answered >= (30 if who == "alice" else 15)


@pytest.mark.parametrize("method_and_path", [f"{method} {path}" for method, path, _ in operations()])
def test_whatever_is_sent_is_answered_as_described(method_and_path, workspace, dora, alice, program):
    """schemathesis: values that the description allows, never an error of the program."""
    method, path = method_and_path.split(" ")
    text = program(alice).text
    world(workspace, "Alpine", client=dora)
    operation = schemathesis.openapi.from_dict(dict(description()))[path][method.upper()]
    described = description()["paths"][path][method]

    @settings(
        max_examples=TRIES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def attempt(case):
        headers = {"Authorization": f"Bearer {text}"}
        query = {name: value for name, value in (case.query or {}).items() if value is not None}
        if method == "get":
            answer = Client().get(case.formatted_path, query, headers=headers)
        else:
            headers |= {name: value for name, value in (case.headers or {}).items() if value}
            path = f"{case.formatted_path}?{urlencode(query)}" if query else case.formatted_path
            answer = getattr(Client(), method)(path, case.body, content_type="application/json", headers=headers)
        assert answer.status_code < 500 or answer.json()["type"].endswith("/backend-unavailable/")
        assert faults(schema_of(described, answer), answer.json()) == []

    attempt()
