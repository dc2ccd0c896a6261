"""Strategies and portfolios: created, given members, removed; external signals and webhooks. All at a real backend."""

from __future__ import annotations

import re

import pytest

from editing.models import Change
from strategies.models import Strategy
from users.models import AuditEntry

pytestmark = pytest.mark.django_db


def change_of(answer) -> Change:
    return Change.objects.get(pk=int(answer.headers["Location"].split("/")[2]))


def test_a_strategy_is_created_under_an_id_of_the_backend(desk, person, alice):
    manager = person(alice)
    scheme = {
        "commissionScheme.type": "high-water-mark",
        "commissionScheme.billingPeriod": "month",
        "commissionScheme.commissionRate": "25",
    }
    change = manager.proposed("/strategies/new/", name="Coastal", description="", accountId=desk.id("p3"), **scheme)
    answer = manager.save(change)
    made = Strategy.objects.get(name="Coastal")
    assert answer.headers["Location"] == f"/strategies/{made.pk}/settings/"
    assert desk.at_backend(made)["commissionScheme"]["commissionRate"] == 0.25
    assert made.scheme == "high-water-mark"


def test_what_the_backend_refuses_leads_back_to_the_filled_form(desk, person, alice):
    manager = person(alice)
    formula = {"tradeSizeScaling.mode": "expression", "tradeSizeScaling.expression": "nonsense"}
    change = manager.proposed("/strategies/new/", name="Coastal", accountId=desk.id("p3"), **formula)
    assert manager.save(change).status_code == 503
    page = manager.http.get(f"/strategies/new/?change={change.pk}").content.decode()
    assert 'value="Coastal"' in page
    assert 'id="i-tradeSizeScaling-expression-error"' in page


def test_a_portfolio_is_created_gets_a_member_with_settings_and_loses_one(desk, person, alice):
    manager = person(alice)
    given = {"name": "Mixed", "members.0.strategyId": desk.alpine.backend_id, "members.0.multiplier": "0.4"}
    manager.save(manager.proposed("/strategies/new-portfolio/", **given))
    made = Strategy.objects.get(name="Mixed")
    assert desk.at_backend(made)["members"] == [{"strategyId": desk.alpine.backend_id, "multiplier": 0.4}]
    more = {"strategy": desk.boreal.backend_id, "multiplier": "0.6", "skipPendingOrders": "true"}
    manager.save(manager.proposed(f"/strategies/{made.pk}/members/add/", **more))
    assert desk.at_backend(made)["members"][1] == {
        "strategyId": desk.boreal.backend_id,
        "multiplier": 0.6,
        "skipPendingOrders": True,
    }
    path = f"/strategies/{made.pk}/members/{desk.alpine.backend_id}/remove/"
    change = change_of(manager.http.post(path, {"mode": "close-immediately"}))
    assert manager.save(change, typed="Mixed").status_code == 302
    assert [one["strategyId"] for one in desk.at_backend(made)["members"]] == [desk.boreal.backend_id]


def test_a_portfolio_is_created_with_several_members_at_once(desk, person, alice):
    manager = person(alice)
    given = {
        "name": "Wide",
        "members.0.strategyId": desk.alpine.backend_id,
        "members.0.multiplier": "0.4",
        "members.3.strategyId": desk.boreal.backend_id,
    }
    change = manager.proposed("/strategies/new-portfolio/", **given)
    back = manager.http.get(f"/strategies/new-portfolio/?change={change.pk}").content.decode()
    assert f'value="{desk.boreal.backend_id}" selected' in back
    manager.save(change)
    assert desk.at_backend(Strategy.objects.get(name="Wide"))["members"] == [
        {"strategyId": desk.alpine.backend_id, "multiplier": 0.4},
        {"strategyId": desk.boreal.backend_id},
    ]


def test_a_portfolio_inside_itself_is_refused_with_the_backends_sentence(desk, person, alice):
    manager = person(alice)
    given = {"name": "Outer", "members.0.strategyId": desk.portfolio.backend_id}
    manager.save(manager.proposed("/strategies/new-portfolio/", **given))
    outer = Strategy.objects.get(name="Outer")
    change = manager.proposed(f"/strategies/{desk.portfolio.pk}/members/add/", strategy=outer.backend_id)
    answer = manager.save(change)
    assert answer.status_code == 503
    assert "the portfolio would contain itself" in answer.content.decode()


def test_a_strategy_is_removed_after_its_reach_and_positions_were_told(desk, person, alice):
    manager = person(alice)
    desk.signal(desk.alpine)
    change = change_of(manager.http.post(f"/strategies/{desk.alpine.pk}/remove/", {"mode": "close-immediately"}))
    page = manager.http.get(f"/changes/{change.pk}/").content.decode()
    assert "2 subscribers" in page
    assert "Close everything at once" in page
    part = manager.http.get(f"/changes/{change.pk}/positions/").content.decode()
    assert "2 copied positions are open now" in part
    assert manager.save(change).status_code == 422
    assert manager.save(change, typed="Alpine").status_code == 302
    assert Strategy.objects.get(pk=desk.alpine.pk).is_removed
    with desk.client() as client:
        assert client.account_positions(desk.hers.backend_id) == []


# --- Signals --------------------------------------------------------------------------------------------------------
def test_a_signal_is_sent_changed_closed_in_part_and_closed(desk, person, alice):
    manager = person(alice)
    path = f"/strategies/{desk.alpine.pk}/signals/"
    given = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": "0,2", "stopLoss": "1.05", "confirmed": "yes"}
    assert manager.http.post(f"{path}send/", given).headers["Location"] == path
    with desk.client() as client:
        [signal] = client.external_signals(desk.alpine.backend_id)
        assert (signal.volume, signal.stop_loss) == (0.2, 1.05)
        assert client.account_positions(desk.hers.backend_id)[0]["volume"] == 0.4
    page = manager.http.get(path).content.decode()
    assert "Buy EURUSD" in page
    manager.http.post(f"{path}{signal.id}/change/", {"stopLoss": "", "takeProfit": "1.3"})
    manager.http.post(f"{path}{signal.id}/close/", {"volume": "0.05"})
    with desk.client() as client:
        [changed] = client.external_signals(desk.alpine.backend_id)
        assert (changed.stop_loss or None, changed.take_profit, changed.volume) == (None, 1.3, 0.15)
        assert client.account_positions(desk.hers.backend_id)[0]["volume"] == 0.3
    refused = manager.http.post(f"{path}{signal.id}/close/", {"volume": "0.151"}, follow=True).content.decode()
    assert "Nothing was closed: 0.15 lots of it are open" in refused
    negative = manager.http.post(f"{path}{signal.id}/change/", {"stopLoss": "-1"}, follow=True).content.decode()
    assert "The backend refuses it: stopLoss: must not be negative" in negative
    with desk.client() as client:
        assert [open_signal.volume for open_signal in client.external_signals(desk.alpine.backend_id)] == [0.15]
    manager.http.post(f"{path}{signal.id}/close/", {"volume": ""})
    with desk.client() as client:
        assert client.external_signals(desk.alpine.backend_id) == []
    late = manager.http.post(f"{path}{signal.id}/close/", {"volume": ""}, follow=True).content.decode()
    assert "not open any more" in late
    kept = AuditEntry.objects.filter(subject="Alpine").values_list("action", flat=True)
    assert sorted(kept) == ["signal changed", "signal changed", "signal closed", "signal sent"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"volume": "much"}, "This must be a number"),
        ({"volume": "1,000"}, "can be 1000 or 1.000"),
        ({"volume": "1e3"}, "exponent"),
        ({"stopLoss": "NaN"}, "must be a number"),
        ({"magic": "1_000"}, "underscores"),
        ({"volume": "-1"}, "Must be greater than 0."),
        ({"type": "ORDER_TYPE_BUY_LIMIT"}, "Is required by a pending order."),
        ({"symbol": ""}, "This field is required."),
    ],
)
def test_a_signal_that_makes_no_sense_is_not_sent(given, text, desk, person, alice):
    manager = person(alice)
    body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": "0.1", "confirmed": "yes", **given}
    answer = manager.http.post(f"/strategies/{desk.alpine.pk}/signals/send/", body)
    assert answer.status_code in (422, 503)
    assert text in answer.content.decode()
    with desk.client() as client:
        assert client.external_signals(desk.alpine.backend_id) == []


def inputs_of(page: str, action: str) -> dict:
    """The hidden inputs of the form with this action."""
    form = page[page.index(f'action="{action}"') :]
    form = form[: form.index("</form>")]
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form))


def test_a_signal_is_sent_after_a_page_that_says_what_it_is_and_once(desk, person, alice):
    manager = person(alice)
    path = f"/strategies/{desk.alpine.pk}/signals/"
    given = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": "0.2", "stopLoss": "1.05"}
    asked = manager.http.post(
        f"{path}send/", given | inputs_of(manager.http.get(path).content.decode(), f"{path}send/")
    )
    text = " ".join(re.sub("<[^>]+>", "", asked.content.decode()).split())
    assert asked.status_code == 200
    assert "Buy 0.20 EURUSD, stop loss 1.05000, no take profit, to" in text
    assert "to 2 accounts" in text
    assert "that copy Alpine." in text
    with desk.client() as client:
        assert client.external_signals(desk.alpine.backend_id) == []
    typed = inputs_of(asked.content.decode(), f"{path}send/")
    assert (typed["volume"], typed["stopLoss"], typed["symbol"]) == ("0.2", "1.05", "EURUSD")
    back = manager.http.post(f"{path}send/", typed | {"edit": "yes"})
    assert 'value="1.05"' in back.content.decode()
    for attempt in ("first", "again", "after the back button"):
        answer = manager.http.post(f"{path}send/", typed | {"confirmed": "yes"}, follow=True)
        said = answer.content.decode()
        assert "Buy EURUSD is sent" in said
        assert ("sent before and is not done again" in said) == (attempt != "first")
    with desk.client() as client:
        [signal] = client.external_signals(desk.alpine.backend_id)
        assert client.account_positions(desk.hers.backend_id)[0]["volume"] == 0.4
    page = manager.http.get(path).content.decode()
    closing = inputs_of(page, f"{path}{signal.id}/close/") | {"volume": "0.05"}
    for _ in range(2):
        manager.http.post(f"{path}{signal.id}/close/", closing)
    with desk.client() as client:
        assert client.external_signals(desk.alpine.backend_id)[0].volume == 0.15


def test_a_webhook_is_made_used_and_removed_and_its_address_is_for_managers_only(desk, person, alice, bob):
    manager = person(alice)
    path = f"/strategies/{desk.alpine.pk}/"
    manager.http.post(f"{path}webhooks/create/", {"magic": "7", "mapping": "BTC = BTCUSD\nEU = EURUSD"})
    with desk.client() as client:
        [hook] = client.webhooks(desk.alpine.backend_id)
        assert (hook.magic, hook.symbol_mapping[1].to) == (7, "EURUSD")
    assert hook.url in manager.http.get(f"{path}signals/").content.decode()
    assert hook.id not in str(list(AuditEntry.objects.values_list("details", flat=True)))
    assert manager.http.post(f"{path}webhooks/create/", {"mapping": "nothing"}).status_code == 422
    assert hook.id not in person(bob).http.get(f"{path}signals/").content.decode()
    person(alice).http.post(f"{path}webhooks/remove/", {"webhook": hook.id})
    with desk.client() as client:
        assert list(client.webhooks(desk.alpine.backend_id)) == []


def test_the_signals_page_without_a_backend_says_so(desk, person, alice):
    desk.connection.base_url = "http://127.0.0.1:9"
    desk.connection.save()
    page = person(alice).http.get(f"/strategies/{desk.alpine.pk}/signals/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "cannot be shown now" in text
    assert "Nothing was changed" not in text


def test_an_open_signal_leads_to_what_became_of_it(desk, person, alice):
    desk.signal(desk.alpine)
    page = person(alice).http.get(f"/strategies/{desk.alpine.pk}/signals/").content.decode()
    assert 'href="/decisions/?signal=sig00001"' in page
