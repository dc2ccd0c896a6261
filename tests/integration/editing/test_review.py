"""From the form over the review to the backend and back: nothing is written unseen, overwritten or lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from editing.models import Change
from jobs import run
from jobs.models import Job
from strategies.mirror import keep_strategies
from strategies.models import Strategy
from tests import builders
from tests.faults.sim_backend import SimBackend
from users.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_an_edit_is_looked_at_saved_mirrored_kept_and_undone(desk, person, alice):
    manager = person(alice)
    before = desk.at_backend(desk.alpine)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3", reverse="true")
    assert desk.at_backend(desk.alpine) == before, "a review writes nothing"
    page = manager.http.get(f"/changes/{change.pk}/").content.decode()
    for text in ("Largest trade", "not set", "0.3\u202flots", "Reversed", "2 subscribers", "1 directly", "Both"):
        assert text in page

    answer = manager.save(change)
    assert answer.headers["Location"] == f"/strategies/{desk.alpine.pk}/settings/"
    assert desk.at_backend(desk.alpine) == before | {"maxTradeVolume": 0.3, "reverse": True}
    assert Strategy.objects.get(pk=desk.alpine.pk).document == desk.at_backend(desk.alpine)
    page = manager.http.get(answer.headers["Location"]).content.decode()
    assert "Alpine is saved." in page
    assert f'action="/changes/{change.pk}/undo/"' in page

    listed = manager.http.get(f"/strategies/{desk.alpine.pk}/changes/").content.decode()
    assert "Largest trade not set → 0.3\u202flots" in listed
    file = b"".join(manager.http.get(f"/strategies/{desk.alpine.pk}/changes/?format=csv").streaming_content).decode()
    assert file.startswith("\ufeffsaved_at,by,by_email,action,of_strategy_id,differences\n")
    assert ",Alice,alice@example.com,change," in file
    assert "Reversed not set → Yes" in file
    assert AuditEntry.objects.get(action="strategy changed").details["change"] == change.pk

    back = manager.http.post(f"/changes/{change.pk}/undo/").headers["Location"]
    page = manager.http.get(back).content.decode()
    assert "It puts back" in page
    manager.http.post(f"{back}save/")
    assert desk.at_backend(desk.alpine) == before
    assert "It was undone." in manager.http.get(f"/changes/{change.pk}/").content.decode()


def test_a_review_that_was_left_is_found_again_and_can_be_discarded(desk, person, alice, bob):
    manager = person(alice)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3")
    tab = f"/strategies/{desk.alpine.pk}/changes/"
    assert f'href="/changes/{change.pk}/"' in manager.http.get(tab).content.decode()
    assert f"/changes/{change.pk}/" not in person(bob).http.get(tab).content.decode()
    manager = person(alice)
    assert manager.http.post(f"/changes/{change.pk}/discard/").status_code == 302
    assert manager.http.get(f"/changes/{change.pk}/").status_code == 404


def test_proposals_that_nobody_saves_are_forgotten_after_a_week(desk, person, alice):
    manager = person(alice)
    old = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3")
    Change.objects.filter(pk=old.pk).update(proposed_at=timezone.now() - timedelta(days=8))
    manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.4")
    assert not Change.objects.filter(pk=old.pk).exists()


def test_a_secret_is_shown_nowhere_and_holds_through_the_review_and_back(desk, person, alice):
    manager = person(alice)
    path = f"/strategies/{desk.alpine.pk}/edit/"
    given = {"telegram.publishing.chatId": "@alpine", "telegram.publishing.token": "12345:very-secret"}
    change = manager.proposed(path, **given)
    assert "very-secret" not in manager.http.get(f"/changes/{change.pk}/").content.decode()
    back = f"{path}?change={change.pk}"
    assert "very-secret" not in manager.http.get(back).content.decode()
    again = manager.proposed(back, maxTradeVolume="0.3")
    manager.save(again)
    assert desk.at_backend(desk.alpine)["telegram"]["publishing"]["token"] == "12345:very-secret"
    assert "very-secret" not in Change.objects.get(pk=again.pk).summary
    assert "very-secret" not in manager.http.get(path).content.decode()


def test_the_portals_database_never_holds_a_secret_in_plain(desk, person, alice):
    manager = person(alice)
    path = f"/strategies/{desk.alpine.pk}/edit/"
    token = {"telegram.publishing.chatId": "@alpine", "telegram.publishing.token": "12345:very-secret"}
    first = manager.proposed(path, **token)
    manager.save(first)
    manager.save(manager.proposed(path, maxTradeVolume="0.3"))
    with connection.cursor() as database:
        for table in ("strategies_change", "strategies_strategy"):
            database.execute(f"SELECT string_agg(t::text, ' ') FROM {table} t")
            assert "very-secret" not in database.fetchone()[0], table
    desk.alpine.refresh_from_db()
    assert desk.alpine.document["telegram"]["publishing"] == {"chatId": "@alpine", "token": "hidden"}
    assert desk.at_backend(desk.alpine)["telegram"]["publishing"]["token"] == "12345:very-secret"
    first.refresh_from_db()
    assert first.after["telegram"]["publishing"]["token"] == "12345:very-secret"


def test_saving_twice_writes_once(desk, person, alice):
    manager = person(alice)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3")
    manager.save(change)
    with desk.client() as client:
        client.put_strategy(desk.alpine.backend_id, desk.at_backend(desk.alpine) | {"maxTradeVolume": 9})
    assert manager.save(change).status_code == 302
    assert desk.at_backend(desk.alpine)["maxTradeVolume"] == 9


def test_the_loser_of_two_edits_sees_both_and_loses_nothing(desk, person, alice):
    manager = person(alice)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3")
    with desk.client() as client:
        client.put_strategy(desk.alpine.backend_id, desk.at_backend(desk.alpine) | {"maxLeverage": 7, "future": 1})
    answer = manager.save(change)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "was changed meanwhile" in page
    assert "7\u202f: 1" in page
    assert "0.3\u202flots" in page
    assert "maxTradeVolume" not in desk.at_backend(desk.alpine)
    newer = manager.http.post(f"/changes/{change.pk}/go-on/").headers["Location"]
    assert manager.http.post(f"{newer}save/").status_code == 302
    saved = desk.at_backend(desk.alpine)
    assert (saved["maxTradeVolume"], saved["maxLeverage"]) == (0.3, 7)


def test_what_others_changed_while_the_form_was_open_stays_and_is_told(desk, person, alice):
    manager = person(alice)
    with desk.client() as client:  # the mirror, and so the form, does not know it yet
        client.put_strategy(desk.alpine.backend_id, desk.at_backend(desk.alpine) | {"maxLeverage": 7})
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3")
    assert "somebody else changed" in manager.http.get(f"/changes/{change.pk}/").content.decode()
    manager.save(change)
    assert desk.at_backend(desk.alpine)["maxLeverage"] == 7


def test_a_wrong_value_stands_at_its_input_and_nothing_is_proposed(desk, person, alice):
    manager = person(alice)
    path = f"/strategies/{desk.alpine.pk}/edit/"
    answer = manager.form(path, maxTradeRisk="130", **{"riskLimits.1.type": "week"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'id="i-maxTradeRisk-error">Must be between 0 and 100 %.' in page
    assert 'id="i-riskLimits-1-applyTo-error">Is required.' in page
    assert 'value="130"' in page
    assert not Change.objects.exists()


def test_the_backends_own_refusal_finds_its_input(desk, person, alice):
    manager = person(alice)
    formula = {"tradeSizeScaling.mode": "expression", "tradeSizeScaling.expression": "nonsense * 2"}
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", **formula)
    answer = manager.save(change)
    assert answer.status_code == 503
    assert "Correct it in the form" in answer.content.decode()
    assert desk.at_backend(desk.alpine)["tradeSizeScaling"] == {"mode": "none"}
    form = manager.http.get(f"/strategies/{desk.alpine.pk}/edit/?change={change.pk}").content.decode()
    assert "nonsense * 2" in form
    assert 'id="i-tradeSizeScaling-expression-error"' in form


def test_a_change_is_looked_at_over_the_signals_of_the_last_days(desk, person, alice):
    manager = person(alice)
    desk.signal(desk.alpine)
    desk.backend.move(EURUSD=(1.11, 1.11008))
    desk.end_signal(desk.alpine)
    desk.backend.move(EURUSD=(1.1, 1.10008))
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", **{"symbolFilter.excluded.0": "EURUSD"})
    part = manager.http.get(f"/changes/{change.pk}/what-if/", headers={"HX-Request": "true"}).content.decode()
    assert part.startswith('<div class="card-body" id="what-if">')
    assert "<strong>2 copies</strong> of 1 signal of the last 30 days" in part
    assert "Alpine" in part


def test_looking_back_that_takes_too_long_for_a_page_goes_on_as_a_job(desk, person, alice, bob, charlie, monkeypatch):
    from copying.client import Client, Unreachable

    manager, simulate = person(alice), Client.simulate
    desk.signal(desk.alpine)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", **{"symbolFilter.excluded.0": "EURUSD"})
    address, part = f"/changes/{change.pk}/what-if/", {"HX-Request": "true"}

    def is_slow(self, body):
        raise Unreachable("The backend takes longer.", was_sent=True, transient=True)

    monkeypatch.setattr(Client, "simulate", is_slow)
    assert "The backend takes longer." in manager.http.get(address, headers=part).content.decode()
    assert not Job.objects.exists(), "a backend that cannot be reached is no long work"
    monkeypatch.setattr("editing.views.is_used_up", lambda: True)
    for _ in range(2):
        waiting = manager.http.get(address, headers=part).content.decode()
        assert "goes on in the background" in waiting
        assert 'hx-trigger="every 2s"' in waiting
    job = Job.objects.get()
    assert "goes on in the background" in manager.http.get(address).content.decode()
    assert person(bob).http.get(f"/jobs/{job.pk}/").status_code == 404
    assert person(charlie).http.get(f"/jobs/{job.pk}/").status_code == 404
    manager = person(alice)
    run.run_due()
    Job.objects.update(due_at=change.proposed_at)
    run.run_due()
    failed = manager.http.get(address, headers=part).content.decode()
    assert "The backend takes longer." in failed
    assert "every 2s" not in failed
    monkeypatch.setattr(Client, "simulate", simulate)
    manager.http.post(f"/jobs/{job.pk}/again/")
    run.run_due()
    job.refresh_from_db()
    assert job.state == "done"
    assert job.message == "2 copies of 1 signal of the last 30 days would have been decided otherwise."
    assert "<strong>2 copies</strong> of 1 signal" in manager.http.get(address, headers=part).content.decode()


def test_a_portfolios_change_is_looked_at_over_its_own_subscribers_only(desk, person, alice):
    manager = person(alice)
    desk.signal(desk.boreal)
    change = manager.proposed(f"/strategies/{desk.portfolio.pk}/edit/", allowedSides="sell")
    told = manager.http.get(f"/changes/{change.pk}/what-if/").content.decode()
    assert "<strong>1 copy</strong> of 1 signal of the last 30 days" in told
    assert "Boreal" in told


def test_a_foreign_backend_keeps_its_own_fields_and_is_said_not_to_look_back(workspace, person, alice):
    strange = {"type": "day", "applyTo": "balance-difference", "maxRelativeRisk": 0.1, "closePositions": True, "x": [1]}
    document = {"_id": "s1", "name": "Trend", "description": "d", "accountId": "p", "riskLimits": [strange]}
    document |= {"reduceCorrelations": "by-moon", "future": {"deep": {"er": 1}}, "symbolFilter": {"theirs": True}}
    with SimBackend() as backend:
        backend.strategies.append(dict(document))
        connection = builders.connection(workspace, base_url=backend.url)
        keep_strategies(connection, [document], now=timezone.now())
        strategy = Strategy.objects.get()
        manager = person(alice)
        given = {"maxTradeVolume": "0.3", "riskLimits.0.maxRelativeRisk": "20"}
        change = manager.proposed(f"/strategies/{strategy.pk}/edit/", **given)
        told = manager.http.get(f"/changes/{change.pk}/what-if/").content.decode()
        assert "This backend cannot look back, and no signal of it is mirrored yet." in told
        assert manager.save(change).status_code == 302
        saved = document | {"maxTradeVolume": 0.3, "riskLimits": [strange | {"maxRelativeRisk": 0.2}]}
        assert backend.strategies == [saved]


def test_a_longer_period_than_the_backend_takes_is_shortened_and_a_refusal_is_told(desk, person, alice, monkeypatch):
    from copying.client import Client, Rejected

    asked = []

    def refuse(self, body):
        asked.append(body["startTime"])
        path = f"changes.strategies.{desk.alpine.backend_id}.maxTradeVolume"
        details = [{"parameter": path, "message": "is odd"}] if len(asked) == 3 else []
        raise Rejected("more than 5000 signals: choose a shorter period", details)

    monkeypatch.setattr(Client, "simulate", refuse)
    manager = person(alice)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3")
    told = manager.http.get(f"/changes/{change.pk}/what-if/").content.decode()
    assert asked == sorted(asked)
    assert len(asked) == 3
    assert "The backend would refuse this change." in told
    assert "maxTradeVolume: is odd" in told


def test_without_a_backend_nothing_is_lost(desk, person, alice):
    manager = person(alice)
    path = f"/strategies/{desk.alpine.pk}/edit/"
    change = manager.proposed(path, maxTradeVolume="0.3")
    desk.connection.base_url = "http://127.0.0.1:9"
    desk.connection.save()
    answer = manager.form(path, maxTradeVolume="0.4")
    assert (answer.status_code, 'value="0.4"' in answer.content.decode()) == (503, True)
    answer = manager.save(change)
    assert (answer.status_code, "Nothing was changed" in answer.content.decode()) == (503, True)
    assert Change.objects.get(pk=change.pk).saved_at is None


def test_a_member_is_edited_inside_its_portfolio(desk, person, alice):
    manager = person(alice)
    path = f"/strategies/{desk.portfolio.pk}/members/{desk.alpine.backend_id}/edit/"
    form = manager.http.get(path).content.decode()
    assert "In force" in form
    change = manager.proposed(
        path, multiplier="0.75", **{"symbolMapping.0.from": "EURUSD", "symbolMapping.0.to": "EURUSDm"}
    )
    assert "Member Alpine" in manager.http.get(f"/changes/{change.pk}/").content.decode()
    manager.save(change)
    first, second = desk.at_backend(desk.portfolio)["members"]
    assert (first["multiplier"], first["symbolMapping"]) == (0.75, [{"from": "EURUSD", "to": "EURUSDm"}])
    assert second == {"strategyId": desk.boreal.backend_id}


def test_an_untouched_form_proposes_nothing(desk, person, alice):
    answer = person(alice).form(f"/strategies/{desk.alpine.pk}/edit/")
    assert answer.headers["Location"] == f"/strategies/{desk.alpine.pk}/settings/"
    assert not Change.objects.exists()


def test_another_row_comes_without_losing_what_was_typed(desk, person, alice):
    manager = person(alice)
    path = f"/strategies/{desk.alpine.pk}/edit/"
    answer = manager.form(path, add="symbolMapping", maxTradeVolume="0.7")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'name="symbolMapping.1.from"' in page
    assert 'value="0.7"' in page
