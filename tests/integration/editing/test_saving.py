"""A save whose answer is lost, whose process dies or that meets another: what is said is what is known."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from copying.client import BackendFailed, Client, Rejected, Unreachable, Unreadable
from editing import saving
from editing.models import Action, Change, ChangeOutcome
from editing.proposals import propose
from editing.saving import IS_SENDING_FOR, MAY_ARRIVE_FOR, Busy, save_change
from editing.scopes import scope_of
from editing.tasks import settle_changes
from strategies.models import Strategy
from users.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)
SILENT = Unreachable("Cannot reach the backend: no answer within 8 s.", was_sent=True)
AWAY = Unreachable("Cannot reach the backend: refused.", was_sent=False)
WRITES = {
    "put_strategy": "a strategy",
    "put_subscriber": "an account",
    "remove_strategy": "a removal",
    "remove_subscription": "a subscription",
    "remove_portfolio_member": "a member",
}


class Killed(BaseException):
    """The process ends here: nothing of ours runs after it."""


def proposal(desk, **options) -> Change:
    before = desk.at_backend(desk.alpine)
    after = options.pop("after", before | {"maxTradeVolume": 1.5})
    return propose(scope_of(desk.alpine), by=None, now=timezone.now(), before=before, after=after, **options)


def proposals(desk) -> dict[str, Change]:
    """One change by the call that does it."""
    account, both = desk.at_backend(desk.hers), desk.at_backend(desk.portfolio)
    now, gradually = timezone.now(), {"mode": "close-gracefully-by-position"}
    desk.signal(desk.alpine)  # so that something is open, and what is taken out winds down
    subscription = scope_of(desk.hers, desk.alpine.backend_id)
    member = scope_of(desk.portfolio, desk.alpine.backend_id)
    take_out = {"action": Action.TAKE_OUT, "instructions": gradually, "by": None, "now": now}
    return {
        "put_strategy": proposal(desk),
        "put_subscriber": propose(
            scope_of(desk.hers), by=None, now=now, before=account, after=account | {"maxLeverage": 7}
        ),
        "remove_strategy": proposal(desk, action=Action.REMOVE, after={}, instructions=gradually),
        "remove_subscription": propose(subscription, before=account, after=account | {"subscriptions": []}, **take_out),
        "remove_portfolio_member": propose(
            member, before=both, after=both | {"members": both["members"][1:]}, **take_out
        ),
    }


def lose(monkeypatch, name: str, *, error: Exception = SILENT, is_done: bool = True) -> None:
    """The call fails with an error, after it was carried out or without."""
    call = getattr(Client, name)

    def lost(self, *args, **options):
        if is_done:
            call(self, *args, **options)
        raise error

    monkeypatch.setattr(Client, name, lost)


def fail_reads(monkeypatch, *, after: int, error: Exception = SILENT) -> None:
    """Documents can be read so many times more, then not."""
    read, calls = saving.current_document, []

    def failing(*args):
        calls.append(args)
        if len(calls) > after:
            raise error
        return read(*args)

    monkeypatch.setattr(saving, "current_document", failing)


def wait_for(change: Change, span: timedelta) -> None:
    """As if it had been sent so long ago."""
    Change.objects.filter(pk=change.pk).update(sent_at=timezone.now() - span, looked_at=None)


def audited() -> list[str]:
    entries = AuditEntry.objects.exclude(action__startswith="signed").order_by("occurred_at", "id")
    return list(entries.values_list("action", flat=True))


def state_of(change: Change) -> tuple[str, bool]:
    row = Change.objects.get(pk=change.pk)
    return row.outcome, row.saved_at is not None


def words(page) -> str:
    return " ".join(page.content.decode().split())


# --- The read after the write ---------------------------------------------------------------------------------------
def test_a_change_is_saved_although_what_it_came_to_cannot_be_read(desk, person, alice, monkeypatch):
    manager, change = person(alice), proposal(desk)
    fail_reads(monkeypatch, after=1)
    answer = manager.save(change)
    assert answer.headers["Location"] == f"/strategies/{desk.alpine.pk}/settings/"
    assert desk.at_backend(desk.alpine)["maxTradeVolume"] == 1.5
    assert state_of(change) == ("done", True)
    entry = AuditEntry.objects.exclude(action__startswith="signed").get()
    assert (entry.action, entry.user, entry.details["change"]) == ("strategy changed", alice, change.pk)
    page = words(manager.http.get(answer.headers["Location"]))
    assert "Alpine is saved. The pages show it within a minute." in page
    assert f'action="/changes/{change.pk}/undo/"' in page
    monkeypatch.undo()
    assert "saved already" in words(manager.http.get(manager.save(change).headers["Location"]))
    back = manager.http.post(f"/changes/{change.pk}/undo/").headers["Location"]
    manager.http.post(f"{back}save/")
    assert "maxTradeVolume" not in desk.at_backend(desk.alpine)


def test_the_read_before_the_write_fails_and_nothing_is_sent(desk, person, alice, monkeypatch):
    manager, change = person(alice), proposal(desk)
    fail_reads(monkeypatch, after=0)
    answer = manager.save(change)
    assert (answer.status_code, "Nothing was changed. Cannot reach" in words(answer)) == (503, True)
    assert (state_of(change), Change.objects.get().sent_at, audited()) == (("", False), None, [])


# --- The answer to the write ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("call", WRITES, ids=WRITES.values())
def test_what_was_carried_out_without_an_answer_is_known_by_looking(call, desk, person, alice, monkeypatch):
    manager, change = person(alice), proposals(desk)[call]
    lose(monkeypatch, call)
    answer = manager.save(change, typed=change.name)
    assert answer.status_code == 302
    assert state_of(change) == ("done", True)
    assert f"/changes/{change.pk}/undo/" in words(manager.http.get(answer.headers["Location"]))
    assert [action.partition(": ")[2] for action in audited()] == [""]


@pytest.mark.parametrize("call", WRITES, ids=WRITES.values())
def test_what_never_arrived_is_not_known_first_and_then_not_done(call, desk, person, alice, monkeypatch):
    manager, change = person(alice), proposals(desk)[call]
    lose(monkeypatch, call, is_done=False)
    answer = manager.save(change, typed=change.name)
    assert answer.headers["Location"] == f"/changes/{change.pk}/"
    assert state_of(change) == ("unknown", False)
    page = words(manager.http.get(f"/changes/{change.pk}/"))
    assert "whether it was carried out is not known" in page
    assert f'action="/changes/{change.pk}/look/"' in page
    assert f"/changes/{change.pk}/save/" not in page
    assert "Nothing was changed" not in page

    manager.http.post(f"/changes/{change.pk}/look/")
    assert state_of(change) == ("unknown", False), "it may still arrive"
    wait_for(change, MAY_ARRIVE_FOR)
    manager.http.post(f"/changes/{change.pk}/look/")
    assert state_of(change) == ("not-done", False)
    assert "It was not carried out." in words(manager.http.get(f"/changes/{change.pk}/"))
    monkeypatch.undo()
    manager.save(change, typed=change.name)
    assert state_of(change) == ("done", True)
    assert [action.partition(": ")[2] for action in audited()] == ["not confirmed", "not carried out", ""]


@pytest.mark.parametrize(
    "error",
    [
        SILENT,
        BackendFailed("The backend failed.", 500),
        BackendFailed("A proxy waited too long.", 504),
        Unreadable("The answer is cut.", reason="truncated", start=""),
    ],
)
def test_every_error_that_proves_nothing_leaves_it_open(error, desk, person, alice, monkeypatch):
    manager, change = person(alice), proposal(desk)
    lose(monkeypatch, "put_strategy", error=error)
    fail_reads(monkeypatch, after=1)
    manager.save(change)
    assert (state_of(change), audited()) == (("unknown", False), ["strategy changed: not confirmed"])
    assert "still not known" in words(
        manager.http.get(manager.http.post(f"/changes/{change.pk}/look/").headers["Location"])
    )
    monkeypatch.undo()
    answer = manager.http.post(f"/changes/{change.pk}/look/")
    assert f"/changes/{change.pk}/undo/" in words(manager.http.get(answer.headers["Location"]))
    assert state_of(change) == ("done", True)
    assert Strategy.objects.get(pk=desk.alpine.pk).document["maxTradeVolume"] == 1.5


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (AWAY, ""),
        (BackendFailed("There is a conflict.", 409), ""),
        (Rejected("no", [{"parameter": "name"}]), "refused"),
    ],
)
def test_every_error_that_proves_it_was_not_done_says_so(error, outcome, desk, person, alice, monkeypatch):
    manager, change = person(alice), proposal(desk)
    lose(monkeypatch, "put_strategy", error=error, is_done=False)
    answer = manager.save(change)
    assert (answer.status_code, state_of(change), audited()) == (503, (outcome, False), [])
    monkeypatch.undo()
    manager.save(change)
    assert (state_of(change), audited()) == (("done", True), ["strategy changed"])


def test_a_creation_without_an_answer_is_found_again(desk, person, alice, monkeypatch):
    with desk.client() as client:
        new_id = client.unused_strategy_id()
    scope = scope_of(Strategy(connection=desk.connection, backend_id=new_id, name="Corona", kind="single"))
    document = {"name": "Corona", "description": "d", "accountId": desk.id("p-corona")}
    change = propose(scope, by=None, now=timezone.now(), action=Action.CREATE, after=document)
    lose(monkeypatch, "put_strategy")
    manager = person(alice)
    manager.save(change)
    assert state_of(change) == ("done", True)
    assert Strategy.objects.get(backend_id=new_id).name == "Corona"


def test_saving_the_same_again_does_not_call_oneself_somebody_else(desk, person, alice, bob, monkeypatch):
    manager, change = person(alice), proposal(desk)
    lose(monkeypatch, "put_strategy")
    fail_reads(monkeypatch, after=1)
    manager.save(change)
    monkeypatch.undo()
    sent = []
    monkeypatch.setattr(Client, "put_strategy", lambda *args: sent.append(args))
    answer = manager.save(change)
    assert (answer.status_code, state_of(change), sent) == (302, ("done", True), [])


def test_saving_again_while_the_backend_is_away_does_not_say_that_nothing_was_changed(desk, person, alice, monkeypatch):
    manager, change = person(alice), proposal(desk)
    lose(monkeypatch, "put_strategy")
    fail_reads(monkeypatch, after=1)
    manager.save(change)
    page = words(manager.http.get(manager.save(change).headers["Location"]))
    assert "Nothing was sent now." in page
    assert "Nothing was changed" not in page
    assert state_of(change) == ("unknown", False)


def test_what_somebody_else_changed_meanwhile_cannot_be_told_and_is_said_so(desk, person, alice, monkeypatch):
    manager, change = person(alice), proposal(desk)
    lose(monkeypatch, "put_strategy", is_done=False)
    manager.save(change)
    monkeypatch.undo()
    with desk.client() as client:
        client.put_strategy(desk.alpine.backend_id, desk.at_backend(desk.alpine) | {"maxTradeVolume": 9})
    wait_for(change, MAY_ARRIVE_FOR)
    assert settle_changes() == 1
    assert state_of(change) == ("overtaken", False)
    assert "cannot be told any more" in words(manager.http.get(f"/changes/{change.pk}/"))
    answer = manager.save(change)
    assert (answer.status_code, "was changed meanwhile" in words(answer)) == (409, True)
    newer = manager.http.post(f"/changes/{change.pk}/go-on/").headers["Location"]
    manager.http.post(f"{newer}save/")
    assert desk.at_backend(desk.alpine)["maxTradeVolume"] == 1.5


def test_what_is_in_flight_is_not_discarded_rebased_undone_or_forgotten(desk, person, alice, monkeypatch):
    manager, change = person(alice), proposal(desk)
    lose(monkeypatch, "put_strategy", is_done=False)
    manager.save(change)
    for act in ("discard", "go-on", "undo"):
        assert manager.http.post(f"/changes/{change.pk}/{act}/").headers["Location"] == f"/changes/{change.pk}/"
    Change.objects.update(proposed_at=timezone.now() - timedelta(days=8))
    proposal(desk)
    assert state_of(change) == ("unknown", False)
    listed = words(manager.http.get(f"/strategies/{desk.alpine.pk}/changes/"))
    assert "sent, not known yet whether it was carried out" in listed


# --- The process --------------------------------------------------------------------------------------------------
def kill(monkeypatch, where, name: str, *, is_before: bool) -> None:
    """The process ends before or after a step."""
    step = getattr(where, name)

    def killed(*args, **options):
        if not is_before:
            step(*args, **options)
        raise Killed

    monkeypatch.setattr(where, name, killed)


SEAMS = {
    "before the intent": (saving, "_claim", True, None),
    "after the intent": (saving, "_claim", False, "not-done"),
    "before it is sent": (saving, "write", True, "not-done"),
    "after it was sent": (saving, "write", False, "done"),
    "before the outcome": (saving, "record", True, "done"),
    "inside the outcome": (saving, "_note", True, "done"),
    "after the outcome": (saving, "record", False, "done"),
    "before it is mirrored": (saving, "mirror", True, "done"),
    "after it was mirrored": (saving, "mirror", False, "done"),
}


@pytest.mark.parametrize("seam", SEAMS)
def test_whatever_step_the_process_dies_at_the_outcome_is_found(seam, desk, alice, monkeypatch):
    where, name, is_before, outcome = SEAMS[seam]
    change = proposal(desk)
    kill(monkeypatch, where, name, is_before=is_before)
    with desk.client() as client, pytest.raises(Killed):
        save_change(change, client=client, by=alice, now=timezone.now())
    monkeypatch.undo()
    before = state_of(change)
    assert settle_changes() == 0, "the process may still be at it"
    assert state_of(change) == before
    if outcome is None:
        assert before == ("", False)
        return
    if before[0] == "sending":
        wait_for(change, IS_SENDING_FOR)
    settle_changes()
    settle_changes()
    assert state_of(change) == (outcome, outcome == "done")
    assert (desk.at_backend(desk.alpine).get("maxTradeVolume") == 1.5) == (outcome == "done")
    entry = AuditEntry.objects.exclude(action__startswith="signed").get()
    assert entry.action == ("strategy changed" if outcome == "done" else "strategy changed: not carried out")
    assert entry.user == alice
    if outcome == "done":
        row = Change.objects.get()
        assert (row.saved_by, row.summary) == (alice, "Largest trade not set → 1.5\u202flots")


def test_it_is_sent_outside_of_any_transaction_with_the_intent_written(desk, alice, monkeypatch):
    change, seen = proposal(desk), []
    put = Client.put_strategy

    def watched(self, *args):
        with connections["default"].copy().cursor() as other:  # another connection sees only what is committed
            other.execute("SELECT outcome FROM strategies_change")
            seen.append((connection.in_atomic_block, other.fetchone()[0]))
        put(self, *args)

    monkeypatch.setattr(Client, "put_strategy", watched)
    with desk.client() as client:
        save_change(change, client=client, by=alice, now=timezone.now())
    assert seen == [(False, "sending")]


def test_a_silent_backend_keeps_no_other_back(desk, alice, workspace, monkeypatch):
    from tests import builders

    change = proposal(desk)
    lose(monkeypatch, "put_strategy")
    fail_reads(monkeypatch, after=1)
    with desk.client() as client:
        save_change(change, client=client, by=alice, now=timezone.now())
    monkeypatch.undo()
    dead = builders.connection(workspace, base_url="http://127.0.0.1:9", token="x" * 20)
    lost = Change.objects.create(
        workspace=workspace,
        connection=dead,
        kind="strategy",
        backend_id="s",
        name="S",
        proposed_at=timezone.now(),
        outcome="unknown",
        sent_at=timezone.now(),
        destination=dead.destination,
    )
    assert settle_changes() == 1
    assert (state_of(change), state_of(lost)) == (("done", True), ("unknown", False))
    assert settle_changes() == 0, "it is asked again only after a while"


def test_a_connection_that_leads_elsewhere_now_is_not_asked_what_the_former_backend_did(desk, alice, monkeypatch):
    change = proposal(desk)
    lose(monkeypatch, "put_strategy", is_done=False)
    with desk.client() as client:
        save_change(change, client=client, by=alice, now=timezone.now())
    Change.objects.update(destination="https://former.example.com")
    wait_for(change, MAY_ARRIVE_FOR)
    settle_changes()
    assert state_of(change) == ("overtaken", False), "the document there says nothing about it"


# --- Two at once ----------------------------------------------------------------------------------------------------
def test_another_save_of_the_object_waits_until_the_first_is_settled(desk, person, alice, monkeypatch):
    first, second = proposal(desk), proposal(desk, after=desk.at_backend(desk.alpine) | {"maxLeverage": 7})
    manager = person(alice)
    lose(monkeypatch, "put_strategy", is_done=False)
    manager.save(first)
    monkeypatch.undo()
    answer = manager.save(second)
    assert (answer.status_code, "Nothing was sent: a change of Alpine that Alice saved" in words(answer)) == (409, True)
    other = manager.http.post(f"/subscribers/{desk.hers.pk}/close-only/", {"mode": "by-position"})
    assert manager.http.post(f"{other.headers['Location']}save/").status_code in (302, 422), "another object may go on"
    wait_for(first, MAY_ARRIVE_FOR)
    manager.save(second)
    assert (state_of(first), state_of(second)) == (("not-done", False), ("done", True))


def test_a_save_that_is_under_way_is_waited_for_and_then_named(desk, alice, monkeypatch):
    monkeypatch.setattr(saving, "WAIT_S", 0.2)
    first, second = proposal(desk), proposal(desk)
    kill(monkeypatch, saving, "write", is_before=True)
    with desk.client() as client:
        with pytest.raises(Killed):
            save_change(first, client=client, by=alice, now=timezone.now())
        answer = save_change(second, client=client, by=alice, now=timezone.now())
    assert isinstance(answer, Busy)
    assert (answer.rival.pk, answer.rival.sent_by) == (first.pk, alice)
    assert state_of(second) == ("", False)


def test_the_same_change_saved_twice_at_once_is_sent_once(desk, monkeypatch):
    change, sent, gate = proposal(desk), [], threading.Barrier(2)
    put = Client.put_strategy
    monkeypatch.setattr(Client, "put_strategy", lambda self, *args: (sent.append(args), put(self, *args)))

    def save() -> None:
        try:
            own = Change.objects.select_related("connection", "workspace").get(pk=change.pk)
            with own.connection.client() as client:
                gate.wait(10)
                save_change(own, client=client, by=None, now=timezone.now())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=save) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(sent), state_of(change), audited()) == (1, ("done", True), ["strategy changed"])


def test_a_change_saved_by_the_version_before_is_what_it_was(desk, person, alice):
    change = proposal(desk, saved_at=timezone.now(), saved_by=alice, summary="Largest trade 1 → 2")
    assert (change.outcome, change.is_in_flight) == (ChangeOutcome.PROPOSED, False)
    assert "/undo/" in words(person(alice).http.get(f"/changes/{change.pk}/"))
    assert settle_changes() == 0
