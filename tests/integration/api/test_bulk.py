"""Many accounts changed by a program: a selection and an act, its review, a job with an outcome per account."""

from __future__ import annotations

import pytest

from editing.models import BulkEdit, Change
from jobs.run import run_due
from tests import builders
from tests.integration.editing.conftest import desk, served  # noqa: F401  # fixtures
from tests.integration.subscribers.test_bulk import many, ratios  # noqa: F401  # a fixture
from users.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)
HALVE = {"act": "multiply-ratio", "value": 0.5}
PATH = "subscribers/bulk/"


@pytest.fixture
def caller(program, alice):
    return program(alice)


def body(accounts, change=HALVE, **more):
    return {"selection": {"ids": [account.pk for account in accounts]}, "change": change, **more}


def problem(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].split("/")[-2]


def test_a_selection_is_tried_carried_out_and_put_back(desk, caller, many):  # noqa: F811
    tried = caller.call("post", f"{PATH}?dry_run=true", body(many)).json()
    assert (tried["id"], tried["state"], tried["counts"]) == (None, "proposed", {"to-do": 5})
    assert tried["review"]["rows"][3]["changes"].endswith("Ratio 4\u202f× → 2\u202f×")
    assert tried["review"]["what_if"]["days"] == 30
    assert not BulkEdit.objects.exists()
    answer = caller.write("post", PATH, body(many), key="k")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued"), answer.content
    again = caller.write("post", PATH, body(many), key="k")
    assert (again.json(), BulkEdit.objects.count()) == (answer.json(), 1)
    run_due()
    state = caller.get(answer["Location"].removeprefix("http://testserver")).json()
    assert (state["state"], state["counts"], state["message"]) == ("done", {"done": 5}, "5 changed.")
    assert ratios(desk, many) == [0.5, 1, 1.5, 2, 2.5]
    rows = caller.get(f"bulk/{state['id']}/rows/").json()
    assert [row["outcome"] for row in rows["results"]] == ["done"] * 5
    assert caller.get(f"changes/{rows['results'][0]['change']}/").json()["token"] == "Program"
    assert AuditEntry.objects.filter(action="subscriber changed", via="token").count() == 5
    undone = caller.write("post", f"bulk/{state['id']}/undo/", {})
    assert undone.status_code == 202, undone.content
    run_due()
    assert ratios(desk, many) == [1, 2, 3, 4, 5]


def test_all_that_match_a_filter(desk, caller, many):  # noqa: F811
    sent = {"selection": {"filter": {"q": "many"}}, "change": HALVE}
    assert caller.call("post", f"{PATH}?dry_run=true", sent).status_code == 200
    wrong = {"selection": {"filter": {"stat": "x"}}, "change": HALVE}
    answer = caller.write("post", PATH, wrong)
    assert answer.status_code == 422, "a misspelt filter would choose everybody"
    assert answer.json()["errors"][0]["pointer"] == "/selection/filter/stat"
    wrong = {"selection": {"filter": {"state": "nonsense"}}, "change": HALVE}
    assert caller.write("post", PATH, wrong).json()["errors"][0]["pointer"] == "/selection/filter"
    assert not BulkEdit.objects.exists()


def test_an_id_that_is_foreign_or_made_up_refuses_the_whole(desk, caller, many, charlie):  # noqa: F811
    foreign = builders.subscriber(builders.connection(charlie.memberships.get().workspace), name="Theirs")
    sent = body(many)
    answers = []
    for pk in (foreign.pk, 987_654_321):
        answers.append(caller.write("post", PATH, {**sent, "selection": {"ids": [*sent["selection"]["ids"], pk]}}))
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].content == answers[1].content
    assert not BulkEdit.objects.exists()


def test_what_acts_at_once_is_confirmed_by_the_number(desk, caller, many):  # noqa: F811
    close = {"act": "close-only", "mode": "immediately"}
    for confirm in ({}, {"confirm": "4"}):
        answer = caller.write("post", PATH, body(many, close, **confirm))
        assert problem(answer) == (422, "confirmation-needed")
    assert answer.json()["review"]["confirm"] == "5"
    assert not BulkEdit.objects.exists()
    assert caller.write("post", PATH, body(many, close, confirm="5")).status_code == 202
    run_due()
    assert [desk.at_backend(account)["closeOnly"] for account in many] == ["immediately"] * 5


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"act": "set-ratio"}, "/change/value"),
        ({"act": "set-ratio", "value": None}, "/change/value"),
        ({"act": "set-ratio", "value": 0}, "/change/value"),
        ({"act": "set-ratio", "value": 1001}, "/change/value"),
        ({"act": "limit", "value": 1}, "/change/setting"),
        ({"act": "limit", "setting": "maxTradeRisk", "value": 2}, "/change/value"),
        ({"act": "close-only"}, "/change/mode"),
        ({"act": "close-only", "mode": "x"}, "/change/mode"),
        ({"act": "set-ratio", "value": 1, "mode": ""}, "/change/mode"),
        ({"act": "explode"}, "/change/act"),
        ({"act": "risk-limit", "value": 0.1}, "/change/limit"),
        ({}, "/change/act"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(change, pointer, desk, caller, many):  # noqa: F811
    answer = caller.write("post", PATH, body(many, change))
    assert answer.status_code == 422, answer.content
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("selection", [{}, {"ids": []}, {"ids": ["x"]}, {"ids": [1], "filter": {}}, {"ids": None}])
def test_a_selection_is_one_of_two(selection, desk, caller):  # noqa: F811
    answer = caller.write("post", PATH, {"selection": selection, "change": HALVE})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/selection")


def test_a_service_works_on_many_in_its_own_name(desk, program, alice, many):  # noqa: F811
    service = program(alice, service_role="manager")
    assert service.write("post", PATH, body(many)).status_code == 202
    run_due()
    assert ratios(desk, many) == [0.5, 1, 1.5, 2, 2.5]
    assert set(Change.objects.values_list("saved_by", "sent_with")) == {(None, "Program")}


def test_it_is_cancelled(desk, caller, many):  # noqa: F811
    begun = caller.write("post", PATH, body(many)).json()
    ended = caller.write("post", f"bulk/{begun['id']}/cancel/").json()
    assert (ended["state"], ended["counts"]) == ("cancelled", {"to-do": 5})
    run_due()
    assert ratios(desk, many) == [1, 2, 3, 4, 5]
