"""A client pauses, changes the ratio and limits, and leaves, within the manager's bounds and on their own accounts."""

from __future__ import annotations

import pytest
from django.utils import timezone

from editing.models import Change
from subscribers.models import ClientBounds, SubscriberAccess
from subscribers.own import set_bounds
from tests import builders
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
CONTENT = {
    "may_pause": True,
    "may_close": True,
    "ranges": {"ratio": {"from": "0.1", "to": "1"}, "loss": {"from": "0.01", "to": None}},
    "closing": ["close-gracefully-by-position"],
}


@pytest.fixture
def bounds(desk, alice):
    """Sets what clients of a strategy may change; alpine allows most."""

    def set_(strategy=None, **other):
        return set_bounds(strategy or desk.alpine, CONTENT | other, by=alice, now=timezone.now())

    set_()
    return set_


def terms_path(desk) -> str:
    return f"/me/accounts/{desk.hers.pk}/subscriptions/{desk.alpine.backend_id}/"


def pause(client, desk, mode: str, strategy: str | None = None):
    form = {"mode": mode, "strategy": desk.alpine.backend_id if strategy is None else strategy}
    return client.http.post(f"/me/accounts/{desk.hers.pk}/close-only/", form)


def saved(client, answer):
    """Save the proposal that an answer leads to."""
    assert answer.status_code == 302, answer.content.decode()[:400]
    assert answer["Location"].startswith("/changes/"), answer["Location"]
    return client.http.post(f"{answer['Location']}save/")


def subscription(desk) -> dict:
    return desk.at_backend(desk.hers)["subscriptions"][0]


def test_a_client_lowers_the_ratio_sees_what_it_does_and_undoes_it(desk, bounds, person, dora, alice):
    set_to = person(alice).proposed(
        f"/subscribers/{desk.hers.pk}/subscriptions/{desk.alpine.backend_id}/edit/", multiplier="0.8"
    )
    person(alice).save(set_to)
    client = person(dora)
    page = client.http.get("/me/").content.decode()
    assert terms_path(desk) in page
    change = client.proposed(terms_path(desk), ratio="0.5", loss="5")
    assert change.as_client
    page = client.http.get(f"/changes/{change.pk}/").content.decode()
    assert "0.5" in page
    assert "/subscribers/" not in page.split("<main")[1].split("</main>")[0]
    assert client.http.get(f"/changes/{change.pk}/what-if/").status_code == 200
    answer = client.save(change)
    assert answer["Location"] == f"/me/?account={desk.hers.pk}"
    assert subscription(desk)["multiplier"] == 0.5
    limit = {"type": "day", "applyTo": "equity-difference", "maxRelativeRisk": 0.05, "closePositions": False}
    assert subscription(desk)["riskLimits"] == [limit]
    entry = AuditEntry.objects.get(action="subscriber changed", user=dora)
    assert entry.details["as"] == "client"
    history = person(dora).http.get(f"/me/accounts/{desk.hers.pk}/changes/").content.decode()
    assert f"/changes/{change.pk}/" in history
    assert f"/changes/{set_to.pk}/" not in history
    client = person(dora)
    back = client.http.post(f"/changes/{change.pk}/undo/")
    client.http.post(f"{back['Location']}save/")
    assert subscription(desk)["multiplier"] == 0.8
    assert not subscription(desk).get("riskLimits")


@pytest.mark.parametrize(("ratio", "status"), [("0.09", 422), ("0.1", 302), ("1", 302), ("1.01", 422), ("", 422)])
def test_the_bounds_of_the_manager_hold(desk, bounds, person, dora, ratio, status):
    answer = person(dora).form(terms_path(desk), ratio=ratio)
    assert answer.status_code == status
    assert Change.objects.count() == (1 if status == 302 else 0)
    assert subscription(desk)["multiplier"] == 2


def test_bounds_that_were_narrowed_meanwhile_hold_at_saving(desk, bounds, person, dora):
    client = person(dora)
    change = client.proposed(terms_path(desk), ratio="0.5")
    bounds(ranges={"ratio": {"from": "0.6", "to": "1"}})
    assert "This cannot be saved." in client.http.get(f"/changes/{change.pk}/").content.decode()
    answer = client.save(change)
    assert answer.status_code == 422
    assert "allows × 0.6 to × 1" in answer.content.decode()
    assert subscription(desk)["multiplier"] == 2


def test_an_undo_keeps_to_the_bounds_as_well(desk, bounds, person, dora):
    client = person(dora)
    change = client.proposed(terms_path(desk), ratio="0.5")
    client.save(change)
    back = client.http.post(f"/changes/{change.pk}/undo/")["Location"]
    assert client.http.post(f"{back}save/").status_code == 422, "the manager's 2 lies outside"
    assert subscription(desk)["multiplier"] == 0.5


def test_a_conflict_keeps_what_the_manager_did(desk, bounds, person, dora):
    client = person(dora)
    change = client.proposed(terms_path(desk), ratio="0.5")
    with desk.client() as backend:
        now = desk.at_backend(desk.hers)
        now["subscriptions"][0]["maxTradeVolume"] = 3
        backend.put_subscriber(desk.hers.backend_id, now)
    assert client.save(change).status_code == 409
    newer = client.http.post(f"/changes/{change.pk}/go-on/")["Location"]
    client.http.post(f"{newer}save/")
    assert (subscription(desk)["multiplier"], subscription(desk)["maxTradeVolume"]) == (0.5, 3)


def test_a_client_pauses_and_goes_on(desk, bounds, person, dora):
    client = person(dora)
    assert saved(client, pause(client, desk, "by-position"))["Location"].startswith("/me/")
    assert subscription(desk)["closeOnly"] == "by-position"
    assert "You paused it" in client.http.get("/me/").content.decode()
    saved(client, pause(client, desk, ""))
    assert "closeOnly" not in subscription(desk)
    saved(client, pause(client, desk, "by-position", strategy=""))
    assert desk.at_backend(desk.hers)["closeOnly"] == "by-position"
    assert "You paused this account" in client.http.get("/me/").content.decode()


def test_what_the_manager_paused_only_the_manager_lets_go_on(desk, bounds, person, dora, alice):
    manager = person(alice)
    form = {"mode": "by-position", "strategy": desk.alpine.backend_id}
    proposed = manager.http.post(f"/subscribers/{desk.hers.pk}/close-only/", form)
    manager.http.post(f"{proposed['Location']}save/")
    client = person(dora)
    assert "Your account manager paused it" in client.http.get("/me/").content.decode()
    answer = pause(client, desk, "")
    assert answer["Location"] == f"/me/?account={desk.hers.pk}"
    assert "only they let it go on" in client.http.get("/me/").content.decode()
    assert subscription(desk)["closeOnly"] == "by-position"


def test_a_pause_by_another_program_is_not_the_clients(desk, bounds, person, dora):
    client = person(dora)
    saved(client, pause(client, desk, "by-position"))
    with desk.client() as backend:
        now = desk.at_backend(desk.hers)
        now["subscriptions"][0]["closeOnly"] = "by-symbol"
        backend.put_subscriber(desk.hers.backend_id, now)
    assert pause(client, desk, "")["Location"].startswith("/me/")
    assert subscription(desk)["closeOnly"] == "by-symbol"


def test_closing_everything_needs_the_name(desk, bounds, person, dora):
    client = person(dora)
    review = pause(client, desk, "immediately")["Location"]
    assert client.http.post(f"{review}save/").status_code == 422
    assert client.http.post(f"{review}save/", {"typed": "Hers"}).status_code == 302
    assert subscription(desk)["closeOnly"] == "immediately"


def test_a_client_leaves_one_strategy_and_the_account(desk, bounds, person, dora):
    client = person(dora)
    path = f"{terms_path(desk)}leave/"
    page = client.http.get(path).content.decode()
    assert "close-gracefully-by-position" in page
    assert "close-immediately" not in page, "the manager did not allow it"
    assert client.http.post(path, {"mode": "close-immediately"}).status_code == 422
    review = client.http.post(path, {"mode": "close-gracefully-by-position"})["Location"]
    page = client.http.get(review).content.decode()
    part = page.split('hx-get="/me/leaving/')[1].split('"')[0]
    owed = client.http.get(f"/me/leaving/{part}").content.decode()
    assert "nothing is owed on statements" in owed
    assert client.http.post(f"{review}save/").status_code == 422, "the name is asked for"
    assert client.http.post(f"{review}save/", {"typed": "Hers"}).status_code == 302
    left = desk.at_backend(desk.hers)["subscriptions"]
    assert all(terms.get("removed") for terms in left)
    change = Change.objects.get(action="take-out")
    assert f"/changes/{change.pk}/undo/" not in client.http.get(f"/changes/{change.pk}/").content.decode()
    client.http.post(f"/changes/{change.pk}/undo/")
    assert Change.objects.count() == 1, "the manager begins again"


def test_the_whole_account_leaves_as_every_strategy_allows(desk, bounds, person, dora):
    client = person(dora)
    path = f"/me/accounts/{desk.hers.pk}/leave/"
    review = client.http.post(path, {"mode": "close-gracefully-by-position"})["Location"]
    client.http.post(f"{review}save/", {"typed": "Hers"})
    assert Change.objects.saved().get().action == "remove"
    assert client.http.get("/me/").status_code == 200
    assert client.http.get(path).status_code == 404, "it is left already"


def test_without_bounds_nothing_is_offered_or_done(desk, person, dora):
    client = person(dora)
    page = client.http.get("/me/").content.decode()
    assert "/close-only/" not in page
    assert "/leave/" not in page
    assert terms_path(desk) not in page
    assert "Your account manager changes this" in client.http.get(terms_path(desk)).content.decode()
    assert client.http.post(terms_path(desk), {"ratio": "0.5"}).status_code == 302
    pause(client, desk, "by-position")
    client.http.post(f"{terms_path(desk)}leave/", {"mode": "preserve"})
    assert not Change.objects.exists()


# --- Whose accounts ---------------------------------------------------------------------------------------------------
def test_other_accounts_do_not_exist(desk, bounds, person, dora, alice, charlie):
    bounds(desk.portfolio)
    eve = builders.member(desk.hers.workspace, "eve", "subscriber")
    SubscriberAccess.objects.create(membership=eve.memberships.get(), subscriber=desk.other)
    change = person(dora).proposed(terms_path(desk), ratio="0.5")
    for who in (eve, charlie, alice):
        http = person(who).http
        for path in (
            terms_path(desk),
            f"{terms_path(desk)}leave/",
            f"/me/accounts/{desk.hers.pk}/leave/",
            f"/me/accounts/{desk.hers.pk}/changes/",
        ):
            assert http.get(path).status_code == 404, (who, path)
        assert pause(person(who), desk, "by-position").status_code == 404
    for who in (eve, charlie):
        http = person(who).http
        for act in ("", "what-if/", "positions/"):
            assert http.get(f"/changes/{change.pk}/{act}").status_code == 404, (who, act)
        for act in ("save", "undo", "discard", "go-on", "look"):
            assert http.post(f"/changes/{change.pk}/{act}/").status_code == 404, (who, act)
        assert http.get(f"/me/leaving/{change.pk}/").status_code == 404
    assert subscription(desk)["multiplier"] == 2


def test_a_client_cannot_touch_a_change_of_the_manager(desk, bounds, person, dora, alice):
    change = person(alice).proposed(f"/subscribers/{desk.hers.pk}/edit/", maxTradeVolume="3")
    http = person(dora).http
    assert http.get(f"/changes/{change.pk}/").status_code == 404
    assert http.post(f"/changes/{change.pk}/save/").status_code == 404
    assert person(alice).save(change).status_code == 302
    assert person(dora).http.post(f"/changes/{change.pk}/undo/").status_code == 404


def test_an_account_that_was_unlinked_is_out_of_reach_at_once(desk, bounds, person, dora):
    client = person(dora)
    change = client.proposed(terms_path(desk), ratio="0.5")
    SubscriberAccess.objects.all().delete()
    assert client.http.get(f"/changes/{change.pk}/").status_code == 404
    assert client.save(change).status_code == 404
    assert subscription(desk)["multiplier"] == 2


# --- The manager's page -----------------------------------------------------------------------------------------------
def test_a_manager_sets_the_bounds_and_every_version_is_kept(desk, person, alice, bob, dora, charlie):
    path = f"/strategies/{desk.alpine.pk}/clients/"
    form = {
        "may_pause": "on",
        "ratio_may": "on",
        "ratio_from": "0.1",
        "ratio_to": "1",
        "risk_may": "on",
        "risk_from": "0.5",
        "risk_to": "2",
        "closing": ["preserve"],
    }
    manager = person(alice)
    assert manager.http.post(f"{path}save/", form).status_code == 302
    row = ClientBounds.objects.get()
    assert row.content == {
        "may_pause": True,
        "may_close": False,
        "closing": ["preserve"],
        "ranges": {"ratio": {"from": "0.1", "to": "1"}, "risk": {"from": "0.005", "to": "0.02"}},
    }
    manager.http.post(f"{path}save/", form)
    assert ClientBounds.objects.count() == 1, "the same again is no version"
    assert manager.http.post(f"{path}save/", form | {"ratio_to": "0.05"}).status_code == 422
    manager.http.post(f"{path}save/", form | {"ratio_to": "2"})
    assert ClientBounds.objects.count() == 2
    page = manager.http.get(path).content.decode()
    assert "× 0.1 to × 2" in page
    assert "× 0.1 to × 1" in page
    entry = AuditEntry.objects.filter(action="client bounds changed").latest("occurred_at")
    assert entry.details["before"]["Ratio"] == "× 0.1 to × 1"
    assert person(bob).http.get(path).status_code == 200
    assert person(bob).http.post(f"{path}save/", form).status_code == 403
    for who in (dora, charlie):
        assert person(who).http.get(path).status_code == 404
        assert person(who).http.post(f"{path}save/", form).status_code == 404
