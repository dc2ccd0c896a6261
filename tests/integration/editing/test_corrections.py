"""A document that the backend stored before a rule stays editable: what is at fault is named, shown and corrected."""

from __future__ import annotations

import pytest
from django.utils import timezone

from reporting.corrections import needed_corrections

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


def test_another_setting_of_it_is_refused_by_name(old, person, alice):
    manager = person(alice)
    path = f"/subscribers/{old.hers.pk}/edit/"
    assert "subscriptions.0.multiplier: Must be greater than 0." in manager.http.get(path).content.decode()
    answer = manager.save(manager.proposed(path, maxTradeVolume="3"))
    assert answer.status_code == 503
    page = answer.content.decode()
    assert "<li>subscriptions.0.multiplier: must be greater than 0</li>" in page
    assert "Correct it in the form" in page
    assert "maxTradeVolume" not in old.at_backend(old.hers)
