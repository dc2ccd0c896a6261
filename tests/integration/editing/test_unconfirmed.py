"""Acts whose answer is lost: signals, webhooks, stopouts, resynchronising. What is said is what is known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from copying.client import Client, Unreachable
from editing.backend import NotDone, Unconfirmed, backend_of
from subscribers.models import Stopout
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
SILENT = Unreachable("Cannot reach the backend: no answer within 8 s.", was_sent=True)
AWAY = Unreachable("Cannot reach the backend: refused.", was_sent=False)
UNTRUE = ("Nothing was changed", "Nothing was sent", "still stopped", "refuses it")


def words(page) -> str:
    return " ".join(page.content.decode().split())


def lose(monkeypatch, name: str, *, error: Exception = SILENT, is_done: bool = True) -> None:
    """The call fails with an error, after it was carried out or without."""
    call = getattr(Client, name)

    def lost(self, *args, **options):
        if is_done:
            call(self, *args, **options)
        raise error

    monkeypatch.setattr(Client, name, lost)


def stopped(desk) -> Stopout:
    return Stopout.objects.create(
        workspace=desk.connection.workspace,
        connection=desk.connection,
        subscriber=desk.hers,
        strategy_backend_id=desk.alpine.backend_id,
        reason="day-balance-difference",
        stopped_at=timezone.now(),
        stopped_till=datetime(2100, 1, 1, tzinfo=UTC),
    )


def send(desk, manager):
    body = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": "0.1", "confirmed": "yes", "once": "token-1"}
    return manager.http.post(f"/strategies/{desk.alpine.pk}/signals/send/", body, follow=True)


def change(desk, manager):
    body = {"stopLoss": "1.05", "once": "token-2"}
    return manager.http.post(f"/strategies/{desk.alpine.pk}/signals/sig00001/change/", body, follow=True)


def close(desk, manager):
    return manager.http.post(f"/strategies/{desk.alpine.pk}/signals/sig00001/close/", follow=True)


def close_a_part(desk, manager):
    path = f"/strategies/{desk.alpine.pk}/signals/sig00001/close/"
    return manager.http.post(path, {"volume": "0.05"}, follow=True)


def make_webhook(desk, manager):
    return manager.http.post(f"/strategies/{desk.alpine.pk}/webhooks/create/", {"magic": "7"}, follow=True)


def remove_webhook(desk, manager):
    with desk.client() as client:
        [webhook] = client.webhooks(desk.alpine.backend_id)
    return manager.http.post(f"/strategies/{desk.alpine.pk}/webhooks/remove/", {"webhook": webhook.id}, follow=True)


def resynchronise(desk, manager):
    body = {"scope": "all", "typed": desk.hers.name}
    return manager.http.post(f"/subscribers/{desk.hers.pk}/resynchronise/", body, follow=True)


def reset(desk, manager):
    return manager.http.post(f"/stopouts/{Stopout.objects.get().pk}/reset/", follow=True)


# the act, the call that does it, its name in the audit, whether looking at the backend shows that it was carried out
ACTS = {
    "send": (send, "put_external_signal", "signal sent", True),
    "change": (change, "put_external_signal", "signal changed", True),
    "close": (close, "remove_external_signal", "signal closed", True),
    "close a part": (close_a_part, "put_external_signal", "signal changed", True),
    "make a webhook": (make_webhook, "create_webhook", "webhook created", False),
    "remove a webhook": (remove_webhook, "remove_webhook", "webhook removed", True),
    "resynchronise": (resynchronise, "resynchronize", "resynchronised", False),
    "reset": (reset, "reset_subscription_stopouts", "stopout reset", True),
}


@pytest.fixture
def manager(desk, person, alice):
    desk.signal(desk.alpine)
    with desk.client() as client:
        client.create_webhook(desk.alpine.backend_id)
    stopped(desk)
    return person(alice)


def audited(name: str) -> list[str]:
    return list(AuditEntry.objects.filter(action__startswith=name).values_list("action", flat=True))


@pytest.mark.parametrize("act", ACTS)
def test_what_was_carried_out_is_noted_and_never_denied(act, desk, manager, monkeypatch):
    do, call, name, can_be_seen = ACTS[act]
    lose(monkeypatch, call)
    page = words(do(desk, manager))
    assert [untrue for untrue in UNTRUE if untrue in page] == []
    assert audited(name) == [name if can_be_seen else f"{name}: not confirmed"]
    assert ("whether it was carried out is not known" in page) != can_be_seen


@pytest.mark.parametrize("act", [act for act in ACTS if act != "reset"])
def test_what_may_have_been_carried_out_is_called_not_known(act, desk, manager, monkeypatch):
    do, call, name, _ = ACTS[act]
    lose(monkeypatch, call, is_done=False)
    page = words(do(desk, manager))
    assert "whether it was carried out is not known" in page
    assert [untrue for untrue in UNTRUE if untrue in page] == []
    assert audited(name) == [f"{name}: not confirmed"]


@pytest.mark.parametrize("act", ACTS)
def test_what_never_left_is_said_to_be_undone_and_not_noted(act, desk, manager, monkeypatch):
    do, call, name, _ = ACTS[act]
    lose(monkeypatch, call, error=AWAY, is_done=False)
    page = words(do(desk, manager))
    assert "Cannot reach the backend: refused." in page
    assert "is not known" not in page
    assert [action for action in audited(name) if action in (name, f"{name}: not confirmed")] == []


def test_a_reset_that_may_have_arrived_is_not_known_while_nobody_can_look(desk, manager, monkeypatch):
    lose(monkeypatch, "reset_subscription_stopouts")
    lose(monkeypatch, "stopouts")
    page = words(reset(desk, manager))
    assert "whether it was carried out is not known" in page
    assert "still stopped" not in page
    assert audited("stopout reset") == ["stopout reset: not confirmed"]
    assert Stopout.objects.get().ended_at is None


def test_a_reset_is_done_although_the_account_cannot_be_read_after_it(desk, manager, monkeypatch):
    read, calls = Client.subscriber, []

    def once(self, *args):
        calls.append(args)
        if len(calls) > 1:
            raise SILENT
        return read(self, *args)

    monkeypatch.setattr(Client, "subscriber", once)
    page = words(reset(desk, manager))
    assert "copies again" in page
    assert Stopout.objects.get().ended_at is not None
    assert audited("stopout reset") == ["stopout reset"]


def test_a_form_whose_signal_may_be_open_opens_no_second_one(desk, manager, monkeypatch):
    lose(monkeypatch, "put_external_signal")
    lose(monkeypatch, "external_signals")
    send(desk, manager)
    monkeypatch.undo()
    send(desk, manager)
    with desk.client() as client:
        assert len(client.external_signals(desk.alpine.backend_id)) == 2, "the one of before and the one of the form"


def test_a_read_after_a_write_does_not_deny_the_write(desk, monkeypatch):
    """The net under every act: whoever forgets to ask what became of a write does not deny it."""

    def write_and_read() -> None:
        with backend_of(desk.connection) as client:
            document = {"name": "A", "description": "d", "accountId": desk.id("p-alpine")}
            client.put_strategy(desk.alpine.backend_id, document)
            client.strategy(desk.alpine.backend_id)

    def read() -> None:
        with backend_of(desk.connection) as client:
            client.strategy(desk.alpine.backend_id)

    lose(monkeypatch, "strategy")
    with pytest.raises(Unconfirmed, match="is not known"):
        write_and_read()
    with pytest.raises(NotDone, match="Nothing was changed") as caught:
        read()
    assert not isinstance(caught.value, Unconfirmed)


def limit_alpine(desk) -> None:
    """Her subscription has the limit that the stopout names, so a reset begins it anew first."""
    limit = {"type": "day", "applyTo": "balance-difference", "maxAbsoluteRisk": 100, "closePositions": False}
    with desk.client() as client:
        document = desk.at_backend(desk.hers)
        for terms in document["subscriptions"]:
            terms["riskLimits"] = [limit]
        client.put_subscriber(desk.hers.backend_id, {name: value for name, value in document.items() if name != "_id"})
    desk.mirror()


def test_a_reset_whose_second_step_may_have_arrived_says_that_the_first_did(desk, manager, monkeypatch):
    limit_alpine(desk)
    lose(monkeypatch, "reset_subscription_stopouts", is_done=False)
    lose(monkeypatch, "stopouts")
    page = words(reset(desk, manager))
    assert "Hers: The limit has begun anew: it is measured from now on. It was sent, but whether" in page
    assert audited("stopout reset") == ["stopout reset: not confirmed"]


@pytest.mark.parametrize(
    ("is_limited", "sentence"), [(True, "The limit has begun anew"), (False, "No limit behind it")]
)
def test_a_reset_says_what_it_did_about_the_limit(is_limited, sentence, desk, manager):
    if not is_limited:  # not among the limits of the subscription, the account or what is copied
        Stopout.objects.update(reason="week-equity-difference")
    assert f"Hers copies again. {sentence}" in words(reset(desk, manager))


@pytest.mark.parametrize("is_done", [True, False])
def test_a_reset_whose_first_step_may_have_arrived_is_not_called_undone(is_done, desk, manager, monkeypatch):
    limit_alpine(desk)
    lose(monkeypatch, "put_subscriber", is_done=is_done)
    page = words(reset(desk, manager))
    assert "whether it was carried out is not known" in page
    assert "The next sync shows it" in page
    assert "still stopped" not in page
    assert audited("stopout reset") == ["stopout reset: not confirmed"]


def test_a_reset_that_began_the_limit_and_no_more_leaves_a_trace(desk, manager, monkeypatch):
    limit_alpine(desk)
    lose(monkeypatch, "reset_subscription_stopouts", error=AWAY, is_done=False)
    page = words(reset(desk, manager))
    assert "Hers is still stopped. The limit has begun anew: it is measured from now on." in page
    assert audited("stopout reset") == ["stopout reset: limit begun anew only"]
    assert Stopout.objects.get().ended_at is None


def test_a_resynchronisation_that_may_be_done_counts_as_sent(desk, manager, monkeypatch):
    lose(monkeypatch, "resynchronize")
    body = {"scope": "all", "typed": desk.hers.name, "once": "token-3"}
    path = f"/subscribers/{desk.hers.pk}/resynchronise/"
    manager.http.post(path, body)
    page = words(manager.http.post(path, body, follow=True))
    assert "This form was sent before" in page
    assert audited("resynchronised") == ["resynchronised: not confirmed"]


@pytest.mark.parametrize(("method", "is_denied"), [("get", True), ("post", False)])
def test_a_page_that_breaks_denies_a_change_only_where_none_was_asked_for(
    method, is_denied, desk, person, alice, monkeypatch
):
    def break_down(*_, **__):
        raise RuntimeError("a fault of the program")

    monkeypatch.setattr("subscribers.resync.backend_of", break_down)
    http = person(alice).http
    http.raise_request_exception = False
    answer = getattr(http, method)(f"/subscribers/{desk.hers.pk}/resynchronise/", {"typed": desk.hers.name})
    assert answer.status_code == 500
    assert ("Nothing was changed" in words(answer)) is is_denied
    assert ("how far it came is not known" in words(answer)) is not is_denied
