"""Accounts that copy: created, edited, subscribed, paused, resynchronised and removed, all at a real backend."""

from __future__ import annotations

import pytest

from copying.contract.accounts import TradeRequest
from editing.models import Change
from subscribers.models import Subscriber, Subscription
from users.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_an_account_is_created_with_its_subscriptions_and_can_be_removed_again(desk, person, alice):
    manager = person(alice)
    rows = {"subscriptions.0.strategyId": desk.boreal.backend_id, "subscriptions.0.multiplier": "0,5"}
    given = {"account": desk.id("new"), "name": "New one", **rows}
    change = manager.proposed("/subscribers/new/", **given, maxTradeVolume="3")
    assert not Subscriber.objects.filter(backend_id=desk.id("new")).exists()
    assert "Subscription Boreal" in manager.http.get(f"/changes/{change.pk}/").content.decode()
    answer = manager.save(change)
    made = Subscriber.objects.get(backend_id=desk.id("new"))
    assert answer.headers["Location"] == f"/subscribers/{made.pk}/subscriptions/"
    terms = [{"strategyId": desk.boreal.backend_id, "multiplier": 0.5}]
    assert desk.at_backend(made) == {
        "_id": desk.id("new"),
        "name": "New one",
        "subscriptions": terms,
        "maxTradeVolume": 3.0,
    }
    assert Subscription.objects.get(subscriber=made).strategy == desk.boreal
    undo = manager.http.post(f"/changes/{change.pk}/undo/")
    assert undo.headers["Location"] == f"/subscribers/{made.pk}/remove/"


def test_what_is_missing_for_a_new_account_is_said_at_its_input(desk, person, alice):
    answer = person(alice).form("/subscribers/new/", name="")
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "This is needed." in page
    strange = person(alice).form("/subscribers/new/", account="a b/" * 30, name="Odd")
    assert (strange.status_code, "An id has 1 to 64" in strange.content.decode()) == (422, True)
    taken = person(alice).form("/subscribers/new/", account=desk.hers.backend_id, name="Again")
    assert (taken.status_code, "copies already" in taken.content.decode()) == (422, True)


def test_one_strategy_twice_is_said_at_its_row(desk, person, alice):
    rows = {f"subscriptions.{number}.strategyId": desk.boreal.backend_id for number in (0, 1)}
    answer = person(alice).form("/subscribers/new/", account=desk.id("new"), name="Twice", **rows)
    assert answer.status_code == 422
    assert 'id="i-subscriptions-1-strategyId-error">Appears more than once.' in answer.content.decode()


def test_an_account_that_appeared_meanwhile_is_not_overwritten(desk, person, alice):
    manager = person(alice)
    change = manager.proposed("/subscribers/new/", account=desk.id("new"), name="Mine")
    with desk.client() as client:
        client.put_subscriber(desk.id("new"), {"name": "Theirs", "subscriptions": []})
    assert manager.save(change).status_code == 409
    with desk.client() as client:
        assert client.subscriber(desk.id("new"))["name"] == "Theirs"


def test_a_list_of_many_rows_is_edited(desk, person, alice):
    many = [{"from": f"S{number}", "to": f"T{number}"} for number in range(700)]
    document = desk.at_backend(desk.hers)
    document["subscriptions"][0]["symbolMapping"] = many
    with desk.client() as client:
        client.put_subscriber(desk.hers.backend_id, document)
    desk.mirror()
    manager = person(alice)
    path = f"/subscribers/{desk.hers.pk}/subscriptions/{desk.alpine.backend_id}/edit/"
    manager.save(manager.proposed(path, **{"symbolMapping.3.to": "THREE"}))
    saved = desk.at_backend(desk.hers)["subscriptions"][0]["symbolMapping"]
    assert saved == [*many[:3], {"from": "S3", "to": "THREE"}, *many[4:]]


def test_an_accounts_own_settings_leave_its_subscriptions_alone(desk, person, alice):
    manager = person(alice)
    before = desk.at_backend(desk.hers)
    limit = {
        "riskLimits.0.type": "lifetime",
        "riskLimits.0.applyTo": "balance-minus-equity",
        "riskLimits.0.maxRelativeRisk": "20",
        "riskLimits.0.closePositions": "true",
    }
    manager.save(manager.proposed(f"/subscribers/{desk.hers.pk}/edit/", minTradeAmount="50", **limit))
    after = desk.at_backend(desk.hers)
    assert after["subscriptions"] == before["subscriptions"]
    assert (after["minTradeAmount"], after["riskLimits"][0]["maxRelativeRisk"]) == (50, 0.2)


def test_terms_of_a_subscription_show_what_is_in_force_and_where_from(desk, person, alice):
    manager = person(alice)
    path = f"/subscribers/{desk.hers.pk}/subscriptions/{desk.alpine.backend_id}/edit/"
    page = manager.http.get(path).content.decode()
    assert "The provider&#39;s volume as it is <small>from strategy</small>" in page
    change = manager.proposed(path, multiplier="3", allowedSides="buy")
    told = manager.http.get(f"/changes/{change.pk}/").content.decode()
    assert "Subscription Alpine" in told
    assert "One account: Hers." in told
    manager.save(change)
    assert Subscription.objects.get(subscriber=desk.hers).multiplier == 3
    assert desk.at_backend(desk.hers)["subscriptions"][0]["allowedSides"] == ["buy"]


def test_an_account_subscribes_to_one_more_strategy_with_terms(desk, person, alice):
    manager = person(alice)
    path = f"/subscribers/{desk.hers.pk}/subscribe/"
    assert (
        desk.alpine.backend_id
        not in manager.http.get(path).content.decode().split('name="strategy"')[1].split("</select>")[0]
    )
    change = manager.proposed(path, strategy=desk.boreal.backend_id, multiplier="0.1")
    form = manager.http.get(f"{path}?change={change.pk}").content.decode()
    assert f'value="{desk.boreal.backend_id}" selected' in form
    assert 'name="multiplier" id="i-multiplier" value="0.1"' in form
    manager.save(change)
    assert desk.at_backend(desk.hers)["subscriptions"][1] == {"strategyId": desk.boreal.backend_id, "multiplier": 0.1}


def test_a_refused_subscription_leads_back_to_its_input(desk, person, alice):
    manager = person(alice)
    formula = {"tradeSizeScaling.mode": "expression", "tradeSizeScaling.expression": "nonsense"}
    path = f"/subscribers/{desk.hers.pk}/subscribe/"
    change = manager.proposed(path, strategy=desk.boreal.backend_id, **formula)
    assert manager.save(change).status_code == 503
    back = manager.http.get(f"{path}?change={change.pk}").content.decode()
    assert 'id="i-tradeSizeScaling-expression-error"' in back
    again = manager.proposed(f"{path}?change={change.pk}", **{"tradeSizeScaling.expression": "providerVolume * 2"})
    manager.save(again)
    assert desk.at_backend(desk.hers)["subscriptions"][1]["tradeSizeScaling"]["expression"] == "providerVolume * 2"


def test_an_account_is_paused_and_goes_on_and_one_subscription_too(desk, person, alice):
    manager = person(alice)

    def press(**given):
        answer = manager.http.post(f"/subscribers/{desk.hers.pk}/close-only/", given)
        change = Change.objects.get(pk=int(answer.headers["Location"].split("/")[2]))
        return change, manager.save(change)

    press(mode="by-position")
    assert desk.at_backend(desk.hers)["closeOnly"] == "by-position"
    assert Subscriber.objects.get(pk=desk.hers.pk).close_only == "by-position"
    press(mode="")
    assert "closeOnly" not in desk.at_backend(desk.hers)
    press(mode="by-position", strategy=desk.alpine.backend_id)
    assert desk.at_backend(desk.hers)["subscriptions"][0]["closeOnly"] == "by-position"
    change, refused = press(mode="immediately")
    assert refused.status_code == 422, "closing everything asks for the name"
    assert "/positions/" in refused.content.decode()
    assert manager.save(change, typed="Hers").status_code == 302


@pytest.mark.parametrize(("mode", "open_after"), [("close-immediately", 0), ("preserve", 1)])
def test_unsubscribing_counts_the_open_positions_asks_for_the_name_and_follows_the_instructions(
    mode, open_after, desk, person, alice
):
    manager = person(alice)
    desk.signal(desk.alpine)
    path = f"/subscribers/{desk.hers.pk}/subscriptions/{desk.alpine.backend_id}/remove/"
    answer = manager.http.post(path, {"mode": mode})
    change = Change.objects.get(pk=int(answer.headers["Location"].split("/")[2]))
    part = manager.http.get(f"/changes/{change.pk}/positions/").content.decode()
    assert "1 copied position is open now" in part
    assert "0.40 lots in 1 account" in part
    assert manager.save(change, typed="hers").status_code == 422
    assert len(desk.at_backend(desk.hers)["subscriptions"]) == 1
    assert manager.save(change, typed="Hers").status_code == 302
    assert desk.at_backend(desk.hers)["subscriptions"] == []
    with desk.client() as client:
        assert len(client.account_positions(desk.hers.backend_id)) == open_after
    assert Subscription.objects.get(subscriber=desk.hers).is_removed

    back = manager.http.post(f"/changes/{change.pk}/undo/").headers["Location"]
    manager.http.post(f"{back}save/")
    assert desk.at_backend(desk.hers)["subscriptions"][0]["multiplier"] == 2


def test_an_account_is_removed_and_what_winds_down_is_shown_so(desk, person, alice):
    manager = person(alice)
    desk.signal(desk.alpine)
    wrong = manager.http.post(
        f"/subscribers/{desk.hers.pk}/remove/", {"mode": "preserve", "remove_after": "2020-01-01"}
    )
    assert wrong.status_code == 422
    answer = manager.http.post(f"/subscribers/{desk.hers.pk}/remove/", {"mode": "close-gracefully-by-position"})
    change = Change.objects.get(pk=int(answer.headers["Location"].split("/")[2]))
    assert manager.save(change, typed="Hers").status_code == 302
    assert desk.at_backend(desk.hers)["closeOnRemovalMode"] == "close-gracefully-by-position"
    assert Subscriber.objects.get(pk=desk.hers.pk).is_removed
    page = manager.http.get(f"/subscribers/{desk.hers.pk}/subscriptions/").content.decode()
    assert "Subscribe</a>" not in page


def test_resynchronising_says_what_opens_and_needs_the_name(desk, person, alice):
    manager = person(alice)
    desk.signal(desk.alpine)
    with desk.client() as client:
        [position] = client.account_positions(desk.hers.backend_id)
        client.trade(desk.hers.backend_id, TradeRequest(action_type="POSITION_CLOSE_ID", position_id=position["id"]))
    path = f"/subscribers/{desk.hers.pk}/resynchronise/"
    page = manager.http.get(path).content.decode()
    assert "Positions that were closed by hand open again." in page
    assert "1 of them is missing here and would be opened where the terms allow it, 0.40 lots" in page
    assert manager.http.post(path, {"scope": "all"}).status_code == 422
    assert manager.http.post(path, {"scope": "positions", "typed": "Hers"}).status_code == 422
    wanted = {"scope": "positions", "position": "sig00001", "typed": "Hers"}
    assert manager.http.post(path, wanted).status_code == 302
    with desk.client() as client:
        assert len(client.account_positions(desk.hers.backend_id)) == 1
    assert AuditEntry.objects.get(action="resynchronised").details["positions"] == ["sig00001"]
