"""A document that the backend stored before a rule stays editable: what is at fault is named, shown and corrected."""

from __future__ import annotations

import pytest
from django.utils import timezone

from copying.backend import tokens
from copying.client import Rejected
from reporting.corrections import needed_corrections
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def old(desk, monkeypatch):
    """Her subscription has a ratio of 0, from when that was accepted."""
    with monkeypatch.context() as before_the_rule:
        before_the_rule.setattr("copying.contract.rules._positive", lambda values, *names: iter(()))
        terms = [{"strategyId": desk.alpine.backend_id, "multiplier": 0}]
        with desk.client() as client:
            client.put_subscriber(desk.hers.backend_id, {"name": "Hers", "subscriptions": terms})
    desk.mirror()
    return desk


def needed(person):
    return needed_corrections(person.memberships.get(), timezone.now())


def test_it_is_corrected_on_the_page_that_it_is_listed_with(old, person, alice):
    (correction,) = needed(alice)
    path = correction.address(alice.memberships.get())
    manager = person(alice)
    page = manager.http.get(path).content.decode()
    assert "breaks a rule that came later" in page
    assert 'id="i-multiplier" value="0"' in page
    assert 'id="i-multiplier-error">Must be greater than 0.' in page
    assert manager.save(manager.proposed(path, multiplier="2")).status_code == 302
    assert old.at_backend(old.hers)["subscriptions"][0]["multiplier"] == 2
    assert needed(alice) == []
    assert "breaks a rule" not in manager.http.get(path).content.decode()


def test_another_setting_is_saved_and_what_was_wrong_stays_to_be_corrected(old, person, alice):
    manager = person(alice)
    path = f"/subscribers/{old.hers.pk}/edit/"
    assert "subscriptions.0.multiplier: Must be greater than 0." in manager.http.get(path).content.decode()
    change = manager.proposed(path, maxTradeVolume="3")
    page = manager.http.get(f"/changes/{change.pk}/").content.decode()
    assert "would refuse" not in manager.http.get(f"/changes/{change.pk}/what-if/").content.decode()
    assert "is not known" not in page
    assert manager.save(change).status_code == 302
    stored = old.at_backend(old.hers)
    assert stored["maxTradeVolume"] == 3
    assert stored["subscriptions"][0]["multiplier"] == 0
    assert [correction.fault.part for correction in needed(alice)] == [old.alpine.backend_id]


@pytest.fixture
def two(desk, monkeypatch):
    """Both subscriptions of hers have a ratio of 0."""
    with monkeypatch.context() as before_the_rule:
        before_the_rule.setattr("copying.contract.rules._positive", lambda values, *names: iter(()))
        terms = [{"strategyId": one.backend_id, "multiplier": 0} for one in (desk.alpine, desk.boreal)]
        with desk.client() as client:
            client.put_subscriber(desk.hers.backend_id, {"name": "Hers", "subscriptions": terms})
    desk.mirror()
    return desk


@pytest.mark.parametrize("first", ["alpine", "boreal"])
def test_two_subscriptions_are_corrected_one_after_the_other(first, two, person, alice):
    manager = person(alice)
    for number, strategy in enumerate([first, "boreal" if first == "alpine" else "alpine"]):
        path = f"/subscribers/{two.hers.pk}/subscriptions/{getattr(two, strategy).backend_id}/edit/"
        change = manager.proposed(path, multiplier="2")
        assert manager.save(change).status_code == 302
        wrong = [terms["multiplier"] for terms in two.at_backend(two.hers)["subscriptions"] if not terms["multiplier"]]
        assert len(wrong) == 1 - number
    assert needed(alice) == []


def test_a_new_fault_is_refused_beside_an_old_one(two):
    document = {name: value for name, value in two.at_backend(two.hers).items() if name != "_id"}
    document["subscriptions"][1]["multiplier"] = -1
    with two.client() as client, pytest.raises(Rejected) as caught:
        client.put_subscriber(two.hers.backend_id, document)
    assert [detail["parameter"] for detail in caught.value.details] == ["subscriptions.1.multiplier"]


def test_what_another_tenant_stored_lets_nothing_through(two, workspace):
    stranger = builders.connection(workspace, name="Other", base_url=two.backend.url, token=tokens.issue("stranger9"))
    document = {name: value for name, value in two.at_backend(two.hers).items() if name != "_id"}
    with stranger.client() as client, pytest.raises(Rejected):
        client.put_subscriber(two.hers.backend_id, document)
