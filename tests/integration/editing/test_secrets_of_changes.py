"""A secret in a stored change goes only to the backend it was typed for, on every way from the change to a backend."""

import pytest

from copying.client import Client
from editing.models import Change
from editing.secrets import holds_new_secret, without_new_secrets, without_secrets

pytestmark = pytest.mark.django_db
TOKEN = "12345:very-secret"
TELEGRAM = {"telegram.publishing.chatId": "@alpine", "telegram.publishing.token": TOKEN}


def move(desk) -> None:
    """The owner changes the connection's address and types its token for the new one."""
    desk.connection.base_url = desk.backend.url.replace("127.0.0.1", "localhost")
    desk.connection.set_token(desk.connection.token)
    desk.connection.save()


def token_at_backend(desk, one) -> str | None:
    return (desk.at_backend(one).get("telegram") or {}).get("publishing", {}).get("token")


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    """Every body that goes to the backend."""
    bodies: list[str] = []
    call = Client._call

    def watch(self, method, path, **options):
        bodies.append(f"{method} {path} {options.get('body')}")
        return call(self, method, path, **options)

    monkeypatch.setattr(Client, "_call", watch)
    return bodies


def test_a_proposal_is_not_saved_where_the_address_was_changed(desk, person, alice, sent):
    manager, path = person(alice), f"/strategies/{desk.alpine.pk}/edit/"
    change = manager.proposed(path, **TELEGRAM)
    move(desk)
    for look in ("", "what-if/", "positions/"):
        manager.http.get(f"/changes/{change.pk}/{look}")
    answer = manager.save(change)
    assert answer.status_code == 503
    assert "type it again" in answer.content.decode()
    back = f"{path}?change={change.pk}"
    refused = manager.form(back, maxTradeVolume="0.3")
    assert refused.status_code == 422
    assert "type it again" in refused.content.decode()
    assert TOKEN not in str(sent)
    assert manager.save(manager.proposed(back, **TELEGRAM)).status_code == 302
    assert token_at_backend(desk, desk.alpine) == TOKEN


def test_looking_at_a_review_tells_no_secret(desk, person, alice, sent):
    manager = person(alice)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", **TELEGRAM)
    assert "What it would have done" in manager.http.get(f"/changes/{change.pk}/").content.decode()
    assert manager.http.get(f"/changes/{change.pk}/what-if/").status_code == 200
    assert any("@alpine" in body for body in sent)
    assert TOKEN not in str(sent)


def test_an_undo_puts_a_secret_back_only_where_it_was_typed_for(desk, person, alice, sent):
    manager, path = person(alice), f"/strategies/{desk.alpine.pk}/edit/"
    manager.save(manager.proposed(path, **TELEGRAM))
    cleared = dict.fromkeys(TELEGRAM, "")
    change = manager.proposed(path, **cleared, maxTradeVolume="0.3")
    manager.save(change)
    assert token_at_backend(desk, desk.alpine) is None
    move(desk)
    sent.clear()
    location = manager.http.post(f"/changes/{change.pk}/undo/").headers["Location"]
    assert "type it again" in manager.http.get(location).content.decode()
    assert manager.http.post(f"{location}save/").status_code == 302
    assert "maxTradeVolume" not in desk.at_backend(desk.alpine)
    assert token_at_backend(desk, desk.alpine) is None
    assert TOKEN not in str(sent)


def test_an_undo_at_the_same_address_puts_it_back(desk, person, alice):
    manager, path = person(alice), f"/strategies/{desk.alpine.pk}/edit/"
    manager.save(manager.proposed(path, **TELEGRAM))
    change = manager.proposed(path, **dict.fromkeys(TELEGRAM, ""))
    manager.save(change)
    location = manager.http.post(f"/changes/{change.pk}/undo/").headers["Location"]
    assert manager.http.post(f"{location}save/").status_code == 302
    assert token_at_backend(desk, desk.alpine) == TOKEN


def test_going_on_after_a_conflict_leaves_the_secret_out(desk, person, alice, sent):
    manager = person(alice)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", **TELEGRAM, maxTradeVolume="0.3")
    move(desk)
    with desk.client() as client:
        client.put_strategy(desk.alpine.backend_id, desk.at_backend(desk.alpine) | {"maxLeverage": 7})
    assert manager.save(change).status_code == 409
    newer = manager.http.post(f"/changes/{change.pk}/go-on/").headers["Location"]
    assert manager.http.post(f"{newer}save/").status_code == 302
    assert desk.at_backend(desk.alpine)["maxTradeVolume"] == 0.3
    assert TOKEN not in str(sent)


def test_a_creation_keeps_its_secret_through_the_review_and_back_unless_the_address_changed(desk, person, alice):
    manager = person(alice)
    form = {"name": "New", "accountId": desk.id("p-new"), "description": "d", **TELEGRAM}
    first = manager.proposed("/strategies/new/", **form)
    back = f"/strategies/new/?change={first.pk}"
    again = manager.proposed(back, maxTradeVolume="0.3")
    assert again.after["telegram"]["publishing"]["token"] == TOKEN
    move(desk)
    assert manager.form(back, maxTradeVolume="0.4").status_code == 422
    assert manager.save(again).status_code == 503


def test_changes_of_an_unknown_destination_are_asked_about(desk, person, alice):
    manager = person(alice)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", **TELEGRAM)
    Change.objects.filter(pk=change.pk).update(destination="")
    assert manager.save(change).status_code == 503
    plain = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3")
    Change.objects.filter(pk=plain.pk).update(destination="")
    assert manager.save(plain).status_code == 302


def test_secrets_are_known_by_their_names_at_any_depth():
    document = {"a": 1, "hooks": [{"url": "x", "apiToken": "s1"}], "credentials": {"password": {"value": "s2"}}}
    assert without_secrets(document) == {"a": 1, "hooks": [{"url": "x"}], "credentials": {}}
    assert holds_new_secret(document, {"hooks": [{"apiToken": "s1"}]})
    assert not holds_new_secret(document, document)
    assert without_new_secrets(document, {"credentials": 5}) == {"a": 1, "credentials": 5}
