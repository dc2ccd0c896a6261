"""Statements are overdue from the day after they were due, in the workspace's zone, on every page, filter and file."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from reporting.models import Entry, Statement
from reporting.states import STATEMENT_STATES, statement_state
from tests import builders

pytestmark = pytest.mark.django_db


def issue(account, due_on, *, owed="100", paid="0", number=1, is_void=False):
    now = timezone.now()
    own = {"workspace": account.workspace, "connection": account.connection, "subscriber_id": account.backend_id}
    made = Statement.objects.create(
        **own,
        number=number,
        workspace_name="A",
        subscriber_name=account.name,
        first_day=now.date(),
        due_on=due_on,
        last_day=now.date(),
        currency="USD",
        amount=owed,
        reporting_currency="USD",
        issued_at=now,
        is_void=is_void,
    )
    for kind, amount in (("statement", Decimal(owed)), ("payment", -Decimal(paid))):
        if amount:
            Entry.objects.create(
                **own, currency="USD", kind=kind, amount=amount, statement=made, day=now.date(), made_at=now
            )
    return Statement.objects.with_balance().get(pk=made.pk)


@pytest.fixture(params=["UTC", "Pacific/Kiritimati", "Pacific/Honolulu"])
def account(request, workspace, dora):
    workspace.timezone = request.param
    workspace.save()
    return builders.subscriber(builders.connection(workspace), access=dora, name="Hers")


@pytest.mark.parametrize(
    ("days", "paid", "words"),
    [
        (1, "0", "To be paid"),
        (0, "0", "To be paid"),
        (-1, "0", "Overdue, 1 day"),
        (-12, "0", "Overdue, 12 days"),
        (0, "40", "Partly paid"),
        (-1, "40", "Overdue, 1 day"),
        (-12, "100", "Settled"),
    ],
)
def test_before_on_and_after_the_day(account, days, paid, words):
    today = timezone.now().astimezone(ZoneInfo(account.workspace.timezone)).date()
    state = statement_state(issue(account, today + timedelta(days=days), paid=paid))
    assert state.words == words
    assert (state.tone == "good") is (words == "Settled")


def test_a_void_one_is_void(account):
    assert statement_state(issue(account, timezone.now().date() - timedelta(days=30), is_void=True)).words == "Void"


def test_pages_filter_file_and_client_agree(account, sign_in, alice, dora, text_of):
    today = timezone.now().astimezone(ZoneInfo(account.workspace.timezone)).date()
    late = issue(account, today - timedelta(days=12), number=1)
    issue(account, today, number=2)
    staff, hers = sign_in(alice), sign_in(dora)
    words = "Overdue, 12 days"
    assert words in hers.get("/me/").content.decode()
    assert words in hers.get("/me/statements/").content.decode()
    for client in (sign_in(alice), sign_in(dora)):
        assert words in client.get(f"/statements/{late.pk}/").content.decode()
    staff = sign_in(alice)
    assert words in staff.get("/commissions/statements/").content.decode()
    for code, numbers in (("overdue", ["S-000001"]), ("due", ["S-000002"]), ("paid", [])):
        file = text_of(staff.get(f"/commissions/statements/?state={code}&format=csv")).removeprefix("\ufeff")
        rows = list(csv.DictReader(io.StringIO(file)))
        assert [row["number"] for row in rows] == numbers
        assert {row["state"] for row in rows} <= {code}
    assert list(STATEMENT_STATES) == ["overdue", "due", "partly-paid", "disputed", "paid", "void"]
    assert "1 account</a> overdue" in " ".join(staff.get("/").content.decode().split())
