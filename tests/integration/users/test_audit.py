"""The audit log: who, when, from where, before and after; only added to, and a changed or missing entry is found."""

import html
import io
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from tests import builders
from users.acting import Origin, acting
from users.audit import audit_faults, audit_head, details_text, holds, record_audit
from users.models import AuditEntry, AuditSeal, User

COMMITTED = pytest.mark.django_db(transaction=True)
PATH = "/settings/audit/"


def note(workspace, subject="x", **more) -> AuditEntry:
    return record_audit(workspace, user=None, action="tried", subject=subject, **more)


def without_triggers(statement: str, *parameters) -> None:
    """What somebody could do who may do everything in the database."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, parameters)


def as_the_portal(statement: str) -> None:
    """Without what tests may do beside."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL copyportal.may_empty_audit = off")
        cursor.execute(statement)


def check(**options) -> str:
    output = io.StringIO()
    call_command("auditcheck", stdout=output, **options)
    return output.getvalue()


# --- The chain --------------------------------------------------------------------------------------------------------
@COMMITTED
def test_entries_are_sealed_in_the_order_of_their_commits():
    workspace = builders.workspace()
    for number in range(3):
        note(workspace, details={"amount": 0.1, "word": "ü→", "number": number})
    assert list(AuditSeal.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]
    assert audit_faults() == []
    assert "whole" in check()
    assert str(audit_head()) in check()


@COMMITTED
@pytest.mark.parametrize("table", ["users_auditentry", "users_auditseal"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_database_changes_and_removes_nothing(table, statement):
    note(builders.workspace())
    column, value = ("action", "'y'") if table == "users_auditentry" else ("digest", "'y'")
    with pytest.raises(DatabaseError, match="never changed or removed"):
        as_the_portal(statement.format(table, column, value))
    assert AuditEntry.objects.get().action == "tried"
    assert audit_faults() == []


@COMMITTED
@pytest.mark.parametrize(
    ("statement", "kinds"),
    [
        ("UPDATE users_auditentry SET action = 'y' WHERE subject = 'b'", ["changed"]),
        ("UPDATE users_auditentry SET details = '{}' WHERE subject = 'b'", ["changed"]),
        ("UPDATE users_auditentry SET address = '192.0.2.1' WHERE subject = 'b'", ["changed"]),
        ("UPDATE users_auditentry SET user_id = 1 WHERE subject = 'b'", ["changed"]),
        ("UPDATE users_auditentry SET occurred_at = occurred_at + interval '1 us' WHERE subject = 'b'", ["changed"]),
        ("DELETE FROM users_auditentry WHERE subject = 'b'", ["missing"]),
        ("DELETE FROM users_auditentry WHERE subject = 'c'", ["missing"]),
        ("DELETE FROM users_auditseal WHERE number = 2", ["gap", "unsealed"]),
        ("DELETE FROM users_auditseal WHERE number = 3", ["unsealed"]),
        ("UPDATE users_auditseal SET digest = 'y' WHERE number = 1", ["changed", "changed"]),
    ],
)
def test_what_was_done_past_the_triggers_is_found(statement, kinds):
    workspace = builders.workspace()
    for subject in "abc":
        note(workspace, subject, details={"before": 1, "after": 2})
    without_triggers(statement)
    assert [fault.kind for fault in audit_faults()] == kinds
    with pytest.raises(CommandError, match="tampered"):
        check()


@COMMITTED
def test_an_entry_that_was_slipped_in_is_found():
    workspace = builders.workspace()
    note(workspace)
    without_triggers(
        "INSERT INTO users_auditentry (id, workspace_id, action, subject, details, occurred_at)"
        " VALUES (gen_random_uuid(), %s, 'forged', 'x', '{}', now())",
        workspace.pk,
    )
    assert [fault.kind for fault in audit_faults()] == ["unsealed"]


@COMMITTED
def test_an_end_that_was_cut_off_is_found_by_who_noted_it():
    workspace = builders.workspace()
    for subject in "ab":
        note(workspace, subject)
    noted = audit_head()
    without_triggers("DELETE FROM users_auditentry WHERE subject = 'b'")
    without_triggers("DELETE FROM users_auditseal WHERE number = 2")
    assert audit_faults() == []
    assert not holds(noted)
    with pytest.raises(CommandError):
        check(noted=str(noted))
    with pytest.raises(CommandError, match="--noted takes"):
        check(noted="nonsense")


@COMMITTED
def test_many_at_the_same_time_make_one_chain():
    workspace = builders.workspace()

    def work(number: int) -> None:
        try:
            for _ in range(5):
                with transaction.atomic():
                    note(workspace, str(number))
                    note(workspace, str(number))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert AuditSeal.objects.count() == 40
    assert audit_faults() == []


@COMMITTED
def test_what_was_taken_back_is_not_sealed():
    workspace = builders.workspace()
    with transaction.atomic():
        note(workspace)
        transaction.set_rollback(True)
    assert not AuditSeal.objects.exists()


# --- Who and from where -----------------------------------------------------------------------------------------------
def test_an_entry_says_who_and_from_where(sign_in, alice, workspace):
    form = {"email": "eve@example.com", "role": "viewer"}
    sign_in(alice).post("/settings/members/invite/", form, REMOTE_ADDR="192.0.2.5")
    entry = AuditEntry.objects.get(action="invitation sent")
    assert (entry.user, entry.actor, entry.via, entry.address) == (alice, "alice@example.com", "page", "192.0.2.5")


def test_tokens_tasks_and_commands_are_named(workspace, alice, monkeypatch):
    with acting(Origin("token", "reports", "192.0.2.6")):
        by_token = record_audit(workspace, user=alice, action="tried", subject="x")
        with acting(Origin("task", "users.tasks.check_audit")):
            by_task = note(workspace)
    monkeypatch.setattr("sys.argv", ["/srv/manage.py", "reset_second_factor", "x"])
    by_command = note(workspace)
    assert [(one.via, one.actor, one.address) for one in (by_token, by_task, by_command)] == [
        ("token", "alice@example.com (reports)", "192.0.2.6"),
        ("task", "users.tasks.check_audit", ""),
        ("command", "reset_second_factor", ""),
    ]


def test_a_change_of_settings_says_before_and_after(sign_in, alice, workspace):
    form = {
        "name": "Alice & Co",
        "timezone": "Europe/Zurich",
        "reporting_currency": "USD",
        "accent": "blue",
        "asks_consent": "on",
    }
    assert sign_in(alice).post("/settings/", form).status_code == 302
    details = AuditEntry.objects.get(action="workspace changed").details
    assert details["timezone"] == "Europe/Zurich", "the whole form, which tells when the zone changed"
    assert details["before"] == {"name": "Alice Capital", "timezone": "UTC"}
    assert details["after"] == {"name": "Alice & Co", "timezone": "Europe/Zurich"}


# --- The page ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("end", ["", "?format=csv", "?kind=people"])
@pytest.mark.parametrize(
    ("person", "status"), [("alice", 200), ("mona", 403), ("bob", 403), ("dora", 404), ("charlie", 200), (None, 302)]
)
@pytest.mark.usefixtures("bob", "dora", "charlie")
def test_the_owner_reads_the_own_workspaces_log(sign_in, workspace, alice, person, status, end):
    builders.member(workspace, "mona", "manager")
    someone = User.objects.filter(name=(person or "").title()).first()
    record_audit(
        workspace,
        user=alice,
        action="role changed",
        subject="hidden@example.com",
        details={"before": "a", "after": "b"},
    )
    answer = sign_in(someone).get(PATH + end)
    assert answer.status_code == status
    text = b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode()
    assert ("hidden@" in text) is (person == "alice")


def test_filters_narrow_and_nonsense_is_400(sign_in, alice, workspace):
    record_audit(workspace, user=alice, action="role changed", subject="dora@example.com")
    record_audit(workspace, user=alice, action="payment recorded", subject="P-1")
    record_audit(workspace, user=None, action="strategy saved", subject="Alpine")
    client = sign_in(alice)
    wanted = {"kind=people": "dora@", "kind=money": "P-1", "kind=other": "Alpine", "q=DORA": "dora@", "q=p-1": "P-1"}
    for query, subject in wanted.items():
        text = client.get(f"{PATH}?{query}").content.decode()
        assert [name for name in ("dora@", "P-1", "Alpine") if name in text] == [subject]
    assert client.get(f"{PATH}?kind=nonsense").status_code == 400
    assert client.get(f"{PATH}?from=2026-13-01").status_code == 400


def test_details_are_words():
    assert details_text({"before": {"a": 1, "b": True}, "after": {"a": 2, "b": True}, "id": "x"}) == [
        "a: 1 → 2",
        "id: x",
    ]
    assert details_text({"before": "viewer", "after": None}) == ["viewer → not set"]
    assert details_text({"linked": ["x", "y"], "enabled": False}) == ["linked: x, y", "enabled: no"]


def test_a_long_log_is_read_page_by_page_without_loss(sign_in, alice, workspace):
    client = sign_in(alice)
    for number in range(120):
        note(workspace, f"subject-{number:03}.")
    path, subjects = "/settings/audit/?q=subject-", []
    while path:
        page = client.get(path).content.decode()
        subjects += re.findall(r"subject-\d{3}\.", page)
        following = re.search(r'href="([^"]*[?&](?:amp;)?after=[^"]*)"', page)
        path = html.unescape(following[1]) if following else ""
    assert sorted(subjects) == [f"subject-{number:03}." for number in range(120)]
