"""Signed out, or in again elsewhere, with a form open: nothing is done, the page comes back, what was typed is kept."""

from __future__ import annotations

import re

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
PAGE = "/settings/"
TYPED = {
    "name": "Alice & Sons",
    "timezone": "Europe/Vienna",
    "reporting_currency": "EUR",
    "accent": "teal",
    "password": "x",
}
HERE = {"Referer": f"http://testserver{PAGE}"}


def sign_in(client: Client, person, address: str):
    return client.post(address, {"login": person.email, "password": "a-long-enough-password"})


def test_a_form_that_was_sent_signed_out_comes_back_after_signing_in(client, alice, workspace):
    answer = client.post(PAGE, TYPED, headers=HERE)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/settings/")
    back = sign_in(client, alice, answer["Location"])
    assert back["Location"] == PAGE
    page = client.get(PAGE).content.decode()
    assert "Not sent: you were signed out" in page
    assert "Alice &amp; Sons" in page
    assert "password" not in re.search(r'data-unsent="(.*?)"', page).group(1)
    assert "Not sent" not in client.get(PAGE).content.decode()
    workspace.refresh_from_db()
    assert workspace.name == "Alice Capital"


def test_an_address_for_forms_only_leads_back_to_the_page_it_stood_on(client, alice):
    page = "/settings/connections/?x=1"
    answer = client.post("/settings/connections/1/test/", headers={"Referer": f"http://testserver{page}"})
    assert answer["Location"] == "/accounts/login/?next=/settings/connections/%3Fx%3D1"
    assert sign_in(client, alice, answer["Location"])["Location"] == page


@pytest.mark.parametrize("referer", ["", "https://evil.test/settings/", "//evil.test/", "javascript:alert(1)"])
def test_only_pages_of_ours_are_gone_back_to(client, referer):
    answer = client.post(PAGE, TYPED, headers={"Referer": referer})
    assert answer["Location"] == "/accounts/login/"
    assert "unsent" not in client.session


def test_a_part_tells_where_to_come_back_to(client):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/strategies/?q=a"}
    answer = client.get("/strategies/", headers=headers)
    assert (answer.status_code, answer["HX-Redirect"]) == (401, "/accounts/login/?next=/strategies/%3Fq%3Da")


@pytest.mark.parametrize("current", ["", "https://evil.test/strategies/"])
def test_a_part_of_another_site_comes_back_to_none(client, current):
    answer = client.get("/strategies/", headers={"HX-Request": "true", "HX-Current-URL": current})
    assert (answer.status_code, answer["HX-Redirect"]) == (401, "/accounts/login/")


@pytest.fixture
def strict(alice) -> Client:
    """Alice in a browser whose forms are checked for their token."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    return client


def test_a_stale_form_goes_back_to_its_page_with_what_was_typed(strict, workspace):
    headers = {"Origin": "http://testserver", **HERE}
    answer = strict.post(PAGE, TYPED, headers=headers)
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    page = strict.get(PAGE).content.decode()
    assert "Not sent: you signed in again" in page
    assert "Alice &amp; Sons" in page


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.test"}, {"Origin": "null", **HERE}])
def test_a_form_of_another_site_is_refused_with_our_page_and_kept_nowhere(strict, headers):
    answer = strict.post(PAGE, TYPED, headers=headers)
    assert answer.status_code == 403
    assert "The form was not taken" in answer.content.decode()
    assert "unsent" not in strict.session


@pytest.mark.parametrize(("wanted", "goes_to"), [("/strategies/", "/strategies/"), ("//evil.test/", "/"), ("", "/")])
def test_a_second_sign_in_page_goes_on(strict, wanted, goes_to):
    answer = strict.post("/accounts/login/", {"login": "a", "password": "b", "next": wanted})
    assert (answer.status_code, answer["Location"]) == (302, goes_to)
    answer = strict.get("/accounts/login/", {"next": "/strategies/"})
    assert answer["Location"] == "/strategies/"


@pytest.mark.parametrize(
    ("answer_to_a_form", "page"),
    [
        ("/settings/connections/1/test/", "/settings/connections/1/"),
        ("/strategies/7/signals/send/", "/strategies/7/signals/"),
        ("/strategies/7/signals/abc/close/", "/strategies/7/signals/"),
        ("/statements/3/credit-note/", "/statements/3/"),
    ],
)
@pytest.mark.parametrize("is_part", [False, True])
def test_from_a_page_that_answers_a_form_one_comes_back_to_the_page_above(
    answer_to_a_form, page, is_part, client, alice
):
    shown = f"http://testserver{answer_to_a_form}"
    headers = {"HX-Request": "true", "HX-Current-URL": shown} if is_part else {"Referer": shown}
    answer = client.post(answer_to_a_form, {"volume": "0.37", "once": "x", "confirmed": "yes"}, headers=headers)
    address = answer["HX-Redirect"] if is_part else answer["Location"]
    assert address == f"/accounts/login/?next={answer_to_a_form}"
    assert sign_in(client, alice, address)["Location"] == answer_to_a_form
    assert client.get(answer_to_a_form)["Location"] == page
    kept = client.session["unsent"]
    assert (kept["page"], kept["path"], kept["fields"]) == (page, answer_to_a_form, [["volume", "0.37"]])


def test_a_part_of_such_a_page_leads_there_too_and_an_address_that_was_typed_does_not(client, alice):
    client.force_login(alice)
    path = "/strategies/7/signals/send/"
    after_signing_in = {"Referer": f"http://testserver/accounts/login/?next={path}"}
    assert client.get(path, headers=after_signing_in)["Location"] == "/strategies/7/signals/"
    for referer in ("", "http://testserver/strategies/7/", "https://evil.test/accounts/login/"):
        assert client.get(path, headers={"Referer": referer}).status_code == 405


@pytest.mark.parametrize("path", ["/theme/", "/settings/connections/1/test/", "/switch/1/"])
def test_an_address_for_forms_only_has_a_page(client, alice, path):
    client.force_login(alice)
    answer = client.get(path)
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "Nothing to see at this address" in answer.content.decode()
