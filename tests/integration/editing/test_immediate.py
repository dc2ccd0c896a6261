"""A limit that is exceeded already is never saved without a word, on whichever level it is set."""

from __future__ import annotations

import pytest
from django.utils import timezone

from copying.client import Client, NotFound
from editing.immediate import NOT_OFFERED
from editing.models import Change

pytestmark = pytest.mark.django_db
QUIET = {"EURUSD": (1.1, 1.10008)}


@pytest.fixture
def losing(desk):
    """Both accounts have an open copy of a trade of Alpine that has lost; how much Hers has lost."""
    desk.signal(desk.alpine)
    desk.backend.move(EURUSD=(1.0995, 1.09958))
    with desk.client() as client:
        lost = 10_000 - float(client.account(desk.hers.backend_id).equity)
    yield round(lost, 2)
    desk.backend.move(**QUIET)


def a_limit(amount, *, closes=True):
    return {
        "type": "lifetime",
        "applyTo": "balance-minus-equity",
        "maxAbsoluteRisk": amount,
        "closePositions": closes,
        "startTime": "2020-01-01T00:00:00.000Z",
    }


def propose(desk, level, limit):
    """A change that adds a limit on a level, as the form would propose it."""
    target, kind = {
        "strategy": (desk.alpine, "strategy"),
        "member": (desk.portfolio, "portfolio"),
        "subscription": (desk.hers, "subscriber"),
        "subscriber": (desk.hers, "subscriber"),
    }[level]
    before = desk.at_backend(target)
    after = {key: value for key, value in before.items() if key != "_id"}
    if level in ("strategy", "subscriber"):
        after["riskLimits"] = [limit]
    else:
        part = "members" if level == "member" else "subscriptions"
        after[part] = [before[part][0] | {"riskLimits": [limit]}, *before[part][1:]]
    return Change.objects.create(
        workspace=target.workspace,
        connection=desk.connection,
        kind=kind,
        backend_id=target.backend_id,
        name=target.name,
        before=before,
        after=after,
        proposed_at=timezone.now(),
    )


def positions(desk):
    with desk.client() as client:
        return [len(client.account_positions(each.backend_id)) for each in (desk.hers, desk.other)]


@pytest.mark.parametrize(
    ("level", "closed"), [("strategy", [1, 1]), ("member", [0, 1]), ("subscription", [1, 0]), ("subscriber", [1, 0])]
)
def test_an_exceeded_limit_asks_for_the_name_and_does_what_it_said(desk, losing, person, alice, level, closed):
    manager, change = person(alice), propose(desk, level, a_limit(0.05))
    page = manager.http.get(f"/changes/{change.pk}/").content.decode()
    text = " ".join(page.split())
    many = sum(closed)
    assert ("2 limits are exceeded already" if many == 2 else "1 limit is exceeded already") in text
    assert (
        f"closes {many} {'positions' if many == 2 else 'position'} at {many} {'accounts' if many == 2 else 'account'}"
        in text
    )
    assert 'name="typed"' in page
    assert "Limits right after saving" in page
    answer = manager.save(change)
    assert answer.status_code == 422
    assert positions(desk) == [1, 1], "nothing is saved before the name is typed"
    assert manager.save(change, typed=change.name).status_code == 302
    desk.backend.move(EURUSD=(1.09949, 1.09957))
    assert positions(desk) == [1 - each for each in closed]


@pytest.mark.parametrize("level", ["strategy", "member", "subscription", "subscriber"])
def test_a_limit_with_room_shows_what_is_left_and_asks_nothing(desk, losing, person, alice, level):
    manager, change = person(alice), propose(desk, level, a_limit(5_000))
    page = manager.http.get(f"/changes/{change.pk}/").content.decode()
    assert "exceeded already" not in page
    assert "5\u202f000.00" in page
    if level in ("subscription", "subscriber"):
        assert f"{5_000 - losing:,.2f}".replace(",", "\u202f") in page
    assert 'name="typed"' not in page
    assert manager.save(change).status_code == 302
    assert positions(desk) == [1, 1]


@pytest.mark.parametrize(("shift", "asks"), [(-0.01, True), (0, True), (0.01, False)])
def test_just_below_at_and_above_what_was_lost(desk, losing, person, alice, shift, asks):
    manager, change = person(alice), propose(desk, "subscription", a_limit(round(losing + shift, 2)))
    assert ('name="typed"' in manager.http.get(f"/changes/{change.pk}/").content.decode()) is asks
    assert manager.save(change).status_code == (422 if asks else 302)


def test_one_that_stops_without_closing_asks_too(desk, losing, person, alice):
    manager, change = person(alice), propose(desk, "subscriber", a_limit(0.05, closes=False))
    page = manager.http.get(f"/changes/{change.pk}/").content.decode()
    assert "no position is closed" in page
    assert manager.save(change).status_code == 422


def test_prices_that_move_between_review_and_saving_are_measured_again(desk, losing, person, alice):
    manager, change = person(alice), propose(desk, "subscriber", a_limit(losing + 5))
    assert 'name="typed"' not in manager.http.get(f"/changes/{change.pk}/").content.decode()
    desk.backend.move(EURUSD=(1.09, 1.09008))
    answer = manager.save(change)
    assert answer.status_code == 422
    assert "exceeded already" in answer.content.decode()


def test_what_is_not_known_is_said_and_asks(desk, losing, person, alice):
    manager, change = person(alice), propose(desk, "subscriber", a_limit(5_000))
    desk.connection.base_url = "http://127.0.0.1:9"
    desk.connection.save()
    page = manager.http.get(f"/changes/{change.pk}/").content.decode()
    assert "is not known" in page
    assert 'name="typed"' in page


def test_a_backend_without_the_call_is_told_apart(desk, losing, person, alice, monkeypatch):
    def missing(self, changes):
        raise NotFound("Not found")

    monkeypatch.setattr(Client, "immediate_effects", missing)
    manager, change = person(alice), propose(desk, "subscriber", a_limit(5_000))
    page = manager.http.get(f"/changes/{change.pk}/").content.decode()
    assert NOT_OFFERED in page
    assert 'name="typed"' in page
