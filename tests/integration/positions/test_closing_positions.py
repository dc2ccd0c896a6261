"""Closing positions at a real backend: one copy, a signal at some or all clients; once, by whom who may, noted."""

from __future__ import annotations

from decimal import Decimal

import pytest

from copying.client import Client
from copying.client.errors import Unreachable
from jobs.models import Job
from reporting.models import OpenPosition, OpenTrade
from users.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def opened(desk, read, trade):
    """A provider's trade with its two copies; returns the signal."""
    trade(desk.id("p-alpine"))
    read()
    return OpenTrade.objects.get()


def at_backend(desk, account) -> list[str]:
    with desk.client() as client:
        return [position.id for position in client.terminal_positions(account.backend_id)]


def copy_of(account) -> OpenPosition:
    return OpenPosition.objects.get(subscriber_id=account.backend_id)


def test_one_copy_is_closed_once_the_name_is_typed(desk, opened, read, sign_in, alice):
    copy, browser = copy_of(desk.hers), sign_in(alice)
    path = f"/positions/all/{copy.pk}/close/"
    page = browser.get(path).content.decode()
    assert "0.40 lots EURUSD" in page.replace("\n", " ")
    assert "Hers" in page
    refused = browser.post(path, {"typed": "Somebody"})
    assert refused.status_code == 422
    assert "Type the name, Hers" in refused.content.decode()
    assert len(at_backend(desk, desk.hers)) == 1
    done = browser.post(path, {"typed": "Hers"}, follow=True)
    assert "Buy EURUSD at Hers is closed." in done.content.decode()
    assert at_backend(desk, desk.hers) == []
    assert len(at_backend(desk, desk.other)) == 1
    entry = AuditEntry.objects.get(action="position closed")
    assert (entry.user, entry.subject, entry.details["lots"]) == (alice, "Hers", "0.40000000")
    opened.refresh_from_db()
    assert (opened.copies, opened.missing, opened.copied_lots) == (1, 1, Decimal("0.1"))
    read()
    opened.refresh_from_db()
    assert (opened.copies, opened.missing) == (1, 1)


def test_the_same_form_twice_closes_once_and_says_so(desk, opened, sign_in, alice):
    browser, form = sign_in(alice), {"typed": "Hers", "once": "the-same"}
    path = f"/positions/all/{copy_of(desk.hers).pk}/close/"
    assert browser.post(path, form).status_code == 302
    again = browser.post(path, form, follow=True)
    assert "This form was sent before" in again.content.decode()
    assert AuditEntry.objects.filter(action="position closed").count() == 1


def test_a_position_that_closed_meanwhile_is_no_fault(desk, opened, sign_in, alice):
    copy = copy_of(desk.hers)
    with desk.client() as client:
        from copying.contract.accounts import TradeRequest

        request = TradeRequest(action_type="POSITION_CLOSE_ID", position_id=copy.position_id)
        client.terminal_trade(desk.hers.backend_id, request)
    done = sign_in(alice).post(f"/positions/all/{copy.pk}/close/", {"typed": "Hers"}, follow=True)
    assert "was not open any more" in done.content.decode()
    assert not OpenPosition.objects.filter(pk=copy.pk).exists()
    assert not AuditEntry.objects.filter(action__startswith="position closed").exists()


def test_a_lost_answer_is_settled_by_what_is_open(desk, opened, sign_in, alice, monkeypatch):
    trade = Client.terminal_trade

    def lose(self, *args, **options):
        trade(self, *args, **options)
        raise Unreachable("No answer.", was_sent=True, transient=True)

    monkeypatch.setattr(Client, "terminal_trade", lose)
    path = f"/positions/all/{copy_of(desk.hers).pk}/close/"
    assert "is closed." in sign_in(alice).post(path, {"typed": "Hers"}, follow=True).content.decode()
    assert at_backend(desk, desk.hers) == []
    assert AuditEntry.objects.filter(action="position closed").count() == 1


def test_without_an_answer_and_still_open_nothing_is_claimed(desk, opened, sign_in, alice, monkeypatch):
    def lose(self, *args, **options):
        raise Unreachable("No answer.", was_sent=True, transient=True)

    monkeypatch.setattr(Client, "terminal_trade", lose)
    copy = copy_of(desk.hers)
    page = sign_in(alice).post(f"/positions/all/{copy.pk}/close/", {"typed": "Hers"}, follow=True).content.decode()
    assert "whether it is done is not known" in page
    assert OpenPosition.objects.filter(pk=copy.pk).exists()
    assert AuditEntry.objects.filter(action="position closed: not confirmed").count() == 1


@pytest.mark.parametrize(("scope", "left"), [("all", 0), ("chosen", 1)])
def test_a_signal_is_closed_at_all_or_chosen_clients(desk, opened, sign_in, alice, scope, left):
    browser = sign_in(alice)
    path = f"/positions/{opened.pk}/close/"
    page = browser.get(path).content.decode()
    assert "2 copies" in page
    form = {"scope": scope, "position": [str(copy_of(desk.hers).pk)], "typed": "EURUSD"}
    done = browser.post(path, form, follow=True).content.decode()
    assert f"{2 - left} position{'s are' if left == 0 else ' is'} closed." in done
    assert at_backend(desk, desk.hers) == []
    assert len(at_backend(desk, desk.other)) == left
    assert len(at_backend(desk, desk.alpine.__class__(backend_id=desk.id("p-alpine")))) == 1  # the provider's stays
    assert Job.objects.get(kind="close-positions").state == "done"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"scope": "all", "typed": ""}, "Type EURUSD"),
        ({"scope": "chosen", "typed": "EURUSD"}, "Choose at least one client"),
        ({"scope": "chosen", "typed": "EURUSD", "position": "987654321"}, "Choose of what the page lists now"),
        ({"scope": "chosen", "typed": "EURUSD", "position": "x"}, "Choose at least one client"),
        ({"scope": "everything", "typed": "EURUSD"}, "Choose at least one client"),
        ({"typed": "EURUSD"}, "Choose at least one client"),
    ],
)
def test_nothing_closes_by_an_unclear_form(desk, opened, sign_in, alice, form, words):
    answer = sign_in(alice).post(f"/positions/{opened.pk}/close/", form)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert len(at_backend(desk, desk.hers)) == 1
    assert not Job.objects.filter(kind="close-positions").exists()


def test_a_signal_closed_twice_by_two_forms_harms_nothing(desk, opened, sign_in, alice):
    browser, path = sign_in(alice), f"/positions/{opened.pk}/close/"
    form = {"scope": "all", "typed": "EURUSD"}
    assert browser.post(path, form).status_code == 302
    again = browser.post(path, form)
    assert (again.status_code, "it has no copy" in again.content.decode()) == (422, True)


def test_only_who_may_manage_closes(desk, opened, sign_in, bob, dora, charlie):
    copy = copy_of(desk.hers)
    for path in (f"/positions/all/{copy.pk}/close/", f"/positions/{opened.pk}/close/"):
        form = {"typed": "Hers", "scope": "all"}
        for person, status in ((bob, 403), (dora, 404), (charlie, 404)):
            assert sign_in(person).get(path).status_code == status, (person, path)
            assert sign_in(person).post(path, form).status_code == status, (person, path)
        assert "/close/" not in sign_in(bob).get("/positions/all/").content.decode()
    assert len(at_backend(desk, desk.hers)) == 1
